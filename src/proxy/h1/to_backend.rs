//! The head of a request and its body's framing, written (RFC 9112 §3, §6): always anew, never passed through.

use std::io::Write;

use bytes::{BufMut, Bytes, BytesMut};
use hyper::Method;
use hyper::header::HeaderMap;

use super::from_client::Target;
use crate::proxy::fields::Fields;

/// How the end of a request's body is told to the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum RequestFraming {
    /// It has none, and its method does not make one likely.
    None,
    /// It has so many bytes. 0 is said for methods that usually have a body (RFC 9110 §8.6).
    Length(u64),
    /// It ends with an empty chunk.
    Chunked,
}

/// Appends the head of a request to `out`. `fields` hold no framing of their own, and one `Host`; `stamp` are lines behind them.
pub(in crate::proxy) fn write_head(
    out: &mut BytesMut,
    method: &Method,
    target: &Target,
    fields: &Fields,
    stamp: &[u8],
    framing: RequestFraming,
) {
    let target = target.as_str();
    out.reserve(method.as_str().len() + target.len() + stamp.len() + 64);
    out.put_slice(method.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(target.as_bytes());
    out.put_slice(b" HTTP/1.1\r\n");
    fields.write(out);
    out.put_slice(stamp);
    match framing {
        RequestFraming::None => {}
        RequestFraming::Length(length) => {
            // Writing to memory cannot fail.
            let _ = write!(out.writer(), "Content-Length: {length}\r\n");
        }
        RequestFraming::Chunked => out.put_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    out.put_slice(b"\r\n");
}

/// Appends one chunk; an empty one would be the end, and is left out.
pub(in crate::proxy) fn write_chunk(out: &mut BytesMut, data: &Bytes) {
    if data.is_empty() {
        return;
    }
    write_chunk_size(out, data.len());
    out.put_slice(data);
    out.put_slice(b"\r\n");
}

/// Appends what stands before the data of a chunk.
pub(in crate::proxy) fn write_chunk_size(out: &mut BytesMut, size: usize) {
    let _ = write!(out.writer(), "{size:x}\r\n");
}

/// Appends the end of a chunked body.
pub(in crate::proxy) fn write_last_chunk(out: &mut BytesMut, trailers: Option<&HeaderMap>) {
    out.put_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        out.put_slice(name.as_str().as_bytes());
        out.put_slice(b": ");
        out.put_slice(value.as_bytes());
        out.put_slice(b"\r\n");
    }
    out.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::super::chunked::{Chunk, Chunked};
    use super::*;
    use crate::proxy::fields::tests::fields;

    #[test]
    fn heads() {
        let fields = fields("Host: a\r\nx: 1\r\nX: 2\r\n");
        for (method, target, framing, first, last) in [
            (
                Method::GET,
                "/a?b=1",
                RequestFraming::None,
                "GET /a?b=1",
                "",
            ),
            (
                Method::POST,
                "/",
                RequestFraming::Length(0),
                "POST /",
                "Content-Length: 0\r\n",
            ),
            (
                Method::PUT,
                "/",
                RequestFraming::Chunked,
                "PUT /",
                "Transfer-Encoding: chunked\r\n",
            ),
        ] {
            let mut out = BytesMut::new();
            let target = Target::new(Bytes::from_static(target.as_bytes()), None);
            write_head(&mut out, &method, &target, &fields, b"By: me\r\n", framing);
            let expected =
                format!("{first} HTTP/1.1\r\nHost: a\r\nx: 1\r\nX: 2\r\nBy: me\r\n{last}\r\n");
            assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
        }
    }

    #[test]
    fn a_chunked_body_is_read_as_it_was_written() {
        let mut out = BytesMut::new();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("9"));
        for part in ["hello", "", " ", "world"] {
            write_chunk(&mut out, &Bytes::from_static(part.as_bytes()));
        }
        write_last_chunk(&mut out, Some(&trailers));
        let (mut coding, mut body, mut end) = (Chunked::default(), Vec::new(), None);
        while let Some(chunk) = coding.read(&mut out).unwrap() {
            match chunk {
                Chunk::Data(data) => body.extend_from_slice(&data),
                Chunk::End(trailers) => end = trailers,
            }
        }
        assert_eq!(body, b"hello world");
        assert_eq!(end, Some(trailers));
    }
}
