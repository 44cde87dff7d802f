//! What a request is hashed by, under the algorithms that do that.

use std::net::{IpAddr, Ipv4Addr};

use super::fields::{Fields, Name};
use crate::balance::{HashKey, place};
use crate::pool::Turn;

/// The turn of a client, by its address.
pub(super) fn by_address(peer: IpAddr) -> Turn {
    Turn::Key(address(peer))
}

/// The turn of a request, by this part of it. One without a key has no home: it gets the next backend.
pub(super) fn by(key: &HashKey, path: &str, fields: &Fields) -> Turn {
    let place = match key {
        HashKey::Path => Some(place(path.as_bytes())),
        HashKey::Header(name) => fields.named(name.as_bytes()).map(place),
        HashKey::Cookie(name) => cookie(fields, name.as_bytes()).map(place),
    };
    place.map_or(Turn::Next, Turn::Key)
}

/// `localhost` is two addresses of the same client, and a browser takes now one, now the other.
fn address(peer: IpAddr) -> u64 {
    match peer.to_canonical() {
        IpAddr::V6(ip) if ip.is_loopback() => place(&Ipv4Addr::LOCALHOST.octets()),
        IpAddr::V4(ip) => place(&ip.octets()),
        IpAddr::V6(ip) => place(&ip.octets()),
    }
}

/// The value of the first cookie of this name.
fn cookie<'a>(fields: &'a Fields, name: &[u8]) -> Option<&'a [u8]> {
    cookies(fields, name).next()
}

/// The values of all cookies of this name, in the order sent (RFC 6265 §4.2.1).
pub(super) fn cookies<'a>(fields: &'a Fields, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    let values = fields.all(Name::Cookie);
    let pairs = values.flat_map(|value| value.split(|&byte| byte == b';'));
    pairs.filter_map(move |pair| {
        let rest = pair.trim_ascii().strip_prefix(name)?;
        rest.strip_prefix(b"=")
    })
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::fields;
    use super::*;

    #[test]
    fn keys() {
        let check =
            |by_what: HashKey, headers: &[(&'static str, &'static str)], key: Option<&str>| {
                let line = |(name, value): &(&str, &str)| format!("{name}: {value}\r\n");
                let fields = fields(&headers.iter().map(line).collect::<String>());
                let turn = by(&by_what, "/a", &fields);
                let wanted = key.map_or(Turn::Next, |key| Turn::Key(place(key.as_bytes())));
                assert_eq!(turn, wanted, "{by_what:?} of {headers:?}");
            };
        check(HashKey::Path, &[], Some("/a"));
        let user = || HashKey::Header("X-User".into());
        check(user(), &[("x-user", "ann")], Some("ann"));
        check(user(), &[("x-user", "ann"), ("x-user", "bob")], Some("ann"));
        check(user(), &[("x-users", "ann")], None);
        let cookie = || HashKey::Cookie("id".into());
        check(cookie(), &[("cookie", "id=1")], Some("1"));
        check(
            cookie(),
            &[("cookie", "xid=0; a=id=2;id=1;id=3")],
            Some("1"),
        );
        check(cookie(), &[("cookie", "a=b"), ("cookie", "id=")], Some(""));
        check(cookie(), &[("cookie", "idx=1; id")], None);
        check(cookie(), &[], None);
    }

    #[test]
    fn both_addresses_of_localhost_are_one_client() {
        let turn = |peer: &str| by_address(peer.parse().unwrap());
        assert_eq!(turn("::1"), turn("127.0.0.1"));
        assert_eq!(turn("::ffff:10.0.0.1"), turn("10.0.0.1"));
        assert_ne!(turn("127.0.0.2"), turn("127.0.0.1"));
        assert_ne!(turn("fd00::1"), turn("fd00::2"));
    }
}
