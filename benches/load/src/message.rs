//! As much of HTTP as two ends need that mean each other well.

/// The length of the head at the front of `bytes`, with its empty line.
pub(crate) fn head_length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(end + 4)
}

/// The value of a field of this head.
pub(crate) fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.split("\r\n").skip(1);
    lines.find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// What is left of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// So many bytes.
    Length(usize),
    /// Until the empty chunk: the last five bytes that came.
    Chunked([u8; 5]),
}

impl Body {
    /// The body that the head of a response speaks of. One that ends with its connection is not expected here.
    pub(crate) fn of(head: &[u8]) -> Option<Body> {
        match field(head, "content-length") {
            Some(length) => length.parse().ok().map(Body::Length),
            None => field(head, "transfer-encoding").map(|_| Body::Chunked([0; 5])),
        }
    }

    /// Takes in what came; true when that was all.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> bool {
        match self {
            Body::Length(left) => {
                *left = left.saturating_sub(bytes.len());
                *left == 0
            }
            Body::Chunked(last) => {
                for &byte in &bytes[bytes.len().saturating_sub(5)..] {
                    last.rotate_left(1);
                    last[4] = byte;
                }
                last == b"0\r\n\r\n"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_bodies_end_where_they_say() {
        let head = b"HTTP/1.1 200 OK\r\nContent-LENGTH: 3\r\n\r\nabc";
        assert_eq!(head_length(head), Some(38));
        assert_eq!(head_length(&head[..37]), None);
        assert_eq!(Body::of(head), Some(Body::Length(3)));
        let mut body = Body::Length(3);
        assert!(!body.take(b"ab") && body.take(b"c"));
        let mut body = Body::of(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        assert!(!body.take(b"3\r\nabc\r\n") && !body.take(b"0\r\n") && body.take(b"\r\n"));
        assert_eq!(Body::of(b"HTTP/1.1 200 OK\r\n\r\n"), None);
    }
}
