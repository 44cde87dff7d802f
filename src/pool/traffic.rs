//! What users' requests find out about backends, and what the pool does about it before the supervisor knows.
//!
//! Only failed attempts come here: nothing of it costs a request that goes well.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::{AttemptFailure, Lease, Member, Snapshot, Trouble};
use crate::backend::{Detect, Failures, PassivePolicy, RunId};

/// By which rules failed attempts take a backend out. One for each pool.
#[derive(Debug)]
pub(super) struct Rules {
    passive: PassivePolicy,
    detect: AtomicU8,
}

impl Rules {
    pub(super) fn new(passive: PassivePolicy, detect: Detect) -> Self {
        let rules = Self {
            passive,
            detect: AtomicU8::default(),
        };
        rules.set_detect(detect);
        rules
    }

    pub(super) fn set_detect(&self, detect: Detect) {
        let number = match detect {
            Detect::Instant => 0,
            Detect::Passive => 1,
            Detect::Active => 2,
        };
        self.detect.store(number, Ordering::Relaxed);
    }

    pub(super) fn detect(&self) -> Detect {
        match self.detect.load(Ordering::Relaxed) {
            0 => Detect::Instant,
            1 => Detect::Passive,
            _ => Detect::Active,
        }
    }

    /// Counts a failed attempt. What it makes of the backend, which then gets no requests any more.
    pub(super) fn judge(
        &self,
        lease: &Lease,
        failure: AttemptFailure,
        pool: &Snapshot,
        now: Instant,
    ) -> Option<Trouble> {
        let member = lease.member();
        let detect = self.detect();
        match detect {
            Detect::Instant if failure == AttemptFailure::Refused => return Some(Trouble::Refused),
            Detect::Instant | Detect::Passive => {}
            Detect::Active => return None,
        }
        // Under `instant` each run is judged by its own failures: the supervisor knows when one has ended.
        let run = member.run.filter(|_| detect == Detect::Instant);
        let mut traffic = member.tally.traffic.lock();
        if run < traffic.run && detect == Detect::Instant {
            // Of a run that is over.
            return None;
        }
        if traffic.run != run {
            traffic.run = run;
            traffic.failures = Failures::default();
        }
        let enough = traffic.failures.note(self.passive, lease.since(), now);
        let spare = match detect {
            // nginx's documentation of `max_fails`: a single server is never considered unavailable.
            Detect::Passive => pool.members.len() > 1,
            Detect::Instant | Detect::Active => pool
                .members
                .iter()
                .any(|other| is_spare(other) && other.index != member.index),
        };
        (enough && spare).then(|| {
            traffic.failures.clear(now);
            Trouble::Failing
        })
    }
}

/// It could have the requests of another.
fn is_spare(member: &Member) -> bool {
    member.weight > 0 && member.takes_requests()
}

/// Failed attempts at one backend, across its runs.
#[derive(Debug, Default)]
pub(super) struct Traffic(Mutex<Counted>);

#[derive(Debug, Default)]
pub(super) struct Counted {
    run: Option<RunId>,
    failures: Failures,
}

impl Traffic {
    fn lock(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What took a run out until the supervisor has published what it makes of it.
#[derive(Debug, Default)]
pub(super) struct Marks(AtomicU8);

/// Out, and why.
const REFUSED: u8 = 1;
const FAILING: u8 = 2;
/// The supervisor was told of all there is.
const TOLD: u8 = 4;

impl Marks {
    /// Takes it out.
    pub(super) fn set(&self, trouble: Trouble) {
        let mark = match trouble {
            Trouble::Refused => REFUSED,
            Trouble::Failing => FAILING,
        };
        // One that is there already was told, or will be.
        if self.0.fetch_or(mark, Ordering::AcqRel) & mark == 0 {
            self.0.fetch_and(!TOLD, Ordering::AcqRel);
        }
    }

    /// Whether it is out.
    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::Acquire) & (REFUSED | FAILING) != 0
    }

    /// What there is to tell, once.
    pub(super) fn tell(&self) -> Option<Trouble> {
        if !self.any() {
            return None;
        }
        let marks = self.0.fetch_or(TOLD, Ordering::AcqRel);
        match marks & TOLD == 0 {
            true if marks & REFUSED != 0 => Some(Trouble::Refused),
            true => Some(Trouble::Failing),
            false => None,
        }
    }

    /// What the supervisor published holds from now on.
    pub(super) fn clear(&self) {
        self.0.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
