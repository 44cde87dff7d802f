//! One backend as the proxy sees it, and the lease it takes for each attempt.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::traffic::{Marks, Traffic};
use super::{AttemptFailure, Chosen, Pool, Took, Tried};
use crate::backend::{BackendId, Phase, RunId};
use crate::balance::Latency;
use crate::config::Fault;
use crate::history::{Minute, SECONDS, Traffic as Seconds};

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

#[cfg(any(test, feature = "internals"))]
impl Member {
    /// `web:8000` for 0, `web:8001` for 1, on loopback, in its first run: up, and with nothing special about it.
    pub(crate) fn well(index: usize) -> Self {
        use crate::backend::Slot;
        let port = 8000 + u16::try_from(index).expect("a test has few backends");
        Self {
            index,
            id: BackendId::new("web", Slot::Port(port)),
            run: Some(RunId::FIRST),
            address: SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port)),
            weight: 1,
            share: 1,
            backup: false,
            max_connections: 0,
            eligible: true,
            stays: false,
            listed: true,
            phase: Phase::Up,
            why: None,
            life: Arc::default(),
            tally: Arc::default(),
        }
    }
}

impl Member {
    /// Whether it may have requests: the supervisor says so, and requests found nothing out since.
    pub fn takes_requests(&self) -> bool {
        self.eligible && !self.life.marks.any() && !self.life.is_draining()
    }

    /// Whether it has room for one more request that has `tried` others.
    pub(super) fn is_open(&self, tried: &Tried) -> bool {
        let has_room = self.max_connections == 0 || self.life.in_flight() < self.max_connections;
        has_room && !tried.has(self)
    }

    /// Whether it is known to be gone, and a balancer that is not told of that would send it requests.
    pub(super) fn is_ghost(&self) -> bool {
        self.listed && !self.eligible
    }

    /// Whether clients that stick to it may have it: a drain keeps only others away.
    pub fn takes_stuck_requests(&self) -> bool {
        let is_there = !self.life.marks.any() && !self.life.is_draining();
        (self.eligible || self.stays) && is_there
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
    /// Somebody ended it: no request did.
    killed: AtomicBool,
    /// What requests found out that is not published yet.
    pub(super) marks: Marks,
    /// Where the end of the last request in flight is told. It is here, not in each lease, which would have to count
    /// itself on it.
    news: OnceLock<Arc<Notify>>,
    /// Who has requests waiting for the end of others. Only where there is a limit.
    room: OnceLock<Weak<Pool>>,
    /// How fast this run answers: the next one may be another program.
    latency: Latency,
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

    /// Somebody ends this run, or has ended it: what fails at it speaks against no request.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
    }

    /// Whether somebody has ended it, as far as that is known.
    pub fn was_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
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

    /// It has a limit, and its pool hears of each request that ends.
    pub(super) fn tell_room(&self, pool: &Weak<Pool>) {
        self.room.get_or_init(|| pool.clone());
    }

    pub(super) fn latency(&self) -> &Latency {
        &self.latency
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
    /// By [`AttemptFailure::kind`].
    failures: [AtomicU64; AttemptFailure::KINDS],
    errors: AtomicU64,
    retried_elsewhere: AtomicU64,
    spared: AtomicU64,
    minute: Mutex<Minute<Seconds>>,
    took: Took,
    pub(super) traffic: Traffic,
    /// Whether there is a fault: each request looks.
    faulty: AtomicBool,
    fault: OnceLock<watch::Sender<Option<Arc<Fault>>>>,
}

impl Tally {
    /// Requests it answered, whatever the status.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Of those, with a status from 500 on.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Attempts at it that came to nothing: refused, closed or timed out before a response head, or cut after it.
    pub fn failures(&self) -> u64 {
        let each = self.failures.iter();
        each.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The same by [`AttemptFailure::name`], without those that never happened.
    pub fn failures_by(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.failures.iter();
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        let all = AttemptFailure::NAMES.into_iter().zip(counts);
        all.filter(|(_, count)| *count > 0)
    }

    /// Requests that it would have had while it was gone, if nobody had been told of that: by the same algorithm, over all
    /// that a balancer without a supervisor would take for alive. Each counts once, when it comes.
    pub fn spared(&self) -> u64 {
        self.spared.load(Ordering::Relaxed)
    }

    /// After [`super::Pool::failed`]: the request goes to another backend.
    pub fn count_retried_elsewhere(&self) {
        self.retried_elsewhere.fetch_add(1, Ordering::Relaxed);
        self.minute().at(since_start(Instant::now())).elsewhere += 1;
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
        self.minute().latency(SECONDS, since_start(now))
    }

    /// How long its answers took since the start, from the pick to the response head.
    pub fn took(&self) -> &Took {
        &self.took
    }

    /// Its last minute, second by second; moments in it are those of [`since_start`].
    pub fn minute(&self) -> MutexGuard<'_, Minute<Seconds>> {
        self.minute.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is done to its requests on purpose from now on; `None` ends that.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.faulty.store(fault.is_some(), Ordering::Relaxed);
        let faults = self.fault.get_or_init(watch::Sender::default);
        faults.send_replace(fault.map(Arc::new));
    }

    /// Whether [`Tally::fault`] has one: each request asks.
    pub fn is_faulty(&self) -> bool {
        self.faulty.load(Ordering::Relaxed)
    }

    /// What is done to its requests on purpose.
    pub fn fault(&self) -> Option<Arc<Fault>> {
        let fault = self.fault.get().filter(|_| self.is_faulty());
        fault.and_then(|fault| fault.borrow().clone())
    }

    /// Hears of each change of [`Tally::fault`].
    pub fn faults(&self) -> watch::Receiver<Option<Arc<Fault>>> {
        self.fault.get_or_init(watch::Sender::default).subscribe()
    }
}

/// The time since one moment, from which the averages of latencies and the seconds of a minute count.
pub fn since_start(now: Instant) -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    now.saturating_duration_since(*START)
}

/// One attempt at one backend. It counts as in flight until it is dropped: keep it until the *body* has ended.
#[derive(Debug)]
pub struct Lease {
    member: Arc<Member>,
    since: Instant,
    chosen: Chosen,
}

impl Lease {
    /// `None` when the member has as many requests as it may, however many threads ask at once.
    pub(super) fn take(member: &Arc<Member>, since: Instant, chosen: Chosen) -> Option<Self> {
        let in_flight = &member.life.in_flight;
        match member.max_connections {
            0 => {
                in_flight.fetch_add(1, Ordering::SeqCst);
            }
            max => {
                let one_more = |now: u32| (now < max).then_some(now + 1);
                in_flight
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more)
                    .ok()?;
            }
        }
        Some(Self {
            member: member.clone(),
            since,
            chosen,
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

    /// Why it was.
    pub fn chosen(&self) -> Chosen {
        self.chosen
    }

    /// It sent a response head with this status `now`.
    pub fn answered(&self, status: u16, now: Instant) {
        let tally = &self.member.tally;
        tally.requests.fetch_add(1, Ordering::Relaxed);
        let (took, at) = (now.saturating_duration_since(self.since), since_start(now));
        tally.took.add(took);
        let mut minute = tally.minute();
        let second = minute.at(at);
        second.answered += 1;
        if status >= 500 {
            tally.errors.fetch_add(1, Ordering::Relaxed);
            second.errors += 1;
        }
        second.record(took);
        // Under the same lock, which makes it one at a time.
        self.member.life.latency.observe(took, at);
    }

    /// The attempt came to nothing.
    pub(super) fn count_failure(&self, failure: AttemptFailure) {
        let tally = &self.member.tally;
        tally.failures[failure.kind()].fetch_add(1, Ordering::Relaxed);
        tally.minute().at(since_start(Instant::now())).failed += 1;
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
            && let Some(pool) = life.room.get().and_then(Weak::upgrade)
        {
            pool.room();
        }
    }
}
