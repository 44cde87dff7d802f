//! Peak EWMA: whoever is expected to be done first, by how fast it answered lately. Finagle and Linkerd know it by this
//! name.

use std::time::{Duration, Instant};

/// How fast an average forgets: after so long, a past value counts for about a third.
const DECAY: Duration = Duration::from_secs(10);
/// What is taken for the latency of a backend that has requests in flight and never answered one, in seconds: it may be
/// fast, but one request is enough to find out.
const UNKNOWN: f64 = 60.0;

/// A moving average of latencies that takes a peak at once and forgets it slowly.
#[derive(Debug, Default, Clone, Copy)]
pub struct PeakAverage {
    last: Option<(f64, Instant)>,
}

impl PeakAverage {
    /// Counts one latency, observed `now`.
    pub fn observe(&mut self, latency: Duration, now: Instant) {
        let seen = latency.as_secs_f64();
        let value = match self.last {
            None => seen,
            Some((value, _)) if seen >= value => seen,
            Some((value, at)) => {
                let keep = kept(at, now);
                value * keep + seen * (1.0 - keep)
            }
        };
        self.last = Some((value, now));
    }

    /// In seconds, as of `now`. It falls while nothing is observed, so that a backend that was slow is asked again in the
    /// end. `None` before the first.
    pub fn seconds(&self, now: Instant) -> Option<f64> {
        self.last.map(|(value, at)| value * kept(at, now))
    }
}

/// The share of a value of `at` that is left `now`.
fn kept(at: Instant, now: Instant) -> f64 {
    let passed = now.saturating_duration_since(at).as_secs_f64();
    (-passed / DECAY.as_secs_f64()).exp()
}

/// A backend that may be picked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// Its place in the pool.
    pub index: usize,
    /// Its share. One of 0 is never picked.
    pub weight: u32,
    /// Requests it has in flight.
    pub in_flight: u32,
    /// [`PeakAverage::seconds`].
    pub latency: Option<f64>,
}

impl Expected {
    /// What one more request would take, for its weight.
    fn cost(&self) -> f64 {
        let latency = match (self.latency, self.in_flight) {
            (Some(latency), _) => latency,
            (None, 0) => 0.0,
            (None, _) => UNKNOWN,
        };
        latency * f64::from(self.in_flight + 1) / f64::from(self.weight)
    }
}

/// Picks the lowest cost: latency times requests in flight, the new one counted, per weight. Equals take turns.
#[derive(Debug, Default, Clone)]
pub struct PeakEwma {
    last: Option<usize>,
}

impl PeakEwma {
    /// The cheapest of `candidates`, by rising index, that `skip` does not name. `None` when nobody is left.
    pub fn next(
        &mut self,
        candidates: impl Iterator<Item = Expected> + Clone,
        skip: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let open = candidates.filter(|one| one.weight > 0 && !skip(one.index));
        let least = open.clone().map(|one| one.cost()).min_by(f64::total_cmp)?;
        let mut cheapest = open.filter(|one| one.cost() <= least).map(|one| one.index);
        let first = cheapest.clone().next()?;
        let after_last = |index: &usize| self.last.is_none_or(|last| *index > last);
        let index = cheapest.find(after_last).unwrap_or(first);
        self.last = Some(index);
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(index: usize, in_flight: u32, millis: Option<u64>) -> Expected {
        Expected {
            index,
            weight: 1,
            in_flight,
            latency: millis.map(|millis| Duration::from_millis(millis).as_secs_f64()),
        }
    }

    #[test]
    fn the_cheapest_is_picked() {
        let check = |candidates: &[Expected], skip: &[usize], picked: Option<usize>| {
            let next =
                PeakEwma::default().next(candidates.iter().copied(), |index| skip.contains(&index));
            assert_eq!(next, picked, "{candidates:?}");
        };
        let (slow, fast) = (expected(0, 0, Some(250)), expected(1, 3, Some(10)));
        check(&[slow, fast], &[], Some(1));
        check(&[slow, fast], &[1], Some(0));
        check(&[slow, fast], &[0, 1], None);
        check(&[slow, expected(1, 30, Some(10))], &[], Some(0));
        check(&[fast, expected(2, 0, None)], &[], Some(2));
        check(&[fast, expected(2, 1, None)], &[], Some(1));
        let heavy = Expected { weight: 4, ..fast };
        check(&[expected(0, 1, Some(10)), heavy], &[], Some(1));
        check(&[Expected { weight: 0, ..fast }], &[], None);
    }

    #[test]
    fn equals_take_turns() {
        let mut picker = PeakEwma::default();
        let three = [0, 1, 2].map(|index| expected(index, 0, None));
        let mut next = || picker.next(three.into_iter(), |_| false).unwrap();
        assert_eq!([next(), next(), next(), next()], [0, 1, 2, 0]);
    }

    #[test]
    fn a_peak_counts_at_once_and_is_forgotten_slowly() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut average = PeakAverage::default();
        assert_eq!(average.seconds(at(0)), None);
        average.observe(Duration::from_millis(10), at(0));
        average.observe(Duration::from_secs(1), at(1));
        assert_eq!(average.seconds(at(1)), Some(1.0));
        average.observe(Duration::from_millis(10), at(2));
        let soon = average.seconds(at(2)).unwrap();
        assert!((0.8..1.0).contains(&soon), "{soon}");
        let later = average.seconds(at(32)).unwrap();
        assert!((0.03..0.06).contains(&later), "{later}");
    }
}
