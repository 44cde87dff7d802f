//! Time that nobody lived through: a laptop that was shut, lbdev stopped by a signal.

use std::time::Duration;

use super::{Backend, State};

impl Backend {
    /// Puts off whatever is due by the length of a gap in time: a process that could not act has not missed a deadline.
    pub fn put_off(&mut self, gap: Duration) {
        self.belief.put_off(gap);
        match &mut self.state {
            State::Starting { deadline, .. } => {
                if let Some(deadline) = deadline {
                    *deadline += gap;
                }
            }
            State::Draining { goodbye, until, .. } => {
                if let Some(goodbye) = goodbye {
                    *goodbye += gap;
                }
                *until += gap;
            }
            State::Stopping { kill_at, .. } => *kill_at += gap,
            State::Backoff { until, .. } => *until += gap,
            State::Stopped { .. }
            | State::Up { .. }
            | State::Frozen { .. }
            | State::Failed { .. } => {}
        }
    }
}
