//! §5: fields.

use super::*;

#[tokio::test]
async fn s5_1_a_name_is_a_token_and_ends_at_the_colon() {
    let lines: [&[u8]; 14] = [
        b"X : 1\r\n",
        b"X\t: 1\r\n",
        b": 1\r\n",
        b"NoColon\r\n",
        b"Bad Name: 1\r\n",
        b"Bad\tName: 1\r\n",
        b"Bad[Name: 1\r\n",
        b"Bad(Name): 1\r\n",
        b"Bad@Name: 1\r\n",
        b"Bad\"Name: 1\r\n",
        b"Bad/Name: 1\r\n",
        b"Bad\x00Name: 1\r\n",
        b"B\xc3\xa4d: 1\r\n",
        b"Content-Length : 0\r\n",
    ];
    let requests =
        lines.map(|line| [b"GET / HTTP/1.1\r\nHost: localhost\r\n", line, b"\r\n"].concat());
    refused(By::Head, &[400], requests).await;
}

#[tokio::test]
async fn s5_2_a_field_is_one_line() {
    let lines = [
        "X: 1\r\n 2\r\n",
        "X: 1\r\n\t2\r\n",
        "X:\r\n 1\r\n",
        "X: 1\r\n \r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
    ];
    refused(By::Head, &[400], lines.map(get)).await;
}

#[tokio::test]
async fn s5_5_a_value_has_no_control_characters() {
    let values: [&[u8]; 8] = [
        b"a\x00b", b"a\x07b", b"a\x08b", b"a\x0bb", b"a\x1bb", b"a\x7fb", b"a\rb", b"\x00",
    ];
    let requests = values.map(|value| {
        [
            b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ",
            value,
            b"\r\n\r\n",
        ]
        .concat()
    });
    refused(By::Head, &[400], requests).await;
}

#[tokio::test]
async fn s5_values_pass_whatever_else_they_are() {
    let values = [
        ("", ""),
        (" ", ""),
        ("\t \t", ""),
        ("a", "a"),
        ("  a b\tc  ", "a b\tc"),
        (" caf\u{e9} \u{65e5}", "caf\u{e9} \u{65e5}"),
        (" \"q, \\\" (c) <d> {e}\"", "\"q, \\\" (c) <d> {e}\""),
        (" a:b:c", "a:b:c"),
    ];
    let requests = values.map(|(value, _)| get(&format!("X-Value:{value}\r\n")));
    for (taken, (value, expected)) in served(requests).await.iter().zip(values) {
        assert_eq!(field(&taken.head, "x-value"), Some(expected), "{value:?}");
    }
}

#[tokio::test]
async fn s5_names_keep_their_case_and_fields_their_order() {
    let lines =
        "X-Beta: 1\r\nx-alpha: 2\r\nX-BETA: 3\r\nX_Gamma!#$%&'*+-.^`|~9: 4\r\nx-Beta: 5\r\n";
    let taken = served([get(lines)]).await;
    let own: String = taken[0]
        .head
        .split_inclusive("\r\n")
        .filter(|line| line.to_ascii_lowercase().starts_with("x-") || line.starts_with("X_"))
        .filter(|line| !line.to_ascii_lowercase().starts_with("x-forwarded-"))
        .collect();
    assert_eq!(own, lines);
}

#[tokio::test]
async fn s6_3_names_that_a_gateway_folds_into_those_of_framing_are_refused() {
    // CGI and WSGI write every `-` of a name as `_`: what these say would be heard as the length.
    let lines = [
        "Content_Length: 0\r\n",
        "Transfer_Encoding: chunked\r\n",
        "content_length: 5\r\n",
    ];
    refused(By::Head, &[400], lines.map(get)).await;
}
