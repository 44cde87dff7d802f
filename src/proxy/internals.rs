//! What of the data path benches and fuzzers reach: see `crate::internals`.

use bytes::{Bytes, BytesMut};
use hyper::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Uri};

use super::h1::{
    Chunk, Chunked, Framing, RequestFraming, read_head, write_chunk, write_head, write_last_chunk,
};
use super::sticky::{Cookies, Sticks};
use super::{StickyKey, headers};
use crate::config::{Balancer, Route};
use crate::pool::{Member, Pools};

/// Why bytes were not taken, in the words of the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unread(String);

impl Unread {
    fn because(error: &impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Reads the head of a response to a request of `method`: its length, and what it says of the body's. `None` while more has
/// to come. The inner `None` is a body that ends in another way than by a length.
///
/// # Errors
/// When the bytes cannot become a head, or there is no such method.
pub fn response_head(bytes: &[u8], method: &str) -> Result<Option<(usize, Option<u64>)>, Unread> {
    let method: Method = method.parse().map_err(|error| Unread::because(&error))?;
    let mut buffer = BytesMut::from(bytes);
    let read = read_head(&mut buffer, &method).map_err(|error| Unread::because(&error))?;
    Ok(read.map(|head| {
        let length = match head.framing {
            Framing::None => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        };
        (bytes.len() - buffer.len(), length)
    }))
}

/// What came in the chunked coding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    /// The data of all chunks.
    pub data: Vec<u8>,
    /// The trailers, by name in small letters.
    pub trailers: Vec<(String, Vec<u8>)>,
    /// It has ended.
    pub ended: bool,
    /// What followed its end, or was not enough to go on with.
    pub rest: Vec<u8>,
}

/// Reads the chunked coding as it comes in `parts`.
///
/// # Errors
/// When the bytes are not in it.
pub fn chunked(parts: &[&[u8]]) -> Result<Body, Unread> {
    let (mut coding, mut buffer, mut body) = (Chunked::default(), BytesMut::new(), Body::default());
    for part in parts {
        buffer.extend_from_slice(part);
        loop {
            let read = coding.read(&mut buffer);
            match read.map_err(|error| Unread::because(&error))? {
                None => break,
                Some(Chunk::Data(data)) => body.data.extend_from_slice(&data),
                Some(Chunk::End(trailers)) => {
                    body.ended = true;
                    let trailers = trailers.unwrap_or_default();
                    let owned = |(name, value): (&HeaderName, &HeaderValue)| {
                        (name.to_string(), value.as_bytes().to_vec())
                    };
                    body.trailers = trailers.iter().map(owned).collect();
                }
            }
        }
    }
    body.rest = buffer.to_vec();
    Ok(body)
}

/// Writes a body in the chunked coding, as backends get it: in chunks of `chunk` bytes.
///
/// # Errors
/// When a trailer is none.
pub fn chunked_written(body: &Body, chunk: usize) -> Result<Vec<u8>, Unread> {
    let mut out = BytesMut::new();
    for part in body.data.chunks(chunk.max(1)) {
        write_chunk(&mut out, &Bytes::copy_from_slice(part));
    }
    let fields = body
        .trailers
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_slice()));
    let trailers = map(fields)?;
    write_last_chunk(&mut out, (!trailers.is_empty()).then_some(&trailers));
    Ok(out.to_vec())
}

/// Writes the head of a GET with these fields again and again; each call returns the head's length.
///
/// # Errors
/// When the target or a field is none.
pub fn request_head_writer(
    target: &str,
    fields: &[(&str, &str)],
) -> Result<impl FnMut() -> usize + use<>, Unread> {
    let target: Uri = target.parse().map_err(|error| Unread::because(&error))?;
    let headers = texts(fields)?;
    let mut out = BytesMut::new();
    Ok(move || {
        out.clear();
        write_head(
            &mut out,
            &Method::GET,
            &target,
            &headers,
            RequestFraming::None,
        );
        out.len()
    })
}

/// Takes the looks at a request's fields that every request gets; each call tells whether the client says goodbye.
///
/// # Errors
/// When a field is none.
pub fn field_checks(fields: &[(&str, &str)]) -> Result<impl FnMut() -> bool + use<>, Unread> {
    let headers = texts(fields)?;
    Ok(move || {
        let found = headers::find(&headers);
        headers::upgrade(&headers, found).is_none() && headers::is_last(&headers, found)
    })
}

/// The host name in a `Host` field's value, in small letters; `None` where it is not one host.
pub fn host(value: &[u8]) -> Option<String> {
    headers::host_name(value).map(String::from)
}

/// Sticky cookies of `backends` backends with one key: finds the backend that a `Cookie` field's value belongs to. Its second
/// part is the cookie of each backend, as `name=value`.
pub fn sticky_cookies(backends: usize) -> (impl Fn(&[u8]) -> Option<usize> + use<>, Vec<String>) {
    let service = (
        std::sync::Arc::from("web"),
        vec![Route::Prefix("/".to_owned())],
    );
    let pools = Pools::new(std::iter::once(service), &Balancer::default());
    let members: Vec<_> = (0..backends)
        .map(|index| Member::well(index).into())
        .collect();
    let cookies = Cookies::new("site", StickyKey::new(&[7; 32]), &pools);
    let each = members.iter().map(|member: &std::sync::Arc<Member>| {
        let mut headers = HeaderMap::new();
        cookies.set(0, member, &mut headers);
        let text = headers
            .values()
            .next()
            .and_then(|value| value.to_str().ok());
        let pair = text.and_then(|text| text.split(';').next());
        pair.unwrap_or_default().to_owned()
    });
    let each = each.collect();
    pools.all()[0].publish(members);
    let find = move |value: &[u8]| {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_bytes(value).ok()?);
        match cookies.find(0, &pools.all()[0], &headers) {
            Sticks::To(index) => Some(index),
            Sticks::Off | Sticks::Not => None,
        }
    };
    (find, each)
}

fn texts(fields: &[(&str, &str)]) -> Result<HeaderMap, Unread> {
    map(fields
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn map<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<HeaderMap, Unread> {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name).map_err(|error| Unread::because(&error))?;
        let value = HeaderValue::from_bytes(value).map_err(|error| Unread::because(&error))?;
        map.append(name, value);
    }
    Ok(map)
}
