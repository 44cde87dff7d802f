//! What was measured, second by second, as histograms: percentiles are read from counts, never averaged.

use std::time::Duration;

use hdrhistogram::Histogram;

/// So many seconds are kept, the present one besides.
pub const SECONDS: usize = 60;
/// One more than are ever looked at, and the present one.
const SLOTS: usize = SECONDS + 2;

/// What happened in one second. It is used again for a later one.
pub trait Second: Default {
    /// Forgets everything.
    fn clear(&mut self);
}

impl Second for u64 {
    fn clear(&mut self) {
        *self = 0;
    }
}

/// The last minute, a slot for each of its seconds. Moments are told as the time since any fixed one; whoever compares two
/// minutes has to use the same.
#[derive(Debug)]
pub struct Minute<T> {
    /// With the second that each is about.
    slots: Vec<(u64, T)>,
}

impl<T> Default for Minute<T> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<T: Second> Minute<T> {
    /// The slot for what happens `at`.
    pub fn at(&mut self, at: Duration) -> &mut T {
        let second = at.as_secs();
        let place = usize::try_from(second % SLOTS as u64).unwrap_or_default();
        // Nothing is kept for what never happens.
        while self.slots.len() <= place {
            self.slots.push((u64::MAX, T::default()));
        }
        let (of, slot) = &mut self.slots[place];
        if *of != second {
            *of = second;
            slot.clear();
        }
        slot
    }

    /// The last `count` whole seconds before `now` in their order; `None` where nothing happened. The present one is not
    /// among them: it is not over.
    pub fn last(&self, count: usize, now: Duration) -> impl Iterator<Item = Option<&T>> {
        let end = now.as_secs();
        let begin = end.saturating_sub(count.min(SECONDS) as u64);
        // Before the beginning of time nothing happened.
        let before = count.min(SECONDS) - usize::try_from(end - begin).unwrap_or_default();
        let seconds = (begin..end).map(|second| self.second(second));
        std::iter::repeat_n(None, before).chain(seconds)
    }

    fn second(&self, second: u64) -> Option<&T> {
        let place = usize::try_from(second % SLOTS as u64).unwrap_or_default();
        let (of, slot) = self.slots.get(place)?;
        (*of == second).then_some(slot)
    }
}

/// A second of one backend.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Requests that it answered, whatever the status.
    pub answered: u64,
    /// Of those, with a status from 500 on.
    pub errors: u64,
    /// Attempts at it that came to nothing.
    pub failed: u64,
    /// Of those, how many went on to another backend.
    pub elsewhere: u64,
    /// How long its answers took. Made with the first of them.
    took: Option<Histogram<u32>>,
}

impl Second for Traffic {
    fn clear(&mut self) {
        let mut took = self.took.take();
        if let Some(took) = &mut took {
            took.reset();
        }
        *self = Self {
            took,
            ..Self::default()
        };
    }
}

impl Traffic {
    /// Counts how long an answer took, to about 1 %.
    pub fn record(&mut self, took: Duration) {
        if self.took.is_none() {
            // Two significant digits always fit: the only error `new` has is a digit count above 5.
            self.took = Histogram::new(2).ok();
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(histogram) = &mut self.took {
            // A duration beyond the histogram's range would need months.
            let _ = histogram.record(micros.max(1));
        }
    }
}

/// The durations at these quantiles (`0.5` is the median) over all of these seconds, or `None` when nothing was recorded in
/// them.
pub fn quantiles<'a, const N: usize>(
    seconds: impl IntoIterator<Item = &'a Traffic>,
    quantiles: [f64; N],
) -> Option<[Duration; N]> {
    let mut all: Option<Histogram<u32>> = None;
    for histogram in seconds.into_iter().filter_map(|one| one.took.as_ref()) {
        match &mut all {
            _ if histogram.is_empty() => {}
            None => all = Some(histogram.clone()),
            Some(sum) => {
                let _ = sum.add(histogram);
            }
        }
    }
    let all = all.filter(|histogram| !histogram.is_empty())?;
    Some(quantiles.map(|quantile| Duration::from_micros(all.value_at_quantile(quantile))))
}

impl Minute<Traffic> {
    /// The median and the 99th percentile of the last `count` seconds and of the present one, so that what has just happened
    /// is seen at once.
    pub fn latency(&self, count: usize, now: Duration) -> Option<[Duration; 2]> {
        let seconds = self.last(count, now).flatten();
        quantiles(seconds.chain(self.second(now.as_secs())), [0.5, 0.99])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn old_durations_leave_and_new_ones_count() {
        let mut minute: Minute<Traffic> = Minute::default();
        assert_eq!(minute.latency(60, s(100)), None);
        for took in 1..=100 {
            minute.at(s(100)).record(ms(took));
        }
        let [p50, p99] = minute.latency(60, s(100)).unwrap();
        assert!((49..=51).contains(&p50.as_millis()), "{p50:?}");
        assert!((98..=100).contains(&p99.as_millis()), "{p99:?}");

        minute.at(s(150)).record(ms(500));
        let [p50, p99] = minute.latency(60, s(150)).unwrap();
        assert!(p50.as_millis() < 60, "both seconds count: {p50:?}");
        assert!(p99.as_millis() < 110, "one in a hundred: {p99:?}");
        let [p50, _] = minute.latency(10, s(150)).unwrap();
        assert!(p50.as_millis() > 490, "of the last ten seconds: {p50:?}");
        let [p50, _] = minute.latency(60, s(175)).unwrap();
        assert!(p50.as_millis() > 490, "the first second has left");
        assert_eq!(minute.latency(60, s(300)), None);
    }

    #[test]
    fn percentiles_of_two_seconds_are_not_the_average_of_two() {
        let mut minute: Minute<Traffic> = Minute::default();
        for _ in 0..990 {
            minute.at(s(1)).record(ms(1));
        }
        for _ in 0..10 {
            minute.at(s(2)).record(ms(1000));
        }
        let [p50, p99] = minute.latency(60, s(3)).unwrap();
        assert!(p50 < ms(2) && p99 < ms(2), "{p50:?} {p99:?}");
    }

    #[test]
    fn a_slot_is_used_again() {
        let mut minute: Minute<u64> = Minute::default();
        *minute.at(s(3)) += 7;
        *minute.at(s(3 + SLOTS as u64)) += 1;
        let last: Vec<_> = minute.last(3, s(4 + SLOTS as u64)).collect();
        assert_eq!(last, [None, None, Some(&1)]);
        assert_eq!(minute.last(60, s(4)).flatten().count(), 0, "it is gone");
        assert_eq!(
            minute.last(60, s(4)).count(),
            60,
            "with those before the beginning"
        );
    }

    proptest! {
        /// Whatever comes when: what is told of the last minute is what came in it.
        #[test]
        fn the_last_minute_is_what_came_in_it(mut times in proptest::collection::vec(0u64..400, 0..300)) {
            times.sort_unstable();
            let mut minute: Minute<u64> = Minute::default();
            for (n, at) in times.iter().enumerate() {
                *minute.at(s(*at)) += 1;
                let so_far = &times[..=n];
                let told: u64 = minute.last(SECONDS, s(*at)).flatten().sum();
                let begin = at.saturating_sub(SECONDS as u64);
                let came = so_far.iter().filter(|time| **time >= begin && *time < at).count();
                prop_assert_eq!(told, came as u64);
            }
        }
    }
}
