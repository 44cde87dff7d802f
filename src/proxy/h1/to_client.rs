//! The head of a response and its body's framing, written for a client (RFC 9112 §4, §6).

use std::io::Write;

use bytes::{BufMut, BytesMut};
use hyper::{Method, StatusCode, Version};

use crate::proxy::fields::{Fields, Name};

/// How the end of a response's body is told to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum ResponseFraming {
    /// It has none, whatever the fields say (RFC 9112 §6.3, rule 1).
    None,
    /// It has so many bytes.
    Length(u64),
    /// It ends with an empty chunk.
    Chunked,
    /// It ends with the connection: the client knows nothing else.
    UntilClose,
}

impl ResponseFraming {
    /// Of a body of this length, if it is known, in an answer to such a request.
    pub(in crate::proxy) fn of(
        method: &Method,
        version: Version,
        status: StatusCode,
        length: Option<u64>,
    ) -> Self {
        let bodiless = *method == Method::HEAD
            || status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        match length {
            _ if bodiless => ResponseFraming::None,
            Some(length) => ResponseFraming::Length(length),
            None if version == Version::HTTP_10 => ResponseFraming::UntilClose,
            None => ResponseFraming::Chunked,
        }
    }
}

/// What a response says of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Stays {
    /// It stays, as the client takes for granted.
    Open,
    /// It stays, which an HTTP/1.0 client has to be told.
    OpenTold,
    /// It ends with this response.
    Closed,
    /// It is no connection for HTTP any more.
    Switched,
}

/// Appends the head of a response. `fields` name no framing but a `Content-Length` that is true, or that of the `HEAD` or 304
/// that it is in; `date` is for those that have none (RFC 9110 §6.6.1).
pub(in crate::proxy) fn write_response(
    out: &mut BytesMut,
    (status, reason): (StatusCode, &[u8]),
    fields: &Fields,
    date: &[u8],
    framing: ResponseFraming,
    stays: Stays,
) {
    write_status(out, status, reason);
    fields.write(out);
    if !fields.has(Name::Date) {
        out.put_slice(b"Date: ");
        out.put_slice(date);
        out.put_slice(b"\r\n");
    }
    match framing {
        ResponseFraming::None | ResponseFraming::UntilClose => {}
        ResponseFraming::Length(_) if fields.has(Name::ContentLength) => {}
        ResponseFraming::Length(length) => {
            let _ = write!(out.writer(), "Content-Length: {length}\r\n");
        }
        ResponseFraming::Chunked => out.put_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    match stays {
        Stays::Open | Stays::Switched => {}
        Stays::OpenTold => out.put_slice(b"Connection: keep-alive\r\n"),
        Stays::Closed => out.put_slice(b"Connection: close\r\n"),
    }
    out.put_slice(b"\r\n");
}

/// Appends an interim response (RFC 9110 §15.2).
pub(in crate::proxy) fn write_interim(
    out: &mut BytesMut,
    (status, reason): (StatusCode, &[u8]),
    fields: &Fields,
) {
    write_status(out, status, reason);
    fields.write(out);
    out.put_slice(b"\r\n");
}

fn write_status(out: &mut BytesMut, status: StatusCode, reason: &[u8]) {
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(reason);
    out.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::fields::tests::fields;

    #[test]
    fn framings() {
        use ResponseFraming::*;
        for (method, version, status, length, framing) in [
            (Method::GET, Version::HTTP_11, 200, Some(3), Length(3)),
            (Method::GET, Version::HTTP_11, 200, Option::None, Chunked),
            (Method::GET, Version::HTTP_10, 200, Option::None, UntilClose),
            (Method::HEAD, Version::HTTP_11, 200, Option::None, None),
            (Method::HEAD, Version::HTTP_10, 200, Some(0), None),
            (Method::GET, Version::HTTP_11, 304, Some(0), None),
            (Method::GET, Version::HTTP_11, 204, Some(0), None),
            (Method::GET, Version::HTTP_11, 205, Some(0), Length(0)),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                ResponseFraming::of(&method, version, status, length),
                framing,
                "{method} {status}"
            );
        }
    }

    #[test]
    fn heads() {
        use ResponseFraming::*;
        let written = |text: &str, framing, stays| {
            let mut out = BytesMut::new();
            let status = (StatusCode::OK, &b"Fine"[..]);
            write_response(&mut out, status, &fields(text), b"now", framing, stays);
            String::from_utf8(out.to_vec()).unwrap()
        };
        assert_eq!(
            written("X: 1\r\nDate: then\r\n", Chunked, Stays::Open),
            "HTTP/1.1 200 Fine\r\nX: 1\r\nDate: then\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        assert_eq!(
            written("content-length: 3\r\n", Length(3), Stays::Closed),
            "HTTP/1.1 200 Fine\r\ncontent-length: 3\r\nDate: now\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(
            written("", Length(0), Stays::OpenTold),
            "HTTP/1.1 200 Fine\r\nDate: now\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"
        );
        assert_eq!(
            written("Date: x\r\n", None, Stays::Switched),
            "HTTP/1.1 200 Fine\r\nDate: x\r\n\r\n"
        );
    }
}
