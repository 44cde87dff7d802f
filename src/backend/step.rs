//! What each event does to a backend: every pair of state and event is listed, and nothing is done here, only decided.

mod ends;
mod orders;

use std::time::{Duration, Instant};

use super::{
    BackendId, Belief, By, Detect, Effect, Event, Exit, Kind, Moment, Next, Phase, RestartPolicy,
    RunId, State, StopPolicy, Timings,
};

/// KILL is sent again after this, for a process that was forked in between.
const KILL_AGAIN: Duration = Duration::from_secs(1);

/// One backend: what is wanted of it and what is observed.
#[derive(Debug, Clone)]
pub struct Backend {
    /// Its name.
    pub id: BackendId,
    /// Who runs it.
    pub kind: Kind,
    /// Whether somebody wants it up.
    pub desired: bool,
    /// Whether the operator lets it have requests.
    pub enabled: bool,
    /// Where it does not: whether clients that stick to it may stay.
    keeps_stuck: bool,
    /// What is observed.
    pub state: State,
    /// What the balancer believes of it, which with some `detect` is not what is observed.
    pub belief: Belief,
    /// How often the policy or a person started it again.
    pub restarts: u32,
    /// Whether any run was ever ready: before that, an exit is final.
    pub was_ready: bool,
    /// How its last process ended, whatever followed.
    pub last_exit: Option<Exit>,
    /// Its present run, or the next one, is the first of new code.
    trial: bool,
    /// A person sent it a signal that ends most programs: its end was asked for.
    signalled: bool,
    attempts: u32,
    rise: u32,
    fall: u32,
    restart: RestartPolicy,
    stop: StopPolicy,
    pub(super) timings: Timings,
}

impl Backend {
    /// A backend that nobody has started yet. `rise` and `fall` are in checks.
    pub fn new(
        id: BackendId,
        kind: Kind,
        (rise, fall): (u32, u32),
        restart: RestartPolicy,
        stop: StopPolicy,
        timings: Timings,
    ) -> Self {
        Self {
            id,
            kind,
            desired: false,
            enabled: true,
            keeps_stuck: true,
            state: State::Stopped { last: None },
            belief: Belief::default(),
            restarts: 0,
            was_ready: false,
            last_exit: None,
            trial: false,
            signalled: false,
            attempts: 0,
            rise: rise.max(1),
            fall: fall.max(1),
            restart,
            stop,
            timings,
        }
    }

    /// From now on requests in flight may take so long when it is stopped.
    pub fn set_drain(&mut self, drain: std::time::Duration) {
        self.timings.drain = drain;
    }

    /// From now on other rules hold: `rise` and `fall` in checks, when it is started again, how it is asked to end.
    pub fn follow(&mut self, (rise, fall): (u32, u32), restart: RestartPolicy, stop: StopPolicy) {
        self.rise = rise.max(1);
        self.fall = fall.max(1);
        self.restart = restart;
        self.stop = stop;
    }

    /// Its last run was the first of new code, and was not ready, or is not yet.
    pub fn is_on_trial(&self) -> bool {
        self.trial
    }

    /// The life its process leads now, if there is one.
    pub fn run(&self) -> Option<RunId> {
        match self.state {
            State::Starting { run, .. }
            | State::Up { run, .. }
            | State::Frozen { run, .. }
            | State::Draining { run, .. }
            | State::Stopping { run, .. } => Some(run),
            State::Stopped { .. } | State::Backoff { .. } | State::Failed { .. } => None,
        }
    }

    /// Its process was ready, lives, and is not about to end.
    fn alive(&self) -> bool {
        match self.state {
            State::Up { .. } | State::Frozen { .. } => true,
            State::Starting { .. }
            | State::Draining { .. }
            | State::Stopping { .. }
            | State::Stopped { .. }
            | State::Backoff { .. }
            | State::Failed { .. } => false,
        }
    }

    /// Drained, but as good as before: clients that stick to it may go on.
    pub fn stays(&self) -> bool {
        !self.enabled && self.keeps_stuck && self.belief.holds(self.alive())
    }

    /// Ready and, as far as is known, well. With `detect` other than `instant` that may be wrong.
    pub fn healthy(&self) -> bool {
        matches!(self.state, State::Draining { .. }) || self.belief.holds(self.alive())
    }

    /// Ready, healthy and enabled: it may get requests.
    pub fn eligible(&self) -> bool {
        self.enabled && self.belief.holds(self.alive())
    }

    /// It was ready, and nobody took it out on purpose: a balancer that is not told of deaths would send it requests.
    pub fn listed(&self) -> bool {
        self.enabled && self.belief.listed()
    }

    /// The state in one word.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Stopped { .. } => Phase::Stopped,
            // Nobody starts it: it only does not answer.
            State::Starting { .. } if self.kind == Kind::External => Phase::Unhealthy,
            State::Starting { .. } => Phase::Starting,
            State::Up { .. } if !self.belief.good() => Phase::Unhealthy,
            State::Up { .. } if self.enabled => Phase::Up,
            State::Up { .. } | State::Draining { .. } => Phase::Draining,
            State::Frozen { .. } => Phase::Frozen,
            State::Stopping { .. } => Phase::Stopping,
            State::Backoff { .. } => Phase::Backoff,
            State::Failed { .. } => Phase::Failed,
        }
    }

    /// When [`Event::Tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.state_deadline()
            .into_iter()
            .chain(self.belief.until())
            .min()
    }

    fn state_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Starting { deadline, .. } => deadline,
            State::Draining { goodbye, until, .. } => Some(goodbye.unwrap_or(until)),
            State::Backoff { until, .. } => Some(until),
            State::Stopping { kill_at, .. } => Some(kill_at),
            State::Up { .. }
            | State::Frozen { .. }
            | State::Stopped { .. }
            | State::Failed { .. } => None,
        }
    }

    /// Applies one event. An event of another run than the present one changes nothing.
    pub fn step(&mut self, event: Event, at: Moment) -> Vec<Effect> {
        match event {
            Event::Start => self.start(at),
            Event::Stop(by) => {
                self.desired = false;
                self.belief.take_out();
                self.take_down(Next::Stay, by, at)
            }
            Event::Restart => {
                self.belief.take_out();
                self.restart(at)
            }
            Event::Renew => {
                self.belief.take_out();
                self.renew(at)
            }
            Event::Kill { signal, restart } => self.signalled(signal, restart, at),
            Event::Abort => {
                self.desired = false;
                self.belief.take_out();
                self.kill(Next::Stay, By::Lbdev, at)
            }
            Event::Freeze => self.freeze(at),
            Event::Thaw => self.thaw(),
            Event::Disable { everyone } => {
                self.enabled = false;
                self.keeps_stuck = !everyone;
                Vec::new()
            }
            Event::Enable => {
                self.enabled = true;
                Vec::new()
            }
            Event::Tick => self.tick(at),
            Event::Detect { detect, window } => {
                let alive = self.alive();
                self.belief.set_detect(detect, alive, window, at.now);
                Vec::new()
            }
            Event::Checked { run, .. } | Event::Failing { run, .. } if !self.concerns(run) => {
                Vec::new()
            }
            Event::Checked { seen, spare, .. } => {
                let counts = (self.rise, self.fall);
                self.belief.checked(seen, spare, counts);
                Vec::new()
            }
            Event::Failing { spare, window, .. } => {
                self.belief.fail(spare, window, at.now);
                Vec::new()
            }
            Event::LaunchFailed { run }
            | Event::Exited { run, .. }
            | Event::Ready { run }
            | Event::Refused { run }
            | Event::Drained { run }
                if self.run() != Some(run) =>
            {
                Vec::new()
            }
            Event::LaunchFailed { .. } => self.launch_failed(at),
            Event::Exited {
                status, at: wall, ..
            } => self.exited(status, wall, at),
            Event::Ready { run } => self.ready(run, at),
            Event::Refused { .. } => {
                if self.alive() {
                    self.belief.refused();
                }
                Vec::new()
            }
            Event::Drained { .. } => match self.state {
                State::Draining { run, next, by, .. } => self.ask_to_end(run, next, by, false, at),
                _ => Vec::new(),
            },
        }
    }

    /// Whether what was found out about this run says something of the backend as it is believed to be.
    fn concerns(&self, run: RunId) -> bool {
        let lives = match self.belief.detect() {
            Detect::Instant => self.alive() && self.run() == Some(run),
            Detect::Passive | Detect::Active => self.belief.listed(),
        };
        lives && self.belief.run() == Some(run)
    }
}
