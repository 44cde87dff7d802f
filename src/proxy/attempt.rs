//! One attempt at one backend.

use std::rc::Rc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, Uri, Version};

use super::body::Outgoing;
use super::client::{Client, Host};
use super::upstream::{Conn, failure_of};
use super::worker::Worker;
use crate::pool::{AttemptFailure, Member, Pool};

/// A request as backends get it.
#[derive(Debug)]
pub(super) struct Outbound {
    /// `None` once it was sent. Who asks, and for whom, is not in it before.
    head: Option<Parts>,
    body: Option<Incoming>,
    host: Rc<Host>,
    /// What it takes to send it again, where that may be: it is idempotent and has no body.
    kept: Option<Kept>,
}

/// A copy of a head. The fields are a plain list, which is cheaper to copy than a map, and seldom needed.
#[derive(Debug)]
struct Kept {
    method: Method,
    uri: Uri,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Kept {
    fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let fields = headers.iter();
        Self {
            method: method.clone(),
            uri: uri.clone(),
            fields: fields.map(|(n, v)| (n.clone(), v.clone())).collect(),
        }
    }

    fn head(&self) -> Parts {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = self.method.clone();
        head.uri = self.uri.clone();
        for (name, value) in &self.fields {
            head.headers.append(name.clone(), value.clone());
        }
        head
    }
}

impl Outbound {
    /// `head` with the fields that are to be forwarded, for `host`.
    pub(super) fn new(
        mut head: Parts,
        body: Option<Incoming>,
        replayable: bool,
        host: Rc<Host>,
    ) -> Self {
        head.version = Version::HTTP_11;
        // What hyper notes there is of the client's connection.
        head.extensions.clear();
        Self {
            kept: replayable.then(|| Kept::of(&head.method, &head.uri, &head.headers)),
            head: Some(head),
            body,
            host,
        }
    }

    /// It may be sent more than once.
    pub(super) fn replayable(&self) -> bool {
        self.kept.is_some()
    }

    /// For `conn`, on the way to which it will be read.
    fn request(&mut self, conn: &Conn, client: &Client) -> Request<Outgoing> {
        let body = match self.body.take() {
            None => Outgoing::Empty,
            Some(body) => Outgoing::Stream {
                body,
                link: conn.link.clone(),
                clock: client.worker.clock.clone(),
            },
        };
        let kept = &self.kept;
        let mut head = self.head.take().unwrap_or_else(|| {
            // What may not be sent again is not tried again after it was sent: there always is a head.
            kept.as_ref()
                .map_or_else(|| Request::new(()).into_parts().0, Kept::head)
        });
        client.stamp(&mut head.headers, &self.host);
        Request::from_parts(head, body)
    }

    /// Takes back what was not sent.
    fn restore(&mut self, request: Request<Outgoing>) {
        let (head, body) = request.into_parts();
        self.head = Some(head);
        self.body = match body {
            Outgoing::Empty => None,
            Outgoing::Stream { body, .. } => Some(body),
        };
    }
}

/// Why an attempt has no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// The backend failed.
    Backend {
        /// How.
        failure: AttemptFailure,
        /// It may have seen the request.
        sent: bool,
    },
    /// The client's part of the request could not be read.
    Client,
}

/// Sends the request to `member` and waits for the head of its response. What may be replayed goes on an idle connection
/// first: one that turns out stale costs no try.
pub(super) async fn run(
    client: &Client,
    place: usize,
    member: &Member,
    out: &mut Outbound,
    upgrades: bool,
) -> Result<(Response<Incoming>, Conn), Failed> {
    let worker = &client.worker;
    let upstreams = &worker.upstreams;
    let mut idle = match out.replayable() && !upgrades {
        true => upstreams.take(place, member),
        false => None,
    };
    loop {
        let was_idle = idle.is_some();
        let mut conn = match idle.take() {
            Some(conn) => conn,
            None => Box::pin(upstreams.dial(place, member, upgrades))
                .await
                .map_err(|failure| Failed::Backend {
                    failure,
                    sent: false,
                })?,
        };
        let request = out.request(&conn, client);
        conn.link.sent(worker.clock.now());
        let mut error = match conn.sender.try_send_request(request).await {
            Ok(response) => {
                conn.link.answered();
                return Ok((response, conn));
            }
            Err(error) => error,
        };
        let unsent = error.take_message();
        let sent = unsent.is_none();
        if let Some(request) = unsent {
            out.restore(request);
        }
        let failure = match (conn.link.timed_out.get(), conn.link.client_failed.get()) {
            (true, _) => AttemptFailure::HeadTimeout,
            (false, true) => return Err(Failed::Client),
            (false, false) => failure_of(&error.into_error()),
        };
        let stale = was_idle && matches!(failure, AttemptFailure::Closed | AttemptFailure::Reset);
        if !stale {
            return Err(Failed::Backend { failure, sent });
        }
    }
}

/// How often a pool is asked whether anybody is left, and how far apart: together far more than the news of a death
/// takes.
const ASK: u32 = 4;
const ASK_AGAIN: Duration = Duration::from_millis(15);

/// Whether a backend of the pool still listens, after every candidate failed. A process that died takes its connections
/// with it a little before the supervisor hears of it; its port, which is asked here without a request, refuses.
pub(super) async fn anybody_left(worker: &Worker, pool: &Pool) -> bool {
    for round in 0..ASK {
        if round > 0 {
            tokio::time::sleep(ASK_AGAIN).await;
        }
        let snapshot = pool.snapshot();
        for member in snapshot.members.iter().filter(|m| m.takes_requests()) {
            if let Err(AttemptFailure::Refused) = worker.upstreams.connect(member).await {
                pool.refused(member);
            }
        }
        if !pool.any_eligible() {
            return false;
        }
    }
    true
}
