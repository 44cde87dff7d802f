//! Waiting. The only place of the tests with a sleep: a condition is polled until it holds, and a deadline that passes is
//! a failure that says what was waited for.

use std::time::{Duration, Instant};

/// How often a condition is looked at. Short, since some tests measure.
const EVERY: Duration = Duration::from_millis(2);

/// Whether `condition` holds before `limit` has passed.
pub fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(EVERY);
    }
}

/// Waits until `condition` holds; panics with `what` where it does not within `limit`.
#[track_caller]
pub fn until(limit: Duration, what: &str, condition: impl FnMut() -> bool) {
    assert!(
        holds_within(limit, condition),
        "waited {limit:?} in vain until {what}"
    );
}

/// [`until`] where other tasks of the same thread have to go on.
pub async fn until_async(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "waited {limit:?} in vain until {what}"
        );
        tokio::time::sleep(EVERY).await;
    }
}

/// Until this moment: the pace of a load generator, not a synchronisation.
pub fn at(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

/// How long a stub takes for an answer: its work, not a synchronisation.
pub async fn work(lasts: Duration) {
    tokio::time::sleep(lasts).await;
}

/// Seconds, for limits.
pub const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Whether the drills are to run longer: `tests/run --long`.
pub fn is_long() -> bool {
    std::env::var_os("LBDEV_TEST_LONG").is_some_and(|value| value == "1")
}

/// How long a drill repeats itself: `short`, or with `tests/run --long` ten times that.
pub fn drill(short: Duration) -> Duration {
    if is_long() { short * 10 } else { short }
}
