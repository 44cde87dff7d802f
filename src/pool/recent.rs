//! The last requests, for whoever wants to look at some: all of them while they are few, a sample of a flood.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::{Access, since_start};

/// So many are kept.
pub const RECENT: usize = 200;
/// So many that come together are all looked at: a page with everything it loads.
const BURST: u64 = 100;
/// Of those that go on to come, so many in each slot of time.
const EACH_SLOT: u64 = 5;
/// The length of a slot, in milliseconds.
const SLOT_MS: u64 = 100;

/// The last requests that were looked at. Not one allocation is made for the others.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// A token bucket: the slot that is now, and below it the tokens that are left, as one word, so that no lock is needed.
    slot: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    requests: VecDeque<(u64, Access)>,
}

impl Recent {
    /// Whether a request that begins `now` is to be kept.
    pub(super) fn wants(&self, now: Instant) -> bool {
        let ms = u64::try_from(since_start(now).as_millis()).unwrap_or(u64::MAX);
        self.wants_at(ms / SLOT_MS)
    }

    fn wants_at(&self, slot: u64) -> bool {
        const BITS: u32 = 8;
        let seen = self.slot.load(Ordering::Relaxed);
        let (of, left) = (seen >> BITS, seen & ((1 << BITS) - 1));
        let more = slot.saturating_sub(of).saturating_mul(EACH_SLOT);
        // At first it is full.
        let left = match seen {
            0 => BURST,
            _ => left.saturating_add(more).min(BURST),
        };
        if left == 0 {
            return false;
        }
        // Two threads at once may keep one more than they should, or one less: nothing depends on it.
        self.slot
            .store((slot << BITS) | (left - 1), Ordering::Relaxed);
        true
    }

    /// Keeps one that has ended.
    pub(super) fn keep(&self, access: Access) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.last += 1;
        let number = kept.last;
        if kept.requests.len() >= RECENT {
            kept.requests.pop_front();
        }
        kept.requests.push_back((number, access));
    }

    /// Those that are kept after this number, the oldest first, each with its own.
    pub(super) fn after(&self, number: u64) -> Vec<(u64, Access)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let from = kept.requests.partition_point(|(one, _)| *one <= number);
        kept.requests.range(from..).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn access(target: &str) -> Access {
        Access {
            at: SystemTime::UNIX_EPOCH,
            method: "GET".into(),
            target: target.into(),
            status: 200,
            took: Duration::ZERO,
            waited: Duration::ZERO,
            fault: false,
            backend: None,
            chosen: None,
            attempts: Vec::new(),
        }
    }

    #[test]
    fn a_flood_is_sampled_and_few_are_all_kept() {
        let recent = Recent::default();
        let wanted = |slot| (0..1000).filter(|_| recent.wants_at(slot)).count() as u64;
        assert_eq!(wanted(50), BURST, "what comes together");
        assert_eq!(wanted(50), 0);
        assert_eq!(wanted(51), EACH_SLOT);
        assert_eq!(wanted(53), 2 * EACH_SLOT);
        assert_eq!(wanted(52), 0, "a clock that goes back");
        assert_eq!(wanted(5000), BURST);
        for slot in 9000..9200 {
            assert!((0..EACH_SLOT).all(|_| recent.wants_at(slot)));
        }
    }

    #[test]
    fn the_last_ones_have_numbers() {
        let recent = Recent::default();
        assert!(recent.after(0).is_empty());
        for n in 1..=RECENT + 3 {
            recent.keep(access(&n.to_string()));
        }
        let all = recent.after(0);
        assert_eq!(all.len(), RECENT);
        assert_eq!((all[0].0, all[0].1.target.as_str()), (4, "4"));
        let last = recent.after(RECENT as u64 + 1);
        assert_eq!(last.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [202, 203]);
        assert!(recent.after(900).is_empty());
    }
}
