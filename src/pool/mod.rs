//! Where `proxy` and `supervisor` meet: the backends of each service with their routing facts.
//!
//! The supervisor publishes a [`Snapshot`]; the proxy takes a [`Lease`] for each attempt and tells what became of it.
//! Neither ever waits for the other.

mod access;
mod member;
mod pages;
mod picker;
mod queue;
mod traffic;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

pub use access::{Access, AccessLog, Attempt, AttemptFailure, Batch, Count, Counter, Detail};
pub use member::{Lease, Life, Member, Tally};
pub use pages::ClientKey;
pub use queue::Unavailable;

use crate::backend::{BackendId, Detect, PassivePolicy, RunId};
use crate::balance::{Candidate, Ring};
use crate::config::{Balancer, Live, Route};
use pages::Pages;
use picker::Picker;
use queue::Queue;
use traffic::Rules;

/// Every pool of an instance, and which request goes to which.
#[derive(Debug)]
pub struct Pools {
    pools: Vec<Arc<Pool>>,
    live: ArcSwap<Live>,
    passive: PassivePolicy,
    /// Set when a pool has news for the supervisor: a failing backend, or the end of the last request in flight.
    news: Arc<Notify>,
}

impl Pools {
    /// One pool for each service, none published yet.
    pub fn new(
        services: impl IntoIterator<Item = (Arc<str>, Vec<Route>)>,
        settings: &Balancer,
    ) -> Self {
        let news = Arc::new(Notify::new());
        let pools = services
            .into_iter()
            .map(|(service, routes)| Arc::new(Pool::new(service, routes, settings, news.clone())))
            .collect();
        Self {
            pools,
            live: ArcSwap::from_pointee(settings.live.clone()),
            passive: settings.passive,
            news,
        }
    }

    /// The settings that hold now.
    pub fn live(&self) -> arc_swap::Guard<Arc<Live>> {
        self.live.load()
    }

    /// Changes the settings: the next request goes by them.
    pub fn set_live(&self, live: Live) {
        for pool in &self.pools {
            pool.rules.set_detect(live.detect);
        }
        self.live.store(Arc::new(live));
    }

    /// When users' requests take a backend out.
    pub fn passive(&self) -> PassivePolicy {
        self.passive
    }

    /// All of them, in the order of the configuration.
    pub fn all(&self) -> &[Arc<Pool>] {
        &self.pools
    }

    /// The pool that answers `host` (lower-case, without a port) and `path`: the longest route wins, a host before a path.
    pub fn route(&self, host: &str, path: &str) -> Option<&Arc<Pool>> {
        let mut best: Option<(&Arc<Pool>, (bool, usize))> = None;
        for pool in &self.pools {
            for route in &pool.routes {
                let rank = match route {
                    Route::Host(name) if name == host => (true, name.len()),
                    Route::Prefix(prefix) if has_prefix(path, prefix) => (false, prefix.len()),
                    Route::Host(_) | Route::Prefix(_) => continue,
                };
                if best.is_none_or(|(_, other)| rank > other) {
                    best = Some((pool, rank));
                }
            }
        }
        best.map(|(pool, _)| pool)
    }

    /// The pool of a service.
    pub fn of(&self, service: &str) -> Option<&Arc<Pool>> {
        self.pools.iter().find(|pool| &*pool.service == service)
    }

    /// Resolves when a pool has news for the supervisor since the last call.
    pub async fn news(&self) {
        self.news.notified().await;
    }
}

/// Whether `path` is `prefix` or lies below it.
fn has_prefix(path: &str, prefix: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
}

/// A service's backends with their routing facts.
#[derive(Debug)]
pub struct Pool {
    /// The service.
    pub service: Arc<str>,
    /// What it answers.
    pub routes: Vec<Route>,
    snapshot: ArcSwap<Snapshot>,
    picker: Picker,
    /// Backups have an order of their own: theirs and the others' would else disturb each other.
    backups: Picker,
    pages: Pages,
    queue: Queue,
    rules: Rules,
    retries: AtomicU64,
    unanswered: AtomicU64,
    news: Arc<Notify>,
}

/// A pool's immutable view, swapped whole.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Every backend, eligible or not, each at the place that its `index` says.
    pub members: Vec<Arc<Member>>,
    /// Whose a key is, under an algorithm with keys.
    ring: Option<Arc<Ring>>,
    /// Some are backups.
    has_backups: bool,
}

impl Snapshot {
    /// Those that take requests: the backups, or the others.
    fn eligible(&self, backups: bool) -> impl Iterator<Item = &Arc<Member>> + Clone {
        let of_kind = move |member: &&Arc<Member>| member.backup == backups;
        let members = self.members.iter().filter(of_kind);
        members.filter(|member| member.takes_requests())
    }

    /// Whether a request that has `tried` some has to make do with the backups: nobody else may have it.
    fn is_for_backups(&self, tried: &Tried) -> bool {
        self.has_backups
            && !self
                .eligible(false)
                .any(|member| member.weight > 0 && !tried.has(member))
    }

    /// Index and weight of each that takes requests.
    fn candidates(&self, backups: bool) -> impl Iterator<Item = (usize, u32)> + Clone {
        self.eligible(backups)
            .map(|member| (member.index, member.weight))
    }

    /// The same, with the load of each as it is now.
    fn loads(&self, backups: bool) -> impl Iterator<Item = Candidate> + Clone {
        self.eligible(backups).map(|member| Candidate {
            index: member.index,
            weight: member.weight,
            in_flight: member.life.in_flight(),
        })
    }
}

/// What users' requests found out about a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Its port refuses connections.
    Refused,
    /// It failed too often within `passive.window`.
    Failing,
}

/// Which backend a request should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The next one.
    Next,
    /// The next one; remember it as where this client's page came from.
    Page(ClientKey),
    /// Where this client's page came from, without moving the sequence on.
    Asset(ClientKey),
    /// The one that this client sticks to, drained or not; if it cannot have that, the next one.
    Stuck(usize),
    /// The one that this place on the ring belongs to, else the next on the ring. Without a ring: the next one.
    Key(u64),
}

/// The runs one request has already tried. Empty, it holds no memory.
#[derive(Debug, Default, Clone)]
pub struct Tried(Vec<(usize, RunId)>);

impl Tried {
    /// Notes that this backend was tried in its present run.
    pub fn add(&mut self, member: &Member) {
        if let Some(run) = member.run {
            self.0.push((member.index, run));
        }
    }

    fn has(&self, member: &Member) -> bool {
        self.0
            .iter()
            .any(|&(index, run)| index == member.index && Some(run) == member.run)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// None yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets them all: after waiting, every backend may be asked again.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Pool {
    fn new(service: Arc<str>, routes: Vec<Route>, settings: &Balancer, news: Arc<Notify>) -> Self {
        let algorithm = settings.live.algorithm;
        Self {
            service,
            routes,
            snapshot: ArcSwap::from_pointee(Snapshot::default()),
            picker: Picker::new(algorithm),
            backups: Picker::new(algorithm),
            pages: Pages::default(),
            queue: Queue::new(settings.queue_max),
            rules: Rules::new(settings.passive, settings.live.detect),
            retries: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            news,
        }
    }

    /// The present view.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Swaps the view, and lets waiting requests go when somebody is eligible.
    pub fn publish(&self, members: Vec<Arc<Member>>) {
        for member in &members {
            member.life.tell(&self.news);
        }
        let ring = self
            .picker
            .ring(&members, self.snapshot.load().ring.as_ref());
        let snapshot = Snapshot {
            has_backups: members.iter().any(|member| member.backup),
            members,
            ring,
        };
        let any = snapshot
            .members
            .iter()
            .any(|member| member.takes_requests());
        self.snapshot.store(Arc::new(snapshot));
        if any {
            self.queue.release();
        }
    }

    /// The next eligible backend that was not tried yet, with a lease on it. One order for all threads.
    pub fn pick(&self, turn: Turn, tried: &Tried) -> Option<Lease> {
        self.pick_at(turn, tried, Instant::now())
    }

    /// [`Pool::pick`] for whoever has read the clock already: a request does that once.
    pub fn pick_at(&self, turn: Turn, tried: &Tried, now: Instant) -> Option<Lease> {
        loop {
            let lease = self.choose(turn, tried, now)?;
            // A drain that began since the view was read has not counted this lease: ask again with the new view.
            if !lease.member().life.is_draining() {
                return Some(lease);
            }
        }
    }

    fn choose(&self, turn: Turn, tried: &Tried, now: Instant) -> Option<Lease> {
        let snapshot = self.snapshot.load();
        let backups = snapshot.is_for_backups(tried);
        if let Turn::Asset(client) = turn
            && let Some(index) = self.pages.of(client)
            && let Some(member) = snapshot.members.get(index)
            && member.backup == backups
            && member.takes_requests()
            && !tried.has(member)
        {
            return Some(Lease::new(member.clone(), now));
        }
        let member = |index: usize| snapshot.members.get(index);
        if let Turn::Stuck(index) = turn
            && let Some(member) = member(index)
            && member.takes_stuck_requests()
            && !tried.has(member)
        {
            return Some(Lease::new(member.clone(), now));
        }
        let index = match (turn, &snapshot.ring) {
            (Turn::Key(place), Some(ring)) => ring.next(place, |index| {
                member(index).is_some_and(|one| {
                    one.backup == backups && one.takes_requests() && !tried.has(one)
                })
            }),
            _ => self.picker(backups).next(&snapshot, backups, |index| {
                member(index).is_some_and(|one| tried.has(one))
            }),
        }?;
        if let Turn::Page(client) = turn {
            self.pages.note(client, index);
        }
        Some(Lease::new(snapshot.members.get(index)?.clone(), now))
    }

    fn picker(&self, backups: bool) -> &Picker {
        match backups {
            true => &self.backups,
            false => &self.picker,
        }
    }

    /// Whether any backend is eligible, tried or not.
    pub fn any_eligible(&self) -> bool {
        self.snapshot
            .load()
            .members
            .iter()
            .any(|member| member.takes_requests())
    }

    /// Waits, in order of arrival, until a backend is eligible. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// When the queue is full, or `limit` has passed.
    pub async fn wait(&self, limit: Duration) -> Result<(), Unavailable> {
        self.queue.wait(limit, || self.any_eligible()).await
    }

    /// Requests that wait now.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The attempt of this lease came to nothing: it is counted, and may take the backend out.
    pub fn failed(&self, lease: &Lease, failure: AttemptFailure) {
        lease.count_failure();
        let trouble = (self.rules).judge(lease, failure, &self.snapshot.load(), Instant::now());
        if let Some(trouble) = trouble {
            self.mark(lease.member(), trouble);
        }
    }

    /// A backend's port was refused: where the balancer may know that at once, nobody gets it any more, and the supervisor
    /// hears of it.
    pub fn refused(&self, member: &Member) {
        if self.rules.detect() == Detect::Instant {
            self.mark(member, Trouble::Refused);
        }
    }

    /// Takes out what is in the view now: under `passive` the failures of one run speak against the next one too.
    fn mark(&self, member: &Member, trouble: Trouble) {
        let snapshot = self.snapshot.load();
        if let Some(present) = snapshot.members.get(member.index)
            && (present.run == member.run || self.rules.detect() == Detect::Passive)
        {
            present.life.marks.set(trouble);
            self.news.notify_one();
        }
    }

    /// Backends that traffic found to be in trouble since the last call. They get no requests until [`Life::settle`].
    pub fn take_troubles(&self) -> Vec<(BackendId, RunId, Trouble)> {
        let snapshot = self.snapshot.load();
        let told = |member: &Arc<Member>| {
            let trouble = member.life.marks.tell()?;
            Some((member.id.clone(), member.run?, trouble))
        };
        snapshot.members.iter().filter_map(told).collect()
    }

    /// Counts a further try.
    pub fn count_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that lbdev itself had to answer with an error.
    pub fn count_unanswered(&self) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
    }

    /// Further tries so far.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Requests that lbdev itself had to answer with an error (502, 503, 504) so far.
    pub fn unanswered(&self) -> u64 {
        self.unanswered.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
