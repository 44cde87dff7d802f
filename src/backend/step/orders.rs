//! What a person, or lbdev's end, asks of a backend.

use std::time::Duration;

use super::{Backend, KILL_AGAIN};
use crate::backend::{By, Effect, Intent, Kind, Moment, Next, RunId, Signal, State};

/// So long before the stop signal the streams that are left are told to end: enough for a close frame each way (RFC 6455
/// §7.1.1). Of a short drain, its second half.
const GOODBYE: Duration = Duration::from_millis(100);

impl Backend {
    pub(super) fn start(&mut self, at: Moment) -> Vec<Effect> {
        self.desired = true;
        self.trial = false;
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

    pub(super) fn restart(&mut self, at: Moment) -> Vec<Effect> {
        self.replace(By::Operator, at)
    }

    /// What is down on purpose stays so.
    pub(super) fn renew(&mut self, at: Moment) -> Vec<Effect> {
        if !self.desired || self.kind == Kind::External {
            return Vec::new();
        }
        let effects = self.replace(By::Lbdev, at);
        self.trial = true;
        effects
    }

    /// Another process in place of the present one, if there is one.
    fn replace(&mut self, by: By, at: Moment) -> Vec<Effect> {
        match self.state {
            State::Stopped { .. }
            | State::Backoff { .. }
            | State::Failed { .. }
            | State::Draining { .. }
            | State::Stopping { .. } => self.start(at),
            State::Starting { .. } | State::Up { .. } | State::Frozen { .. } => {
                self.desired = true;
                self.take_down(Next::Launch, by, at)
            }
        }
    }

    /// Drain first where there may be traffic, else ask it to end at once.
    pub(super) fn take_down(&mut self, next: Next, by: By, at: Moment) -> Vec<Effect> {
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

    pub(super) fn ask_to_end(
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

    pub(super) fn kill(&mut self, next: Next, by: By, at: Moment) -> Vec<Effect> {
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

    pub(super) fn signalled(&mut self, signal: Signal, restart: bool, at: Moment) -> Vec<Effect> {
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

    pub(super) fn freeze(&mut self, at: Moment) -> Vec<Effect> {
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

    pub(super) fn thaw(&mut self) -> Vec<Effect> {
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
}
