//! Header fields on their way through: which are for the next hop only, and who the client asks for. Pure.

use std::borrow::Cow;

use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    COOKIE, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};

use super::fields::{Fields, Name, Names};

/// What is for one hop only (RFC 9110 §7.6.1), whether `Connection` names it or not.
const HOP_BY_HOP: Names = Names::of(&[
    Name::Connection,
    Name::KeepAlive,
    Name::ProxyConnection,
    Name::Te,
    Name::TransferEncoding,
    Name::Upgrade,
]);

/// The token that a request asks to switch to, if it does (RFC 9110 §7.8).
pub(super) fn upgrade(fields: &Fields) -> Option<Vec<u8>> {
    let asks = fields.has(Name::Upgrade) && fields.says(Name::Connection, b"upgrade");
    asks.then(|| fields.get(Name::Upgrade).map(<[u8]>::to_vec))
        .flatten()
}

/// Removes what is for one hop only (RFC 9110 §7.6.1). `TE: trailers` stays, and a `Content-Length` beside a
/// `Transfer-Encoding` goes (RFC 9112 §6.3): the framing is written anew.
pub(super) fn strip_hop_by_hop(fields: &mut Fields) {
    if !fields.has_any(HOP_BY_HOP) {
        return;
    }
    let says_more = fields
        .all(Name::Connection)
        .any(|value| !is_no_name_to_strip(value));
    if says_more {
        let named: Vec<Vec<u8>> = fields
            .tokens(Name::Connection)
            .filter(|token| !is_no_name_to_strip(token))
            .map(<[u8]>::to_vec)
            .collect();
        for name in named {
            fields.remove_named(&name);
        }
    }
    let trailers = fields.tokens(Name::Te).any(|token| {
        let coding = token.split(|&byte| byte == b';').next();
        coding.is_some_and(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    });
    if fields.has(Name::TransferEncoding) {
        fields.remove(Name::ContentLength);
    }
    fields.remove_all(HOP_BY_HOP);
    if trailers {
        fields.add("TE", b"trailers");
    }
}

/// Options of a connection that are no field's name, or that of one which goes anyway, or would take the message apart.
fn is_no_name_to_strip(token: &[u8]) -> bool {
    const THESE: [&[u8]; 7] = [
        b"keep-alive",
        b"close",
        b"upgrade",
        b"te",
        b"host",
        b"content-length",
        b"transfer-encoding",
    ];
    THESE.iter().any(|this| token.eq_ignore_ascii_case(this))
}

/// What is said of a body when it has passed is said too late, and what is for one hop is not said behind it
/// (RFC 9110 §6.5.1; in HTTP/2 that ends the stream, RFC 9113 §8.2.2).
const NO_TRAILERS: [HeaderName; 12] = [
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HOST,
];

/// Removes from a response's trailers what only a head may say, and what lbdev itself says there.
pub(super) fn strip_response_trailers(trailers: &mut HeaderMap) {
    for name in NO_TRAILERS {
        trailers.remove(name);
    }
    for name in ["x-lbdev-backend", "x-lbdev-attempts"] {
        trailers.remove(name);
    }
}

/// Removes from a request's trailers what only a head may say (RFC 9110 §6.5.1): framing, routing, who asks and with what
/// rights, and what this hop says itself. A backend that merges trailers into the head would believe it.
pub(super) fn strip_trailers(trailers: &mut HeaderMap) {
    for name in NO_TRAILERS {
        trailers.remove(name);
    }
    for name in [AUTHORIZATION, COOKIE, EXPECT, FORWARDED] {
        trailers.remove(name);
    }
    for name in [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "idempotency-key",
        "keep-alive",
        "proxy-connection",
    ] {
        trailers.remove(name);
    }
}

/// Asks the next hop to switch protocols, or says that this one does.
pub(super) fn add_upgrade(fields: &mut Fields, token: &[u8]) {
    fields.add("Connection", b"upgrade");
    fields.add("Upgrade", token);
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
    use super::super::fields::tests::fields;
    use super::*;

    fn all(fields: &Fields) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        fields
            .iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    #[test]
    fn hop_by_hop_fields_go() {
        for (before, after) in [
            (
                "Host: a\r\nConnection: close\r\nX: 1\r\n",
                "Host: a\r\nX: 1\r\n",
            ),
            (
                "Connection: X-Secret , keep-alive\r\nx-secret: 1\r\nKeep-Alive: 5\r\n",
                "",
            ),
            (
                "Host: a\r\nConnection: host, content-length\r\nContent-Length: 3\r\n",
                "Host: a\r\nContent-Length: 3\r\n",
            ),
            ("TE: gzip, trailers;q=1\r\n", "TE: trailers\r\n"),
            ("te: Trailers\r\nconnection: te\r\n", "TE: trailers\r\n"),
            ("TE: gzip\r\n", ""),
            ("Trailer: X-Sum\r\n", "Trailer: X-Sum\r\n"),
            ("Upgrade: h2c\r\nProxy-Connection: x\r\n", ""),
            ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", ""),
        ] {
            let mut fields = fields(before);
            strip_hop_by_hop(&mut fields);
            assert_eq!(all(&fields), all(&self::fields(after)), "{before:?}");
        }
    }

    #[test]
    fn upgrades() {
        for (text, expected) in [
            (
                "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n",
                Some("websocket"),
            ),
            ("Upgrade: websocket\r\n", None),
            ("Connection: upgrade\r\n", None),
            ("Connection: x-upgrade\r\nUpgrade: a\r\n", None),
        ] {
            let token = upgrade(&fields(text));
            assert_eq!(token.as_deref(), expected.map(str::as_bytes), "{text}");
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
