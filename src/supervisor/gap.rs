//! Gaps in time: the loop looks at the clock so often that a longer silence was not its own.

use std::time::{Duration, Instant};

use super::run::{Supervisor, now};
use crate::process;

/// The longest time that the loop sleeps.
const BEAT: Duration = Duration::from_secs(1);
/// A loop that wakes so much later than it wanted to was stopped: no busy machine holds it up for so long.
const GAP: Duration = Duration::from_secs(5);

/// When the loop wants to wake, by a clock that goes on while the machine sleeps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alarm {
    /// By the loop's own clock.
    pub(super) at: Instant,
    /// The same moment by the other one.
    expected: Duration,
}

impl Alarm {
    /// At `due`, but soon.
    pub(super) fn set(due: Option<Instant>) -> Alarm {
        let now = now();
        let latest = now + BEAT;
        let at = due.map_or(latest, |due| due.min(latest));
        Alarm {
            at,
            expected: process::uptime() + at.saturating_duration_since(now),
        }
    }

    /// How long nobody was there to wake.
    fn overslept(self) -> Option<Duration> {
        let late = process::uptime().saturating_sub(self.expected);
        (late > GAP).then_some(late)
    }
}

impl Supervisor {
    /// After a gap nothing is late, and whoever shows what happens is told.
    pub(super) fn wake(&mut self, alarm: Alarm) {
        let Some(gap) = alarm.overslept() else {
            return;
        };
        for unit in &mut self.units {
            unit.backend.put_off(gap);
        }
        // Nobody may be listening.
        let _ = self.gaps.send(gap);
    }
}
