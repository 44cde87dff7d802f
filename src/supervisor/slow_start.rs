//! Slow start: a backend that has just become ready gets a share that grows, until it is whole (`slow_start` of nginx,
//! `slowstart` of HAProxy). Pure.

use std::time::{Duration, Instant};

/// In so many steps: each is a new view for the pool.
const STEPS: u32 = 10;

/// What the share of one backend depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ramp {
    /// Its whole share.
    pub(super) weight: u32,
    /// Since when it takes requests; `None` while it does not.
    pub(super) since: Option<Instant>,
    /// How long its share grows.
    pub(super) length: Duration,
}

impl Ramp {
    /// The step it is on, from 1; [`STEPS`] is the whole share.
    fn step(&self, now: Instant) -> u32 {
        let Some(since) = self.since else {
            return STEPS;
        };
        let passed = now.saturating_duration_since(since);
        // In nanoseconds, which even a day of is far from the end of.
        let done = (passed.as_nanos() * u128::from(STEPS)).checked_div(self.length.as_nanos());
        let done = done.map_or(STEPS, |done| u32::try_from(done).unwrap_or(STEPS));
        done.saturating_add(1).min(STEPS)
    }

    /// When the next step is due, if there is one.
    fn next(&self, now: Instant) -> Option<Instant> {
        let step = self.step(now);
        (step < STEPS).then_some(self.since? + self.length * step / STEPS)
    }
}

/// The shares of the backends of a service: their weights, or, while one of several grows, ten times these, and of that one
/// as many tenths as it has come to.
pub(super) fn shares(all: &[Ramp], now: Instant) -> Vec<u32> {
    let several = all.iter().filter(|one| one.since.is_some()).count() > 1;
    let grows = several && all.iter().any(|one| one.step(now) < STEPS);
    let share = |one: &Ramp| match grows {
        true => one.weight * one.step(now),
        false => one.weight,
    };
    all.iter().map(share).collect()
}

/// When the shares of these change next by themselves.
pub(super) fn next_step(all: impl Iterator<Item = Ramp>, now: Instant) -> Option<Instant> {
    all.filter_map(|one| one.next(now)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_grow_in_tenths() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let old = Ramp {
            weight: 1,
            since: Some(start),
            length: Duration::ZERO,
        };
        let fresh = |weight, since| Ramp {
            weight,
            since: Some(at(since)),
            length: Duration::from_secs(20),
        };
        let down = Ramp { since: None, ..old };
        for (all, now, expected) in [
            (&[old, fresh(1, 0)][..], 0, &[10, 1][..]),
            (&[old, fresh(1, 0)], 1, &[10, 1]),
            (&[old, fresh(1, 0)], 2, &[10, 2]),
            (&[old, fresh(3, 0)], 9, &[10, 15]),
            (&[old, fresh(1, 0)], 18, &[1, 1]),
            (&[old, fresh(1, 0)], 999, &[1, 1]),
            (&[fresh(1, 0), fresh(1, 4)], 4, &[3, 1]),
            // Nobody else: there is nobody to spare it for.
            (&[fresh(2, 0)], 0, &[2]),
            (&[down, fresh(2, 0)], 0, &[1, 2]),
        ] {
            assert_eq!(shares(all, at(now)), expected, "{all:?} after {now} s");
        }
        let next = |now| next_step([old, fresh(1, 0)].into_iter(), at(now));
        assert_eq!(next(0), Some(at(2)));
        assert_eq!(next(2), Some(at(4)));
        assert_eq!(next(17), Some(at(18)));
        assert_eq!(next(18), None);
    }
}
