//! Peak EWMA: whoever is expected to be done first, by how fast it answered lately and how much it has to do. The rule of
//! Finagle's and Linkerd's balancers of that name.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Candidate;
use super::ties::Ties;

/// The time constant of [`Latency`]: what was measured so long ago has 1/e of its weight.
const TAU: Duration = Duration::from_secs(10);

/// What one that has never answered, and has something in flight, is taken to cost for each request: more than any that has
/// answered (some 300 years), so that nobody is flooded before it has shown what it can do.
const UNKNOWN: f64 = 1e19;

/// How fast one backend answers: an exponentially weighted moving average that is sensitive to peaks. A slower answer than
/// the average is the average at once; faster ones bring it down with the time constant `TAU`. Without answers it sinks
/// towards nothing, so that a slow backend is tried again now and then.
///
/// It is one word: whoever picks reads it without a lock.
#[derive(Debug, Default)]
pub struct Latency(AtomicU64);

impl Latency {
    /// Takes in one answer. `now` is the time since any moment that is the same for all calls. Calls at the same time may
    /// lose one of them: callers have a lock.
    pub fn observe(&self, took: Duration, now: Duration) {
        // At least one, so that the word is never 0, which is nothing yet.
        let took = (took.as_nanos() as f32).max(1.0);
        let average = match self.read() {
            None => took,
            Some((average, _)) if took > average => took,
            Some((average, at)) => {
                let weight = weight(at, now);
                (average * weight + took * (1.0 - weight)).max(1.0)
            }
        };
        let word = u64::from(average.to_bits()) << 32 | u64::from(stamp(now));
        self.0.store(word, Ordering::Relaxed);
    }

    /// The average in nanoseconds, sunk for the time since the last answer. `None` before the first.
    pub fn at(&self, now: Duration) -> Option<f32> {
        let (average, at) = self.read()?;
        Some(average * weight(at, now))
    }

    /// The average at the last answer, and when that was.
    fn read(&self) -> Option<(f32, u32)> {
        let word = self.0.load(Ordering::Relaxed);
        let average = f32::from_bits((word >> 32) as u32);
        (word != 0).then_some((average, word as u32))
    }
}

/// A moment in milliseconds. It starts anew after 49 days.
fn stamp(now: Duration) -> u32 {
    now.as_millis() as u32
}

/// What is left of something at `then`. A moment before it counts as the same.
fn weight(then: u32, now: Duration) -> f32 {
    let passed = (stamp(now).wrapping_sub(then) as i32).max(0);
    (-(passed as f32) / TAU.as_millis() as f32).exp()
}

/// Picks the one whose requests in flight, and one more, take the least: latency × (in flight + 1) / weight. One without any
/// answer yet costs nothing while it is idle, and more than any other while it is not. Of equals, the one whose turn it is.
#[derive(Debug, Default, Clone)]
pub struct PeakEwma {
    ties: Ties,
}

impl PeakEwma {
    /// The one of `candidates`, each with its [`Latency::at`] this moment, that costs least and that `skip` does not name.
    /// Weights of 0 are never picked. `None` when nobody is left. Loads may change while it looks.
    pub fn next(
        &mut self,
        candidates: impl Iterator<Item = (Candidate, Option<f32>)> + Clone,
        skip: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let costs = candidates
            .filter(|(one, _)| one.weight > 0 && !skip(one.index))
            .map(|(one, latency)| (one, cost(one, latency)));
        let (cheapest, least) = costs.clone().min_by(|a, b| a.1.total_cmp(&b.1))?;
        let equals = costs.filter(|&(_, cost)| cost.total_cmp(&least).is_eq());
        let picked = self
            .ties
            .pick(equals.map(|(one, _)| (one.index, one.weight)));
        Some(picked.unwrap_or(cheapest.index))
    }
}

/// The weight must be above 0.
fn cost(one: Candidate, latency: Option<f32>) -> f64 {
    let each = match latency {
        Some(latency) => f64::from(latency),
        None if one.in_flight == 0 => 0.0,
        None => UNKNOWN,
    };
    each * (f64::from(one.in_flight) + 1.0) / f64::from(one.weight)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// In milliseconds, to 1 %.
    #[track_caller]
    fn near(latency: &Latency, now: Duration, wanted: f32) {
        let got = latency.at(now).unwrap() / 1e6;
        assert!(
            (got - wanted).abs() <= wanted * 0.01,
            "{got} is not {wanted}"
        );
    }

    #[test]
    fn a_peak_is_taken_at_once_and_forgotten_slowly() {
        let latency = Latency::default();
        assert_eq!(latency.at(ms(0)), None);
        latency.observe(ms(10), ms(1000));
        near(&latency, ms(1000), 10.0);
        near(&latency, ms(0), 10.0);
        latency.observe(ms(250), ms(1000));
        near(&latency, ms(1000), 250.0);
        latency.observe(ms(10), ms(1000));
        near(&latency, ms(1000), 250.0);
        near(&latency, ms(11_000), 250.0 / std::f32::consts::E);
        near(&latency, ms(61_000), 250.0 * (-6.0f32).exp());
        latency.observe(ms(10), ms(11_000));
        let wanted = 10.0 + 240.0 / std::f32::consts::E;
        near(&latency, ms(11_000), wanted);
    }

    #[test]
    fn frequent_fast_answers_bring_it_down_as_fast_as_rare_ones() {
        for every in [1, 7, 100] {
            let latency = Latency::default();
            latency.observe(ms(250), ms(0));
            for now in (every..=50_000).step_by(every as usize) {
                latency.observe(ms(10), ms(now));
            }
            let got = latency.at(ms(50_000)).unwrap() / 1e6;
            assert!((10.0..13.0).contains(&got), "each {every} ms: {got}");
        }
    }

    #[test]
    fn the_clock_of_the_word_may_start_anew() {
        let latency = Latency::default();
        let late = Duration::from_millis(u64::from(u32::MAX)) - ms(5);
        latency.observe(ms(100), late);
        near(&latency, late + ms(10_000), 100.0 / std::f32::consts::E);
    }

    /// Weight, in flight and latency in ms (0: none yet) of each; who gets the next requests, none of which ends.
    #[track_caller]
    fn check(each: &[(u32, u32, u32)], tried: &[usize], picks: &str) {
        let mut picker = PeakEwma::default();
        let mut loads: Vec<u32> = each.iter().map(|&(_, load, _)| load).collect();
        let mut order = String::new();
        for _ in 0..picks.len() {
            let candidates = each.iter().zip(&loads).enumerate();
            let candidates = candidates.map(|(index, (&(weight, _, latency), &in_flight))| {
                let latency = (latency > 0).then_some(latency as f32 * 1e6);
                (
                    Candidate {
                        index,
                        weight,
                        in_flight,
                    },
                    latency,
                )
            });
            let Some(index) = picker.next(candidates, |index| tried.contains(&index)) else {
                order.push('-');
                continue;
            };
            loads[index] += 1;
            order.push(char::from(b'a' + u8::try_from(index).unwrap()));
        }
        assert_eq!(order, picks, "{each:?} without {tried:?}");
    }

    #[test]
    fn the_cheapest_is_picked() {
        check(&[(1, 0, 250), (1, 0, 10), (1, 0, 11)], &[], "bcbcbc");
        check(&[(1, 0, 20), (1, 2, 10)], &[], "ab");
        check(&[(2, 3, 10), (1, 2, 10)], &[], "a");
        check(&[(1, 0, 10), (1, 0, 10), (1, 0, 10)], &[], "abccba");
        check(&[(1, 0, 10), (1, 0, 20)], &[0], "bb");
        check(&[(0, 0, 1), (1, 9, 99)], &[], "bb");
        check(&[(0, 0, 1)], &[], "-");
        check(&[], &[], "-");
        check(&[(1, u32::MAX - 9, 99), (1, u32::MAX - 9, 98)], &[], "bb");
    }

    #[test]
    fn who_never_answered_gets_one_request_and_no_more() {
        check(&[(1, 0, 0), (1, 0, 10)], &[], "abbbbb");
        check(&[(1, 1, 0), (1, 90, 9000)], &[], "bb");
        // Nobody has: they share what comes as by least_conn.
        check(&[(1, 0, 0), (1, 0, 0), (1, 0, 0)], &[], "abccba");
    }

    #[test]
    fn a_slow_one_gets_a_probe_now_and_then() {
        let latency = [Latency::default(), Latency::default()];
        latency[0].observe(ms(250), ms(0));
        let mut picker = PeakEwma::default();
        let mut probes = Vec::new();
        for now in 0..60_000 {
            latency[1].observe(ms(10), ms(now));
            let candidates = latency.iter().enumerate().map(|(index, one)| {
                let in_flight = 0;
                let weight = 1;
                (
                    Candidate {
                        index,
                        weight,
                        in_flight,
                    },
                    one.at(ms(now)),
                )
            });
            if picker.next(candidates, |_| false) == Some(0) {
                probes.push(now);
                latency[0].observe(ms(250), ms(now));
            }
        }
        // 250 ms have sunk below 10 ms after 10 s × ln 25.
        assert_eq!(probes.len(), 1, "{probes:?}");
        assert!((32_000..33_000).contains(&probes[0]), "{probes:?}");
    }

    proptest! {
        /// Whatever was measured: the average lies between the fastest and the slowest answer, and only sinks without one.
        #[test]
        fn the_average_is_one(answers in prop::collection::vec((1u64..100_000, 0u64..20_000), 1..40), later in 0u64..100_000) {
            let latency = Latency::default();
            let mut now = Duration::ZERO;
            for &(took, wait) in &answers {
                now += ms(wait);
                latency.observe(Duration::from_micros(took), now);
                let took = took as f32 * 1e3;
                prop_assert!(latency.at(now).unwrap() >= took * 0.999);
            }
            let slowest = answers.iter().map(|one| one.0).max().unwrap_or(0) as f32 * 1e3;
            let average = latency.at(now).unwrap();
            prop_assert!(average <= slowest * 1.001, "{average} of {slowest}");
            prop_assert!(latency.at(now + ms(later)).unwrap() <= average);
        }

        /// Only who may be picked is, somebody is while anybody may be, and nobody else would have been done sooner.
        #[test]
        fn never_one_that_is_strictly_worse(
            each in prop::collection::vec((0u32..4, 0u32..50, prop::option::of(0f32..1e10), any::<bool>()), 0..9),
        ) {
            let all = each.iter().enumerate().map(|(index, &(weight, in_flight, latency, _))| {
                (Candidate { index, weight, in_flight }, latency)
            });
            let open: Vec<_> = all.clone().filter(|(one, _)| one.weight > 0 && !each[one.index].3).collect();
            let mut picker = PeakEwma::default();
            for _ in 0..10 {
                let Some(index) = picker.next(all.clone(), |index| each[index].3) else {
                    prop_assert!(open.is_empty());
                    continue;
                };
                let picked = open.iter().find(|(one, _)| one.index == index);
                prop_assert!(picked.is_some(), "{index} of {open:?}");
                let &(one, latency) = picked.unwrap();
                prop_assert!(open.iter().all(|&(other, its)| cost(other, its) >= cost(one, latency)));
            }
        }
    }
}
