//! The chunked coding (RFC 9112 §7.1), read strictly: sizes are hexadecimal digits and nothing else, lines end in CRLF.

use bytes::{Buf, Bytes, BytesMut};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::from_client::ends_lines_with_cr;

/// A size line, all extensions of a body together, or all its trailers may be so long.
const LINE_MAX: usize = 16 * 1024;
/// More trailers are refused.
const TRAILERS_MAX: usize = 64;

/// A body in the coding, as far as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::proxy) struct Chunked {
    at: At,
    /// Bytes of extensions that were passed over.
    extensions: usize,
}

/// Where in the coding a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
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
    /// Whether `start`, the first bytes of a body, can still become one.
    ///
    /// # Errors
    /// When it cannot.
    pub(in crate::proxy) fn check(start: &[u8]) -> Result<(), BadChunk> {
        let (mut coding, mut buffer) = (Self::default(), BytesMut::from(start));
        while coding.read(&mut buffer)?.is_some() && coding.at != At::Done {}
        Ok(())
    }

    /// Takes the next part off the front of `buffer`; `None` while more has to come first.
    ///
    /// # Errors
    /// When what is there cannot become one.
    pub(in crate::proxy) fn read(
        &mut self,
        buffer: &mut BytesMut,
    ) -> Result<Option<Chunk>, BadChunk> {
        loop {
            match self.at {
                At::Size => {
                    let Some(line) = line(buffer)? else {
                        return Ok(None);
                    };
                    let (size, extensions) = size(&buffer[..line])?;
                    self.extensions += extensions;
                    if self.extensions > LINE_MAX {
                        return Err(BadChunk::TooLong);
                    }
                    self.at = match size {
                        0 => At::Trailers,
                        size => At::Data(size),
                    };
                    buffer.advance(line + 2);
                }
                At::Data(left) => {
                    if buffer.is_empty() {
                        return Ok(None);
                    }
                    let here = usize::try_from(left)
                        .unwrap_or(usize::MAX)
                        .min(buffer.len());
                    self.at = match left - here as u64 {
                        0 => At::DataEnd,
                        left => At::Data(left),
                    };
                    return Ok(Some(Chunk::Data(buffer.split_to(here).freeze())));
                }
                At::DataEnd => {
                    match buffer.get(..2) {
                        Some(b"\r\n") => buffer.advance(2),
                        Some(_) => return Err(BadChunk::End),
                        None if buffer.first().is_some_and(|&byte| byte != b'\r') => {
                            return Err(BadChunk::End);
                        }
                        None => return Ok(None),
                    }
                    self.at = At::Size;
                }
                At::Trailers => {
                    let Some((length, trailers)) = trailers(buffer)? else {
                        return Ok(None);
                    };
                    buffer.advance(length);
                    self.at = At::Done;
                    return Ok(Some(Chunk::End(trailers)));
                }
                At::Done => return Ok(None),
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

/// `chunk-size [ chunk-ext ]`: the size, and how long the extensions are, which are passed over once it is clear that they are some.
fn size(line: &[u8]) -> Result<(u64, usize), BadChunk> {
    let digits = line
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    let (number, extensions) = line.split_at(digits);
    // 15 digits fit, and nobody sends more.
    if number.is_empty() || number.len() > 15 || !are_extensions(extensions) {
        return Err(BadChunk::Size);
    }
    let text = std::str::from_utf8(number).map_err(|_| BadChunk::Size)?;
    let size = u64::from_str_radix(text, 16).map_err(|_| BadChunk::Size)?;
    Ok((size, extensions.len()))
}

/// `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )` (RFC 9112 §7.1.1): bad whitespace has to be taken around
/// the signs, and is an error at the end.
fn are_extensions(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some(name) = rest.trim_ascii_start().strip_prefix(b";") else {
            return false;
        };
        let Some(after) = after_token(name.trim_ascii_start()) else {
            return false;
        };
        rest = match after.trim_ascii_start().strip_prefix(b"=") {
            None => after,
            Some(value) => {
                let value = value.trim_ascii_start();
                match after_token(value).or_else(|| after_quoted(value)) {
                    Some(after) => after,
                    None => return false,
                }
            }
        };
    }
    true
}

/// What follows a token (RFC 9110 §5.6.2).
fn after_token(text: &[u8]) -> Option<&[u8]> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let length = text.iter().take_while(|byte| is_token(byte)).count();
    (length > 0).then(|| &text[length..])
}

/// What follows a quoted string (RFC 9110 §5.6.4).
fn after_quoted(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text.strip_prefix(b"\"")?;
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = match byte {
            b'"' => return Some(after),
            b'\\' => match after.split_first()? {
                (b'\t' | b' '..=b'~' | 0x80.., after) => after,
                _ => return None,
            },
            b'\t' | b' '..=b'~' | 0x80.. => after,
            _ => return None,
        };
    }
}

/// The trailers and how long they are with the empty line.
fn trailers(buffer: &[u8]) -> Result<Option<(usize, Option<HeaderMap>)>, BadChunk> {
    match buffer {
        [b'\r', b'\n', ..] => return Ok(Some((2, None))),
        [b'\n', ..] | [b'\r', _, ..] => return Err(BadChunk::Trailers),
        [] | [b'\r'] => return Ok(None),
        _ => {}
    }
    let mut fields = [httparse::EMPTY_HEADER; TRAILERS_MAX];
    let (length, fields) = match httparse::parse_headers(buffer, &mut fields) {
        Ok(httparse::Status::Complete(whole)) if whole.0 <= LINE_MAX => whole,
        Ok(httparse::Status::Partial) if buffer.len() <= LINE_MAX => return Ok(None),
        Ok(_) => return Err(BadChunk::TooLong),
        Err(_) => return Err(BadChunk::Trailers),
    };
    if !ends_lines_with_cr(&buffer[..length], fields.len() + 1) {
        return Err(BadChunk::Trailers);
    }
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
        for good in ["5;a", "5 ; a = b", "5;a=\"b; \\\" c\";d", "5\t;a=b;c=\"\""] {
            let coded = format!("{good}\r\nhello\r\n0\r\n\r\n");
            assert_eq!(read(&[coded.as_bytes()]).unwrap().0, b"hello", "{good}");
        }
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
            b"5;\r\nhello\r\n",
            b"5;a \r\nhello\r\n",
            b"5;a=\r\nhello\r\n",
            b"5;a=\"b\r\nhello\r\n",
            b"5;a=\"b\\\"\r\nhello\r\n",
            b"5;[a]\r\nhello\r\n",
            b"5;a=b;\r\nhello\r\n",
            b"5 a\r\nhello\r\n",
            b"5\r\nhelloX\r\n",
            b"5\r\nhello\n",
            b"10000000000000000\r\n",
            b"g\r\n",
            b"0\r\nbad trailer\r\n\r\n",
            b"0\r\n: x\r\n\r\n",
            b"0\r\n\n",
            b"0\r\n\rX",
            b"0\r\nA: b\n\r\n",
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
