use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::{Balancer, Route};
use crate::pool::{Chosen, Pool, Pools, Tried, Turn};

fn member(index: usize, run: RunId, tally: Arc<crate::pool::Tally>) -> Arc<Member> {
    Arc::new(Member {
        run: Some(run),
        tally,
        ..Member::well(index)
    })
}

fn pools(detect: Detect, count: usize) -> Pools {
    let mut settings = Balancer {
        passive: PassivePolicy {
            failures: 3,
            window: Duration::from_secs(3600),
        },
        ..Balancer::default()
    };
    settings.live.detect = detect;
    let pools = Pools::new(
        [(Arc::from("web"), vec![Route::Prefix("/".into())])],
        &settings,
    );
    let members = (0..count).map(|index| member(index, RunId::FIRST, Arc::default()));
    pools.all()[0].publish(members.collect());
    pools
}

/// A lease on the first backend, whoever's turn it is.
fn lease(pool: &Pool) -> Lease {
    let first = pool.snapshot().members[0].clone();
    Lease::take(&first, Instant::now(), Chosen::Stuck).unwrap()
}

fn is_in(pool: &Pool, index: usize) -> bool {
    pool.snapshot().members[index].takes_requests()
}

fn fail(pool: &Pool, times: usize, failure: AttemptFailure) {
    for _ in 0..times {
        pool.failed(&lease(pool), failure);
    }
}

fn troubles(pool: &Pool) -> Vec<Trouble> {
    let troubles = pool.take_troubles().into_iter();
    troubles.map(|(_, _, trouble)| trouble).collect()
}

#[test]
fn what_takes_a_backend_out() {
    use AttemptFailure::*;
    let (all, one) = ([Some(Trouble::Failing); 7], Some(Trouble::Refused));
    for failure in [
        ConnectTimeout,
        ConnectFailed,
        Closed,
        Reset,
        BadResponse,
        HeadTimeout,
        CutBody,
    ]
    .into_iter()
    .zip(all)
    .map(|(failure, trouble)| (failure, Detect::Instant, 3, trouble))
    .chain([
        (Refused, Detect::Instant, 1, one),
        (Refused, Detect::Passive, 3, Some(Trouble::Failing)),
        (Closed, Detect::Passive, 3, Some(Trouble::Failing)),
        (Refused, Detect::Active, 9, None),
        (Closed, Detect::Active, 9, None),
    ]) {
        let (failure, detect, times, trouble) = failure;
        let pools = pools(detect, 2);
        let pool = &pools.all()[0];
        fail(pool, times - 1, failure);
        assert!(is_in(pool, 0), "{failure:?} with {detect:?}: too soon");
        assert_eq!(troubles(pool), []);
        fail(pool, 1, failure);
        assert_eq!(
            is_in(pool, 0),
            trouble.is_none(),
            "{failure:?} with {detect:?}"
        );
        assert_eq!(troubles(pool), Vec::from_iter(trouble));
        assert_eq!(troubles(pool), [], "it is told once");
        // It stays out until the supervisor has published what it makes of it.
        assert_eq!(is_in(pool, 0), trouble.is_none());
        pool.snapshot().members[0].life.settle();
        assert!(is_in(pool, 0) && is_in(pool, 1));
    }
}

#[test]
fn the_last_one_is_never_taken_out_by_failures_and_a_single_one_never_with_passive() {
    let of_two = pools(Detect::Instant, 2);
    let pool = &of_two.all()[0];
    pool.refused(&pool.snapshot().members[1]);
    fail(pool, 20, AttemptFailure::Closed);
    assert!(is_in(pool, 0));
    pool.snapshot().members[1].life.settle();
    fail(pool, 1, AttemptFailure::Closed);
    assert!(!is_in(pool, 0), "the other is back, and it still fails");

    for (count, out) in [(1, false), (2, true)] {
        let pools = pools(Detect::Passive, count);
        fail(&pools.all()[0], 3, AttemptFailure::Refused);
        assert_eq!(!is_in(&pools.all()[0], 0), out, "{count}");
    }
    // With passive all of several may be out.
    let of_two = pools(Detect::Passive, 2);
    let pool = &of_two.all()[0];
    fail(pool, 3, AttemptFailure::Refused);
    for _ in 0..3 {
        let second = pool.pick(Turn::Next, &Tried::default()).unwrap();
        assert_eq!(second.member().index, 1);
        pool.failed(&second, AttemptFailure::Refused);
    }
    assert!(!pool.any_eligible());
}

#[test]
fn a_switch_counts() {
    let pools = pools(Detect::Active, 2);
    let pool = &pools.all()[0];
    pool.refused(&pool.snapshot().members[0]);
    assert!(is_in(pool, 0));
    let mut live = pools.live().as_ref().clone();
    live.detect = Detect::Instant;
    pools.set_live(live);
    fail(pool, 1, AttemptFailure::Refused);
    assert!(!is_in(pool, 0));
}

/// With `instant` a run answers for itself; with `passive` nobody knows of runs.
#[test]
fn the_failures_of_the_run_before() {
    for (detect, out) in [(Detect::Instant, false), (Detect::Passive, true)] {
        let pools = pools(detect, 2);
        let pool = &pools.all()[0];
        let old = lease(pool);
        fail(pool, 2, AttemptFailure::Closed);
        let mut members = pool.snapshot().members.clone();
        members[0] = member(0, RunId::FIRST.next(), members[0].tally.clone());
        pool.publish(members);
        pool.failed(&old, AttemptFailure::Closed);
        assert_eq!(!is_in(pool, 0), out, "{detect:?}");
        if detect == Detect::Instant {
            // Nor does what is left of the old run make the new one's count start anew.
            fail(pool, 2, AttemptFailure::Closed);
            pool.failed(&old, AttemptFailure::Closed);
            assert!(is_in(pool, 0));
            fail(pool, 1, AttemptFailure::Closed);
            assert!(!is_in(pool, 0));
        }
    }
}

#[test]
fn a_second_reason_is_told_too() {
    let marks = Marks::default();
    assert_eq!((marks.any(), marks.tell()), (false, None));
    marks.set(Trouble::Failing);
    assert_eq!(marks.tell(), Some(Trouble::Failing));
    marks.set(Trouble::Failing);
    assert_eq!(marks.tell(), None);
    marks.set(Trouble::Refused);
    assert_eq!(marks.tell(), Some(Trouble::Refused));
    marks.clear();
    assert_eq!((marks.any(), marks.tell()), (false, None));
}
