//! How long answers took since the start, in the buckets of a Prometheus histogram.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets; whatever is longer is in one more.
pub const BOUNDS: [Duration; 13] = [
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Counts of durations, each in the first bucket that it fits into.
#[derive(Debug, Default)]
pub struct Took {
    counts: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Took {
    pub(super) fn add(&self, took: Duration) {
        let bucket = BOUNDS.partition_point(|bound| *bound < took);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// How many took as long as each of [`BOUNDS`] or less, and how many there are in all.
    pub fn up_to(&self) -> [u64; BOUNDS.len() + 1] {
        let mut sum = 0;
        std::array::from_fn(|bucket| {
            sum += self.counts[bucket].load(Ordering::Relaxed);
            sum
        })
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_in_the_first_bucket_that_it_fits_into() {
        let took = Took::default();
        for ms in [0, 1, 2, 10, 11, 10_000, 10_001] {
            took.add(Duration::from_millis(ms));
        }
        let up_to = took.up_to();
        assert_eq!(up_to[0], 2, "a bound belongs to its bucket");
        assert_eq!(up_to[1], 3);
        assert_eq!(up_to[3], 4);
        assert_eq!(up_to[4], 5);
        assert_eq!(up_to[12], 6);
        assert_eq!(up_to[13], 7);
        assert_eq!(took.sum(), Duration::from_millis(20_025));
    }
}
