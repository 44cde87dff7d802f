//! The head of a request, read strictly (RFC 9112 §2 to §6): whatever two readers could take for two different messages
//! is refused, with the status that says what is wrong.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use hyper::{Method, StatusCode, Version};

use super::from_backend::{Framing, number};
use crate::proxy::fields::{Fields, Name, Places};

/// A longer method is none.
const METHOD_MAX: usize = 256;
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
    pub(in crate::proxy) target: Target,
    pub(in crate::proxy) version: Version,
    pub(in crate::proxy) fields: Fields,
    /// Never [`Framing::UntilClose`]: without a framing a request has no body.
    pub(in crate::proxy) framing: Framing,
    /// The client may send another request on the connection (RFC 9112 §9.3).
    pub(in crate::proxy) persists: bool,
    /// It waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    pub(in crate::proxy) expects: bool,
}

/// What a request is for (RFC 9112 §3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::proxy) struct Target {
    /// Path and query; `*` for the server itself; of a `CONNECT` where to.
    path: Bytes,
    /// The host, where the target names one (absolute form).
    pub(in crate::proxy) authority: Option<Bytes>,
}

impl Target {
    /// `path` has only printable ASCII.
    pub(in crate::proxy) fn new(path: Bytes, authority: Option<Bytes>) -> Self {
        Self { path, authority }
    }

    /// Path and query.
    pub(in crate::proxy) fn as_str(&self) -> &str {
        // It was checked: ASCII.
        std::str::from_utf8(&self.path).unwrap_or_default()
    }

    /// The path alone.
    pub(in crate::proxy) fn path(&self) -> &str {
        let all = self.as_str();
        all.split_once('?').map_or(all, |(path, _)| path)
    }
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

/// Why [`Name::FalseFraming`] is refused.
pub(in crate::proxy) const FALSE_FRAMING: &str =
    "it has `Content_Length` or `Transfer_Encoding`, which some servers take for the real ones";
const TOO_LARGE: Refusal = Refusal {
    status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    why: "its head is longer than 64 KiB or has more than 128 fields",
};
const LINE_TOO_LONG: Refusal = Refusal {
    status: StatusCode::URI_TOO_LONG,
    why: "its first line is longer than 16 KiB",
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
    match buffer.first() {
        None => return Ok(None),
        Some(b'\n') => return Err(bad("a line does not end in CR LF")),
        Some(_) => {}
    }
    let (length, method, target, version, places) = {
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
        let method = Method::from_bytes(request.method.unwrap_or_default().as_bytes())
            .map_err(|_| bad("its method is not a token"))?;
        let target = request.path.unwrap_or_default();
        let from = target.as_ptr() as usize - start;
        let version = match request.version {
            Some(0) => Version::HTTP_10,
            _ => Version::HTTP_11,
        };
        let places = Places::of(start, request.headers);
        (length, method, from..from + target.len(), version, places)
    };
    if target.len() > LINE_MAX {
        return Err(LINE_TOO_LONG);
    }
    if method.as_str().len() > METHOD_MAX {
        return Err(bad("its method is too long"));
    }
    if !ends_lines_with_cr(&buffer[..length], places.len() + 2) {
        return Err(bad("a line does not end in CR LF"));
    }
    let bytes = buffer.split_to(length).freeze();
    let target = read_target(&method, bytes.slice(target))?;
    let fields = places.in_bytes(bytes);
    let framing = framing(&fields, version)?;
    let expects = version == Version::HTTP_11
        && framing != Framing::None
        && fields.says(Name::Expect, b"100-continue");
    Ok(Some(RequestHead {
        method,
        target,
        version,
        framing,
        persists: persists(&fields, version),
        expects,
        fields,
    }))
}

/// What has not ended yet must not grow without end.
fn still_short(buffer: &[u8]) -> Result<Option<RequestHead>, Refusal> {
    let long_method = buffer.len() > METHOD_MAX && !buffer[..METHOD_MAX].contains(&b' ');
    match buffer.len() {
        _ if long_method => Err(bad("its method is too long")),
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

/// Whether what was refused begins with a line like that of a request, but of another protocol: words of HTTP would be nonsense
/// there. HTTP/2 wants the connection closed where its preface is wrong (RFC 9113 §3.4).
pub(super) fn is_foreign(buffer: &[u8]) -> bool {
    let Some(end) = memchr::memmem::find(buffer, b"\r\n") else {
        return false;
    };
    let mut words = buffer[..end].split(|&byte| byte == b' ').skip(2);
    match (words.next(), words.next()) {
        (Some(version), None) if !version.is_empty() => !version
            .get(..4)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"http")),
        _ => false,
    }
}

/// Three words, the last of which is `HTTP/` and a number that is not 1.0 or 1.1.
fn is_other_version(buffer: &[u8]) -> bool {
    let line = buffer
        .split(|&byte| byte == b'\r' || byte == b'\n')
        .next()
        .unwrap_or_default();
    let mut words = line.split(|&byte| byte == b' ').skip(2);
    let version = match (words.next(), words.next()) {
        (Some(version), None) => version,
        _ => return false,
    };
    matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// Whether each of so many lines, which httparse has read, ends in CR LF (RFC 9112 §2.2): it takes a bare LF too, but a CR only
/// before one.
pub(super) fn ends_lines_with_cr(head: &[u8], lines: usize) -> bool {
    memchr::memchr_iter(b'\r', head).count() == lines
}

/// One of the four forms of RFC 9112 §3.2. `*` is for whoever knows the method to judge.
fn read_target(method: &Method, target: Bytes) -> Result<Target, Refusal> {
    check_target(&target)?;
    if target.starts_with(b"/") || *method == Method::CONNECT || target == "*" {
        return Ok(Target::new(target, None));
    }
    let Some(colon) = memchr::memmem::find(&target, b"://") else {
        return Err(bad("its target is neither a path nor a URL"));
    };
    let scheme = &target[..colon];
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return Err(bad("its target is a URL of another scheme than `http`"));
    }
    let rest = target.slice(colon + 3..);
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?'))
        .unwrap_or(rest.len());
    let path = rest.slice(end..);
    let path = match path.first() {
        None => Bytes::from_static(b"/"),
        Some(b'?') => Bytes::from([b"/", &path[..]].concat()),
        Some(_) => path,
    };
    Ok(Target::new(path, Some(rest.slice(..end))))
}

/// What can stand in no target: a fragment is not sent (RFC 9112 §3.2), a backslash in a path is read as a slash by some (in a
/// query browsers leave it as it is: WHATWG URL §1.3), and everything that is not printable ASCII comes percent-encoded (RFC 3986 §2).
pub(in crate::proxy) fn check_target(target: &[u8]) -> Result<(), Refusal> {
    let mut in_path = true;
    for &byte in target {
        match byte {
            b'#' => return Err(bad("its target has a fragment")),
            b'\\' if in_path => return Err(bad("its path has a backslash")),
            b'?' => in_path = false,
            0..=b' ' | 0x7f..=0xff => {
                return Err(bad("its target has a byte that has to be percent-encoded"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The rules of RFC 9112 §6.3 for requests; where §6.1 lets a server choose between refusing and guessing, it refuses.
fn framing(fields: &Fields, version: Version) -> Result<Framing, Refusal> {
    if fields.has(Name::FalseFraming) {
        return Err(bad(FALSE_FRAMING));
    }
    let mut lengths = fields.all(Name::ContentLength);
    let length = match (lengths.next(), lengths.next()) {
        (None, _) => None,
        (Some(_), Some(_)) => return Err(bad("it has more than one `Content-Length`")),
        (Some(one), None) => {
            Some(length(one).ok_or(bad("its `Content-Length` is not one number"))?)
        }
    };
    if !fields.has(Name::TransferEncoding) {
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
    let mut codings = fields.all(Name::TransferEncoding);
    match (codings.next(), codings.next()) {
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        (Some(coding), None) if !names_chunked_last(coding) => {
            Err(bad("its transfer codings do not end in one `chunked`"))
        }
        (_, Some(_)) => Err(bad("it has more than one `Transfer-Encoding`")),
        _ => Err(Refusal {
            status: StatusCode::NOT_IMPLEMENTED,
            why: "it has a transfer coding besides `chunked`",
        }),
    }
}

/// A list whose last word, and only that, is `chunked`.
fn names_chunked_last(codings: &[u8]) -> bool {
    let mut codings = codings.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    let last = codings.next_back().unwrap_or_default();
    last.eq_ignore_ascii_case(b"chunked")
        && !codings.any(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"chunked"))
}

/// A number without a sign, a blank or a leading zero.
fn length(digits: &[u8]) -> Option<u64> {
    match digits {
        [b'0', _, ..] => None,
        digits => number(digits),
    }
}

fn persists(fields: &Fields, version: Version) -> bool {
    match (version, fields.has(Name::Connection)) {
        (Version::HTTP_10, said) => {
            said && fields.says(Name::Connection, b"keep-alive")
                && !fields.says(Name::Connection, b"close")
        }
        (_, false) => true,
        (_, true) => !fields.says(Name::Connection, b"close"),
    }
}

#[cfg(test)]
mod tests;
