//! The head of a response (RFC 9112 §4, §5) and what it says of the body (§6.3).

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use hyper::{Method, StatusCode, Version};

use crate::proxy::fields::{Fields, Name, Places};

/// A longer head is refused: nginx's `proxy_buffer_size` is 8 KiB, and Django's debug cookies can pass that.
const HEAD_MAX: usize = 64 * 1024;
/// More fields are refused.
const FIELDS_MAX: usize = 128;

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Framing {
    /// There is none.
    None,
    /// It has so many bytes.
    Length(u64),
    /// It ends with an empty chunk.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// The head of a response.
#[derive(Debug)]
pub(in crate::proxy) struct ResponseHead {
    pub(in crate::proxy) status: StatusCode,
    /// What the backend calls the status (RFC 9112 §4): it may be empty.
    pub(in crate::proxy) reason: Bytes,
    pub(in crate::proxy) fields: Fields,
    pub(in crate::proxy) framing: Framing,
    /// The backend takes another request on the connection when this response has ended (RFC 9112 §9.3).
    pub(in crate::proxy) persists: bool,
}

impl ResponseHead {
    /// Another head follows for the same request (RFC 9110 §15.2).
    pub(in crate::proxy) fn is_interim(&self) -> bool {
        self.status.is_informational() && self.status != StatusCode::SWITCHING_PROTOCOLS
    }
}

/// Why bytes are not the head of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::proxy) enum BadHead {
    #[error("the head is not HTTP: {0}")]
    Syntax(#[from] httparse::Error),
    #[error("the head is longer than {HEAD_MAX} bytes")]
    TooLong,
    #[error("the status is not a number from 100 to 999")]
    Status,
    #[error("`Content-Length` is not one number")]
    Length,
    #[error("`Transfer-Encoding` is not `chunked`, or comes with HTTP/1.0")]
    Coding,
}

/// Takes the head of the response to a request of `method` off the front of `buffer`; `None` while it is not whole.
///
/// # Errors
/// When what is there cannot become one.
pub(in crate::proxy) fn read_head(
    buffer: &mut BytesMut,
    method: &Method,
) -> Result<Option<ResponseHead>, BadHead> {
    let (length, status, reason, version, places) = {
        let mut fields = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            buffer,
            &mut fields,
        )?;
        let length = match parsed {
            httparse::Status::Complete(length) if length <= HEAD_MAX => length,
            httparse::Status::Partial if buffer.len() <= HEAD_MAX => return Ok(None),
            httparse::Status::Complete(_) | httparse::Status::Partial => {
                return Err(BadHead::TooLong);
            }
        };
        let start = buffer.as_ptr() as usize;
        let version = match response.version {
            Some(0) => Version::HTTP_10,
            _ => Version::HTTP_11,
        };
        let status =
            StatusCode::from_u16(response.code.unwrap_or_default()).map_err(|_| BadHead::Status)?;
        let reason = match response.reason.unwrap_or_default() {
            "" => strange_reason(&buffer[..length]),
            reason => {
                let from = reason.as_ptr() as usize - start;
                from..from + reason.len()
            }
        };
        (
            length,
            status,
            reason,
            version,
            Places::of(start, response.headers),
        )
    };
    let bytes = buffer.split_to(length).freeze();
    let reason = bytes.slice(reason);
    let mut fields = places.in_bytes(bytes);
    let framing = framing(&mut fields, status, version, method)?;
    let persists = framing != Framing::UntilClose
        && status != StatusCode::SWITCHING_PROTOCOLS
        && persists(&fields, version);
    Ok(Some(ResponseHead {
        status,
        reason,
        fields,
        framing,
        persists,
    }))
}

/// Where a reason stands that is not ASCII. `obs-text` is allowed in it (RFC 9112 §4), and httparse, which has checked it,
/// has no word for such.
fn strange_reason(head: &[u8]) -> Range<usize> {
    const STATUS: usize = "HTTP/1.1 200 ".len();
    let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    // Empty lines may stand before it.
    let start = head.iter().take_while(|byte| is_line_end(byte)).count();
    let line = head[start..].iter().take_while(|byte| !is_line_end(byte));
    let end = start + line.count();
    (start + STATUS).min(end)..end
}

/// The rules of RFC 9112 §6.3, in their order. A length that is said several times stays in the framing alone.
fn framing(
    fields: &mut Fields,
    status: StatusCode,
    version: Version,
    method: &Method,
) -> Result<Framing, BadHead> {
    if *method == Method::HEAD
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
    {
        return Ok(Framing::None);
    }
    if fields.has(Name::TransferEncoding) {
        if version == Version::HTTP_10 {
            return Err(BadHead::Coding);
        }
        // What another coding made of it would reach the client as the content.
        let mut codings = fields.tokens(Name::TransferEncoding);
        return match (codings.next(), codings.next()) {
            (Some(only), None) if only.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            _ => Err(BadHead::Coding),
        };
    }
    let mut length = None;
    let mut said = 0;
    for value in fields.all(Name::ContentLength) {
        for part in value.split(|&byte| byte == b',') {
            said += 1;
            let one = number(part.trim_ascii()).ok_or(BadHead::Length)?;
            if length.is_some_and(|other| other != one) {
                return Err(BadHead::Length);
            }
            length = Some(one);
        }
    }
    if said > 1 {
        // It is said anew, once.
        fields.remove(Name::ContentLength);
    }
    Ok(match length {
        Some(0) => Framing::None,
        Some(length) => Framing::Length(length),
        None => Framing::UntilClose,
    })
}

/// `1*DIGIT`, and nothing else that Rust would take for a number.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn persists(fields: &Fields, version: Version) -> bool {
    if fields.has(Name::TransferEncoding) && fields.has(Name::ContentLength) {
        // Two framings: whatever follows on this connection is not to be trusted (RFC 9112 §6.1).
        return false;
    }
    let says = |word| fields.says(Name::Connection, word);
    match version {
        Version::HTTP_10 => says(b"keep-alive") && !says(b"close"),
        _ => !fields.has(Name::Connection) || !says(b"close"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, method: Method) -> Result<Option<ResponseHead>, BadHead> {
        read_head(&mut BytesMut::from(text.as_bytes()), &method)
    }

    #[test]
    fn a_head_is_taken_off_and_the_body_stays() {
        let mut buffer = BytesMut::from(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: one\r\nX-Empty:\r\nX-A:  two \r\n\r\nhi",
        );
        let head = read_head(&mut buffer, &Method::GET).unwrap().unwrap();
        assert_eq!(head.status, StatusCode::OK);
        assert_eq!(head.framing, Framing::Length(2));
        assert!(head.persists);
        let all: Vec<_> = head.fields.iter().collect();
        assert_eq!(
            all,
            [
                (&b"Content-Length"[..], &b"2"[..]),
                (b"X-A", b"one"),
                (b"X-Empty", b""),
                (b"X-A", b"two"),
            ]
        );
        assert_eq!(head.reason, "OK");
        assert_eq!(buffer, "hi");
    }

    /// RFC 9112 §4: `reason-phrase = 1*( HTAB / SP / VCHAR / obs-text )`.
    #[test]
    fn a_reason_stays_as_it_came() {
        for (line, reason) in [
            ("HTTP/1.1 200", ""),
            ("HTTP/1.1 200 ", ""),
            ("HTTP/1.1 200 Fine, thanks", "Fine, thanks"),
            ("HTTP/1.1 200 caf\u{e9}", "caf\u{e9}"),
            ("\r\n\r\nHTTP/1.0 200 \u{e9}t\u{e9}", "\u{e9}t\u{e9}"),
        ] {
            let head = read(&format!("{line}\r\nX: \u{e9}\r\n\r\n"), Method::GET);
            assert_eq!(head.unwrap().unwrap().reason, reason, "{line:?}");
        }
    }

    #[test]
    fn framings() {
        use Framing::*;
        for (head, framing, persists) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", None, true),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 7, 7\r\nContent-Length: 7\r\n",
                Length(7),
                true,
            ),
            ("HTTP/1.1 200 OK\r\n", UntilClose, false),
            (
                "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n",
                None,
                true,
            ),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n",
                None,
                true,
            ),
            ("HTTP/1.1 103 Early Hints\r\n", None, true),
            ("HTTP/1.1 101 Switching Protocols\r\n", None, false),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n",
                Chunked,
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n",
                Chunked,
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 3\r\n",
                Length(3),
                false,
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n", Length(3), false),
            (
                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n",
                Length(3),
                true,
            ),
        ] {
            let read = read(&format!("{head}\r\n"), Method::GET).unwrap().unwrap();
            assert_eq!((read.framing, read.persists), (framing, persists), "{head}");
        }
        let head = read("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", Method::HEAD);
        assert_eq!(head.unwrap().unwrap().framing, None);
    }

    #[test]
    fn what_is_no_head_is_refused_and_a_part_of_one_waited_for() {
        for bad in [
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nName : x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n",
            "<html>",
        ] {
            assert!(read(bad, Method::GET).is_err(), "{bad:?}");
        }
        for part in [
            "",
            "HTTP/1.1",
            "HTTP/1.1 200 OK\r\nA: b",
            "HTTP/1.1 200 OK\r\nA: b\r\n\r",
        ] {
            assert!(read(part, Method::GET).unwrap().is_none(), "{part:?}");
        }
        let long = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(HEAD_MAX));
        assert_eq!(read(&long, Method::GET).unwrap_err(), BadHead::TooLong);
        let many = format!(
            "HTTP/1.1 200 OK\r\n{}\r\n",
            "A: b\r\n".repeat(FIELDS_MAX + 1)
        );
        assert!(read(&many, Method::GET).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = read_head(&mut BytesMut::from(&bytes[..]), &Method::GET);
        }

        #[test]
        fn a_head_is_the_same_however_it_comes(cut in 0usize..90) {
            let text = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\nrest";
            let mut buffer = BytesMut::from(&text.as_bytes()[..cut.min(text.len())]);
            let early = read_head(&mut buffer, &Method::GET).unwrap();
            let head = match early {
                Some(head) => head,
                None => {
                    buffer.extend_from_slice(&text.as_bytes()[cut.min(text.len())..]);
                    read_head(&mut buffer, &Method::GET).unwrap().unwrap()
                }
            };
            prop_assert_eq!(head.fields.iter().count(), 3);
            prop_assert_eq!(head.framing, Framing::Chunked);
        }
    }
}
