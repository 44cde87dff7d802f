use proptest::prelude::*;

use super::*;

fn read(text: &[u8]) -> Result<Option<RequestHead>, Refusal> {
    read_request(&mut BytesMut::from(text))
}

#[test]
fn good_requests() {
    for (text, method, target, framing, persists) in [
        (
            "GET /a?b=%20 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET",
            "/a?b=%20",
            Framing::None,
            true,
        ),
        (
            "\r\nGET / HTTP/1.0\r\n\r\n",
            "GET",
            "/",
            Framing::None,
            false,
        ),
        (
            "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            "GET",
            "/",
            Framing::None,
            true,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nConnection: close\r\n\r\n",
            "POST",
            "/",
            Framing::Length(12),
            false,
        ),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n\r\n",
            "PUT",
            "/",
            Framing::Chunked,
            true,
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            "OPTIONS",
            "*",
            Framing::None,
            true,
        ),
        (
            "GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET",
            "/b",
            Framing::None,
            true,
        ),
        (
            "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT",
            "a:1",
            Framing::None,
            true,
        ),
        (
            "M-SEARCH / HTTP/1.1\r\nHost: a\r\nX: ä\r\n\r\n",
            "M-SEARCH",
            "/",
            Framing::None,
            true,
        ),
    ] {
        let head = read(text.as_bytes()).unwrap().unwrap();
        assert_eq!(
            (head.method.as_str(), head.target.as_str()),
            (method, target),
            "{text}"
        );
        assert_eq!((head.framing, head.persists), (framing, persists), "{text}");
    }
}

#[test]
fn refusals() {
    let with = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
    for (text, status) in [
        (with("Content-Length: 5\r\nContent-Length: 5"), 400),
        (with("Content-Length: 5\r\nTransfer-Encoding: chunked"), 400),
        (with("Content-Length: 5, 5"), 400),
        (with("Content-Length: +5"), 400),
        (with("Content-Length: 05"), 400),
        (with("Content-Length: 0x5"), 400),
        (with("Content-Length: 5 5"), 400),
        (with("Content-Length: -1"), 400),
        (with("Content-Length: 99999999999999999999"), 400),
        (with("Content-Length:"), 400),
        (with("Transfer-Encoding: gzip"), 400),
        (with("Transfer-Encoding: chunked, gzip"), 400),
        (with("Transfer-Encoding: chunked, chunked"), 400),
        (
            with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            400,
        ),
        (with("Transfer-Encoding: xchunked"), 400),
        (with("Transfer-Encoding: \"chunked\""), 400),
        (with("Transfer-Encoding: gzip, chunked"), 501),
        (with("Transfer-Encoding: , chunked"), 400),
        (with("Transfer-Encoding: chunked,"), 400),
        (with("Transfer-Encoding:"), 400),
        (with("Transfer_Encoding: chunked"), 400),
        (with("content_length: 5"), 400),
        (format!("{} / HTTP/1.1\r\n\r\n", "A".repeat(300)), 400),
        ("A".repeat(300), 400),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
            400,
        ),
        (with("Content-Length : 5"), 400),
        (with(" Content-Length: 5"), 400),
        (with("X: a\r\n b"), 400),
        (with("X: a\0"), 400),
        (with("X: a\rb"), 400),
        (with("X: a\nY: b"), 400),
        (with("X[]: a"), 400),
        (with(": a"), 400),
        (with("X"), 400),
        ("GET / HTTP/1.1\nHost: a\n\n".into(), 400),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n".into(), 400),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("GET / http/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(), 505),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n".into(), 505),
        ("GET /\r\n".into(), 400),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("\u{16}\u{3}\u{1}\u{2}\0".into(), 400),
        (
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(LINE_MAX)),
            414,
        ),
        (format!("GET /{}", "a".repeat(LINE_MAX + 200)), 414),
        (with(&format!("X: {}", "a".repeat(HEAD_MAX))), 431),
        (
            format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(HEAD_MAX)),
            431,
        ),
        (with(&"X: a\r\n".repeat(FIELDS_MAX + 1)), 431),
    ] {
        let refused = match read(text.as_bytes()) {
            Err(refused) => refused,
            Ok(head) => panic!("{:?} is taken: {head:?}", &text[..text.len().min(120)]),
        };
        assert_eq!(
            refused.status.as_u16(),
            status,
            "{:?}: {}",
            &text[..text.len().min(120)],
            refused.why
        );
    }
}

#[test]
fn a_line_of_8000_bytes_is_fine() {
    let text = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(8000));
    assert!(read(text.as_bytes()).unwrap().is_some());
}

#[test]
fn a_part_is_waited_for() {
    let text = b"\r\nPOST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
    for end in 0..text.len() {
        assert!(read(&text[..end]).unwrap().is_none(), "{end}");
    }
    assert!(read(text).unwrap().is_some());
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = read(&bytes);
    }

    #[test]
    fn nearly_good_heads_too(mut bytes in Just(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()), changes in prop::collection::vec((0usize..76, any::<u8>()), 0..4)) {
        for (place, byte) in changes {
            bytes[place] = byte;
        }
        if let Ok(Some(head)) = read(&bytes) {
            let both = head.fields.has(Name::ContentLength) && head.fields.has(Name::TransferEncoding);
            prop_assert!(!both);
        }
    }
}

#[test]
fn other_protocols() {
    for (text, foreign) in [
        ("INVALID CONNECTION PREFACE\r\n\r\n", true),
        ("USER anonymous x\r\n", true),
        ("GET / http/1.1\r\n\r\n", false),
        ("GET / HTTP/9.9\r\n\r\n", false),
        ("GET /\r\n\r\n", false),
        ("GET /a b HTTP/1.1\r\n\r\n", false),
        ("GET / \r\n\r\n", false),
        ("", false),
    ] {
        assert_eq!(is_foreign(text.as_bytes()), foreign, "{text:?}");
    }
}
