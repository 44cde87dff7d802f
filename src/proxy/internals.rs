//! What of the data path benches and fuzzers reach: see `crate::internals`.

use bytes::{Bytes, BytesMut};
use hyper::Method;
use hyper::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};

use super::fields::{Fields, Name};
use super::h1::{
    Chunk, Chunked, Framing, RequestFraming, RequestHead, read_head, read_request, write_chunk,
    write_head, write_last_chunk,
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

/// Reads the head of a request: its length, and what it says of the body's. `None` while more has to come. The inner `None` is
/// a body that ends with an empty chunk.
///
/// # Errors
/// When the bytes cannot become a head.
pub fn request_head(bytes: &[u8]) -> Result<Option<(usize, Option<u64>)>, Unread> {
    let Some((length, head)) = request(bytes)? else {
        return Ok(None);
    };
    let body = match head.framing {
        Framing::None => Some(0),
        Framing::Length(length) => Some(length),
        Framing::Chunked | Framing::UntilClose => None,
    };
    Ok(Some((length, body)))
}

/// The head of a request as a backend gets it, without what says who asks: what is for one hop only is gone, and the framing is
/// written anew. `None` while more has to come.
///
/// # Errors
/// When the bytes cannot become a head.
pub fn request_forwarded(bytes: &[u8]) -> Result<Option<Vec<u8>>, Unread> {
    let Some((_, mut head)) = request(bytes)? else {
        return Ok(None);
    };
    headers::strip_hop_by_hop(&mut head.fields);
    head.fields.remove(Name::ContentLength);
    let framing = match head.framing {
        Framing::None | Framing::UntilClose => RequestFraming::None,
        Framing::Length(length) => RequestFraming::Length(length),
        Framing::Chunked => RequestFraming::Chunked,
    };
    let mut out = BytesMut::new();
    write_head(
        &mut out,
        &head.method,
        &head.target,
        &head.fields,
        b"",
        framing,
    );
    Ok(Some(out.to_vec()))
}

fn request(bytes: &[u8]) -> Result<Option<(usize, RequestHead)>, Unread> {
    let mut buffer = BytesMut::from(bytes);
    let read = read_request(&mut buffer).map_err(|refusal| Unread::because(&refusal.why))?;
    Ok(read.map(|head| (bytes.len() - buffer.len(), head)))
}

/// Writes this head again and again as a backend gets it; each call returns its length.
///
/// # Errors
/// When it is no whole head.
pub fn request_head_writer(bytes: &[u8]) -> Result<impl FnMut() -> usize + use<>, Unread> {
    let (_, head) = whole(bytes)?;
    let mut out = BytesMut::new();
    Ok(move || {
        out.clear();
        let (method, target) = (&head.method, &head.target);
        write_head(
            &mut out,
            method,
            target,
            &head.fields,
            b"",
            RequestFraming::None,
        );
        out.len()
    })
}

/// Takes the looks at the fields of this head that every request gets, and takes out what is for one hop only; each call, on a
/// copy, tells whether a switch of protocols is asked for.
///
/// # Errors
/// When it is no whole head.
pub fn field_checks(bytes: &[u8]) -> Result<impl Fn() -> bool + use<>, Unread> {
    let (_, head) = whole(bytes)?;
    Ok(move || {
        let mut fields = head.fields.clone();
        let upgrades = headers::upgrade(&fields).is_some();
        headers::strip_hop_by_hop(&mut fields);
        upgrades
    })
}

fn whole(bytes: &[u8]) -> Result<(usize, RequestHead), Unread> {
    request(bytes)?.ok_or_else(|| Unread("it is not whole".to_owned()))
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
        let mut fields = Fields::default();
        cookies.set(0, member, &mut fields);
        let value = fields
            .iter()
            .next()
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned());
        let pair = value.as_deref().and_then(|value| value.split(';').next());
        pair.unwrap_or_default().to_owned()
    });
    let each = each.collect();
    pools.all()[0].publish(members);
    let find = move |value: &[u8]| {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_bytes(value).ok()?);
        match cookies.find(0, &pools.all()[0], &Fields::from_map(&headers)) {
            Sticks::To(index) => Some(index),
            Sticks::Off | Sticks::Not => None,
        }
    };
    (find, each)
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
