//! Failed attempts at one backend within a time, as users' requests make them.

use std::collections::VecDeque;
use std::time::Instant;

use super::PassivePolicy;

/// The failures that may still take a backend out.
#[derive(Debug, Default)]
pub struct Failures {
    /// When each came; none is older than the window, and there are no more than it takes.
    times: VecDeque<Instant>,
    /// Attempts that began before this are of the time before.
    anew: Option<Instant>,
}

impl Failures {
    /// One more, of an attempt that `began` then. Whether there are enough within the window now.
    pub fn note(&mut self, policy: PassivePolicy, began: Instant, now: Instant) -> bool {
        if policy.failures == 0 || self.anew.is_some_and(|anew| began < anew) {
            return false;
        }
        let enough = usize::try_from(policy.failures).unwrap_or(usize::MAX);
        self.times
            .retain(|&then| now.saturating_duration_since(then) < policy.window);
        self.times.push_back(now);
        while self.times.len() > enough {
            self.times.pop_front();
        }
        self.times.len() == enough
    }

    /// They took it out: the count starts anew, and attempts that are under way do not count.
    pub fn clear(&mut self, now: Instant) {
        self.times.clear();
        self.anew = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn so_many_within_the_window() {
        let policy = PassivePolicy {
            failures: 3,
            window: Duration::from_secs(10),
        };
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        for (name, times, last) in [
            ("one after the other", &[0, 1, 2][..], true),
            ("two are not enough", &[0, 1], false),
            ("the first is too old", &[0, 1, 10], false),
            ("just within", &[0, 1, 9], true),
            ("it slides", &[0, 9, 12, 18], true),
            ("always too far apart", &[0, 6, 12, 18, 24], false),
        ] {
            let mut failures = Failures::default();
            let marks: Vec<bool> = times
                .iter()
                .map(|&s| failures.note(policy, at(s), at(s)))
                .collect();
            assert_eq!(marks.last(), Some(&last), "{name}");
            assert!(marks.iter().rev().skip(1).all(|&mark| !mark), "{name}");
        }
    }

    #[test]
    fn the_count_starts_anew_and_stragglers_do_not_count() {
        let policy = PassivePolicy {
            failures: 2,
            window: Duration::from_secs(10),
        };
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut failures = Failures::default();
        assert!(!failures.note(policy, at(0), at(0)));
        assert!(failures.note(policy, at(1), at(1)));
        failures.clear(at(1));
        assert!(!failures.note(policy, at(0), at(2)), "began before");
        assert!(!failures.note(policy, at(2), at(2)), "the first anew");
        assert!(failures.note(policy, at(3), at(3)));
        assert!(
            failures.note(policy, at(4), at(4)),
            "nobody cleared: each further one says so again"
        );
        assert!(failures.times.len() <= 2);
        let never = PassivePolicy {
            failures: 0,
            ..policy
        };
        assert!(!failures.note(never, at(5), at(5)));
    }
}
