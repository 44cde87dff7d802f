//! A backend's answer on its way to the client.

use std::rc::Rc;

use bytes::Bytes;
use hyper::StatusCode;

use super::body::Body;
use super::client::Client;
use super::fields::{Fields, Name, Names};
use super::flight::Flight;
use super::h1::ResponseHead;
use super::headers;
use super::hold::is_event_stream;
use super::page::Page;
use super::retry::Why;
use super::sticky::Sticks;
use super::tunnel::{Protocol, Switched};
use super::upstream::Call;
use crate::config::Fault;
use crate::pool::{AttemptFailure, Lease};

/// What a client gets.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// What a backend calls the status; what it is usually called where it is our own.
    pub(super) reason: Option<Bytes>,
    /// Without a framing, but for a `Content-Length` that is true.
    pub(super) fields: Fields,
    pub(super) body: Body,
    /// The connection is of no further use.
    pub(super) closes: bool,
    /// The backend's end of what the connection is from here on.
    pub(super) switched: Option<Box<Switched>>,
}

/// What only lbdev says.
const OURS: Names = Names::of(&[Name::XLbdevBackend, Name::XLbdevAttempts]);

/// Makes the backend's response the client's.
pub(super) fn hand_on(
    client: &Rc<Client>,
    mut flight: Box<Flight>,
    place: usize,
    lease: Lease,
    (head, mut call): (ResponseHead, Call),
    (sticks, upgrades): (Sticks, bool),
    fault: Option<&Fault>,
) -> Answer {
    let worker = &client.worker;
    let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
    if switches && !(upgrades && call.is_sent()) {
        // Nobody asked for it, or the rest of the request's body would be taken for words of the other protocol.
        let pool = &worker.pools.at(place);
        pool.failed(&lease, AttemptFailure::BadResponse);
        flight.note(&lease, AttemptFailure::BadResponse);
        return Page::gave_up(pool, &flight.attempts, Why::NotReplayable)
            .after(lease.member(), worker, place)
            .answer(None, flight);
    }
    let mut fields = head.fields;
    let token = match switches {
        true => fields.get(Name::Upgrade).map(<[u8]>::to_vec),
        false => None,
    };
    headers::strip_hop_by_hop(&mut fields);
    fields.remove_all(OURS);
    if switches || head.status == StatusCode::NO_CONTENT {
        // It must not be there (RFC 9110 §8.6).
        fields.remove(Name::ContentLength);
    }
    let protocol = Protocol::of(token.as_deref());
    if let Some(token) = token {
        headers::add_upgrade(&mut fields, &token);
    }
    worker
        .upstreams
        .name_line(place, lease.member(), |line| fields.add_lines(line));
    match attempts(flight.attempts.len() + 1) {
        Ok(line) => fields.add_lines(line),
        Err(count) => fields.add("X-Lbdev-Attempts", count.to_string().as_bytes()),
    }
    if let Some(fault) = fault {
        flight.struck();
        fields.add("X-Lbdev-Fault", fault.to_string().as_bytes());
    }
    if let Some(timing) = flight.server_timing(Some(&lease)) {
        fields.add("Server-Timing", timing.as_bytes());
    }
    if sticks != Sticks::Off && sticks != Sticks::To(lease.member().index) {
        worker.cookies.set(place, lease.member(), &mut fields);
    }
    flight.status(head.status.as_u16());
    flight.answered_by(place, &lease);
    let (body, switched) = match switches {
        true => {
            let switched = Switched {
                lease,
                protocol,
                backend: call.into_parts(),
            };
            (Body::ours(Bytes::new(), flight), Some(Box::new(switched)))
        }
        false => {
            if is_event_stream(&fields) {
                call.may_pause();
            }
            flight.hold(lease);
            let mut body = Body::backends(call, flight);
            if let Some(fault) = fault.filter(|fault| fault.impairs_bodies()) {
                body.impair(fault);
            }
            (body, None)
        }
    };
    Answer {
        status: head.status,
        reason: Some(head.reason),
        fields,
        body,
        closes: false,
        switched,
    }
}

/// The line for numbers as small as nearly all are; the number itself for others.
pub(super) fn attempts(count: usize) -> Result<&'static [u8], usize> {
    match count {
        1 => Ok(b"X-Lbdev-Attempts: 1\r\n"),
        2 => Ok(b"X-Lbdev-Attempts: 2\r\n"),
        3 => Ok(b"X-Lbdev-Attempts: 3\r\n"),
        count => Err(count),
    }
}
