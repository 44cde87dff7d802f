//! The head of a request and its body's framing, written (RFC 9112 §3, §6): always anew, never passed through.

use std::io::Write;

use bytes::{BufMut, Bytes, BytesMut};
use hyper::header::HeaderMap;
use hyper::{Method, Uri};

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

/// Appends the head of a request to `out`. `headers` holds no framing of its own, and one `Host`.
pub(in crate::proxy) fn write_head(
    out: &mut BytesMut,
    method: &Method,
    target: &Uri,
    headers: &HeaderMap,
    framing: RequestFraming,
) {
    let target = target
        .path_and_query()
        .map_or("/", |target| target.as_str());
    out.reserve(method.as_str().len() + target.len() + 64 + headers.len() * 48);
    out.put_slice(method.as_str().as_bytes());
    out.put_u8(b' ');
    // `OPTIONS *` and an absolute form without a path both come here with an empty path.
    out.put_slice(if target.is_empty() {
        b"/"
    } else {
        target.as_bytes()
    });
    out.put_slice(b" HTTP/1.1\r\n");
    for (name, value) in headers {
        out.put_slice(name.as_str().as_bytes());
        out.put_slice(b": ");
        out.put_slice(value.as_bytes());
        out.put_slice(b"\r\n");
    }
    match framing {
        RequestFraming::None => {}
        RequestFraming::Length(length) => {
            // Writing to memory cannot fail.
            let _ = write!(out.writer(), "content-length: {length}\r\n");
        }
        RequestFraming::Chunked => out.put_slice(b"transfer-encoding: chunked\r\n"),
    }
    out.put_slice(b"\r\n");
}

/// Appends one chunk; an empty one would be the end, and is left out.
pub(in crate::proxy) fn write_chunk(out: &mut BytesMut, data: &Bytes) {
    if data.is_empty() {
        return;
    }
    let _ = write!(out.writer(), "{:x}\r\n", data.len());
    out.put_slice(data);
    out.put_slice(b"\r\n");
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

    #[test]
    fn heads() {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("a"));
        headers.append("x", HeaderValue::from_static("1"));
        headers.append("x", HeaderValue::from_static("2"));
        for (method, target, framing, expected) in [
            (
                Method::GET,
                "/a?b=1",
                RequestFraming::None,
                "GET /a?b=1 HTTP/1.1\r\nhost: a\r\nx: 1\r\nx: 2\r\n\r\n",
            ),
            (
                Method::POST,
                "/",
                RequestFraming::Length(0),
                "POST / HTTP/1.1\r\nhost: a\r\nx: 1\r\nx: 2\r\ncontent-length: 0\r\n\r\n",
            ),
            (
                Method::PUT,
                "/",
                RequestFraming::Chunked,
                "PUT / HTTP/1.1\r\nhost: a\r\nx: 1\r\nx: 2\r\ntransfer-encoding: chunked\r\n\r\n",
            ),
        ] {
            let mut out = BytesMut::new();
            write_head(
                &mut out,
                &method,
                &target.parse().unwrap(),
                &headers,
                framing,
            );
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
