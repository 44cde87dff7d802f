//! What became of each request, for whoever shows it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;

use super::recent::Recent;
use crate::backend::BackendId;
use crate::balance::Algorithm;

/// Why one attempt at one backend came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptFailure {
    /// Nobody listens there.
    Refused,
    /// No connection within `timeouts.connect`.
    ConnectTimeout,
    /// The connection could not be made for another reason.
    ConnectFailed,
    /// The connection ended before a response head: the process died, or closed it.
    Closed,
    /// It was reset before a response head.
    Reset,
    /// What came back is not HTTP.
    BadResponse,
    /// No response head within `timeouts.backend_head`.
    HeadTimeout,
    /// The connection ended in the middle of the response's body.
    CutBody,
    /// It answered with a status that `retry.statuses` names.
    Status(u16),
}

impl AttemptFailure {
    /// The name of each kind, as JSON and configuration spell it, each at the place of its kind.
    pub const NAMES: [&str; 9] = [
        "refused",
        "connect_timeout",
        "connect_failed",
        "closed",
        "reset",
        "bad_response",
        "head_timeout",
        "cut_body",
        "status",
    ];

    /// How many kinds there are.
    pub(super) const KINDS: usize = Self::NAMES.len();

    /// Its place among all kinds.
    pub(super) fn kind(self) -> usize {
        match self {
            AttemptFailure::Refused => 0,
            AttemptFailure::ConnectTimeout => 1,
            AttemptFailure::ConnectFailed => 2,
            AttemptFailure::Closed => 3,
            AttemptFailure::Reset => 4,
            AttemptFailure::BadResponse => 5,
            AttemptFailure::HeadTimeout => 6,
            AttemptFailure::CutBody => 7,
            AttemptFailure::Status(_) => 8,
        }
    }

    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        Self::NAMES[self.kind()]
    }

    /// In words, after "8000": `8000 refused the connection`.
    pub fn words(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            AttemptFailure::Refused => "refused the connection",
            AttemptFailure::ConnectTimeout => "did not accept the connection in time",
            AttemptFailure::ConnectFailed => "could not be reached",
            AttemptFailure::Closed => "closed the connection before it answered",
            AttemptFailure::Reset => "reset the connection before it answered",
            AttemptFailure::BadResponse => "sent something that is not HTTP",
            AttemptFailure::HeadTimeout => "did not answer in time",
            AttemptFailure::CutBody => "ended in the middle of its answer",
            AttemptFailure::Status(status) => return Cow::Owned(format!("answered {status}")),
        })
    }
}

/// One attempt that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// At which backend.
    pub backend: BackendId,
    /// Why.
    pub failure: AttemptFailure,
    /// After how long.
    pub after: Duration,
}

/// Why a request went to the backend that it went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// The algorithm chose.
    By(Algorithm),
    /// The algorithm chose among the backups, as nobody else takes requests.
    Backup(Algorithm),
    /// Its page came from there (`sequence = "pages"`).
    LikeItsPage,
    /// Its client sticks to it (`sticky`), or has it named for it.
    Stuck,
}

/// One request, when its response has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// When it came.
    pub at: SystemTime,
    /// Its method.
    pub method: String,
    /// Its path and query, cut at [`Access::TARGET_MAX`] bytes.
    pub target: String,
    /// The status the client got.
    pub status: u16,
    /// From its head to the end of the response.
    pub took: Duration,
    /// How long of that it waited because nobody was eligible.
    pub waited: Duration,
    /// A fault that somebody put in had a part in it.
    pub fault: bool,
    /// Who answered; `None` when lbdev itself did.
    pub backend: Option<BackendId>,
    /// Why that one, where one answered.
    pub chosen: Option<Chosen>,
    /// What was tried in vain, in order.
    pub attempts: Vec<Attempt>,
}

impl Access {
    /// A longer target is cut.
    pub const TARGET_MAX: usize = 256;
}

/// How much whoever shows requests wants to know of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Nobody reads.
    Nothing,
    /// They are only counted: nobody could read so many one by one.
    Counts,
    /// An [`Access`] of each.
    Each,
}

/// Requests that had the same outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Who answered; `None` when lbdev itself did.
    pub backend: Option<BackendId>,
    /// The status the clients got.
    pub status: u16,
    /// Something was tried in vain before.
    pub retried: bool,
    /// How many.
    pub requests: u64,
}

/// What came since the reader took the last one.
#[derive(Debug, Default)]
pub struct Batch {
    /// Requests with all that is known of them.
    pub each: VecDeque<Access>,
    /// Others, counted.
    pub counts: Vec<Count>,
    /// Others, of which not more is known than their number.
    pub dropped: u64,
}

/// What one thread counts. Its lock is contended only while the reader takes the counts.
#[derive(Debug)]
pub struct Counter {
    log: Arc<AccessLog>,
    /// With each count, the caller's key of the backend: names are compared and cloned once, not for each request.
    counts: Counts,
}

/// A backend as the data path knows it: the place of its pool among all, and its index there.
type BackendKey = (usize, usize);

type Counts = Arc<Mutex<Vec<(Option<BackendKey>, Count)>>>;

impl Counter {
    /// Counts one request. `name` is asked for the name of the backend if it was not counted before.
    pub fn add(
        &self,
        backend: Option<BackendKey>,
        status: u16,
        retried: bool,
        name: impl FnOnce(BackendKey) -> Option<BackendId>,
    ) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let same = counts.iter_mut().find(|(key, count)| {
            *key == backend && count.status == status && count.retried == retried
        });
        if let Some((_, count)) = same {
            count.requests += 1;
            return;
        }
        let first = counts.is_empty();
        let count = Count {
            backend: backend.and_then(name),
            status,
            retried,
            requests: 1,
        };
        counts.push((backend, count));
        drop(counts);
        if first {
            self.log.arrived.notify_one();
        }
    }
}

/// Requests on their way to whoever shows them: bounded, and free of cost while nobody does.
#[derive(Debug, Default)]
pub struct AccessLog {
    wanted: AtomicBool,
    /// The reader is content with counts.
    only_counts: AtomicBool,
    pending: Mutex<VecDeque<Access>>,
    counters: Mutex<Vec<Counts>>,
    dropped: AtomicU64,
    arrived: Notify,
    incidents: Incidents,
    recent: Recent,
}

/// Requests that did not go well at once, whoever reads the others: they are few, unless much goes wrong.
#[derive(Debug, Default)]
struct Incidents {
    pending: Mutex<Vec<Access>>,
    /// More, of which only the number is known.
    more: AtomicU64,
    arrived: Notify,
}

impl Incidents {
    /// Kept until they are taken.
    const MAX: usize = 256;

    fn taken(&self) -> Vec<Access> {
        std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AccessLog {
    /// Kept until they are taken; more are counted and dropped.
    const MAX: usize = 8192;
    /// With so many waiting to be taken, those that begin from now on are only counted, until the reader says otherwise:
    /// nobody reads so many one by one, and a flood should not pay for it until the reader notices.
    const ENOUGH: usize = 256;

    /// How much is wanted of a request: what is not need not be made.
    pub fn detail(&self) -> Detail {
        match self.wanted.load(Ordering::Relaxed) {
            false => Detail::Nothing,
            true if self.only_counts.load(Ordering::Relaxed) => Detail::Counts,
            true => Detail::Each,
        }
    }

    /// Whether a request that begins `now` is to be kept for [`AccessLog::recent`].
    pub fn wants_recent(&self, now: Instant) -> bool {
        self.recent.wants(now)
    }

    /// Keeps one that was wanted, or that nobody should miss.
    pub fn keep_recent(&self, access: Access) {
        self.recent.keep(access);
    }

    /// The last requests after this number, each with its own: all of them while they are few, else a sample.
    pub fn recent(&self, after: u64) -> Vec<(u64, Access)> {
        self.recent.after(after)
    }

    /// From now on somebody reads.
    pub fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Whether the reader wants the requests that come from now on only counted.
    pub fn want_only_counts(&self, only: bool) {
        self.only_counts.store(only, Ordering::Relaxed);
    }

    /// A counter for one thread.
    pub fn counter(self: &Arc<Self>) -> Counter {
        let counts = Counts::default();
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.push(counts.clone());
        Counter {
            log: self.clone(),
            counts,
        }
    }

    /// Adds one.
    pub fn push(&self, access: Access) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.len() >= Self::MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        pending.push_back(access);
        if pending.len() >= Self::ENOUGH {
            self.want_only_counts(true);
        }
        // The reader takes all at once: only the first of a batch has to wake it.
        if pending.len() == 1 {
            drop(pending);
            self.arrived.notify_one();
        }
    }

    /// Adds one that was not answered at its first try, or not at all.
    pub fn push_incident(&self, access: Access) {
        let incidents = &self.incidents;
        let mut pending = (incidents.pending.lock()).unwrap_or_else(PoisonError::into_inner);
        if pending.len() >= Incidents::MAX {
            incidents.more.fetch_add(1, Ordering::Relaxed);
            return;
        }
        pending.push(access);
        if pending.len() == 1 {
            drop(pending);
            incidents.arrived.notify_one();
        }
    }

    /// Waits for at least one such and takes all there are, with the number of further ones. One reader only.
    pub async fn take_incidents(&self) -> (Vec<Access>, u64) {
        let incidents = &self.incidents;
        loop {
            let taken = incidents.taken();
            if !taken.is_empty() {
                return (taken, incidents.more.swap(0, Ordering::Relaxed));
            }
            incidents.arrived.notified().await;
        }
    }

    /// Waits for at least one and takes all there is.
    pub async fn take(&self) -> Batch {
        loop {
            let batch = self.taken();
            if !batch.each.is_empty() || !batch.counts.is_empty() {
                return batch;
            }
            self.arrived.notified().await;
        }
    }

    fn taken(&self) -> Batch {
        let each =
            std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counters
            .iter()
            .flat_map(|counts| {
                std::mem::take(&mut *counts.lock().unwrap_or_else(PoisonError::into_inner))
            })
            .map(|(_, count)| count)
            .collect();
        Batch {
            each,
            counts,
            dropped: self.dropped.swap(0, Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Slot;

    #[test]
    fn a_flood_is_counted_before_the_reader_says_so() {
        let log = AccessLog::default();
        log.want();
        for n in 0..AccessLog::ENOUGH {
            assert_eq!(log.detail(), Detail::Each, "{n}");
            log.push(Access {
                at: SystemTime::UNIX_EPOCH,
                method: "GET".into(),
                target: "/".into(),
                status: 200,
                took: Duration::ZERO,
                waited: Duration::ZERO,
                fault: false,
                backend: None,
                chosen: None,
                attempts: Vec::new(),
            });
        }
        assert_eq!(log.detail(), Detail::Counts);
        assert_eq!(log.taken().each.len(), AccessLog::ENOUGH);
    }

    #[test]
    fn what_is_counted_is_taken_once_and_named() {
        let log = Arc::new(AccessLog::default());
        assert_eq!(log.detail(), Detail::Nothing);
        log.want();
        assert_eq!(log.detail(), Detail::Each);
        log.want_only_counts(true);
        assert_eq!(log.detail(), Detail::Counts);

        let (one, two) = (log.counter(), log.counter());
        let id = BackendId::new("web", Slot::Port(8000));
        for (counter, times) in [(&one, 3), (&two, 2)] {
            for _ in 0..times {
                counter.add(Some((0, 0)), 200, false, |_| Some(id.clone()));
            }
        }
        one.add(Some((0, 0)), 200, true, |_| Some(id.clone()));
        one.add(None, 503, false, |_| None);
        let count = |backend: Option<&BackendId>, status, retried, requests| Count {
            backend: backend.cloned(),
            status,
            retried,
            requests,
        };
        let expected = [
            count(Some(&id), 200, false, 3),
            count(Some(&id), 200, true, 1),
            count(None, 503, false, 1),
            count(Some(&id), 200, false, 2),
        ];
        assert_eq!(log.taken().counts, expected);
        assert!(log.taken().counts.is_empty());
    }
}
