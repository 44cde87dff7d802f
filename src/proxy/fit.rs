//! Is a request fit to be forwarded? It is checked, its pool and its turn are found, and its head is made what a backend is to
//! get. Nothing here waits.

use std::rc::Rc;
use std::sync::Arc;

use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Uri, Version};

use super::attempt::Outbound;
use super::client::{Client, Host};
use super::headers::{self, Found, IDEMPOTENCY_KEY, SEC_FETCH_DEST, X_LBDEV_TIMING};
use super::page::Page;
use super::sticky::Sticks;
use super::{key, retry, turn};
use crate::balance::{Algorithm, Sequence, Sticky};
use crate::pool::Turn;

/// A request that is fit to be forwarded.
pub(super) struct Fit {
    /// The place of its pool among all.
    pub(super) place: usize,
    pub(super) turn: Turn,
    pub(super) sticks: Sticks,
    pub(super) out: Outbound,
    /// The client's end of the switch of protocols that it asks for.
    pub(super) upgrade: Option<OnUpgrade>,
    pub(super) version: Version,
}

/// Checks a request, finds its pool, and makes its head what the backend is to get.
pub(super) fn fit(
    client: &Client,
    mut request: Request<Incoming>,
    found: Found,
) -> Result<Box<Fit>, Box<Page>> {
    if request.method() == Method::CONNECT {
        return Err(Page::no_connect());
    }
    if request.uri().path() == "*" {
        return Err(match *request.method() {
            Method::OPTIONS => Page::options(),
            _ => Page::bad_request("only `OPTIONS` may ask for `*`"),
        });
    }
    let token = match request.version() {
        Version::HTTP_11 => headers::upgrade(request.headers(), found),
        _ => None,
    };
    let upgrade = token.is_some().then(|| hyper::upgrade::on(&mut request));
    let (mut head, body) = request.into_parts();
    let host = settle_host(client, &mut head)?;

    let pools = &client.worker.pools;
    let place = pools
        .route(&host.name, head.uri.path())
        .and_then(|pool| pools.all().iter().position(|p| Arc::ptr_eq(p, pool)));
    let Some(place) = place else {
        return Err(Page::no_route(&host.name, head.uri.path(), pools));
    };
    let path = head.uri.path();
    let live = pools.live();
    let sticks = match live.sticky {
        Sticky::Off => Sticks::Off,
        Sticky::Cookie => client
            .worker
            .cookies
            .find(place, &pools.all()[place], &head.headers),
    };
    let turn = match (sticks, live.algorithm, live.sequence) {
        (Sticks::To(index), ..) => Turn::Stuck(index),
        (_, Algorithm::IpHash, _) => key::by_address(client.peer),
        (_, Algorithm::Hash, _) => key::by(&live.hash_key, path, &head.headers),
        (_, _, Sequence::Pages) => turn_of(client, &head.headers, found, path),
        (_, _, Sequence::Requests) => Turn::Next,
    };

    let body = (!body.is_end_stream()).then_some(body);
    let last = body.is_none() && token.is_none() && headers::is_last(&head.headers, found);
    client.signs.set_last(last);
    headers::strip_hop_by_hop(&mut head.headers, found);
    if found.length {
        // It is said anew, once, with the body that came.
        head.headers.remove(CONTENT_LENGTH);
    }
    if let Some(token) = token {
        headers::ask_upgrade(&mut head.headers, token);
    }
    let retry = &client.worker.settings.retry;
    let has_key = found.key
        && head
            .headers
            .get(&IDEMPOTENCY_KEY)
            .is_some_and(|key| !key.is_empty());
    let repeatable = retry.non_idempotent || has_key || retry::is_idempotent(&head.method);
    if found.timing {
        head.headers.remove(&X_LBDEV_TIMING);
    }
    Ok(Box::new(Fit {
        place,
        turn,
        sticks,
        upgrade,
        version: head.version,
        out: Outbound::new(head, body, repeatable, retry.body, (client, &host)),
    }))
}

/// The one host that the request is for (RFC 9112 §3.2). An absolute target's authority replaces the field and leaves
/// the target.
fn settle_host(
    client: &Client,
    head: &mut hyper::http::request::Parts,
) -> Result<Rc<Host>, Box<Page>> {
    let mut fields = head.headers.get_all(HOST).iter();
    let (host, named) = match (fields.next(), fields.next()) {
        (Some(_), Some(_)) => return Err(Page::bad_request("it has more than one `Host`")),
        (Some(host), None) => (client.host(host), true),
        (None, _) if head.version == Version::HTTP_10 => (client.host(&client.own_host()), false),
        (None, _) => return Err(Page::bad_request("it has no `Host`")),
    };
    let host = host.ok_or_else(|| {
        Page::bad_request("its `Host` is not one host name with an optional port")
    })?;
    if !named {
        head.headers.insert(HOST, host.field.clone());
    }
    let Some(authority) = head.uri.authority() else {
        return Ok(host);
    };
    let host = HeaderValue::from_str(authority.as_str())
        .ok()
        .and_then(|host| client.host(&host))
        .ok_or_else(|| Page::bad_request("its target is not a host with an optional port"))?;
    head.headers.insert(HOST, host.field.clone());
    let target = head.uri.path_and_query().cloned();
    head.uri = target.map_or_else(|| Uri::from_static("/"), Uri::from);
    Ok(host)
}

fn turn_of(client: &Client, headers: &HeaderMap, found: Found, path: &str) -> Turn {
    let dest = match found.dest {
        true => headers.get(&SEC_FETCH_DEST),
        false => None,
    };
    let agent = || headers.get(USER_AGENT).map(|agent| agent.as_bytes());
    turn::of(dest.map(|dest| dest.as_bytes()), path, client.peer, agent)
}
