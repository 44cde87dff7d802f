//! Header fields on their way through: which are for the next hop only, and who the client asks for. Pure.

use std::borrow::Cow;

use hyper::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, COOKIE, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};

pub(super) static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
pub(super) static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) static X_LBDEV_ATTEMPTS: HeaderName = HeaderName::from_static("x-lbdev-attempts");
pub(super) static X_LBDEV_BACKEND: HeaderName = HeaderName::from_static("x-lbdev-backend");
/// The client asks for a `Server-Timing` field on the response.
pub(super) static X_LBDEV_TIMING: HeaderName = HeaderName::from_static("x-lbdev-timing");
/// Of the IETF's draft of that name: what it stands on may be repeated.
pub(super) static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// W3C Server Timing.
pub(super) static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
pub(super) static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Which fields that need a look are there: one pass instead of a look-up for each.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    connection: bool,
    upgrade: bool,
    te: bool,
    transfer_encoding: bool,
    legacy: bool,
    /// `Content-Length`.
    pub(super) length: bool,
    /// `Sec-Fetch-Dest`.
    pub(super) dest: bool,
    /// `Accept`.
    pub(super) accept: bool,
    /// `Idempotency-Key`.
    pub(super) key: bool,
    /// `X-Lbdev-Timing`.
    pub(super) timing: bool,
}

/// Looks once at every name.
pub(super) fn find(headers: &HeaderMap) -> Found {
    let mut found = Found::default();
    for name in headers.keys() {
        // Names are lower-case here; the length tells nearly all of them apart.
        match name.as_str().len() {
            2 => found.te |= *name == TE,
            6 => found.accept |= *name == ACCEPT,
            7 => found.upgrade |= *name == UPGRADE,
            10 => {
                found.connection |= *name == CONNECTION;
                found.legacy |= *name == KEEP_ALIVE;
            }
            14 => {
                found.dest |= *name == SEC_FETCH_DEST;
                found.timing |= *name == X_LBDEV_TIMING;
                found.length |= *name == CONTENT_LENGTH;
            }
            15 => found.key |= *name == IDEMPOTENCY_KEY,
            16 => found.legacy |= *name == PROXY_CONNECTION,
            17 => found.transfer_encoding |= *name == TRANSFER_ENCODING,
            _ => {}
        }
    }
    found
}

/// The token that a request asks to switch to, if it does (RFC 9110 §7.8).
pub(super) fn upgrade(headers: &HeaderMap, found: Found) -> Option<HeaderValue> {
    let asks = found.connection
        && found.upgrade
        && tokens(headers.get_all(CONNECTION).iter()).any(|t| t.eq_ignore_ascii_case("upgrade"));
    asks.then(|| headers.get(UPGRADE).cloned()).flatten()
}

/// Whether the client says that this is its last request on the connection.
pub(super) fn is_last(headers: &HeaderMap, found: Found) -> bool {
    found.connection
        && tokens(headers.get_all(CONNECTION).iter()).any(|t| t.eq_ignore_ascii_case("close"))
}

/// Removes what is for one hop only (RFC 9110 §7.6.1). `TE: trailers` stays, and a `Content-Length` beside a
/// `Transfer-Encoding` goes (RFC 9112 §6.3): hyper writes the framing anew.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap, found: Found) {
    if found.connection {
        let named: Vec<HeaderName> = tokens(headers.get_all(CONNECTION).iter())
            .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
            // Naming these would take the message apart; `TE` has its own rule below.
            .filter(|name| ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING, TE].contains(name))
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    if found.upgrade {
        headers.remove(UPGRADE);
    }
    if found.legacy {
        headers.remove(&KEEP_ALIVE);
        headers.remove(&PROXY_CONNECTION);
    }
    if found.te {
        let trailers = tokens(headers.get_all(TE).iter()).any(|t| {
            let coding = t.split(';').next().unwrap_or_default();
            coding.trim().eq_ignore_ascii_case("trailers")
        });
        headers.remove(TE);
        if trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
    }
    if found.transfer_encoding {
        headers.remove(TRANSFER_ENCODING);
        headers.remove(CONTENT_LENGTH);
    }
}

/// Removes from trailers what only a head may say (RFC 9110 §6.5.1): framing, routing, who asks and with what rights, and what
/// this hop says itself. A backend that merges trailers into the head would believe it.
pub(super) fn strip_trailers(trailers: &mut HeaderMap) {
    const HEAD_ONLY: [HeaderName; 14] = [
        AUTHORIZATION,
        CONNECTION,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        CONTENT_TYPE,
        COOKIE,
        EXPECT,
        FORWARDED,
        HOST,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    for name in HEAD_ONLY {
        trailers.remove(name);
    }
    for name in [
        &X_FORWARDED_FOR,
        &X_FORWARDED_HOST,
        &X_FORWARDED_PORT,
        &X_FORWARDED_PROTO,
        &IDEMPOTENCY_KEY,
    ] {
        trailers.remove(name);
    }
}

/// Asks the next hop to switch protocols.
pub(super) fn ask_upgrade(headers: &mut HeaderMap, token: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, token);
}

/// The words of comma-separated lists; what is no ASCII is left out.
fn tokens<'a>(values: impl Iterator<Item = &'a HeaderValue>) -> impl Iterator<Item = &'a str> {
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

/// The host name in `value`, lower-case and without its port. `None` where it is not `uri-host [ ":" port ]`
/// (RFC 9110 §7.2): empty, several, with a user or a path.
pub(super) fn host_name(value: &[u8]) -> Option<Cow<'_, str>> {
    let value = std::str::from_utf8(value).ok()?;
    let (host, port) = if value.starts_with('[') {
        let end = value.find(']')? + 1;
        let address = &value[1..end - 1];
        address.parse::<std::net::Ipv6Addr>().ok()?;
        (&value[..end], value[end..].strip_prefix(':'))
    } else {
        match value.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (value, None),
        }
    };
    let rest_is_port = match port {
        Some(port) => port.is_empty() || port.parse::<u16>().is_ok_and(|_| !port.starts_with('+')),
        None => value.len() == host.len(),
    };
    let is_name = value.starts_with('[') || (!host.is_empty() && host.bytes().all(is_name_byte));
    if !rest_is_port || !is_name {
        return None;
    }
    Some(if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    })
}

/// The bytes of a `reg-name` (RFC 3986 §3.2.2) but the comma, which joins several hosts.
fn is_name_byte(byte: u8) -> bool {
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let allowed = b"-._~%!$&'()*+;=";
        let mut at = 0;
        while at < 256 {
            table[at] = (at as u8).is_ascii_alphanumeric();
            at += 1;
        }
        at = 0;
        while at < allowed.len() {
            table[allowed[at] as usize] = true;
            at += 1;
        }
        table
    };
    TABLE[usize::from(byte)]
}

/// `Forwarded` (RFC 7239) for a client at `node` (quoted where it must be) that asked for `host`, which
/// [`host_name`] has passed.
pub(super) fn forwarded(node: &str, host: &str) -> String {
    let host_is_token = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    if host_is_token {
        format!("for={node};host={host};proto=http")
    } else {
        format!("for={node};host=\"{host}\";proto=http")
    }
}

/// A client's address as `Forwarded` has it.
pub(super) fn node(peer: std::net::IpAddr) -> String {
    match peer {
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => format!("\"[{ip}]\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        headers
    }

    #[test]
    fn hop_by_hop_fields_go() {
        for (before, after) in [
            (
                &[("host", "a"), ("connection", "close"), ("x", "1")][..],
                &[("host", "a"), ("x", "1")][..],
            ),
            (
                &[
                    ("connection", "X-Secret , keep-alive"),
                    ("x-secret", "1"),
                    ("keep-alive", "5"),
                ],
                &[],
            ),
            (
                &[
                    ("host", "a"),
                    ("connection", "host, content-length"),
                    ("content-length", "3"),
                ],
                &[("host", "a"), ("content-length", "3")],
            ),
            (&[("te", "gzip, trailers;q=1")], &[("te", "trailers")]),
            (
                &[("te", "trailers"), ("connection", "te")],
                &[("te", "trailers")],
            ),
            (&[("te", "gzip")], &[]),
            (&[("trailer", "x-sum")], &[("trailer", "x-sum")]),
            (&[("upgrade", "h2c"), ("proxy-connection", "x")], &[]),
            (
                &[("transfer-encoding", "chunked"), ("content-length", "3")],
                &[],
            ),
        ] {
            let mut headers = map(before);
            let found = find(&headers);
            strip_hop_by_hop(&mut headers, found);
            assert_eq!(headers, map(after), "{before:?}");
        }
    }

    #[test]
    fn upgrades() {
        for (fields, expected) in [
            (
                &[
                    ("connection", "keep-alive, Upgrade"),
                    ("upgrade", "websocket"),
                ][..],
                Some("websocket"),
            ),
            (&[("upgrade", "websocket")], None),
            (&[("connection", "upgrade")], None),
            (&[("connection", "x-upgrade"), ("upgrade", "a")], None),
        ] {
            let headers = map(fields);
            let got = upgrade(&headers, find(&headers));
            assert_eq!(got.as_ref().map(|v| v.to_str().unwrap()), expected);
        }
    }

    #[test]
    fn hosts() {
        for (value, expected) in [
            ("localhost:8080", Some("localhost")),
            ("API.localhost", Some("api.localhost")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("[::1]:8080", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("a:", Some("a")),
            ("", None),
            (":80", None),
            ("a,b", None),
            ("a b", None),
            ("user@a", None),
            ("a/b", None),
            ("a:b", None),
            ("a:+80", None),
            ("a:99999", None),
            ("[::1", None),
            ("[::1]x", None),
            ("[x]", None),
            ("a:80:80", None),
            ("é", None),
        ] {
            assert_eq!(host_name(value.as_bytes()).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn forwarded_quotes_what_is_no_token() {
        let v4 = node("127.0.0.1".parse().unwrap());
        let v6 = node("::1".parse().unwrap());
        assert_eq!(
            forwarded(&v4, "localhost"),
            "for=127.0.0.1;host=localhost;proto=http"
        );
        assert_eq!(
            forwarded(&v6, "localhost:8080"),
            "for=\"[::1]\";host=\"localhost:8080\";proto=http"
        );
    }
}
