//! The chunked coding (RFC 9112 §7.1), read strictly: sizes are hexadecimal digits and nothing else, lines end in CRLF.

use bytes::{Buf, Bytes, BytesMut};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// A size line with its extensions, or all trailers together, may be so long.
const LINE_MAX: usize = 16 * 1024;
/// More trailers are refused.
const TRAILERS_MAX: usize = 64;

/// Where in the coding a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::proxy) enum Chunked {
    /// A size line comes next.
    #[default]
    Size,
    /// So many bytes of a chunk are to come.
    Data(u64),
    /// The CRLF after a chunk's data.
    DataEnd,
    /// The trailers, and the empty line that ends them.
    Trailers,
    /// It has ended.
    Done,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Chunk {
    /// A part of the body.
    Data(Bytes),
    /// Its end, with the trailers if there are any.
    End(Option<HeaderMap>),
}

/// Why bytes are not the chunked coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::proxy) enum BadChunk {
    #[error("a chunk's size is not a hexadecimal number")]
    Size,
    #[error("a chunk does not end where its size says")]
    End,
    #[error("a line of the chunked coding is too long")]
    TooLong,
    #[error("the trailers are not fields")]
    Trailers,
}

impl Chunked {
    /// Takes the next part off the front of `buffer`; `None` while more has to come first.
    ///
    /// # Errors
    /// When what is there cannot become one.
    pub(in crate::proxy) fn read(
        &mut self,
        buffer: &mut BytesMut,
    ) -> Result<Option<Chunk>, BadChunk> {
        loop {
            match *self {
                Chunked::Size => {
                    let Some(line) = line(buffer)? else {
                        return Ok(None);
                    };
                    *self = match size(&buffer[..line])? {
                        0 => Chunked::Trailers,
                        size => Chunked::Data(size),
                    };
                    buffer.advance(line + 2);
                }
                Chunked::Data(left) => {
                    if buffer.is_empty() {
                        return Ok(None);
                    }
                    let here = usize::try_from(left)
                        .unwrap_or(usize::MAX)
                        .min(buffer.len());
                    *self = match left - here as u64 {
                        0 => Chunked::DataEnd,
                        left => Chunked::Data(left),
                    };
                    return Ok(Some(Chunk::Data(buffer.split_to(here).freeze())));
                }
                Chunked::DataEnd => {
                    match buffer.get(..2) {
                        Some(b"\r\n") => buffer.advance(2),
                        Some(_) => return Err(BadChunk::End),
                        None if buffer.first().is_some_and(|&byte| byte != b'\r') => {
                            return Err(BadChunk::End);
                        }
                        None => return Ok(None),
                    }
                    *self = Chunked::Size;
                }
                Chunked::Trailers => {
                    let Some((length, trailers)) = trailers(buffer)? else {
                        return Ok(None);
                    };
                    buffer.advance(length);
                    *self = Chunked::Done;
                    return Ok(Some(Chunk::End(trailers)));
                }
                Chunked::Done => return Ok(None),
            }
        }
    }
}

/// The length of the first line, without its CRLF. A bare CR or LF is an error (RFC 9112 §2.2).
fn line(buffer: &[u8]) -> Result<Option<usize>, BadChunk> {
    let Some(end) = memchr::memchr2(b'\r', b'\n', buffer) else {
        return match buffer.len() <= LINE_MAX {
            true => Ok(None),
            false => Err(BadChunk::TooLong),
        };
    };
    match buffer.get(end..end + 2) {
        Some(b"\r\n") if end <= LINE_MAX => Ok(Some(end)),
        Some(b"\r\n") => Err(BadChunk::TooLong),
        None if buffer[end] == b'\r' => Ok(None),
        Some(_) | None => Err(BadChunk::Size),
    }
}

/// `chunk-size [ chunk-ext ]`. Extensions are passed over, once it is clear that they are some.
fn size(line: &[u8]) -> Result<u64, BadChunk> {
    let digits = line
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    let (number, rest) = line.split_at(digits);
    // 15 digits fit, and nobody sends more.
    if number.is_empty() || number.len() > 15 {
        return Err(BadChunk::Size);
    }
    let extends = match rest {
        [] => true,
        [b';', ..] => rest
            .iter()
            .all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)),
        // Blanks before `;` are bad whitespace that a recipient has to take (RFC 9112 §7.1.1).
        [b' ' | b'\t', ..] => rest.trim_ascii_start().starts_with(b";"),
        _ => false,
    };
    if !extends {
        return Err(BadChunk::Size);
    }
    let text = std::str::from_utf8(number).map_err(|_| BadChunk::Size)?;
    u64::from_str_radix(text, 16).map_err(|_| BadChunk::Size)
}

/// The trailers and how long they are with the empty line.
fn trailers(buffer: &[u8]) -> Result<Option<(usize, Option<HeaderMap>)>, BadChunk> {
    match buffer.get(..2) {
        Some(b"\r\n") => return Ok(Some((2, None))),
        None => return Ok(None),
        Some(_) => {}
    }
    let mut fields = [httparse::EMPTY_HEADER; TRAILERS_MAX];
    let (length, fields) = match httparse::parse_headers(buffer, &mut fields) {
        Ok(httparse::Status::Complete(whole)) if whole.0 <= LINE_MAX => whole,
        Ok(httparse::Status::Partial) if buffer.len() <= LINE_MAX => return Ok(None),
        Ok(_) => return Err(BadChunk::TooLong),
        Err(_) => return Err(BadChunk::Trailers),
    };
    let mut map = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| BadChunk::Trailers)?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| BadChunk::Trailers)?;
        map.append(name, value);
    }
    Ok(Some((length, Some(map))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A body, its trailers if it has ended, and what followed it.
    type Read = (Vec<u8>, Option<Option<HeaderMap>>, Vec<u8>);

    /// Everything that comes out when the bytes come in these parts.
    fn read(parts: &[&[u8]]) -> Result<Read, BadChunk> {
        let (mut coding, mut buffer) = (Chunked::default(), BytesMut::new());
        let (mut body, mut end) = (Vec::new(), None);
        for part in parts {
            buffer.extend_from_slice(part);
            while let Some(chunk) = coding.read(&mut buffer)? {
                match chunk {
                    Chunk::Data(data) => body.extend_from_slice(&data),
                    Chunk::End(trailers) => end = Some(trailers),
                }
            }
        }
        Ok((body, end, buffer.to_vec()))
    }

    #[test]
    fn bodies_end_where_they_say_and_what_follows_stays() {
        let (body, end, rest) = read(&[b"5\r\nhello\r\n1;a=b\r\n!\r\n0\r\n\r\nHTTP/1.1"]).unwrap();
        assert_eq!(
            (&body[..], end, &rest[..]),
            (&b"hello!"[..], Some(None), &b"HTTP/1.1"[..])
        );
        let (body, end, _) = read(&[b"A\r\n0123456789\r\n000\r\nX-Sum: 1\r\n\r\n"]).unwrap();
        assert_eq!(body, b"0123456789");
        assert_eq!(end.unwrap().unwrap()["x-sum"], "1");
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for bad in [
            &b"+5\r\nhello\r\n"[..],
            b"0x5\r\nhello\r\n",
            b"5_0\r\nhello\r\n",
            b" 5\r\nhello\r\n",
            b"5 \r\nhello\r\n",
            b"\r\nhello\r\n",
            b"5\nhello\r\n",
            b"5\rhello\r\n",
            b"5;a\0\r\nhello\r\n",
            b"5\r\nhelloX\r\n",
            b"5\r\nhello\n",
            b"10000000000000000\r\n",
            b"g\r\n",
            b"0\r\nbad trailer\r\n\r\n",
            b"0\r\n: x\r\n\r\n",
        ] {
            assert!(read(&[bad]).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
        let long = format!("5;{}", "a".repeat(LINE_MAX));
        assert_eq!(read(&[long.as_bytes()]).unwrap_err(), BadChunk::TooLong);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..6)) {
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let _ = read(&parts);
        }

        #[test]
        fn a_body_is_the_same_however_it_comes(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            cuts in prop::collection::vec(0usize..400, 0..5),
        ) {
            let mut coded = Vec::new();
            for chunk in &chunks {
                coded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                coded.extend_from_slice(chunk);
                coded.extend_from_slice(b"\r\n");
            }
            coded.extend_from_slice(b"0\r\nA: b\r\n\r\n");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(coded.len())).collect();
            cuts.push(0);
            cuts.push(coded.len());
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|pair| &coded[pair[0]..pair[1]]).collect();
            let (body, end, rest) = read(&parts).unwrap();
            prop_assert_eq!(body, chunks.concat());
            prop_assert!(end.is_some() && rest.is_empty());
        }
    }
}
