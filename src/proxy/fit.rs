//! Is a request fit to be forwarded? It is checked, its pool and its turn are found, and its head is made what a backend is to
//! get. Nothing here waits.

use std::rc::Rc;

use hyper::{Method, Version};

use super::client::{Client, Host};
use super::fields::{Fields, Name};
use super::headers;
use super::page::Page;
use super::request::Request;
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
    pub(super) host: Rc<Host>,
    /// Sent twice it does no more than sent once, or nobody minds.
    pub(super) repeatable: bool,
    /// It asks for a switch of protocols.
    pub(super) upgrades: bool,
}

/// Checks a request, finds its pool, and makes its head what the backend is to get.
pub(super) fn fit(client: &Client, request: &mut Request) -> Result<Fit, Box<Page>> {
    if request.method == Method::CONNECT {
        return Err(Page::no_connect());
    }
    if request.target.as_str() == "*" {
        return Err(match request.method {
            Method::OPTIONS => Page::options(),
            _ => Page::bad_request("only `OPTIONS` may ask for `*`"),
        });
    }
    let fields = &mut request.fields;
    let host = settle_host(
        client,
        request.version,
        request.target.authority.as_deref(),
        fields,
    )?;
    let path = request.target.path();

    let pools = &client.worker.pools;
    let place = pools.route(&host.name, path);
    let live = pools.live();
    if !live.allow_hosts.allows(&host.name) {
        return Err(Page::strange_host(&host.name));
    }
    let Some(place) = place else {
        return Err(Page::no_route(&host.name, path, pools));
    };
    let sticks = match live.sticky {
        Sticky::Off => Sticks::Off,
        Sticky::Cookie => (client.worker.cookies).find(place, &pools.at(place), fields),
    };
    let turn = match (sticks, live.algorithm, live.sequence) {
        (Sticks::To(index), ..) => Turn::Stuck(index),
        (_, Algorithm::IpHash, _) => key::by_address(client.peer),
        (_, Algorithm::Hash, _) => key::by(&live.hash_key, path, fields),
        (_, _, Sequence::Pages) => turn_of(client, fields, path),
        (_, _, Sequence::Requests) => Turn::Next,
    };

    let token = match request.version {
        Version::HTTP_11 => headers::upgrade(fields),
        // HTTP/1.0 has no `Upgrade` (RFC 9110 §7.8), nor has HTTP/2.
        _ => None,
    };
    headers::strip_hop_by_hop(fields);
    // It is said anew, once, with the body that came.
    fields.remove(Name::ContentLength);
    if request.version != Version::HTTP_11 {
        // Who speaks HTTP/1.0 cannot mean it (RFC 9110 §10.1.1), and hyper has no word for it over HTTP/2.
        fields.remove(Name::Expect);
    }
    if let Some(token) = &token {
        headers::add_upgrade(fields, token);
    }
    let retry = &client.worker.settings().retry;
    let has_key = fields
        .get(Name::IdempotencyKey)
        .is_some_and(|key| !key.is_empty());
    let repeatable = retry.non_idempotent || has_key || retry::is_idempotent(&request.method);
    fields.remove(Name::XLbdevTiming);
    Ok(Fit {
        place,
        turn,
        sticks,
        host,
        repeatable,
        upgrades: token.is_some(),
    })
}

/// The one host that the request is for (RFC 9112 §3.2). An absolute target's `authority` replaces the field.
fn settle_host(
    client: &Client,
    version: Version,
    authority: Option<&[u8]>,
    fields: &mut Fields,
) -> Result<Rc<Host>, Box<Page>> {
    let mut values = fields.all(Name::Host);
    let (host, named) = match (values.next(), values.next()) {
        (Some(_), Some(_)) => return Err(Page::bad_request("it has more than one `Host`")),
        (Some(host), None) => (client.host(host), true),
        (None, _) if version == Version::HTTP_10 => (client.host(&client.own_host()), false),
        (None, _) => return Err(Page::bad_request("it has no `Host`")),
    };
    drop(values);
    let mut host = host.ok_or_else(|| {
        Page::bad_request("its `Host` is not one host name with an optional port")
    })?;
    if let Some(authority) = authority {
        host = client
            .host(authority)
            .ok_or_else(|| Page::bad_request("its target is not a host with an optional port"))?;
    }
    if !named || authority.is_some() {
        fields.remove(Name::Host);
        fields.add("Host", &host.field);
    }
    Ok(host)
}

fn turn_of(client: &Client, fields: &Fields, path: &str) -> Turn {
    let agent = || fields.get(Name::UserAgent);
    turn::of(fields.get(Name::SecFetchDest), path, client.peer, agent)
}
