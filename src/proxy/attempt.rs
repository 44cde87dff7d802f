//! One attempt at one backend.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request, Response, Uri, Version};

use super::body::Outgoing;
use super::upstream::{Conn, failure_of};
use super::worker::Worker;
use crate::pool::{AttemptFailure, Member, Pool};

/// A request as backends get it.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Incoming>,
    /// Idempotent and without a body: it may be sent more than once.
    pub(super) replayable: bool,
}

impl Outbound {
    /// The head to send. What cannot be sent again is not copied.
    fn head(&mut self) -> (Method, Uri, HeaderMap) {
        if self.replayable {
            (self.method.clone(), self.uri.clone(), self.headers.clone())
        } else {
            (
                std::mem::take(&mut self.method),
                std::mem::take(&mut self.uri),
                std::mem::take(&mut self.headers),
            )
        }
    }

    /// For `conn`, on the way to which it will be read.
    fn request(&mut self, conn: &Conn, worker: &Worker) -> Request<Outgoing> {
        let body = match self.body.take() {
            None => Outgoing::Empty,
            Some(body) => Outgoing::Stream {
                body,
                link: conn.link.clone(),
                clock: worker.clock.clone(),
            },
        };
        let (method, uri, headers) = self.head();
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        *request.version_mut() = Version::HTTP_11;
        request
    }

    /// Takes back what was not sent.
    fn restore(&mut self, request: Request<Outgoing>) {
        let (head, body) = request.into_parts();
        self.method = head.method;
        self.uri = head.uri;
        self.headers = head.headers;
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
    worker: &Worker,
    place: usize,
    member: &Member,
    out: &mut Outbound,
    upgrades: bool,
) -> Result<(Response<Incoming>, Conn), Failed> {
    let upstreams = &worker.upstreams;
    let mut idle = match out.replayable && !upgrades {
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
        let request = out.request(&conn, worker);
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
