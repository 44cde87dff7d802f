//! One backend as the proxy sees it, and the lease it takes for each attempt.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::AttemptFailure;
use super::queue::Queue;
use super::traffic::{Marks, Traffic};
use crate::backend::{BackendId, Phase, RunId};
use crate::balance::PeakAverage;
use crate::history::Window;

/// One backend in a [`super::Snapshot`].
#[derive(Debug, Clone)]
pub struct Member {
    /// Its place in the pool, from 0; it never changes.
    pub index: usize,
    /// Its name.
    pub id: BackendId,
    /// The life its process leads, if there is one. A connection made in another run is of no use.
    pub run: Option<RunId>,
    /// Where it answered in this run; the first address to try before it has.
    pub address: SocketAddr,
    /// Its share, as it was set.
    pub weight: u32,
    /// Its share among those of this snapshot, which a slow start makes smaller: pickers go by it, rings by the weight.
    pub share: u32,
    /// It gets requests only while nobody else can.
    pub backup: bool,
    /// Requests it may have at once; 0 is no limit.
    pub max_connections: u32,
    /// Ready, healthy and enabled, or believed to be where `detect` has to find out.
    pub eligible: bool,
    /// Drained, but clients that stick to it still may have it.
    pub stays: bool,
    /// It was ready, and nobody took it out: a balancer that is not told of deaths would send it requests.
    pub listed: bool,
    /// Its state in one word, for pages.
    pub phase: Phase,
    /// Why it is not up, in words, where it is not.
    pub why: Option<String>,
    /// What belongs to this run.
    pub life: Arc<Life>,
    /// What is counted across runs.
    pub tally: Arc<Tally>,
}

impl Member {
    /// Whether it may have requests: the supervisor says so, and requests found nothing out since.
    pub fn takes_requests(&self) -> bool {
        self.eligible && !self.life.marks.any() && !self.life.is_draining()
    }

    /// Whether it may be picked now: it takes requests, and has not as many as `max_connections`.
    pub fn is_open(&self) -> bool {
        self.takes_requests() && self.has_room()
    }

    fn has_room(&self) -> bool {
        self.max_connections == 0 || self.life.in_flight() < self.max_connections
    }

    /// Whether clients that stick to it may have it: a drain keeps only others away.
    pub fn takes_stuck_requests(&self) -> bool {
        (self.takes_requests() || (self.stays && !self.life.is_draining())) && self.has_room()
    }

    /// Whether it is up and gets no requests only because the operator said so; one that is about to stop is not.
    pub fn is_drained(&self) -> bool {
        self.phase == Phase::Draining && !self.life.is_draining()
    }
}

/// The traffic of one run.
#[derive(Debug, Default)]
pub struct Life {
    in_flight: AtomicU32,
    draining: AtomicBool,
    /// What requests found out that is not published yet.
    pub(super) marks: Marks,
    /// Where the end of the last request in flight is told. It is here, not in each lease, which would have to count
    /// itself on it.
    news: OnceLock<Arc<Notify>>,
    /// Those who wait for the end of a request, where `max_connections` is set.
    queue: OnceLock<Arc<Queue>>,
    /// Turns true when what would never end by itself has to. Made for the first that waits for it: most requests do not.
    streams: OnceLock<watch::Sender<bool>>,
}

impl Life {
    /// Requests in flight: from the pick to the end of the response's body.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// From now on nobody picks it, and the end of the last request in flight is news. Either this call is seen by
    /// whoever takes a lease, or the lease is seen by [`Life::in_flight`] after it: both sides are sequentially consistent.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// The time that streams of this run had to end by themselves is over.
    pub fn end_streams(&self) {
        let streams = self.streams.get_or_init(watch::Sender::default);
        streams.send_replace(true);
    }

    /// Resolves when streams of this run must end. It does so too when nobody holds this any more: keep the lease.
    pub fn streams_end(&self) -> impl Future<Output = ()> + use<> {
        let mut end = self.streams.get_or_init(watch::Sender::default).subscribe();
        async move {
            let _ = end.wait_for(|end| *end).await;
        }
    }

    /// Its pool shows it from now on, and hears of it there.
    pub(super) fn tell(&self, news: &Arc<Notify>) {
        self.news.get_or_init(|| news.clone());
    }

    /// Whoever waits in `queue` is called when a request ends.
    pub(super) fn call(&self, queue: &Arc<Queue>) {
        self.queue.get_or_init(|| queue.clone());
    }

    /// One more in flight, unless there are `max` (0 is no limit).
    fn enter(&self, max: u32) -> bool {
        if max == 0 {
            self.in_flight.fetch_add(1, Ordering::SeqCst);
            return true;
        }
        let one_more = |now: u32| (now < max).then_some(now + 1);
        self.in_flight
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more)
            .is_ok()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// What the supervisor made of the troubles it took ([`super::Pool::take_troubles`]) is published: that holds from now
    /// on.
    pub fn settle(&self) {
        self.marks.clear();
    }
}

/// Counters of a backend, across its runs.
#[derive(Debug, Default)]
pub struct Tally {
    requests: AtomicU64,
    /// By [`AttemptFailure::place`].
    failures: [AtomicU64; AttemptFailure::KINDS.len()],
    retried_elsewhere: AtomicU64,
    spared: AtomicU64,
    latency: Mutex<Latency>,
    pub(super) traffic: Traffic,
}

#[derive(Debug, Default)]
struct Latency {
    window: Window,
    peak: PeakAverage,
}

impl Tally {
    /// Requests it answered, whatever the status.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Attempts at it that came to nothing: refused, closed or timed out before a response head, or cut after it.
    pub fn failures(&self) -> u64 {
        let each = self.failures.iter();
        each.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The same by their kind: the names of `failures_by`, without those that never happened.
    pub fn failures_by(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self
            .failures
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        AttemptFailure::KINDS
            .into_iter()
            .zip(counts)
            .filter(|(_, count)| *count > 0)
    }

    /// Requests that would have gone to it, had its death not been known.
    pub fn spared(&self) -> u64 {
        self.spared.load(Ordering::Relaxed)
    }

    pub(super) fn count_spared(&self) {
        self.spared.fetch_add(1, Ordering::Relaxed);
    }

    /// Of those, how many were tried again at another backend.
    pub fn retried_elsewhere(&self) -> u64 {
        self.retried_elsewhere.load(Ordering::Relaxed)
    }

    /// The median and the 99th percentile of the last minute, from the pick to the response head.
    pub fn latency(&self, now: Instant) -> Option<[Duration; 2]> {
        self.lock().window.quantiles([0.5, 0.99], now)
    }

    /// What [`PeakAverage`] says of it, in seconds.
    pub(super) fn expected(&self, now: Instant) -> Option<f64> {
        self.lock().peak.seconds(now)
    }

    fn lock(&self) -> MutexGuard<'_, Latency> {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One attempt at one backend. It counts as in flight until it is dropped: keep it until the *body* has ended.
#[derive(Debug)]
pub struct Lease {
    member: Arc<Member>,
    since: Instant,
}

impl Lease {
    /// `None` where `max_connections` was reached by another thread since somebody looked.
    pub(super) fn take(member: &Arc<Member>, since: Instant) -> Option<Self> {
        member.life.enter(member.max_connections).then(|| Self {
            member: member.clone(),
            since,
        })
    }

    /// The backend.
    pub fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// When it was picked.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// It sent a response head `now`.
    pub fn answered(&self, now: Instant) {
        self.member.tally.requests.fetch_add(1, Ordering::Relaxed);
        let took = now.saturating_duration_since(self.since);
        let mut latency = self.member.tally.lock();
        latency.window.record(took, now);
        latency.peak.observe(took, now);
    }

    /// The attempt came to nothing.
    pub(super) fn count_failure(&self, failure: AttemptFailure) {
        self.member.tally.failures[failure.place()].fetch_add(1, Ordering::Relaxed);
    }

    /// After [`super::Pool::failed`]: the request goes to another backend.
    pub fn retried_elsewhere(&self) {
        self.member
            .tally
            .retried_elsewhere
            .fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let life = &self.member.life;
        let last = life.in_flight.fetch_sub(1, Ordering::SeqCst) == 1;
        if last
            && life.is_draining()
            && let Some(news) = life.news.get()
        {
            news.notify_one();
        }
        if self.member.max_connections > 0
            && let Some(queue) = life.queue.get()
        {
            queue.call(1);
        }
    }
}
