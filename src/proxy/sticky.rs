//! `sticky = "cookie"`: a client stays with the backend that it had first.
//!
//! The cookie is called `lbdev_PROJECT`, or `lbdev_PROJECT.SERVICE` where several services are balanced: browsers do not
//! tell ports apart, so that two projects on `localhost` see each other's cookies. Its value is a code made of the backend's
//! name with a key of the project's own (HMAC-SHA256, RFC 2104, cut to 128 bits): there is nothing to decode in it, and
//! nobody without the key can make one for another backend. It is compared in constant time with the codes of the
//! backends there are. To the application it looks as HAProxy's `cookie NAME insert` does.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::fields::Fields;
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
    project: String,
    /// By the place of the pool.
    names: RefCell<Vec<Rc<str>>>,
    /// By the place of the pool and the index of the backend.
    known: RefCell<Vec<Vec<Option<Cookie>>>>,
}

/// One backend's.
#[derive(Debug)]
struct Cookie {
    /// An index may get another backend when the pool changes.
    id: BackendId,
    code: String,
    field: String,
}

impl Cookies {
    pub(super) fn new(project: &str, key: StickyKey, pools: &Pools) -> Self {
        let pools = pools.all();
        let alone = (pools.len() == 1).then(|| format!("lbdev_{}", token(project)).into());
        Self {
            key,
            project: project.to_owned(),
            names: RefCell::new(alone.into_iter().collect()),
            known: RefCell::default(),
        }
    }

    /// The name for the pool at a place. One that was alone keeps its name when others come.
    fn name(&self, place: usize, service: &str) -> Rc<str> {
        let mut names = self.names.borrow_mut();
        if names.len() <= place {
            names.resize_with(place + 1, || Rc::from(""));
        }
        if names[place].is_empty() {
            names[place] = format!("lbdev_{}.{}", token(&self.project), token(service)).into();
        }
        names[place].clone()
    }

    /// Where a request of the pool at `place` belongs: by the first of its cookies that is true. One whose backend takes no
    /// requests now is as good as none.
    pub(super) fn find(&self, place: usize, pool: &Pool, fields: &Fields) -> Sticks {
        let name = self.name(place, &pool.service);
        let mut values = key::cookies(fields, name.as_bytes()).peekable();
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
    pub(super) fn set(&self, place: usize, member: &Member, fields: &mut Fields) {
        // Beside those of the application, never in their place.
        self.with(place, member, |cookie| {
            fields.add("Set-Cookie", cookie.field.as_bytes());
        });
    }

    fn with<T>(&self, place: usize, member: &Member, see: impl FnOnce(&Cookie) -> T) -> T {
        let mut known = self.known.borrow_mut();
        if known.len() <= place {
            known.resize_with(place + 1, Vec::new);
        }
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
        let name = self.name(place, id.service());
        let field = format!("{name}={code}; Path=/; HttpOnly; SameSite=Lax");
        Cookie {
            id: id.clone(),
            field,
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
mod tests;
