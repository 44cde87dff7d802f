//! What was measured, over a sliding window, as histograms: percentiles are read from counts, never averaged.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// How many slices a window has; one is dropped whole when it is too old.
const SLICES: usize = 3;
/// How much time one slice covers. The window is between 40 and 60 s long.
const SLICE: Duration = Duration::from_secs(20);

/// Durations of the last minute, to about 1 %.
#[derive(Debug)]
pub struct Window {
    slices: [Option<(Instant, Histogram<u32>)>; SLICES],
}

impl Default for Window {
    fn default() -> Self {
        Self {
            slices: [const { None }; SLICES],
        }
    }
}

impl Window {
    /// Counts one duration.
    pub fn record(&mut self, took: Duration, now: Instant) {
        let current = match &mut self.slices[0] {
            Some((since, histogram)) if now.saturating_duration_since(*since) < SLICE => histogram,
            _ => {
                self.slices.rotate_right(1);
                // Two significant digits always fit: the only error `new` has is a digit count above 5.
                let Ok(fresh) = Histogram::new(2) else { return };
                &mut self.slices[0].insert((now, fresh)).1
            }
        };
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // A duration beyond the histogram's range would need months.
        let _ = current.record(micros.max(1));
    }

    /// The durations at these quantiles (`0.5` is the median), or `None` when nothing was recorded lately.
    pub fn quantiles<const N: usize>(
        &self,
        quantiles: [f64; N],
        now: Instant,
    ) -> Option<[Duration; N]> {
        let mut all: Option<Histogram<u32>> = None;
        for (since, histogram) in self.slices.iter().flatten() {
            if now.saturating_duration_since(*since) >= SLICE * SLICES as u32 {
                continue;
            }
            match &mut all {
                None => all = Some(histogram.clone()),
                Some(sum) => {
                    let _ = sum.add(histogram);
                }
            }
        }
        let all = all.filter(|histogram| !histogram.is_empty())?;
        Some(quantiles.map(|quantile| Duration::from_micros(all.value_at_quantile(quantile))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_durations_leave_and_new_ones_count() {
        let start = Instant::now();
        let mut window = Window::default();
        assert_eq!(window.quantiles([0.5], start), None);
        for ms in 1..=100 {
            window.record(Duration::from_millis(ms), start);
        }
        let [p50, p99] = window.quantiles([0.5, 0.99], start).unwrap();
        assert!((49..=51).contains(&p50.as_millis()), "{p50:?}");
        assert!((98..=100).contains(&p99.as_millis()), "{p99:?}");

        let later = start + Duration::from_secs(50);
        window.record(Duration::from_millis(500), later);
        assert!(
            window.quantiles([0.5], later).unwrap()[0].as_millis() < 60,
            "both slices count"
        );
        let much_later = start + Duration::from_secs(75);
        assert!(
            window.quantiles([0.5], much_later).unwrap()[0].as_millis() > 490,
            "the first slice has left"
        );
        assert_eq!(
            window.quantiles([0.5], start + Duration::from_secs(300)),
            None
        );
    }
}
