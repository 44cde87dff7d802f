//! Faults that somebody put in: what a request meets at a backend before, or instead of, the backend itself.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::Sleep;

use super::answer::Answer;
use super::attempt::Outbound;
use super::flight::Flight;
use super::page::Page;
use super::worker::Worker;
use crate::config::{Fault, Instead};
use crate::pool::{AttemptFailure, Lease, Member};

/// Who hangs looks so often whether the process that it would hang in still lives.
const LOOK: Duration = Duration::from_millis(20);
/// A body that is slowed comes in so many pieces a second.
const PIECES: u64 = 20;

/// What a request met.
#[derive(Debug)]
pub(super) enum Met {
    /// Nothing, or a wait: it is sent.
    Backend(Option<Arc<Fault>>),
    /// An answer of this status that the backend never gave.
    Status(u16, Arc<Fault>),
    /// The attempt has failed, as if by the backend's doing.
    Failed(AttemptFailure),
}

/// Has an attempt at `member` meet its fault, if there is one for this request.
pub(super) async fn meet(worker: &Worker, member: &Member, out: &Outbound) -> Met {
    let Some(fault) = member.tally.fault() else {
        return Met::Backend(None);
    };
    if !fault.strikes(out.path(), |name| out.field(name), fastrand::f64()) {
        return Met::Backend(None);
    }
    let wait = fault.wait(fastrand::f64());
    if !wait.is_zero() {
        // Who is killed meanwhile answers nobody.
        let until = Instant::now() + wait;
        while let left = until.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            if member.life.was_killed() {
                return Met::Failed(AttemptFailure::Closed);
            }
            tokio::time::sleep(left.min(LOOK)).await;
        }
    }
    match fault.instead {
        None => Met::Backend(Some(fault)),
        Some(Instead::Status(status)) => Met::Status(status, fault),
        Some(Instead::Reset) => Met::Failed(AttemptFailure::Reset),
        Some(Instead::Hang) => hang(worker, member).await,
    }
}

/// Until the fault is another one, the process is killed, or it took too long.
async fn hang(worker: &Worker, member: &Member) -> Met {
    let mut faults = member.tally.faults();
    let limit = worker.settings().timeouts.backend_head;
    let limit = limit.filter(|_| worker.pools.live().debugged.is_none());
    let until = limit.map(|limit| Instant::now() + limit);
    let hangs = |fault: &Option<Arc<Fault>>| {
        let instead = fault.as_ref().and_then(|fault| fault.instead);
        instead == Some(Instead::Hang)
    };
    loop {
        if member.life.was_killed() {
            return Met::Failed(AttemptFailure::Closed);
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Met::Failed(AttemptFailure::HeadTimeout);
        }
        let ended = faults.wait_for(|fault| !hangs(fault));
        if let Ok(Ok(_)) = tokio::time::timeout(LOOK, ended).await {
            return Met::Backend(None);
        }
    }
}

/// The answer that the backend never gave.
pub(super) fn answer(
    worker: &Worker,
    place: usize,
    lease: &Lease,
    (status, fault): (u16, &Fault),
    accept: Option<&[u8]>,
    mut flight: Box<Flight>,
) -> Answer {
    let member = lease.member();
    flight.answered_by(place, lease);
    flight.struck();
    Page::fault(status, &member.id, fault)
        .after(member, worker, place)
        .attempted(flight.attempts.len() + 1)
        .answer(accept, flight)
}

/// Whether an answer of this length (`None`: nobody knows) ends too early while it is still held, as if the backend had ended
/// its connection: then the attempt has failed.
pub(super) fn cuts_held(fault: &Fault, length: Option<u64>, hold: u64) -> bool {
    match (fault.cut, length) {
        (Some(cut), Some(length)) => cut < length && length <= hold,
        _ => false,
    }
}

/// What a fault does to the body of an answer on its way.
#[derive(Debug)]
pub(super) struct Impaired {
    per_second: Option<u64>,
    /// So much may still pass.
    left: Option<u64>,
    /// The end waits so long; `None` once it has.
    slow_close: Option<Duration>,
    rest: Bytes,
    pause: Option<Pin<Box<Sleep>>>,
}

/// What comes next of an impaired body.
pub(super) enum Piece {
    Data(Bytes),
    /// The connection ends here.
    Cut,
}

impl Impaired {
    pub(super) fn new(fault: &Fault) -> Box<Self> {
        Box::new(Self {
            per_second: fault.bandwidth,
            left: fault.cut,
            slow_close: Some(fault.slow_close).filter(|wait| !wait.is_zero()),
            rest: Bytes::new(),
            pause: None,
        })
    }

    /// Nothing of what came waits any more.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nor does its end.
    pub(super) fn is_over(&self) -> bool {
        self.rest.is_empty() && self.slow_close.is_none()
    }

    /// How much waits.
    pub(super) fn waiting(&self) -> u64 {
        self.rest.len() as u64
    }

    /// Has this wait. Only where nothing does.
    pub(super) fn take(&mut self, bytes: Bytes) {
        self.rest = bytes;
    }

    /// The next piece when its time has come. After the `last` one nothing comes but the end: its last byte waits for that.
    pub(super) fn poll_piece(&mut self, last: bool, cx: &mut Context<'_>) -> Poll<Piece> {
        let left = self.left.unwrap_or(u64::MAX);
        if left == 0 {
            return Poll::Ready(Piece::Cut);
        }
        let most = self
            .per_second
            .map_or(u64::MAX, |speed| (speed / PIECES).max(1));
        let most = usize::try_from(most.min(left)).unwrap_or(usize::MAX);
        let mut length = self.rest.len().min(most);
        let closes = last && length == self.rest.len() && self.slow_close.is_some();
        if closes && length > 1 {
            length -= 1;
        }
        let mut pause = Duration::ZERO;
        if let Some(speed) = self.per_second {
            #[allow(clippy::cast_precision_loss)] // of a pause
            let at_this_speed = Duration::from_secs_f64(length as f64 / speed as f64);
            pause = at_this_speed;
        }
        if closes && length == self.rest.len() {
            pause += self.slow_close.unwrap_or_default();
        }
        ready!(self.poll_pause(pause, cx));
        if length == self.rest.len() && closes {
            self.slow_close = None;
        }
        if let Some(left) = &mut self.left {
            *left -= length as u64;
        }
        Poll::Ready(Piece::Data(self.rest.split_to(length)))
    }

    /// The end of a body whose last piece could not be told as such.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(wait) = self.slow_close {
            ready!(self.poll_pause(wait, cx));
            self.slow_close = None;
        }
        Poll::Ready(())
    }

    fn poll_pause(&mut self, pause: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if pause.is_zero() {
            return Poll::Ready(());
        }
        let sleep = || Box::pin(tokio::time::sleep(pause));
        ready!(self.pause.get_or_insert_with(sleep).as_mut().poll(cx));
        self.pause = None;
        Poll::Ready(())
    }
}
