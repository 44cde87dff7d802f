//! What each event does to a backend: every pair of state and event is listed, and nothing is done here, only decided.

use std::time::{Duration, Instant, SystemTime};

use super::{
    BackendId, Belief, By, Detect, Effect, Event, Exit, ExitStatus, Intent, Kind, Moment, Next,
    Phase, RestartMode, RestartPolicy, RunId, Signal, State, StopPolicy, Timings,
};

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
            signalled: false,
            attempts: 0,
            rise: rise.max(1),
            fall: fall.max(1),
            restart,
            stop,
            timings,
        }
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

    fn start(&mut self, at: Moment) -> Vec<Effect> {
        self.desired = true;
        match &mut self.state {
            State::Stopped { last } => {
                self.attempts = 0;
                self.restarts += u32::from(last.is_some());
                self.launch(at)
            }
            State::Backoff { .. } | State::Failed { .. } => {
                self.attempts = 0;
                self.restarts += 1;
                self.launch(at)
            }
            // Whoever starts what is just ending wants it to be up in the end.
            State::Draining { next, .. } | State::Stopping { next, .. } => {
                *next = Next::Launch;
                Vec::new()
            }
            State::Starting { .. } | State::Up { .. } | State::Frozen { .. } => Vec::new(),
        }
    }

    fn restart(&mut self, at: Moment) -> Vec<Effect> {
        match self.state {
            State::Stopped { .. }
            | State::Backoff { .. }
            | State::Failed { .. }
            | State::Draining { .. }
            | State::Stopping { .. } => self.start(at),
            State::Starting { .. } | State::Up { .. } | State::Frozen { .. } => {
                self.desired = true;
                self.take_down(Next::Launch, By::Operator, at)
            }
        }
    }

    /// Drain first where there may be traffic, else ask it to end at once.
    fn take_down(&mut self, next: Next, by: By, at: Moment) -> Vec<Effect> {
        if self.kind == Kind::External {
            // There is no process of ours to end.
            self.state = State::Stopped { last: None };
            return Vec::new();
        }
        match &mut self.state {
            State::Stopped { .. } => Vec::new(),
            State::Failed { last, .. } => {
                self.state = State::Stopped { last: *last };
                Vec::new()
            }
            State::Backoff { last, .. } => {
                self.state = State::Stopped { last: Some(*last) };
                Vec::new()
            }
            State::Draining { next: pending, .. } | State::Stopping { next: pending, .. } => {
                *pending = next;
                Vec::new()
            }
            &mut State::Starting { run, .. } => self.ask_to_end(run, next, by, false, at),
            // Frozen, nothing in flight can finish: no drain.
            &mut State::Frozen { run, .. } => self.ask_to_end(run, next, by, true, at),
            &mut State::Up { run, .. } => {
                let until = at.now + self.timings.drain;
                self.state = State::Draining {
                    run,
                    goodbye: Some(until - GOODBYE.min(self.timings.drain / 2)),
                    until,
                    next,
                    by,
                };
                Vec::new()
            }
        }
    }

    fn ask_to_end(
        &mut self,
        run: RunId,
        next: Next,
        by: By,
        frozen: bool,
        at: Moment,
    ) -> Vec<Effect> {
        self.state = State::Stopping {
            run,
            kill_at: at.now + self.stop.timeout,
            asked: true,
            next,
            by,
        };
        let mut effects = vec![Effect::Signal(run, self.stop.signal)];
        if frozen {
            // A stopped process takes its signals only once it goes on.
            effects.push(Effect::Signal(run, Signal::Cont));
        }
        effects
    }

    fn kill(&mut self, next: Next, by: By, at: Moment) -> Vec<Effect> {
        match self.state {
            State::Stopped { .. } | State::Failed { .. } | State::Backoff { .. } => {
                self.take_down(next, by, at)
            }
            _ if self.kind == Kind::External => self.take_down(next, by, at),
            State::Starting { run, .. }
            | State::Up { run, .. }
            | State::Frozen { run, .. }
            | State::Draining { run, .. }
            | State::Stopping { run, .. } => {
                self.state = State::Stopping {
                    run,
                    kill_at: at.now + KILL_AGAIN,
                    asked: false,
                    next,
                    by,
                };
                vec![Effect::Signal(run, Signal::Kill)]
            }
        }
    }

    fn signalled(&mut self, signal: Signal, restart: bool, at: Moment) -> Vec<Effect> {
        match (signal.intent(), self.run()) {
            // Nobody to signal: what the policy would bring back comes back only where that is wanted.
            (Intent::Kill | Intent::End, None) if !restart => {
                self.desired = false;
                self.take_down(Next::Stay, By::Operator, at)
            }
            (_, None) => Vec::new(),
            (Intent::Kill, Some(_)) => {
                self.desired = restart && self.desired;
                let next = if restart { Next::Policy } else { Next::Stay };
                self.kill(next, By::Operator, at)
            }
            (Intent::End, Some(run)) => {
                // It may take its time or refuse; if it ends, that was asked for.
                self.signalled = true;
                self.desired = restart && self.desired;
                if let State::Draining { next, .. } | State::Stopping { next, .. } = &mut self.state
                    && !restart
                {
                    *next = Next::Stay;
                }
                let mut effects = vec![Effect::Signal(run, signal)];
                if let State::Frozen { .. } = self.state {
                    // A stopped process takes its signals only once it goes on.
                    effects.extend(self.thaw());
                }
                effects
            }
            (Intent::Freeze, Some(run)) => match self.freeze(at) {
                // What is not up can be stopped all the same, as the sender wants it.
                effects if effects.is_empty() => vec![Effect::Signal(run, signal)],
                effects => effects,
            },
            (Intent::Thaw, Some(run)) => match self.thaw() {
                effects if effects.is_empty() => vec![Effect::Signal(run, signal)],
                effects => effects,
            },
            (Intent::Tell, Some(run)) => vec![Effect::Signal(run, signal)],
        }
    }

    fn freeze(&mut self, at: Moment) -> Vec<Effect> {
        match self.state {
            State::Up { run, .. } if self.kind == Kind::Managed => {
                self.state = State::Frozen { run, since: at.now };
                vec![Effect::Signal(run, Signal::Stop)]
            }
            State::Up { .. }
            | State::Stopped { .. }
            | State::Starting { .. }
            | State::Frozen { .. }
            | State::Draining { .. }
            | State::Stopping { .. }
            | State::Backoff { .. }
            | State::Failed { .. } => Vec::new(),
        }
    }

    fn thaw(&mut self) -> Vec<Effect> {
        match self.state {
            State::Frozen { run, since } => {
                self.state = State::Up { run, since };
                vec![Effect::Signal(run, Signal::Cont)]
            }
            State::Stopped { .. }
            | State::Starting { .. }
            | State::Up { .. }
            | State::Draining { .. }
            | State::Stopping { .. }
            | State::Backoff { .. }
            | State::Failed { .. } => Vec::new(),
        }
    }

    fn launch_failed(&mut self, at: Moment) -> Vec<Effect> {
        self.state = match self.state {
            // Somebody wants another try; if that fails as well, its reason is the one to tell.
            State::Draining {
                next: Next::Launch, ..
            }
            | State::Stopping {
                next: Next::Launch, ..
            } => return self.launch(at),
            State::Draining { .. } | State::Stopping { .. } => State::Stopped { last: None },
            _ => State::Failed {
                attempts: self.attempts + 1,
                last: None,
            },
        };
        Vec::new()
    }

    fn ready(&mut self, run: RunId, at: Moment) -> Vec<Effect> {
        match &mut self.state {
            State::Starting { .. } => {
                self.was_ready = true;
                self.state = State::Up { run, since: at.now };
                self.belief.ready(run);
            }
            State::Up { .. } | State::Frozen { .. } => self.belief.ready(run),
            State::Draining { .. }
            | State::Stopping { .. }
            | State::Stopped { .. }
            | State::Backoff { .. }
            | State::Failed { .. } => {}
        }
        Vec::new()
    }

    fn exited(&mut self, status: ExitStatus, wall: SystemTime, at: Moment) -> Vec<Effect> {
        let by = match (&self.state, status) {
            (State::Draining { by, .. } | State::Stopping { by, .. }, _) => *by,
            _ if !self.desired || self.signalled => By::Operator,
            (_, ExitStatus::Code(_)) => By::Itself,
            (_, ExitStatus::Signal(_)) => By::Outside,
        };
        let asked = matches!(self.state, State::Stopping { asked: true, .. });
        let exit = Exit {
            status,
            at: wall,
            by,
            asked,
        };
        self.last_exit = Some(exit);
        match self.state {
            State::Draining { next, .. } | State::Stopping { next, .. } => match next {
                Next::Stay => {
                    self.state = State::Stopped { last: Some(exit) };
                    Vec::new()
                }
                Next::Launch => {
                    self.attempts = 0;
                    self.restarts += 1;
                    self.launch(at)
                }
                Next::Policy => self.apply_policy(exit, at),
            },
            // Before the first readiness an exit is final: a command that cannot start will not start by trying again.
            State::Starting { .. } if !self.was_ready => {
                self.state = State::Failed {
                    attempts: 1,
                    last: Some(exit),
                };
                Vec::new()
            }
            State::Starting { .. } => self.apply_policy(exit, at),
            State::Up { since, .. } | State::Frozen { since, .. } => {
                if at.now.saturating_duration_since(since) >= self.timings.long_life {
                    self.attempts = 0;
                }
                self.apply_policy(exit, at)
            }
            State::Stopped { .. } | State::Backoff { .. } | State::Failed { .. } => Vec::new(),
        }
    }

    fn apply_policy(&mut self, exit: Exit, at: Moment) -> Vec<Effect> {
        let again = match self.restart.mode {
            RestartMode::Never => false,
            RestartMode::OnFailure => exit.status != ExitStatus::Code(0),
            RestartMode::Always => true,
        };
        self.state = if !self.desired || (!again && exit.status == ExitStatus::Code(0)) {
            State::Stopped { last: Some(exit) }
        } else if !again || self.attempts >= self.restart.max {
            State::Failed {
                attempts: self.attempts + 1,
                last: Some(exit),
            }
        } else {
            self.attempts += 1;
            let wait = backoff(&self.restart, self.attempts, at.dice);
            State::Backoff {
                attempt: self.attempts,
                until: at.now + wait,
                last: exit,
            }
        };
        Vec::new()
    }

    fn tick(&mut self, at: Moment) -> Vec<Effect> {
        self.belief.tick(at.now);
        if self.state_deadline().is_none_or(|due| at.now < due) {
            return Vec::new();
        }
        match self.state {
            State::Starting { run, .. } => {
                let next = if self.was_ready {
                    Next::Policy
                } else {
                    Next::Stay
                };
                self.ask_to_end(run, next, By::Lbdev, false, at)
            }
            State::Draining {
                run,
                goodbye: Some(_),
                until,
                next,
                by,
            } if at.now < until => {
                self.state = State::Draining {
                    run,
                    goodbye: None,
                    until,
                    next,
                    by,
                };
                vec![Effect::EndStreams(run)]
            }
            State::Draining { run, next, by, .. } => self.ask_to_end(run, next, by, false, at),
            State::Stopping {
                run,
                asked,
                next,
                by,
                ..
            } => {
                self.state = State::Stopping {
                    run,
                    kill_at: at.now + KILL_AGAIN,
                    asked,
                    next,
                    by,
                };
                vec![Effect::Signal(run, Signal::Kill)]
            }
            State::Backoff { .. } => {
                self.restarts += 1;
                self.launch(at)
            }
            State::Up { .. }
            | State::Frozen { .. }
            | State::Stopped { .. }
            | State::Failed { .. } => Vec::new(),
        }
    }

    fn launch(&mut self, at: Moment) -> Vec<Effect> {
        self.signalled = false;
        let deadline = self.timings.ready.map(|limit| at.now + limit);
        self.state = State::Starting {
            run: at.fresh,
            since: at.now,
            deadline,
        };
        match self.kind {
            Kind::Managed => vec![Effect::Launch(at.fresh)],
            Kind::External => Vec::new(),
        }
    }
}

/// So long before the stop signal the streams that are left are told to end: enough for a close frame each way (RFC 6455
/// §7.1.1). Of a short drain, its second half.
const GOODBYE: Duration = Duration::from_millis(100);
/// KILL is sent again after this, for a process that was forked in between.
const KILL_AGAIN: Duration = Duration::from_secs(1);

/// Exponential backoff with jitter: the `n`-th wait is `min * 2^(n-1)`, at most `max`, times 0.5 to 1.0 by `dice`.
fn backoff(policy: &RestartPolicy, attempt: u32, dice: f64) -> Duration {
    let doubled = policy.backoff_min.saturating_mul(
        1u32.checked_shl(attempt.saturating_sub(1))
            .unwrap_or(u32::MAX),
    );
    doubled
        .min(policy.backoff_max)
        .mul_f64(0.5 + dice.clamp(0.0, 1.0) / 2.0)
}
