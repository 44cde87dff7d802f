//! `sticky = "cookie"`: a client stays with the backend that it had first.
//!
//! The cookie is called `lbdev_PROJECT`, or `lbdev_PROJECT.SERVICE` where several services are balanced: browsers do not
//! tell ports apart, so that two projects on `localhost` see each other's cookies. Its value is a code made of the backend's
//! name with a key of the project's own (HMAC-SHA256, RFC 2104, cut to 128 bits): there is nothing to decode in it, and
//! nobody without the key can make one for another backend. It is compared in constant time with the codes of the
//! backends there are. To the application it looks as HAProxy's `cookie NAME insert` does.

use std::cell::RefCell;
use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use hyper::header::{HeaderMap, HeaderValue, SET_COOKIE};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::key;
use crate::backend::BackendId;
use crate::pool::{Member, Pool, Pools};

/// Bytes of a code: half of the hash, the least that RFC 2104 §5 recommends.
const CODE: usize = 16;

/// What a request says of where it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sticks {
    /// Clients do not stick.
    Off,
    /// To nobody that takes its requests: whoever answers sets the cookie.
    Not,
    /// To the backend of this index.
    To(usize),
}

/// What codes are made with.
#[derive(Clone)]
pub struct StickyKey(Hmac<Sha256>);

impl StickyKey {
    /// The key with these bytes. Cookies last as long as they stay the same.
    pub fn new(bytes: &[u8; 32]) -> Self {
        // An HMAC takes keys of any length.
        Self(Hmac::new_from_slice(bytes).expect("32 bytes are a key"))
    }

    /// The value of the cookie for a backend.
    fn code(&self, id: &BackendId) -> String {
        let mut mac = self.0.clone();
        mac.update(id.service().as_bytes());
        mac.update(b"\0");
        mac.update(id.to_string().as_bytes());
        BASE64URL_NOPAD.encode(&mac.finalize().into_bytes()[..CODE])
    }
}

/// The key stays out of every log.
impl fmt::Debug for StickyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StickyKey")
    }
}

/// One worker's cookies, for all services.
#[derive(Debug)]
pub(super) struct Cookies {
    key: StickyKey,
    /// By the place of the pool.
    names: Vec<String>,
    /// By the place of the pool and the index of the backend.
    known: RefCell<Vec<Vec<Option<Cookie>>>>,
}

/// One backend's.
#[derive(Debug)]
struct Cookie {
    /// An index may get another backend when the pool changes.
    id: BackendId,
    code: String,
    field: HeaderValue,
}

impl Cookies {
    pub(super) fn new(project: &str, key: StickyKey, pools: &Pools) -> Self {
        let pools = pools.all();
        let name = |pool: &std::sync::Arc<Pool>| match pools.len() {
            1 => format!("lbdev_{}", token(project)),
            _ => format!("lbdev_{}.{}", token(project), token(&pool.service)),
        };
        Self {
            key,
            names: pools.iter().map(name).collect(),
            known: RefCell::new(pools.iter().map(|_| Vec::new()).collect()),
        }
    }

    /// Where a request of the pool at `place` belongs: by the first of its cookies that is true. One whose backend takes no
    /// requests now is as good as none.
    pub(super) fn find(&self, place: usize, pool: &Pool, headers: &HeaderMap) -> Sticks {
        let mut values = key::cookies(headers, self.names[place].as_bytes()).peekable();
        if values.peek().is_none() {
            return Sticks::Not;
        }
        let snapshot = pool.snapshot();
        let owner = values.find_map(|value| {
            let mut members = snapshot.members.iter();
            members.find(|member| self.with(place, member, |cookie| cookie.is(value)))
        });
        match owner.filter(|member| member.takes_stuck_requests()) {
            Some(member) => Sticks::To(member.index),
            None => Sticks::Not,
        }
    }

    /// What tells the client to stay with this backend: a cookie of the browser's session, not for scripts, for every path
    /// (RFC 6265 §4.1). It is not `Secure`: lbdev speaks plain HTTP.
    pub(super) fn set(&self, place: usize, member: &Member, headers: &mut HeaderMap) {
        // Beside those of the application, never in their place.
        headers.append(
            SET_COOKIE,
            self.with(place, member, |cookie| cookie.field.clone()),
        );
    }

    fn with<T>(&self, place: usize, member: &Member, see: impl FnOnce(&Cookie) -> T) -> T {
        let mut known = self.known.borrow_mut();
        let known = &mut known[place];
        if known.len() <= member.index {
            known.resize_with(member.index + 1, || None);
        }
        let slot = &mut known[member.index];
        if slot.as_ref().is_none_or(|cookie| cookie.id != member.id) {
            *slot = None;
        }
        see(slot.get_or_insert_with(|| self.make(place, &member.id)))
    }

    fn make(&self, place: usize, id: &BackendId) -> Cookie {
        let code = self.key.code(id);
        let field = format!(
            "{}={code}; Path=/; HttpOnly; SameSite=Lax",
            self.names[place]
        );
        Cookie {
            id: id.clone(),
            field: HeaderValue::try_from(field).expect("a token and base64 are printable ASCII"),
            code,
        }
    }
}

impl Cookie {
    /// Whether `value` is this one, in a time that does not tell how much of it is right.
    fn is(&self, value: &[u8]) -> bool {
        self.code.as_bytes().ct_eq(value).into()
    }
}

/// `name` as a part of a cookie's name, which is a token (RFC 6265 §4.1.1): other bytes as `%XX`, so that two names never
/// become one.
fn token(name: &str) -> String {
    let mut token = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => token.push(char::from(byte)),
            other => token.push_str(&format!("%{other:02X}")),
        }
    }
    token
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::sync::Arc;

    use hyper::header::COOKIE;
    use proptest::prelude::*;

    use super::*;
    use crate::backend::{Phase, RunId, Slot};
    use crate::config::{Balancer, Route};

    const KEY: [u8; 32] = [7; 32];

    fn member(index: usize, tweak: impl FnOnce(&mut Member)) -> Arc<Member> {
        let port = 8000 + u16::try_from(index).unwrap();
        let mut member = Member {
            index,
            id: BackendId::new("web", Slot::Port(port)),
            run: Some(RunId::FIRST),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            weight: 1,
            share: 1,
            backup: false,
            max_connections: 0,
            eligible: true,
            stays: false,
            listed: true,
            phase: Phase::Up,
            why: None,
            life: Arc::default(),
            tally: Arc::default(),
        };
        tweak(&mut member);
        Arc::new(member)
    }

    fn pools(services: &[&str]) -> Pools {
        let of = |service: &&str| (Arc::from(*service), vec![Route::Prefix("/".into())]);
        let pools = Pools::new(services.iter().map(of), &Balancer::default());
        pools.all()[0].publish((0..3).map(|index| member(index, |_| {})).collect());
        pools
    }

    fn cookies(pools: &Pools) -> Cookies {
        Cookies::new("site", StickyKey::new(&KEY), pools)
    }

    fn request(fields: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(COOKIE, HeaderValue::from_bytes(field).unwrap());
        }
        headers
    }

    fn code(index: u16) -> String {
        StickyKey::new(&KEY).code(&BackendId::new("web", Slot::Port(8000 + index)))
    }

    #[test]
    fn codes_depend_on_key_service_and_backend() {
        let web = |port| BackendId::new("web", Slot::Port(port));
        let key = StickyKey::new(&KEY);
        assert_eq!(key.code(&web(8000)).len(), 22);
        assert_eq!(key.code(&web(8000)), key.code(&web(8000)));
        for other in [web(8001), BackendId::new("api", Slot::Port(8000))] {
            assert_ne!(key.code(&other), key.code(&web(8000)));
        }
        assert_ne!(
            StickyKey::new(&[8; 32]).code(&web(8000)),
            key.code(&web(8000))
        );
    }

    #[test]
    fn names() {
        let name = |project: &str, services: &[&str]| {
            Cookies::new(project, StickyKey::new(&KEY), &pools(services)).names
        };
        assert_eq!(name("my-site", &["web"]), ["lbdev_my-site"]);
        assert_eq!(name("a", &["web", "api"]), ["lbdev_a.web", "lbdev_a.api"]);
        assert_eq!(name("a b;=ü", &["web"]), ["lbdev_a%20b%3B%3D%C3%BC"]);
    }

    #[test]
    fn who_is_found() {
        let pools = pools(&["web"]);
        let cookies = cookies(&pools);
        let [zero, one] = [code(0), code(1)].map(|code| format!("lbdev_site={code}"));
        let forged = StickyKey::new(&[8; 32]).code(&BackendId::new("web", Slot::Port(8000)));
        let forged = format!("lbdev_site={forged}");
        let mut flipped = zero.clone().into_bytes();
        flipped[15] ^= 1;
        let shorter = &one.as_bytes()[..one.len() - 1];
        let long = format!("{}; {one}; a=b", "x=y; ".repeat(1600));
        let both = format!("{one}; {zero}");
        let spaced = format!("a=\"b\";  {one} ;c");
        let (elsewhere, longer) = (code(0), format!("{one}A"));
        let elsewhere = format!("lbdev_other={elsewhere}");
        for (fields, expected) in [
            (&[][..], Sticks::Not),
            (&[zero.as_bytes()], Sticks::To(0)),
            (&[spaced.as_bytes()], Sticks::To(1)),
            (&[both.as_bytes()], Sticks::To(1)),
            (&[b"a=b", zero.as_bytes(), one.as_bytes()], Sticks::To(0)),
            (&[forged.as_bytes()], Sticks::Not),
            (&[&flipped], Sticks::Not),
            (&[shorter], Sticks::Not),
            (&[longer.as_bytes()], Sticks::Not),
            (&[elsewhere.as_bytes()], Sticks::Not),
            (&[b"lbdev_site=", one.as_bytes()], Sticks::To(1)),
            (&[b"lbdev_site"], Sticks::Not),
            (&[b"\xff\xfe=\x80; lbdev_site=\xff"], Sticks::Not),
            (&[long.as_bytes()], Sticks::To(1)),
        ] {
            let headers = request(fields);
            assert_eq!(
                cookies.find(0, &pools.all()[0], &headers),
                expected,
                "{headers:?}"
            );
        }
    }

    #[test]
    fn a_backend_that_cannot_be_had_is_none() {
        let pools = pools(&["web"]);
        let cookies = cookies(&pools);
        let pool = &pools.all()[0];
        let headers = request(&[format!("lbdev_site={}", code(1)).as_bytes()]);
        let check = |tweak: fn(&mut Member), expected| {
            pool.publish(vec![member(0, |_| {}), member(1, tweak)]);
            assert_eq!(cookies.find(0, pool, &headers), expected);
        };
        check(|_| {}, Sticks::To(1));
        check(|one| one.eligible = false, Sticks::Not);
        let drained: fn(&mut Member) = |one| (one.eligible, one.stays) = (false, true);
        check(drained, Sticks::To(1));
        check(|one| one.life.drain(), Sticks::Not);
        check(|one| one.run = Some(RunId::FIRST.next()), Sticks::To(1));
        // Another backend at its place has another code.
        check(
            |one| one.id = BackendId::new("web", Slot::Port(9000)),
            Sticks::Not,
        );
        pool.publish(vec![member(0, |_| {})]);
        assert_eq!(cookies.find(0, pool, &headers), Sticks::Not);
    }

    #[test]
    fn what_is_set_is_found() {
        let pools = pools(&["web", "api"]);
        let cookies = cookies(&pools);
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, HeaderValue::from_static("sessionid=1"));
        cookies.set(0, &member(2, |_| {}), &mut headers);
        let set: Vec<&str> = headers
            .get_all(SET_COOKIE)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        assert_eq!(set[0], "sessionid=1");
        let (pair, rest) = set[1].split_once("; ").unwrap();
        assert_eq!(rest, "Path=/; HttpOnly; SameSite=Lax");
        assert!(pair.starts_with("lbdev_site.web="), "{pair}");
        let headers = request(&[pair.as_bytes()]);
        assert_eq!(cookies.find(0, &pools.all()[0], &headers), Sticks::To(2));
        assert_eq!(cookies.find(1, &pools.all()[1], &headers), Sticks::Not);
    }

    proptest! {
        /// Whatever a client sends, it gets a backend only by that backend's own code.
        #[test]
        fn any_cookie_bytes(
            pieces in proptest::collection::vec(
                prop_oneof![
                    proptest::collection::vec(any::<u8>().prop_filter("a field's", |b| *b >= 32 && *b != 127), 0..30),
                    Just(b"lbdev_site=".to_vec()),
                    Just(b"; ".to_vec()),
                    (0..4u16, 0..23usize).prop_map(|(index, cut)| code(index).as_bytes()[..cut.min(22)].to_vec()),
                ],
                0..8,
            ),
        ) {
            let pools = pools(&["web"]);
            let field = pieces.concat();
            let found = cookies(&pools).find(0, &pools.all()[0], &request(&[&field]));
            let true_pair = |index: usize| {
                let pair = format!("lbdev_site={}", code(u16::try_from(index).unwrap()));
                field.split(|byte| *byte == b';').any(|part| part.trim_ascii() == pair.as_bytes())
            };
            match found {
                Sticks::To(index) => prop_assert!(index < 3 && true_pair(index)),
                Sticks::Not => prop_assert!(!(0..3).any(true_pair)),
                Sticks::Off => prop_assert!(false, "nobody turned it off"),
            }
        }
    }
}
