//! A backend's answer on its way to the client.

use std::rc::Rc;

use bytes::Bytes;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{Response, StatusCode, Version};

use super::body::Body;
use super::client::Client;
use super::flight::Flight;
use super::h1::ResponseHead;
use super::headers::{self, SERVER_TIMING, X_LBDEV_ATTEMPTS, X_LBDEV_BACKEND};
use super::page::Page;
use super::retry::Why;
use super::sticky::Sticks;
use super::tunnel::{self, Protocol};
use super::upstream::Call;
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
    (head, call): (ResponseHead, Call),
    switch: Switch,
) -> Response<Body> {
    let worker = &client.worker;
    let switched = head.status == StatusCode::SWITCHING_PROTOCOLS;
    if switched && switch.upgrade.is_none() {
        // Nobody asked for it: what follows is not HTTP.
        let pool = &worker.pools.all()[place];
        pool.failed(&lease, AttemptFailure::BadResponse);
        flight.note(&lease, AttemptFailure::BadResponse);
        return Page::gave_up(pool, &flight.attempts, Why::NotReplayable)
            .after(lease.member(), worker, place)
            .response(None, flight);
    }
    let mut fields = head.headers;
    let found = headers::find(&fields);
    let token = fields.get(UPGRADE).filter(|_| switched).cloned();
    let protocol = Protocol::of(token.as_ref().map(HeaderValue::as_bytes));
    headers::strip_hop_by_hop(&mut fields, found);
    if let Some(token) = token {
        fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        fields.insert(UPGRADE, token);
    }
    fields.insert(
        &X_LBDEV_BACKEND,
        worker.upstreams.name(place, lease.member()),
    );
    fields.insert(&X_LBDEV_ATTEMPTS, attempts(flight.attempts.len() + 1));
    if let Some(timing) = flight.server_timing(Some(&lease)) {
        fields.append(&SERVER_TIMING, timing);
    }
    if switch.sticks != Sticks::Off && switch.sticks != Sticks::To(lease.member().index) {
        worker.cookies.set(place, lease.member(), &mut fields);
    }
    if switch.version == Version::HTTP_10 && !fields.contains_key(CONTENT_LENGTH) {
        client.signs.set_open_ended(true);
    }
    flight.status(head.status.as_u16());
    flight.answered_by(place, &lease);
    let body = match switch.upgrade.filter(|_| switched) {
        Some(clients) => {
            tunnel::open(worker, lease, protocol, clients, call.into_parts());
            Body::ours(Bytes::new(), flight)
        }
        None => {
            flight.hold(lease);
            Body::backends(call, flight)
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = fields;
    response
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
