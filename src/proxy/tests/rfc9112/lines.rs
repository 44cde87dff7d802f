//! §2.2 to §3: the line that begins a request, and how lines end.

use super::*;

#[tokio::test]
async fn s2_2_a_line_ends_in_cr_lf() {
    let requests: [&[u8]; 8] = [
        b"GET / HTTP/1.1\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\nX: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\n",
        b"GET / HTTP/1.1\nHost: localhost\n\n",
        b"GET / HTTP/1.1\rHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\rX: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\rX: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\r\nHost: localhost\r\n\r\n",
    ];
    refused(By::Head, &[400], requests.map(<[u8]>::to_vec)).await;
}

#[tokio::test]
async fn s2_2_an_empty_line_before_a_request_is_ignored() {
    // Old clients send one behind a POST's body.
    let taken = served([[b"\r\n", &get("")[..]].concat()]).await;
    assert!(taken[0].head.starts_with("GET / HTTP/1.1\r\n"));
}

#[tokio::test]
async fn s2_2_blanks_before_the_first_field_are_refused() {
    let requests: [&[u8]; 3] = [
        b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\n \r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\n\tX: 1\r\nHost: localhost\r\n\r\n",
    ];
    refused(By::Head, &[400], requests.map(<[u8]>::to_vec)).await;
}

#[tokio::test]
async fn s2_3_a_version_is_what_the_grammar_says() {
    let versions = [
        "HTTP/1",
        "HTTP/01.01",
        "HTTP/ 1.1",
        "http/1.1",
        "HTTP/1.1x",
        "HTTP/a.b",
        "HTTPS/1.1",
        "",
    ];
    let requests =
        versions.map(|version| format!("GET / {version}\r\nHost: localhost\r\n\r\n").into_bytes());
    refused(By::Head, &[400], requests).await;
}

#[tokio::test]
async fn s2_3_another_major_version_is_not_served() {
    let requests = ["HTTP/0.9", "HTTP/2.0", "HTTP/3.0", "HTTP/9.9"]
        .map(|version| format!("GET / {version}\r\nHost: localhost\r\n\r\n").into_bytes());
    refused(By::Head, &[400, 505], requests).await;
}

#[tokio::test]
async fn s3_a_request_line_is_three_words_and_two_spaces() {
    let lines = [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /a b HTTP/1.1",
        "GET HTTP/1.1",
        "GET /",
        "GET",
        "   ",
    ];
    let requests = lines.map(|line| format!("{line}\r\nHost: localhost\r\n\r\n").into_bytes());
    refused(By::Head, &[400], requests).await;
}

#[tokio::test]
async fn s3_1_a_method_is_a_token() {
    let methods: [&[u8]; 6] = [
        b"G@T",
        b"GET,",
        b"(GET)",
        b"G\x00T",
        b"G\xc3\x89T",
        b"\"GET\"",
    ];
    let requests =
        methods.map(|method| [method, b" / HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat());
    refused(By::Head, &[400], requests).await;
}

#[tokio::test]
async fn s3_1_a_methods_case_is_the_backends_to_judge() {
    for taken in served(
        ["get", "PURGE", "M-SEARCH"]
            .map(|method| format!("{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()),
    )
    .await
    {
        let method = taken.head.split(' ').next().unwrap();
        assert!(["get", "PURGE", "M-SEARCH"].contains(&method), "{method}");
    }
}

#[tokio::test]
async fn s3_2_a_target_has_no_byte_that_an_address_has_not() {
    let targets: [&[u8]; 9] = [
        b"/a#b",
        b"/a\\b",
        b"/a\x00b",
        b"/a\x07b",
        b"/a\x7fb",
        b"/caf\xc3\xa9",
        b"/\xc0\xaf",
        b"a",
        b"?a",
    ];
    let requests =
        targets.map(|target| [b"GET ", target, b" HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat());
    refused(By::Head, &[400], requests).await;
}

#[tokio::test]
async fn s3_2_1_a_target_passes_as_it_stands() {
    let targets = [
        "/",
        "//a//b/../c",
        "/a?b?c=/d",
        "/%00%0d%0a",
        "/a;b=c@d:e!$&'()*+,~",
        "/a?b\\c",
        "/a?[1]={2}|3^`\\",
    ];
    let requests = targets
        .map(|target| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes());
    for (taken, target) in served(requests).await.iter().zip(targets) {
        let line = taken.head.lines().next();
        assert_eq!(line, Some(&format!("GET {target} HTTP/1.1")[..]));
    }
}
