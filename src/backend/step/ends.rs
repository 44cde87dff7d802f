//! What becomes of a backend by itself: it is ready, it ends, its time is over; and when it is launched again.

use std::time::{Duration, SystemTime};

use super::{Backend, KILL_AGAIN};
use crate::backend::{
    By, Effect, Exit, ExitStatus, Kind, Moment, Next, RestartMode, RestartPolicy, RunId, Signal,
    State,
};

impl Backend {
    pub(super) fn launch_failed(&mut self, at: Moment) -> Vec<Effect> {
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

    pub(super) fn ready(&mut self, run: RunId, at: Moment) -> Vec<Effect> {
        match &mut self.state {
            State::Starting { .. } => {
                self.was_ready = true;
                self.trial = false;
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

    pub(super) fn exited(
        &mut self,
        status: ExitStatus,
        wall: SystemTime,
        at: Moment,
    ) -> Vec<Effect> {
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
            State::Starting { .. } if !self.was_ready || self.trial => {
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

    pub(super) fn apply_policy(&mut self, exit: Exit, at: Moment) -> Vec<Effect> {
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

    pub(super) fn tick(&mut self, at: Moment) -> Vec<Effect> {
        self.belief.tick(at.now);
        if self.state_deadline().is_none_or(|due| at.now < due) {
            return Vec::new();
        }
        match self.state {
            State::Starting { run, .. } => {
                let next = if self.was_ready && !self.trial {
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

    pub(super) fn launch(&mut self, at: Moment) -> Vec<Effect> {
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
