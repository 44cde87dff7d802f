//! How many further tries there may be: a share of the requests that came lately, so that tries cannot make an overload
//! worse (Finagle and Linkerd know it as the retry budget).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Requests and tries of so many seconds count.
const WINDOW: u64 = 10;
/// Further tries that are always allowed, a second: with few requests a share of them would be none.
const RESERVE: u64 = 10;
/// One slot a second; more than the window, so that a slot is never written and read for two different seconds.
const SLOTS: usize = 16;

/// A budget for further tries. Counting a request takes no lock; two threads that meet at the turn of a second may lose a
/// count, which nobody will notice.
#[derive(Debug)]
pub struct Budget {
    percent: Option<u32>,
    slots: [Slot; SLOTS],
}

#[derive(Debug, Default)]
struct Slot {
    /// The second it counts, from 1; 0 is none yet.
    second: AtomicU64,
    requests: AtomicU64,
    repeats: AtomicU64,
}

impl Budget {
    /// Of `percent` of the requests; `None` is no limit.
    pub fn new(percent: Option<u32>) -> Self {
        Self {
            percent,
            slots: std::array::from_fn(|_| Slot::default()),
        }
    }

    /// A request came at `now`, counted from any fixed moment.
    pub fn came(&self, now: Duration) {
        if self.percent.is_some() {
            self.slot(now).requests.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes one further try out of the budget, if there is one left.
    pub fn take(&self, now: Duration) -> bool {
        let Some(percent) = self.percent else {
            return true;
        };
        let present = second(now);
        let (mut requests, mut repeats) = (0, 0);
        for slot in &self.slots {
            let second = slot.second.load(Ordering::Relaxed);
            if second <= present && second + WINDOW > present {
                requests += slot.requests.load(Ordering::Relaxed);
                repeats += slot.repeats.load(Ordering::Relaxed);
            }
        }
        let allowed = requests * u64::from(percent) / 100 + RESERVE * WINDOW;
        let left = repeats < allowed;
        if left {
            self.slot(now).repeats.fetch_add(1, Ordering::Relaxed);
        }
        left
    }

    fn slot(&self, now: Duration) -> &Slot {
        let second = second(now);
        let slot = &self.slots[usize::try_from(second % SLOTS as u64).unwrap_or_default()];
        if slot.second.load(Ordering::Relaxed) != second
            && slot.second.swap(second, Ordering::Relaxed) != second
        {
            slot.requests.store(0, Ordering::Relaxed);
            slot.repeats.store(0, Ordering::Relaxed);
        }
        slot
    }
}

fn second(now: Duration) -> u64 {
    now.as_secs() + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn takes(budget: &Budget, second: u64) -> u64 {
        let now = Duration::from_secs(second);
        (0..).take_while(|_| budget.take(now)).count() as u64
    }

    #[test]
    fn a_share_of_the_last_seconds_and_a_reserve() {
        let budget = Budget::new(Some(20));
        assert_eq!(takes(&budget, 0), 100, "the reserve");
        for _ in 0..1000 {
            budget.came(Duration::from_secs(1));
        }
        assert_eq!(takes(&budget, 1), 200, "20 % of what came");
        assert_eq!(takes(&budget, 9), 0, "all of it is spent still");
        assert_eq!(
            takes(&budget, 10),
            100,
            "what was spent at first is forgotten"
        );
        assert_eq!(takes(&budget, 100), 100);
    }

    #[test]
    fn without_a_limit_there_is_none() {
        let budget = Budget::new(None);
        assert!((0..10_000).all(|_| budget.take(Duration::ZERO)));
    }

    proptest! {
        // What was allowed by requests that are forgotten by now stays spent, so they count here for as long again.
        #[test]
        fn never_more_than_the_share_and_the_reserve(seconds in prop::collection::vec((0u64..40, 0usize..50, 0usize..50), 1..30), percent in 0u32..200) {
            let budget = Budget::new(Some(percent));
            let mut seconds = seconds;
            seconds.sort_unstable();
            let mut taken: Vec<(u64, u64)> = Vec::new();
            for &(second, came, tries) in &seconds {
                let now = Duration::from_secs(second);
                for _ in 0..came {
                    budget.came(now);
                }
                let got = (0..tries).filter(|_| budget.take(now)).count() as u64;
                taken.push((second, got));
                let lately = |other: u64| other <= second && other + WINDOW > second;
                let all: u64 = taken.iter().filter(|(at, _)| lately(*at)).map(|(_, got)| got).sum();
                let came: u64 = seconds.iter().filter(|(at, ..)| *at <= second && *at + 2 * WINDOW > second).map(|(_, came, _)| *came as u64).sum();
                prop_assert!(all <= came * u64::from(percent) / 100 + RESERVE * WINDOW);
            }
        }
    }
}
