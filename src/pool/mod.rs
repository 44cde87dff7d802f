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

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

pub use access::{Access, AccessLog, Attempt, AttemptFailure, Batch, Count, Counter, Detail};
pub use member::{Lease, Life, Member, Tally};
pub use pages::ClientKey;
pub use queue::{Ticket, Unavailable};

use crate::backend::{BackendId, Detect, PassivePolicy, RunId};
use crate::balance::{Algorithm, Budget, Candidate, Expected, Ring};
use crate::config::{Balancer, Live, Route};
use pages::Pages;
use picker::{Among, Pickers};
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
            pool.set_algorithm(live.algorithm);
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
    /// Held by whoever makes a new snapshot out of the present one.
    writing: Mutex<()>,
    pages: Pages,
    queue: Arc<Queue>,
    rules: Rules,
    retries: AtomicU64,
    unanswered: AtomicU64,
    budget: Budget,
    began: Instant,
    news: Arc<Notify>,
}

/// A pool's immutable view, swapped whole.
#[derive(Debug)]
pub struct Snapshot {
    /// Every backend, eligible or not, each at the place that its `index` says.
    pub members: Vec<Arc<Member>>,
    /// Whose turn it is.
    pickers: Arc<Pickers>,
    /// Whose a key is, under an algorithm with keys.
    ring: Option<Arc<Ring>>,
    /// Some are backups.
    has_backups: bool,
    /// Some may have only so many requests at once.
    is_limited: bool,
    /// Some would get requests if their death were not known.
    spares_some: bool,
}

impl Snapshot {
    fn new(members: Vec<Arc<Member>>, pickers: Arc<Pickers>, before: Option<&Arc<Ring>>) -> Self {
        let some = |is: fn(&Member) -> bool| members.iter().any(|member| is(member));
        Self {
            ring: pickers.ring(&members, before),
            has_backups: some(|member| member.backup),
            is_limited: some(|member| member.max_connections > 0),
            spares_some: some(|member| member.listed && !member.eligible),
            pickers,
            members,
        }
    }

    /// Those that can be picked.
    fn open(&self, among: Among) -> impl Iterator<Item = &Arc<Member>> + Clone {
        self.members.iter().filter(move |member| match among {
            Among::Main => !member.backup && member.is_open(),
            Among::Backups => member.backup && member.is_open(),
            Among::Listed => !member.backup && member.listed,
        })
    }

    /// Whether a request that has `tried` some has to make do with the backups: nobody else may have it.
    fn among(&self, tried: &Tried) -> Among {
        let is_for_backups = self.has_backups
            && !self
                .open(Among::Main)
                .any(|member| member.share > 0 && !tried.has(member));
        match is_for_backups {
            true => Among::Backups,
            false => Among::Main,
        }
    }

    /// How many requests could be given a backend now.
    fn room(&self) -> usize {
        let open = self
            .members
            .iter()
            .filter(|one| one.is_open() && one.share > 0);
        open.fold(0, |room: usize, member| match member.max_connections {
            0 => usize::MAX,
            max => room.saturating_add(max.saturating_sub(member.life.in_flight()) as usize),
        })
    }

    /// Index and share of each.
    fn candidates(&self, among: Among) -> impl Iterator<Item = (usize, u32)> + Clone {
        self.open(among).map(|member| (member.index, member.share))
    }

    /// The same, with the load of each as it is now.
    fn loads(&self, among: Among) -> impl Iterator<Item = Candidate> + Clone {
        self.open(among).map(|member| Candidate {
            index: member.index,
            weight: member.share,
            in_flight: member.life.in_flight(),
        })
    }

    /// The same, with how fast each answered lately.
    fn expected(&self, among: Among, now: Instant) -> Vec<Expected> {
        let expected = |member: &Arc<Member>| Expected {
            index: member.index,
            weight: member.share,
            in_flight: member.life.in_flight(),
            latency: member.tally.expected(now),
        };
        self.open(among).map(expected).collect()
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
        let pickers = Arc::new(Pickers::new(settings.live.algorithm));
        Self {
            service,
            routes,
            snapshot: ArcSwap::from_pointee(Snapshot::new(Vec::new(), pickers, None)),
            writing: Mutex::default(),
            pages: Pages::default(),
            queue: Arc::new(Queue::new(settings.queue_max)),
            rules: Rules::new(settings.passive, settings.live.detect),
            retries: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            budget: Budget::new(settings.retry.budget),
            began: Instant::now(),
            news,
        }
    }

    /// The present view.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Swaps the view, and lets waiting requests go when somebody is open to them.
    pub fn publish(&self, members: Vec<Arc<Member>>) {
        for member in &members {
            member.life.tell(&self.news);
            if member.max_connections > 0 {
                member.life.call(&self.queue);
            }
        }
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.snapshot.load();
        let snapshot = Snapshot::new(members, before.pickers.clone(), before.ring.as_ref());
        self.snapshot.store(Arc::new(snapshot));
        drop(writing);
        self.call_waiting();
    }

    /// Picks by another algorithm from now on. The one that is in use goes on as it is.
    fn set_algorithm(&self, algorithm: Algorithm) {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.snapshot.load();
        if before.pickers.algorithm == algorithm {
            return;
        }
        let pickers = Arc::new(Pickers::new(algorithm));
        let snapshot = Snapshot::new(before.members.clone(), pickers, before.ring.as_ref());
        self.snapshot.store(Arc::new(snapshot));
        drop(writing);
    }

    fn call_waiting(&self) {
        let room = self.snapshot.load().room();
        if room > 0 {
            self.queue.call(room);
        }
    }

    /// A request came at `now`, for this turn: the retry budget grows, and whoever would have had it, had its death not been
    /// known, is noted.
    pub fn came(&self, turn: Turn, now: Instant) {
        self.budget.came(now.saturating_duration_since(self.began));
        let snapshot = self.snapshot.load();
        if snapshot.spares_some {
            self.note_spared(&snapshot, turn, now);
        }
    }

    fn note_spared(&self, snapshot: &Snapshot, turn: Turn, now: Instant) {
        let listed = |index: usize| snapshot.members.get(index).is_some_and(|one| one.listed);
        let home = match turn {
            Turn::Asset(client) => self.pages.of(client),
            Turn::Stuck(index) => Some(index),
            Turn::Next | Turn::Page(_) | Turn::Key(_) => None,
        };
        let index = match (home.filter(|&index| listed(index)), turn, &snapshot.ring) {
            (Some(home), ..) => Some(home),
            (None, Turn::Key(place), Some(ring)) => ring.next(place, listed),
            _ => snapshot
                .pickers
                .next(snapshot, Among::Listed, |_| false, now),
        };
        if let Some(member) = index.and_then(|index| snapshot.members.get(index))
            && !member.eligible
        {
            member.tally.count_spared();
        }
    }

    /// The next eligible backend that was not tried yet, with a lease on it. One order for all threads.
    pub fn pick(&self, turn: Turn, tried: &Tried) -> Option<Lease> {
        self.pick_at(turn, tried, Instant::now())
    }

    /// [`Pool::pick`] for whoever has read the clock already: a request does that once. Where backends are limited, nobody
    /// gets one while others wait.
    pub fn pick_at(&self, turn: Turn, tried: &Tried, now: Instant) -> Option<Lease> {
        if self.snapshot.load().is_limited && self.queue.is_ahead() {
            return None;
        }
        self.pick_now(turn, tried, now)
    }

    /// [`Pool::pick`] for whoever was called out of the queue. The ticket keeps the place in it, if there is nobody all the
    /// same.
    pub fn pick_called(&self, turn: Turn, tried: &Tried, ticket: &mut Ticket) -> Option<Lease> {
        let lease = self.pick_now(turn, tried, Instant::now());
        self.queue.settle(ticket);
        lease
    }

    fn pick_now(&self, turn: Turn, tried: &Tried, now: Instant) -> Option<Lease> {
        loop {
            let snapshot = self.snapshot.load();
            let member = self.choose(&snapshot, turn, tried, now)?;
            // Another thread may have taken its last place since: ask again.
            let Some(lease) = Lease::take(member, now) else {
                continue;
            };
            // A drain that began since the view was read has not counted this lease: ask again with the new view.
            if !member.life.is_draining() {
                return Some(lease);
            }
        }
    }

    fn choose<'a>(
        &self,
        snapshot: &'a Snapshot,
        turn: Turn,
        tried: &Tried,
        now: Instant,
    ) -> Option<&'a Arc<Member>> {
        let among = snapshot.among(tried);
        let member = |index: usize| snapshot.members.get(index);
        let untried = |one: &&Arc<Member>| !tried.has(one);
        let wanted = match turn {
            Turn::Asset(client) => self
                .pages
                .of(client)
                .and_then(member)
                .filter(|one| one.backup == (among == Among::Backups) && one.is_open()),
            Turn::Stuck(index) => member(index).filter(|one| one.takes_stuck_requests()),
            Turn::Next | Turn::Page(_) | Turn::Key(_) => None,
        };
        if let Some(member) = wanted.filter(untried) {
            return Some(member);
        }
        let index = match (turn, &snapshot.ring) {
            (Turn::Key(place), Some(ring)) => ring.next(place, |index| {
                member(index).is_some_and(|one| {
                    one.backup == (among == Among::Backups) && one.is_open() && !tried.has(one)
                })
            }),
            _ => {
                let skip = |index| member(index).is_some_and(|one| tried.has(one));
                snapshot.pickers.next(snapshot, among, skip, now)
            }
        }?;
        if let Turn::Page(client) = turn {
            self.pages.note(client, index);
        }
        member(index)
    }

    /// Whether any backend may be picked, tried or not.
    pub fn any_eligible(&self) -> bool {
        self.snapshot.load().room() > 0
    }

    /// Whether some that were not tried take requests, and have as many as they may.
    pub fn is_busy_for(&self, tried: &Tried) -> bool {
        let snapshot = self.snapshot.load();
        let busy = |one: &Arc<Member>| one.takes_requests() && one.share > 0 && !tried.has(one);
        snapshot.is_limited && snapshot.members.iter().any(busy)
    }

    /// Waits, in order of arrival, until a backend may be picked; with the ticket of an earlier wait at the place of that.
    /// Dropping the future leaves the queue.
    ///
    /// # Errors
    /// When the queue is full, or `limit` has passed.
    pub async fn wait(
        &self,
        again: Option<Ticket>,
        limit: Duration,
    ) -> Result<Ticket, Unavailable> {
        let order = self.snapshot.load().is_limited;
        self.queue
            .wait(again, limit, order, || self.any_eligible())
            .await
    }

    /// Requests that wait now.
    pub fn waiting(&self) -> usize {
        self.queue.len()
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
