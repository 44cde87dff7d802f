//! §6: how long a body is.

use super::*;

const HELLO: &str = "5\r\nhello\r\n0\r\n\r\n";

#[tokio::test]
async fn s6_1_chunked_comes_last_once_and_alone() {
    let codings = [
        "chunked, gzip",
        "chunked, chunked",
        "chunked, identity",
        "chunked;a=b",
        "chunked;",
        "\"chunked\"",
        "",
        ",",
        ", chunked",
        "chunked,",
        "chunked chunked",
        "chunked\u{b}",
        "\u{b}chunked",
        "\u{c}chunked",
        "chunked\0",
    ];
    let requests = codings.map(|coding| post(&format!("Transfer-Encoding: {coding}\r\n"), HELLO));
    refused(By::Head, &[400], requests).await;
}

#[tokio::test]
async fn s6_1_a_coding_that_nobody_knows_is_refused() {
    let codings = [
        "gzip",
        "nonsense",
        "xchunked",
        "chunkedx",
        "chunke",
        "identity",
        "gzip, chunked",
    ];
    let requests = codings.map(|coding| post(&format!("Transfer-Encoding: {coding}\r\n"), HELLO));
    refused(By::Head, &[400, 501], requests).await;
}

#[tokio::test]
async fn s6_1_transfer_encoding_twice_is_refused() {
    let lines = [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\ntransfer-encoding:\r\n",
    ];
    refused(By::Head, &[400, 501], lines.map(|lines| post(lines, HELLO))).await;
}

#[tokio::test]
async fn s6_1_http_1_0_has_no_transfer_encoding() {
    let requests = ["", "Content-Length: 5\r\n", "Connection: keep-alive\r\n"].map(|lines| {
        format!(
            "POST / HTTP/1.0\r\nHost: localhost\r\n{lines}Transfer-Encoding: chunked\r\n\r\n{HELLO}"
        )
        .into_bytes()
    });
    refused(By::Head, &[400], requests).await;
}

#[tokio::test]
async fn s6_1_chunked_is_chunked_in_any_case() {
    let codings = ["chunked", "Chunked", "CHUNKED", "\tchunked", "chunked \t"];
    let requests = codings.map(|coding| post(&format!("Transfer-Encoding:{coding}\r\n"), HELLO));
    for taken in served(requests).await {
        assert_eq!(taken.body, b"hello");
        assert_eq!(field(&taken.head, "content-length"), None);
    }
}

#[tokio::test]
async fn s6_3_content_length_with_transfer_encoding() {
    let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let inner = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\n";
    let chunk = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    let lengths = ["15", "0", "4", "6", "+4", "4x", "", "99999999999999999999"];
    let codings = [
        "chunked",
        "Chunked",
        "chunked ",
        ", chunked",
        "identity",
        "xchunked",
    ];
    let mut requests = Vec::new();
    for length in lengths {
        requests.push(format!(
            "Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"
        ));
        requests.push(format!(
            "Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"
        ));
    }
    for coding in codings {
        requests.push(format!(
            "Content-Length: 5\r\nTransfer-Encoding: {coding}\r\n"
        ));
    }
    let bodies = [HELLO, smuggled, &chunk];
    let requests = requests
        .iter()
        .flat_map(|lines| bodies.map(|body| post(lines, body)));
    refused(By::Head, &[400], requests).await;
}

#[tokio::test]
async fn s6_3_lengths_that_differ() {
    let lines = [
        "Content-Length: 5\r\nContent-Length: 10\r\n",
        "Content-Length: 10\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\ncontent-length:\r\n",
        "Content-Length: 5, 10\r\n",
        "Content-Length: 5, 5, 10\r\n",
        "Content-Length: 5,\r\n",
        "Content-Length: ,5\r\n",
    ];
    refused(
        By::Head,
        &[400],
        lines.map(|lines| post(lines, "helloworld")),
    )
    .await;
}

#[tokio::test]
async fn s6_3_a_length_that_is_said_twice_reaches_nobody_twice() {
    for lines in [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
    ] {
        let (front, backend) = set_up().await;
        let answer = front
            .send(&post(&format!("{lines}Connection: close\r\n"), "hello"))
            .await;
        // Either is right.
        match status(&answer) {
            400 => assert_eq!(backend.stub.connections(), 0),
            200 => {
                let taken = backend.taken().remove(0);
                assert_eq!(taken.body, b"hello");
                let head = taken.head.to_ascii_lowercase();
                assert_eq!(head.matches("content-length").count(), 1, "{head}");
                assert_eq!(field(&head, "content-length"), Some("5"));
            }
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn s6_3_a_length_is_digits() {
    let lengths = [
        "abc",
        "-1",
        "-0",
        "+5",
        "0x5",
        "0o5",
        "1_0",
        "1 0",
        "5a",
        "5.0",
        "5e0",
        "",
        "\"5\"",
        "18446744073709551616",
        "99999999999999999999",
        "\u{664}",
    ];
    let requests = lengths.map(|length| post(&format!("Content-Length: {length}\r\n"), "hello"));
    refused(By::Head, &[400], requests).await;
}

#[tokio::test]
async fn s6_3_a_length_does_not_begin_with_a_zero_that_is_not_all_of_it() {
    // Digits by the grammar, but some read them as octal.
    let lengths = ["005", "00", "0200"];
    let requests = lengths.map(|length| post(&format!("Content-Length: {length}\r\n"), "hello"));
    refused(By::Head, &[400], requests).await;
}

#[tokio::test]
async fn s6_3_good_lengths_whatever_the_method() {
    let lengths = [":5", ": 5", ":  5", ":\t5", ": 5 "];
    for taken in
        served(lengths.map(|length| post(&format!("Content-Length{length}\r\n"), "hello"))).await
    {
        assert_eq!(taken.body, b"hello");
        assert_eq!(field(&taken.head, "content-length"), Some("5"));
        assert_eq!(field(&taken.head, "transfer-encoding"), None);
    }
    for method in ["GET", "DELETE", "OPTIONS", "PATCH"] {
        let request =
            format!("{method} / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(
            served([request.into_bytes()]).await[0].body,
            b"hello",
            "{method}"
        );
    }
}

#[tokio::test]
async fn s6_3_neither_means_no_body() {
    for taken in served([post("", ""), post("Content-Length: 0\r\n", "")]).await {
        assert_eq!(taken.body, b"");
        assert_eq!(field(&taken.head, "transfer-encoding"), None);
    }
}
