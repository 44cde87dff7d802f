//! The loop: events in, `step`, effects out, and what is seen published.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;

use super::asked::{KILL_REPLY, PendingKill};
use super::gap::Alarm;
use super::handle::Command;
use super::slow_start::next_step;
use super::unit::{Present, Unit};
use super::{Cause, Change, Handle, View};
use crate::backend::{
    BackendId, By, Effect, Event, Exit, ExitStatus, Kind, Moment, Ready, RunId, Signal, State,
};
use crate::config::{BackendSpec, More};
use crate::pool::Pools;
use crate::probe::{Prober, Report, Target};
use crate::process::{Launch, News};

/// Changes that a slow reader may be behind before it misses some.
const CHANGES: usize = 1024;

/// What the supervisor is made of.
pub struct Parts {
    /// Every backend, in order.
    pub backends: Vec<BackendSpec>,
    /// What starts and signals processes.
    pub launcher: Arc<dyn Launch>,
    /// What the launcher reports.
    pub news: mpsc::UnboundedReceiver<News>,
    /// What checks backends.
    pub prober: Prober,
    /// Where the proxy looks.
    pub pools: Arc<Pools>,
    /// How long requests in flight may take when a backend stops.
    pub drain: Duration,
    /// The `Host` of HTTP checks.
    pub host: String,
    /// The balancer's own port, which no further backend may have.
    pub listen: u16,
    /// By service, what makes further backends.
    pub more: HashMap<String, More>,
}

/// It belongs to a pool: a balancer of somebody else's has an address too.
pub(super) fn is_pooled(spec: &BackendSpec) -> bool {
    !spec.addresses.is_empty() && !spec.id.is_engine()
}

/// Starts the loop within the present runtime. Its task ends after [`Handle::shutdown`] or [`Handle::abort`], when no
/// process is left.
pub fn start(parts: Parts) -> (Handle, JoinHandle<()>) {
    let (commands, asked) = mpsc::channel(64);
    let (changes, _) = broadcast::channel(CHANGES);
    let (gaps, _) = broadcast::channel(CHANGES);
    let (checks_to, checks) = mpsc::unbounded_channel();
    let now = now();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut units = Vec::with_capacity(parts.backends.len());
    for spec in parts.backends {
        let place = is_pooled(&spec).then(|| {
            let next = places.entry(spec.id.service().to_owned()).or_default();
            std::mem::replace(next, *next + 1)
        });
        units.push(Unit::new(Arc::new(spec), place, parts.drain, now));
    }
    let (view_to, view) = watch::channel(Arc::default());
    let supervisor = Supervisor {
        units,
        launcher: parts.launcher,
        prober: parts.prober,
        pools: parts.pools,
        host: parts.host,
        drain: parts.drain,
        listen: parts.listen,
        more: parts.more,
        fresh: RunId::FIRST,
        dice: fastrand::Rng::new(),
        stopping: false,
        kills: Vec::new(),
        only_from: HashMap::new(),
        view: view_to,
        changes: changes.clone(),
        gaps: gaps.clone(),
        checks: checks_to,
    };
    supervisor.publish_all();
    let task = tokio::spawn(supervisor.run(asked, parts.news, checks));
    (
        Handle {
            commands,
            view,
            changes,
            gaps,
        },
        task,
    )
}

/// What woke the loop.
enum Turn {
    News(News),
    Pool,
    Command(Command),
    Report(Report),
    Time,
}

/// The loop's clock: a test can pause it.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

pub(super) struct Supervisor {
    pub(super) units: Vec<Unit>,
    launcher: Arc<dyn Launch>,
    pub(super) prober: Prober,
    pub(super) pools: Arc<Pools>,
    pub(super) host: String,
    pub(super) drain: Duration,
    pub(super) listen: u16,
    /// By service, what makes further backends.
    pub(super) more: HashMap<String, More>,
    pub(super) fresh: RunId,
    dice: fastrand::Rng,
    pub(super) stopping: bool,
    pub(super) kills: Vec<PendingKill>,
    /// By service, the first run whose code is new enough for requests.
    pub(super) only_from: HashMap<String, RunId>,
    pub(super) view: watch::Sender<Arc<View>>,
    changes: broadcast::Sender<Change>,
    pub(super) gaps: broadcast::Sender<Duration>,
    pub(super) checks: mpsc::UnboundedSender<Report>,
}

impl Supervisor {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut news: mpsc::UnboundedReceiver<News>,
        mut checks: mpsc::UnboundedReceiver<Report>,
    ) {
        let pools = self.pools.clone();
        loop {
            let alarm = Alarm::set(self.due());
            let turn = tokio::select! {
                biased;
                // A death comes first: until the pool knows of it, requests run into it.
                Some(news) = news.recv() => Turn::News(news),
                () = pools.news() => Turn::Pool,
                Some(command) = commands.recv() => Turn::Command(command),
                Some(report) = checks.recv() => Turn::Report(report),
                () = tokio::time::sleep_until(alarm.at.into()) => Turn::Time,
            };
            self.wake(alarm);
            match turn {
                Turn::News(news) => self.take_news(news),
                Turn::Pool => self.take_pool_news(),
                Turn::Command(command) => self.take_command(command),
                Turn::Report(report) => self.take_report(report),
                Turn::Time => self.take_time(),
            }
            self.answer_kills();
            self.forget();
            if self.stopping && self.units.iter().all(|unit| unit.backend.run().is_none()) {
                self.publish_all();
                return;
            }
        }
    }

    /// When something is due without an event.
    fn due(&self) -> Option<Instant> {
        let deadlines = self.units.iter().filter_map(|unit| unit.backend.deadline());
        let ramps = next_step(self.units.iter().map(Unit::ramp), now());
        deadlines
            .chain(self.kills.iter().map(|kill| kill.until))
            .chain(ramps)
            .min()
    }

    pub(super) fn place_of(&self, id: &BackendId) -> Option<usize> {
        self.units.iter().position(|unit| unit.spec.id == *id)
    }

    fn take_news(&mut self, news: News) {
        match news {
            News::Launched { id, run, pid } => {
                let Some(place) = self.place_of(&id) else {
                    return;
                };
                if self.units[place].backend.run() == Some(run) {
                    let unit = &mut self.units[place];
                    unit.present.pid = Some(pid);
                    unit.present.launched = Some(now());
                    self.begin_checks(place);
                    self.publish_view();
                }
            }
            News::Said { id, run } => {
                let starts = |unit: &Unit| matches!(unit.backend.state, State::Starting { run: now, .. } if now == run);
                if let Some(place) = self
                    .place_of(&id)
                    .filter(|&place| starts(&self.units[place]))
                {
                    self.units[place].present.said = true;
                    self.begin_checks(place);
                }
            }
            News::LaunchFailed { id, run, why } => {
                let Some(place) = self.place_of(&id) else {
                    return;
                };
                if self.units[place].backend.run() == Some(run) {
                    self.units[place].launch_failure = Some(why.clone());
                    self.apply(
                        place,
                        Event::LaunchFailed { run },
                        Cause::LaunchFailed(why),
                        now(),
                    );
                }
            }
            News::Exited {
                id,
                run,
                status,
                at,
            } => {
                let Some(place) = self.place_of(&id) else {
                    return;
                };
                let heard = now()
                    - SystemTime::now()
                        .duration_since(at)
                        .unwrap_or_default()
                        .min(KILL_REPLY);
                let unit = &self.units[place];
                if unit.spec.ready == Ready::Exit && status == ExitStatus::Code(0) {
                    // Inert unless it was starting: that is how a job is ready.
                    self.apply(place, Event::Ready { run }, Cause::Ready, heard);
                }
                self.apply(
                    place,
                    Event::Exited { run, status, at },
                    Cause::TimeLimit,
                    heard,
                );
            }
        }
    }

    fn take_pool_news(&mut self) {
        self.take_troubles();
        for place in 0..self.units.len() {
            self.end_drain_when_idle(place);
        }
    }

    fn take_time(&mut self) {
        let now = now();
        self.publish_ramps(now);
        for place in 0..self.units.len() {
            let backend = &self.units[place].backend;
            let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
            if is_due(backend.deadline()) {
                let cause = match is_due(backend.belief.until()) {
                    true => Cause::FailTimeOver,
                    false => Cause::TimeLimit,
                };
                self.apply(place, Event::Tick, cause, now);
            }
        }
    }

    fn end_drain_when_idle(&mut self, place: usize) {
        if let State::Draining { run, .. } = self.units[place].backend.state
            && self.units[place].present.life.in_flight() == 0
        {
            self.apply(place, Event::Drained { run }, Cause::Drained, now());
        }
    }

    /// One event to one backend: step, publish, and only then act, so that nobody is routed to what is about to end.
    pub(super) fn apply(&mut self, place: usize, event: Event, cause: Cause, heard: Instant) {
        let moment = Moment {
            now: now(),
            dice: self.dice.f64(),
            fresh: self.fresh,
        };
        self.fresh = self.fresh.next();
        if self.units[place].waiting.is_some() {
            match event {
                // It is started when its time has come.
                Event::Start | Event::Restart | Event::Renew => return,
                Event::Stop(_) | Event::Kill { .. } | Event::Abort => {
                    self.units[place].waiting = None;
                }
                _ => {}
            }
        }
        self.adopt_detect(place, moment.now);
        let unit = &mut self.units[place];
        let (phase, run, eligible) = (unit.phase(), unit.backend.run(), unit.backend.eligible());
        let (enabled, ending) = (unit.backend.enabled, is_ending(&unit.backend.state));
        let healthy = unit.backend.healthy();
        let exited = match event {
            Event::Exited { run: ended, .. } => run == Some(ended),
            _ => false,
        };
        let effects = unit.backend.step(event, moment);
        let cause = match unit.backend.last_exit {
            Some(exit) if exited => Cause::Exited(exit),
            _ => cause,
        };
        let pid = unit.present.pid;
        let ended = unit.backend.last_exit.filter(|_| exited);
        if ended.is_some_and(|exit| is_killed(&exit))
            || matches!(unit.backend.state, State::Stopping { asked: false, .. })
        {
            unit.present.life.kill();
        }
        if unit.backend.run() != run {
            unit.present = Present::default();
        }
        if let State::Draining { .. } = unit.backend.state {
            unit.present.life.drain();
        }
        if !healthy && unit.backend.healthy() {
            unit.well_since = Some(moment.now);
        }
        let (to, now) = (unit.phase(), moment.now);
        // A drained backend that is told to stop is `draining` before and after.
        let changed =
            to != phase || unit.backend.run() != run || is_ending(&unit.backend.state) != ending;
        // What is down can be drained too: it is told, although its phase stays.
        // And where the balancer is not told what happens to the process, its belief changes by itself.
        let told =
            changed || unit.backend.enabled != enabled || unit.backend.eligible() != eligible;
        let after = if cause == Cause::Ready {
            unit.present.ready_after.unwrap_or_default()
        } else {
            now.saturating_duration_since(unit.phase_since)
        };
        if changed {
            unit.phase_since = now;
        }
        match unit.backend.state {
            State::Starting { .. }
                if unit.spec.kind == Kind::External && unit.present.watch.is_none() =>
            {
                self.begin_checks(place);
            }
            State::Stopping { .. } => {
                unit.present.watch = None;
                if ending {
                    // Before the signal: what ends with the process is told by then.
                    unit.present.life.end_streams();
                }
            }
            State::Starting { .. }
            | State::Up { .. }
            | State::Frozen { .. }
            | State::Draining { .. }
            | State::Stopped { .. }
            | State::Backoff { .. }
            | State::Failed { .. } => {}
        }
        self.tend_checks(place);
        self.publish_pool(place);
        let out_after =
            (eligible && !self.units[place].backend.eligible()).then(|| self::now() - heard);
        for effect in effects {
            self.perform(place, effect);
        }
        if told {
            let id = self.units[place].spec.id.clone();
            let pid = pid.or(self.units[place].present.pid);
            let change = Change {
                at: SystemTime::now(),
                id,
                from: phase,
                to,
                cause,
                pid,
                after,
                out_after,
                back: !eligible && self.units[place].backend.eligible(),
            };
            // Nobody may be listening.
            let _ = self.changes.send(change);
        }
        self.publish_view();
        self.end_drain_when_idle(place);
    }

    fn perform(&mut self, place: usize, effect: Effect) {
        let spec = self.units[place].spec.clone();
        match effect {
            Effect::Launch(run) => {
                self.units[place].launch_failure = None;
                if let Some(command) = &spec.command {
                    self.launcher.launch(spec.id.clone(), run, command.clone());
                }
            }
            Effect::EndStreams(_) => self.units[place].present.life.end_streams(),
            Effect::Signal(run, signal) => self.launcher.signal(run, signal),
        }
    }

    /// A backend without a port is ready when it runs; any other when it answers.
    fn begin_checks(&mut self, place: usize) {
        let unit = &mut self.units[place];
        let Some(run) = unit.backend.run() else {
            return;
        };
        match &unit.spec.ready {
            Ready::Exit => return,
            Ready::Log(_) if !unit.present.said => return,
            Ready::Http | Ready::Tcp | Ready::Log(_) => {}
        }
        if unit.spec.addresses.is_empty() {
            self.apply(place, Event::Ready { run }, Cause::Ready, now());
            return;
        }
        let target = Target {
            id: unit.spec.id.clone(),
            run,
            addresses: unit.spec.addresses.clone(),
            was_ready: false,
            port_is_enough: matches!(unit.spec.ready, Ready::Tcp | Ready::Log(_)),
            health: unit.spec.health.clone(),
            host: self.host.clone(),
        };
        unit.present.watch = Some(self.prober.begin(target, self.checks.clone()));
    }
}

/// Somebody ended it. What crashes by a signal of its own making may do so because of a request.
fn is_killed(exit: &Exit) -> bool {
    match exit.by {
        By::Operator | By::Lbdev => true,
        By::Outside => exit.status == ExitStatus::Signal(Signal::Kill.number()),
        By::Itself => false,
    }
}

/// It finishes its requests, and then its process ends.
fn is_ending(state: &State) -> bool {
    matches!(state, State::Draining { .. })
}
