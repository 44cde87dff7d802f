//! A backend's answer on its way to the client.

use std::rc::Rc;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{Response, StatusCode, Version};

use super::body::Body;
use super::client::Client;
use super::flight::Flight;
use super::headers::{self, X_LBDEV_ATTEMPTS, X_LBDEV_BACKEND};
use super::page::Page;
use super::retry::Why;
use super::sticky::Sticks;
use super::tunnel::{self, Protocol};
use super::upstream::Conn;
use crate::pool::{AttemptFailure, Lease};

/// What the client's request says of how it can be answered.
pub(super) struct Switch {
    /// Its end of a switch of protocols.
    pub(super) upgrade: Option<OnUpgrade>,
    /// Its version.
    pub(super) version: Version,
    /// The backend it belongs to.
    pub(super) sticks: Sticks,
}

/// Makes the backend's response the client's.
pub(super) fn hand_on(
    client: &Rc<Client>,
    mut flight: Box<Flight>,
    place: usize,
    lease: Lease,
    conn: Conn,
    mut response: Response<Incoming>,
    switch: Switch,
) -> Response<Body> {
    let worker = &client.worker;
    let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let ends = match (switched, switch.upgrade) {
        (true, Some(clients)) => Some((clients, hyper::upgrade::on(&mut response))),
        (true, None) => {
            // Nobody asked for it: what follows is not HTTP.
            let pool = &worker.pools.all()[place];
            pool.failed(&lease, AttemptFailure::BadResponse);
            flight.note(&lease, AttemptFailure::BadResponse);
            return Page::gave_up(pool, &flight.attempts, Why::NotReplayable)
                .after(lease.member(), worker, place)
                .response(None, flight);
        }
        (false, _) => None,
    };
    let fields = response.headers_mut();
    let found = headers::find(fields);
    let token = fields.get(UPGRADE).filter(|_| switched).cloned();
    let protocol = Protocol::of(token.as_ref().map(HeaderValue::as_bytes));
    headers::strip_hop_by_hop(fields, found);
    if let Some(token) = token {
        fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        fields.insert(UPGRADE, token);
    }
    fields.insert(
        &X_LBDEV_BACKEND,
        worker.upstreams.name(place, lease.member()),
    );
    fields.insert(&X_LBDEV_ATTEMPTS, attempts(flight.attempts.len() + 1));
    if switch.sticks != Sticks::Off && switch.sticks != Sticks::To(lease.member().index) {
        worker.cookies.set(place, lease.member(), fields);
    }
    if switch.version == Version::HTTP_10 && !fields.contains_key(CONTENT_LENGTH) {
        client.signs.set_open_ended(true);
    }
    // hyper writes the version that the client can read.
    *response.version_mut() = Version::HTTP_11;
    response.extensions_mut().clear();
    flight.status(response.status().as_u16());
    flight.answered_by(place, &lease);
    match ends {
        Some((clients, backends)) => tunnel::open(worker, lease, protocol, clients, backends),
        None => flight.hold(lease, conn),
    }
    response.map(|body| Body::backends(body, flight))
}

/// `X-Lbdev-Attempts`: numbers as small as these need no memory.
pub(super) fn attempts(count: usize) -> HeaderValue {
    match count {
        1 => HeaderValue::from_static("1"),
        2 => HeaderValue::from_static("2"),
        3 => HeaderValue::from_static("3"),
        4 => HeaderValue::from_static("4"),
        count => HeaderValue::from(count),
    }
}
