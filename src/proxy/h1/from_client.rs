//! The head of a request, read strictly (RFC 9112 §2 to §6): whatever two readers could take for two different messages
//! is refused, with the status that says what is wrong.

use std::mem::MaybeUninit;

use bytes::{Buf, BytesMut};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderValue, TRANSFER_ENCODING,
};
use hyper::{Method, StatusCode, Uri, Version};

use super::from_backend::{Framing, Place, number};

/// A longer request line is refused with 414. RFC 9112 §3 wants 8,000 bytes to be taken at least.
const LINE_MAX: usize = 16 * 1024;
/// A longer head is refused with 431.
const HEAD_MAX: usize = 64 * 1024;
/// More fields are refused with 431.
const FIELDS_MAX: usize = 128;

/// The head of a request.
#[derive(Debug)]
pub(in crate::proxy) struct RequestHead {
    pub(in crate::proxy) method: Method,
    pub(in crate::proxy) target: Uri,
    pub(in crate::proxy) version: Version,
    pub(in crate::proxy) headers: HeaderMap,
    /// Never [`Framing::UntilClose`]: without a framing a request has no body.
    pub(in crate::proxy) framing: Framing,
    /// The client may send another request on the connection (RFC 9112 §9.3).
    pub(in crate::proxy) persists: bool,
    /// It waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    pub(in crate::proxy) expects: bool,
}

/// Why a request is refused: a status, and words after "the request is not valid:".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) struct Refusal {
    pub(in crate::proxy) status: StatusCode,
    pub(in crate::proxy) why: &'static str,
}

const fn bad(why: &'static str) -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        why,
    }
}

const TOO_LARGE: Refusal = Refusal {
    status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    why: "its head is too long",
};
const LINE_TOO_LONG: Refusal = Refusal {
    status: StatusCode::URI_TOO_LONG,
    why: "its target is too long",
};

/// Takes the head of a request off the front of `buffer`; `None` while it is not whole.
///
/// # Errors
/// When what is there cannot become one. The connection is of no further use then.
pub(in crate::proxy) fn read_request(
    buffer: &mut BytesMut,
) -> Result<Option<RequestHead>, Refusal> {
    // What some clients send after a body (RFC 9112 §2.2).
    while buffer.starts_with(b"\r\n") {
        buffer.advance(2);
    }
    let mut places = [const { Place::NONE }; FIELDS_MAX];
    let (length, method, target, version, count) = {
        let mut fields = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut []);
        let parsed = httparse::ParserConfig::default()
            .parse_request_with_uninit_headers(&mut request, buffer, &mut fields)
            .map_err(|error| refusal(error, buffer))?;
        let length = match parsed {
            httparse::Status::Complete(length) if length <= HEAD_MAX => length,
            httparse::Status::Complete(_) => return Err(TOO_LARGE),
            httparse::Status::Partial => return still_short(buffer),
        };
        let start = buffer.as_ptr() as usize;
        for (place, field) in places.iter_mut().zip(request.headers.iter()) {
            *place = Place::of(start, field);
        }
        let method = Method::from_bytes(request.method.unwrap_or_default().as_bytes())
            .map_err(|_| bad("its method is not a token"))?;
        let target = request.path.unwrap_or_default();
        let from = target.as_ptr() as usize - start;
        let version = match request.version {
            Some(0) => Version::HTTP_10,
            _ => Version::HTTP_11,
        };
        (
            length,
            method,
            from..from + target.len(),
            version,
            request.headers.len(),
        )
    };
    if target.len() > LINE_MAX {
        return Err(LINE_TOO_LONG);
    }
    if has_bare_line_end(&buffer[..length]) {
        return Err(bad("a line does not end in CR LF"));
    }
    let bytes = buffer.split_to(length).freeze();
    check_target(&bytes[target.clone()])?;
    let target =
        Uri::from_maybe_shared(bytes.slice(target)).map_err(|_| bad("its target is not a URI"))?;
    let mut headers = HeaderMap::with_capacity(count);
    for place in &places[..count] {
        let (name, value) = place
            .cut(&bytes)
            .map_err(|_| bad("a field is not `name: value`"))?;
        headers.append(name, value);
    }
    let framing = framing(&headers, version)?;
    let persists = persists(&headers, version);
    let expects = version == Version::HTTP_11
        && framing != Framing::None
        && headers
            .get(EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    Ok(Some(RequestHead {
        method,
        target,
        version,
        headers,
        framing,
        persists,
        expects,
    }))
}

/// What has not ended yet must not grow without end.
fn still_short(buffer: &[u8]) -> Result<Option<RequestHead>, Refusal> {
    match buffer.len() {
        0..=LINE_MAX => Ok(None),
        _ if memchr::memchr(b'\n', buffer).is_none_or(|end| end > LINE_MAX + 64) => {
            Err(LINE_TOO_LONG)
        }
        length if length > HEAD_MAX => Err(TOO_LARGE),
        _ => Ok(None),
    }
}

fn refusal(error: httparse::Error, buffer: &[u8]) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => TOO_LARGE,
        httparse::Error::Version => match is_other_version(buffer) {
            true => Refusal {
                status: StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                why: "its version is none that lbdev speaks",
            },
            false => bad("its first line does not end in `HTTP/1.1`"),
        },
        httparse::Error::HeaderName => {
            bad("a field's name is not a token, or blanks stand around it")
        }
        httparse::Error::HeaderValue => bad("a field's value holds a control character"),
        httparse::Error::NewLine => bad("a line does not end in CR LF"),
        httparse::Error::Token | httparse::Error::Status => {
            bad("its first line is not `METHOD target HTTP/1.1`")
        }
    }
}

/// `HTTP/` and a number that is not 1.0 or 1.1.
fn is_other_version(buffer: &[u8]) -> bool {
    let line = buffer
        .split(|&byte| byte == b'\r' || byte == b'\n')
        .next()
        .unwrap_or_default();
    let word = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    matches!(word, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit())
}

fn has_bare_line_end(head: &[u8]) -> bool {
    let mut returns = 0;
    for end in memchr::memchr_iter(b'\n', head) {
        if end == 0 || head[end - 1] != b'\r' {
            return true;
        }
        returns += 1;
    }
    memchr::memchr_iter(b'\r', head).count() != returns
}

/// Only what RFC 3986 lets stand in a target: a fragment is not sent (RFC 9112 §3.2), and a backslash is read as a slash
/// by some.
fn check_target(target: &[u8]) -> Result<(), Refusal> {
    for &byte in target {
        match byte {
            b'#' => return Err(bad("its target has a fragment")),
            b'\\' => return Err(bad("its target has a backslash")),
            0..=b' ' | 0x7f..=0xff => {
                return Err(bad("its target has a byte that is not allowed there"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The rules of RFC 9112 §6.3 for requests; where §6.1 lets a server choose between refusing and guessing, it refuses.
fn framing(headers: &HeaderMap, version: Version) -> Result<Framing, Refusal> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = match (lengths.next(), lengths.next()) {
        (None, _) => None,
        (Some(_), Some(_)) => return Err(bad("it has more than one `Content-Length`")),
        (Some(one), None) => {
            Some(length(one.as_bytes()).ok_or(bad("its `Content-Length` is not one number"))?)
        }
    };
    if !headers.contains_key(TRANSFER_ENCODING) {
        return Ok(match length {
            None | Some(0) => Framing::None,
            Some(length) => Framing::Length(length),
        });
    }
    if length.is_some() {
        return Err(bad("it has a `Content-Length` and a `Transfer-Encoding`"));
    }
    if version == Version::HTTP_10 {
        return Err(bad("HTTP/1.0 has no `Transfer-Encoding`"));
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next().map(HeaderValue::as_bytes), codings.next()) {
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        (Some(coding), None) if !names_chunked_last(coding) => {
            Err(bad("its last transfer coding is not `chunked`"))
        }
        (_, Some(_)) => Err(bad("it has more than one `Transfer-Encoding`")),
        _ => Err(Refusal {
            status: StatusCode::NOT_IMPLEMENTED,
            why: "it has a transfer coding besides `chunked`",
        }),
    }
}

fn names_chunked_last(codings: &[u8]) -> bool {
    let mut codings = codings.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    let last = codings.next_back().unwrap_or_default();
    last.eq_ignore_ascii_case(b"chunked")
        && !codings.any(|coding| coding.eq_ignore_ascii_case(b"chunked"))
}

/// A number without a sign, a blank or a leading zero.
fn length(digits: &[u8]) -> Option<u64> {
    match digits {
        [b'0', _, ..] => None,
        digits => number(digits),
    }
}

fn persists(headers: &HeaderMap, version: Version) -> bool {
    let says = |word: &[u8]| {
        let values = headers.get_all(CONNECTION).iter();
        values
            .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(word))
    };
    match (version, headers.contains_key(CONNECTION)) {
        (Version::HTTP_10, said) => said && says(b"keep-alive") && !says(b"close"),
        (_, false) => true,
        (_, true) => !says(b"close"),
    }
}

#[cfg(test)]
mod tests {
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
                "http://a/b",
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
                (head.method.as_str(), head.target.to_string().as_str()),
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
                let both = head.headers.contains_key("content-length") && head.headers.contains_key("transfer-encoding");
                prop_assert!(!both);
            }
        }
    }
}
