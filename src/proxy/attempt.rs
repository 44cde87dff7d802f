//! One attempt at one backend.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;

use super::client::{Client, Host, Stamp};
use super::fields::{Fields, Name};
use super::fit::Fit;
use super::h1::{ClientWire, ResponseHead, Target, ToSend};
use super::headers;
use super::request::Request;
use super::retry::{Why, is_idempotent};
use super::tape::{Outgoing, Tape};
use super::upstream::{Call, NoHead, failure_of};
use super::worker::Worker;
use crate::pool::{AttemptFailure, Life, Member, Pool};

/// A request as backends get it: each attempt sends it from its start.
#[derive(Debug)]
pub(super) struct Outbound {
    method: Method,
    target: Target,
    fields: Fields,
    host: Rc<Host>,
    stamp: Stamp,
    body: Option<Rc<RefCell<Tape>>>,
    interim: Option<Rc<ClientWire>>,
    /// Sent twice it does no more than sent once, or nobody minds.
    repeatable: bool,
}

impl Outbound {
    /// `request`, which is `fit`, with the fields that are to be forwarded.
    pub(super) fn new(client: &Client, mut request: Request, fit: &Fit) -> Self {
        let keep = client.worker.settings().retry.body;
        Self {
            stamp: client.stamp(&mut request.fields, &fit.host),
            method: request.method,
            target: request.target,
            fields: request.fields,
            host: fit.host.clone(),
            body: request.body.map(|body| Tape::new(body, keep)),
            interim: request.interim,
            repeatable: fit.repeatable,
        }
    }

    /// Its method and target, for whoever is told of it.
    pub(super) fn line(&self) -> (&Method, &str) {
        (&self.method, self.target.as_str())
    }

    /// What faults go by.
    pub(super) fn path(&self) -> &str {
        self.target.path()
    }

    /// What a field of its head says, for faults.
    pub(super) fn field(&self, name: &str) -> Option<&[u8]> {
        match name.eq_ignore_ascii_case("host") {
            true => Some(&self.host.field),
            false => self.fields.named(name.as_bytes()),
        }
    }

    /// What the client likes to get.
    pub(super) fn accept(&self) -> Option<&[u8]> {
        self.fields.get(Name::Accept)
    }

    fn head(&self) -> ToSend<'_> {
        ToSend {
            method: &self.method,
            target: &self.target,
            fields: &self.fields,
            stamp: match self.stamp {
                Stamp::Hosts => &self.host.stamp,
                Stamp::InFields => b"",
            },
        }
    }

    /// Passes an interim response on, where the client has a way for it.
    fn pass_interim(&self, mut head: ResponseHead) {
        if let Some(client) = &self.interim {
            headers::strip_hop_by_hop(&mut head.fields);
            client.interim(head.status, &head.reason, &head.fields);
        }
    }

    /// What stands against sending it again to another backend after one may have seen it.
    pub(super) fn hindrance(&self) -> Option<Why> {
        let Some(body) = self.body.as_ref().map(|body| body.borrow()) else {
            return (!self.repeatable).then_some(Why::NotReplayable);
        };
        match body.is_replayable() {
            _ if !self.repeatable => Some(Why::NotReplayable),
            true => None,
            false if body.is_torn() => Some(Why::TornBody),
            false => Some(Why::LongBody),
        }
    }

    /// It may go on a connection that was used before: if that turns out to be stale, it can be sent again, without a
    /// word. What only a key makes repeatable is not: each time it was sent is to be seen in the attempts.
    fn bears_a_stale_connection(&self) -> bool {
        let stays = |tape: &Rc<RefCell<Tape>>| tape.borrow().stays_replayable();
        is_idempotent(&self.method) && self.body.as_ref().is_none_or(stays)
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
    /// A fault has answered in the backend's place, with this status.
    Instead(u16),
    /// The client's part of the request could not be read.
    Client,
    /// The client did not send the rest of its request in time.
    ClientTimedOut,
}

/// Sends the request to `member` and waits for the head of its response. What bears it goes on an idle connection first:
/// one that turns out stale costs no try.
pub(super) async fn run(
    worker: &Worker,
    place: usize,
    member: &Member,
    out: &Outbound,
    upgrades: bool,
) -> Result<(ResponseHead, Call), Failed> {
    let upstreams = &worker.upstreams;
    let mut take_idle = !upgrades && out.bears_a_stale_connection();
    loop {
        let idle = match take_idle {
            true => upstreams.take(place, member),
            false => None,
        };
        let was_idle = idle.is_some();
        let conn = match idle {
            Some(conn) => conn,
            None => Box::pin(upstreams.dial(place, member))
                .await
                .map_err(|failure| Failed::Backend {
                    failure,
                    sent: false,
                })?,
        };
        let body = out.body.as_ref().map(Outgoing::of);
        let mut call = Call::new(conn, out.head(), body);
        let failure = match call
            .head(&worker.clock, |head| out.pass_interim(head))
            .await
        {
            Ok(head) => return Ok((head, call)),
            Err(NoHead::TimedOut) => AttemptFailure::HeadTimeout,
            Err(NoHead::ClientTimedOut) => return Err(Failed::ClientTimedOut),
            Err(NoHead::Broken(broken)) => failure_of(&broken).ok_or(Failed::Client)?,
        };
        let gone = matches!(failure, AttemptFailure::Closed | AttemptFailure::Reset);
        if was_idle && gone && !call.has_begun() && out.bears_a_stale_connection() {
            // The backend closed it while the request was on its way, which is nobody's fault. One such is enough to
            // trust none of the others.
            upstreams.forget_idle(place, member);
            take_idle = false;
            continue;
        }
        return Err(Failed::Backend {
            failure,
            sent: !call.is_unsent(),
        });
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

/// How many of those that failed under a request may have failed by it: who was killed did not.
pub(super) fn blamed(seen_by: &[Arc<Life>]) -> usize {
    seen_by.iter().filter(|life| !life.was_killed()).count()
}

/// The same, when what the supervisor has to say of their ends has had its time to come.
pub(super) async fn blamed_after_the_news(seen_by: &[Arc<Life>], retries: u32) -> usize {
    let enough = usize::try_from(retries).unwrap_or(usize::MAX);
    for _ in 1..ASK {
        if blamed(seen_by) <= enough {
            break;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
    blamed(seen_by)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A whole pool that is killed at once takes each request with it that is handed on meanwhile: it is not the request's
    /// doing.
    #[tokio::test(start_paused = true)]
    async fn who_was_killed_speaks_against_no_request() {
        let lives: Vec<Arc<Life>> = (0..4).map(|_| Arc::default()).collect();
        assert_eq!(blamed(&lives), 4);
        assert_eq!(blamed_after_the_news(&lives, 3).await, 4);
        lives[1].kill();
        assert_eq!(blamed(&lives), 3);
        assert_eq!(blamed_after_the_news(&lives, 3).await, 3);
        // The news comes a little later than the end of the connections.
        let late = lives.clone();
        let news = async {
            tokio::time::sleep(ASK_AGAIN).await;
            late.iter().for_each(|life| life.kill());
        };
        let (blamed, ()) = tokio::join!(blamed_after_the_news(&lives, 1), news);
        assert_eq!(blamed, 0);
    }
}
