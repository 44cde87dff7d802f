//! Where `proxy` and `supervisor` meet: the backends of each service with their routing facts.
//!
//! The supervisor publishes a [`Snapshot`]; the proxy takes a [`Lease`] for each attempt and tells what became of it.
//! Neither ever waits for the other.

mod access;
mod choose;
mod member;
mod pages;
mod picker;
mod queue;
mod recent;
mod snapshot;
mod took;
mod traffic;
mod turn;

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

pub use access::{
    Access, AccessLog, Attempt, AttemptFailure, Batch, Chosen, Count, Counter, Detail,
};
pub use member::{Lease, Life, Member, Tally, since_start};
pub use pages::ClientKey;
pub use queue::{Lack, Unavailable};
pub use recent::RECENT;
pub use snapshot::Snapshot;
pub use took::{BOUNDS, Took};
pub use turn::{Tried, Turn};

use crate::backend::{BackendId, Detect, PassivePolicy, RunId};
use crate::balance::{Algorithm, Budget};
use crate::config::{Balancer, Live, Route};
use crate::history::Minute;
use pages::Pages;
use picker::Pickers;
use queue::Queue;
use traffic::Rules;

/// Every pool of an instance, and which request goes to which.
#[derive(Debug)]
pub struct Pools {
    table: ArcSwap<Table>,
    live: ArcSwap<Live>,
    /// Held by whoever changes the settings or the table, so that all pools go by the same ones in the end.
    writer: Mutex<()>,
    /// For pools that come later.
    settings: Balancer,
    /// Set when a pool has news for the supervisor: a failing backend, or the end of the last request in flight.
    news: Arc<Notify>,
}

/// Every pool there ever was, each at a place that never changes, and the routes that lead to them. A service that is gone
/// has no route any more.
#[derive(Debug, Default)]
pub struct Table {
    pools: Vec<Arc<Pool>>,
    routes: Vec<(Route, usize)>,
}

impl Table {
    /// The routes of the pool at this place.
    pub fn routes(&self, place: usize) -> impl Iterator<Item = &Route> {
        let routes = self.routes.iter();
        routes.filter_map(move |(route, to)| (*to == place).then_some(route))
    }
}

impl Deref for Table {
    type Target = [Arc<Pool>];

    fn deref(&self) -> &[Arc<Pool>] {
        &self.pools
    }
}

impl Pools {
    /// One pool for each service, none published yet.
    pub fn new(
        services: impl IntoIterator<Item = (Arc<str>, Vec<Route>)>,
        settings: &Balancer,
    ) -> Self {
        let pools = Self {
            table: ArcSwap::default(),
            live: ArcSwap::from_pointee(settings.live.clone()),
            writer: Mutex::default(),
            settings: settings.clone(),
            news: Arc::new(Notify::new()),
        };
        pools.set_services(services);
        pools
    }

    /// From now on these services have these routes, and no other has any. A pool that was there goes on, with what waits in
    /// it; requests in flight lose nothing.
    pub fn set_services(&self, services: impl IntoIterator<Item = (Arc<str>, Vec<Route>)>) {
        let _one_at_a_time = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pools = self.table.load().pools.clone();
        let mut routes = Vec::new();
        for (service, of_it) in services {
            let known = pools.iter().position(|pool| pool.service == service);
            let place = known.unwrap_or_else(|| {
                let news = self.news.clone();
                let settings = Balancer {
                    live: Live::clone(&self.live.load()),
                    ..self.settings.clone()
                };
                let pool =
                    Arc::new_cyclic(|this| Pool::new(service, &settings, news, this.clone()));
                pools.push(pool);
                pools.len() - 1
            });
            routes.extend(of_it.into_iter().map(|route| (route, place)));
        }
        self.table.store(Arc::new(Table { pools, routes }));
    }

    /// The settings that hold now.
    pub fn live(&self) -> arc_swap::Guard<Arc<Live>> {
        self.live.load()
    }

    /// Changes the settings: the next request goes by them. Requests that wait or are in flight lose nothing, and an
    /// algorithm that stays the same goes on where it was.
    pub fn set_live(&self, live: Live) {
        let _one_at_a_time = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (algorithm, detect) = (live.algorithm, live.detect);
        self.live.store(Arc::new(live));
        for pool in self.all().iter() {
            pool.go_by(algorithm);
            pool.rules.set_detect(detect);
        }
    }

    /// Requests come by here and are counted: another balancer tells nothing.
    pub fn count(&self) -> bool {
        !self.settings.engine.is_foreign()
    }

    /// When users' requests take a backend out.
    pub fn passive(&self) -> PassivePolicy {
        self.settings.passive
    }

    /// All that there ever were, in the order in which they came.
    pub fn all(&self) -> arc_swap::Guard<Arc<Table>> {
        self.table.load()
    }

    /// The pool at a place that [`Pools::route`] gave.
    pub fn at(&self, place: usize) -> Arc<Pool> {
        self.table.load()[place].clone()
    }

    /// The place of the pool that answers `host` (lower-case, without a port) and `path`: the longest route wins, a host
    /// before a path.
    pub fn route(&self, host: &str, path: &str) -> Option<usize> {
        let mut best: Option<(usize, (bool, usize))> = None;
        for (route, place) in &self.table.load().routes {
            let rank = match route {
                Route::Host(name) if name == host => (true, name.len()),
                Route::Prefix(prefix) if has_prefix(path, prefix) => (false, prefix.len()),
                Route::Host(_) | Route::Prefix(_) => continue,
            };
            if best.is_none_or(|(_, other)| rank > other) {
                best = Some((*place, rank));
            }
        }
        best.map(|(place, _)| place)
    }

    /// The pool of a service.
    pub fn of(&self, service: &str) -> Option<Arc<Pool>> {
        let table = self.table.load();
        table.iter().find(|pool| &*pool.service == service).cloned()
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
    snapshot: ArcSwap<Snapshot>,
    /// Held by whoever swaps the snapshot: the supervisor publishes, and another thread may choose another algorithm.
    writer: Mutex<()>,
    /// Itself, for leases that make room when they end.
    this: Weak<Pool>,
    pages: Pages,
    queue: Queue,
    rules: Rules,
    retries: AtomicU64,
    unanswered: AtomicU64,
    /// The same by second.
    lost: Mutex<Minute<u64>>,
    budget: Budget,
    began: Instant,
    news: Arc<Notify>,
}

/// What users' requests found out about a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Its port refuses connections.
    Refused,
    /// It failed too often within `passive.window`.
    Failing,
}

impl Pool {
    fn new(service: Arc<str>, settings: &Balancer, news: Arc<Notify>, this: Weak<Pool>) -> Self {
        let pickers = Arc::new(Pickers::new(settings.live.algorithm));
        Self {
            service,
            snapshot: ArcSwap::from_pointee(Snapshot::new(Vec::new(), pickers, None)),
            writer: Mutex::default(),
            this,
            pages: Pages::default(),
            queue: Queue::new(settings.queue_max),
            rules: Rules::new(settings.passive, settings.live.detect),
            retries: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            lost: Mutex::default(),
            budget: Budget::new(settings.retry.budget),
            began: Instant::now(),
            news,
        }
    }

    /// The present view.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Swaps the view, and lets waiting requests go where it has a backend for them.
    pub fn publish(&self, members: Vec<Arc<Member>>) {
        for member in &members {
            member.life.tell(&self.news);
            if member.max_connections > 0 {
                member.life.tell_room(&self.this);
            }
        }
        self.swap(|before| {
            let pickers = before.pickers.clone();
            Some(Snapshot::new(members, pickers, Some(before)))
        });
        self.serve();
    }

    /// Chooses by this algorithm from now on.
    fn go_by(&self, algorithm: Algorithm) {
        self.swap(|before| {
            let pickers = Arc::new(Pickers::new(algorithm));
            let new = || Snapshot::new(before.members.clone(), pickers, Some(before));
            (before.pickers.algorithm != algorithm).then(new)
        });
    }

    /// Swaps the view for what `next` makes of it.
    fn swap(&self, next: impl FnOnce(&Snapshot) -> Option<Snapshot>) {
        let _one_at_a_time = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = next(&self.snapshot.load()) {
            self.snapshot.store(Arc::new(next));
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

    /// Whether a request that has `tried` some could have another backend if that were not at its limit.
    pub fn is_anybody_busy(&self, tried: &Tried) -> bool {
        let snapshot = self.snapshot.load();
        snapshot.has_limits && snapshot.is_anybody_left(tried)
    }

    /// A request came at `now`: the retry budget grows.
    pub fn came(&self, now: Instant) {
        self.budget.came(now.saturating_duration_since(self.began));
    }

    /// The attempt of this lease came to nothing: it is counted, and may take the backend out.
    pub fn failed(&self, lease: &Lease, failure: AttemptFailure) {
        lease.count_failure(failure);
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

    /// Takes a further try of a request that a backend may have seen out of the retry budget, if one is left.
    pub fn may_repeat(&self, now: Instant) -> bool {
        self.budget.take(now.saturating_duration_since(self.began))
    }

    /// Counts a further try.
    pub fn count_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that lbdev itself had to answer with an error.
    pub fn count_unanswered(&self) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        *self.lost().at(since_start(Instant::now())) += 1;
    }

    /// Those requests in the last minute, by second; moments in it are those of [`since_start`].
    pub fn lost(&self) -> MutexGuard<'_, Minute<u64>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
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
