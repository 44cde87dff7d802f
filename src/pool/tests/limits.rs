//! `max_connections`, and the queue before full backends.

use super::*;

/// Backends with these limits; 0 is none.
pub(super) fn limited(algorithm: Algorithm, limits: &[u32]) -> Pools {
    let pools = web_by(algorithm, &[]);
    pools.all()[0].publish(with_limits(limits));
    pools
}

pub(super) fn with_limits(limits: &[u32]) -> Vec<Arc<Member>> {
    let each = limits.iter().enumerate();
    each.map(|(index, &max)| but(&member(index, true), |one| one.max_connections = max))
        .collect()
}

fn take(pool: &Pool) -> Option<Lease> {
    pool.pick_first(Turn::Next, Instant::now())
}

/// A request: it takes what there is, or waits. What it gets goes to the list, and is kept there.
fn come(
    pool: &Arc<Pool>,
    got: &Arc<Mutex<Vec<(u8, Lease)>>>,
    name: u8,
    turn: Turn,
    tried: &Tried,
) -> tokio::task::JoinHandle<()> {
    let (pool, got, tried) = (pool.clone(), got.clone(), tried.clone());
    tokio::spawn(async move {
        let lease = match pool.pick(turn, &tried) {
            Some(lease) => lease,
            None => pool
                .wait(turn, &tried, Duration::from_secs(10))
                .await
                .unwrap(),
        };
        got.lock().unwrap().push((name, lease));
    })
}

async fn until_waiting(pool: &Pool, count: usize) {
    for _ in 0..10_000 {
        if pool.waiting() == count {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{} wait, not {count}", pool.waiting());
}

fn names(got: &Mutex<Vec<(u8, Lease)>>) -> Vec<(u8, usize)> {
    let got = got.lock().unwrap();
    got.iter()
        .map(|(name, lease)| (*name, lease.member().index))
        .collect()
}

/// The first request in the list ends.
fn end_first(got: &Mutex<Vec<(u8, Lease)>>) {
    let first = got.lock().unwrap().remove(0);
    drop(first);
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn full_backends_are_waited_for_first_come_first_served() {
    let pools = limited(Algorithm::RoundRobin, &[1, 1]);
    let pool = &pools.all()[0];
    let got = Arc::default();
    let none = Tried::default();
    let all: Vec<_> = (0..4u8)
        .map(|name| come(pool, &got, name, Turn::Next, &none))
        .collect();
    until_waiting(pool, 2).await;
    assert_eq!(names(&got), [(0, 0), (1, 1)]);
    assert_eq!(
        wait_next(pool).await,
        Err(Unavailable::QueueFull(Lack::Room))
    );
    end_first(&got);
    assert!(take(pool).is_none(), "a newcomer does not overtake");
    until_waiting(pool, 1).await;
    settle().await;
    assert_eq!(names(&got), [(1, 1), (2, 0)], "one for each that ends");
    end_first(&got);
    settle().await;
    assert_eq!(names(&got), [(2, 0), (3, 1)]);
    assert!(take(pool).is_none(), "all are full");
    assert_eq!(
        wait_next(pool).await,
        Err(Unavailable::TimedOut(Lack::Room))
    );
    end_first(&got);
    assert_eq!(take(pool).unwrap().member().index, 0);
    for one in all {
        one.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_hands_its_backend_on() {
    let pools = limited(Algorithm::RoundRobin, &[1]);
    let pool = &pools.all()[0];
    let got = Arc::default();
    let none = Tried::default();
    let busy = take(pool).unwrap();
    let first = come(pool, &got, 1, Turn::Next, &none);
    let second = come(pool, &got, 2, Turn::Next, &none);
    until_waiting(pool, 2).await;
    // It is the first one's now, which leaves before it has seen it.
    drop(busy);
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    second.await.unwrap();
    assert_eq!(names(&got), [(2, 0)]);
    end_first(&got);
    assert_eq!(pool.snapshot().members[0].life.in_flight(), 0);
    assert!(take(pool).is_some(), "nobody waits any more");
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_finds_a_place_when_those_before_it_have_left() {
    let pools = limited(Algorithm::RoundRobin, &[1, 1]);
    let pool = &pools.all()[0];
    let got = Arc::default();
    let none = Tried::default();
    let (busy, other) = (take(pool).unwrap(), take(pool).unwrap());
    for name in [1, 2] {
        let one = come(pool, &got, name, Turn::Next, &none);
        settle().await;
        one.abort();
        assert!(one.await.unwrap_err().is_cancelled());
    }
    assert_eq!(pool.waiting(), 0);
    drop(busy);
    assert_eq!(wait_next(pool).await, Ok(0));
    drop(other);
    assert!(take(pool).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_failed_request_waits_for_another_backend_and_for_its_own_only_when_it_is_the_last() {
    let pools = limited(Algorithm::RoundRobin, &[1, 1]);
    let pool = &pools.all()[0];
    let got = Arc::default();
    let mut tried = Tried::default();
    tried.add(&pool.snapshot().members[0]);
    let none = Tried::default();
    let (zero, one) = (take(pool).unwrap(), take(pool).unwrap());
    assert!(pool.pick(Turn::Next, &tried).is_none());
    assert!(pool.is_anybody_busy(&tried));
    let retried = come(pool, &got, 1, Turn::Next, &tried);
    let plain = come(pool, &got, 2, Turn::Next, &none);
    until_waiting(pool, 2).await;
    drop(zero);
    plain.await.unwrap();
    assert_eq!(
        names(&got),
        [(2, 0)],
        "what one cannot use goes to the next"
    );
    drop(one);
    retried.await.unwrap();
    assert_eq!(names(&got), [(2, 0), (1, 1)]);

    let again = come(pool, &got, 3, Turn::Next, &tried);
    until_waiting(pool, 1).await;
    let members = pool.snapshot().members.clone();
    end_first(&got);
    settle().await;
    assert_eq!(pool.waiting(), 1);
    pool.publish(vec![
        members[0].clone(),
        but(&members[1], |one| one.eligible = false),
    ]);
    assert!(!pool.is_anybody_busy(&tried));
    again.await.unwrap();
    assert_eq!(names(&got), [(1, 1), (3, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_asks_the_queue_first_where_there_is_one() {
    let pools = limited(Algorithm::RoundRobin, &[1, 1]);
    let pool = &pools.all()[0];
    let got = Arc::default();
    let mut tried = Tried::default();
    tried.add(&pool.snapshot().members[0]);
    let (zero, one) = (take(pool).unwrap(), take(pool).unwrap());
    let retried = come(pool, &got, 1, Turn::Next, &tried);
    until_waiting(pool, 1).await;
    drop(zero);
    assert!(take(pool).is_none(), "who waits may be about to have it");
    assert_eq!(wait_next(pool).await, Ok(0), "it is not");
    drop(one);
    retried.await.unwrap();
}

#[test]
fn who_wants_one_that_is_full_gets_the_next() {
    let pools = limited(Algorithm::Hash, &[1, 0, 0]);
    let pool = &pools.all()[0];
    let keys: Vec<Turn> = (0..40u8).map(|n| Turn::Key(place(&[n]))).collect();
    let home = picks(pool, &keys);
    let client = ClientKey::new(Ipv4Addr::LOCALHOST.into(), b"x");
    let _busy = pool.pick(Turn::Stuck(0), &Tried::default()).unwrap();
    pool.pages.note(client, 0);
    for (before, now) in home.iter().zip(picks(pool, &keys)) {
        assert!(if *before == 0 {
            now != 0
        } else {
            now == *before
        });
    }
    for turn in [Turn::Stuck(0), Turn::Asset(client)] {
        assert!(picks(pool, &[turn; 6]).iter().all(|&index| index != 0));
    }
}

#[test]
fn backups_help_when_the_others_are_full() {
    for &(name, algorithm) in Algorithm::NAMES {
        let pools = limited(algorithm, &[]);
        let pool = &pools.all()[0];
        let mut members = with_limits(&[1, 2, 1]);
        members[2] = but(&members[2], |one| one.backup = true);
        pool.publish(members);
        let leases: Vec<Lease> = (0..4).map(|_| take(pool).unwrap()).collect();
        let mut first: Vec<usize> = leases.iter().map(|one| one.member().index).collect();
        assert_eq!(first[3], 2, "{name}: {first:?}");
        first.sort_unstable();
        assert_eq!(first, [0, 1, 1, 2], "{name}");
        assert!(take(pool).is_none());
        assert_eq!(pool.lack(), Lack::Room);
    }
}

#[tokio::test(start_paused = true)]
async fn who_sticks_to_a_drained_backend_is_not_held_up_by_others() {
    let pools = limited(Algorithm::RoundRobin, &[]);
    let pool = &pools.all()[0];
    let drained = |one: &mut Member| (one.eligible, one.stays) = (false, true);
    let members = with_limits(&[2, 2]);
    pool.publish(members.iter().map(|one| but(one, drained)).collect());
    let got = Arc::default();
    let none = Tried::default();
    let next = come(pool, &got, 1, Turn::Next, &none);
    until_waiting(pool, 1).await;
    come(pool, &got, 2, Turn::Stuck(1), &none).await.unwrap();
    assert_eq!(names(&got), [(2, 1)]);
    pool.publish(members);
    next.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn weights_of_0_are_waited_out() {
    let pools = web(&[]);
    let pool = &pools.all()[0];
    let weigh = |weight: u32| {
        let weighed = |one: &mut Member| (one.weight, one.share) = (weight, weight);
        vec![but(&member(0, true), weighed)]
    };
    pool.publish(weigh(0));
    assert!(take(pool).is_none());
    assert_eq!(
        wait_next(pool).await,
        Err(Unavailable::TimedOut(Lack::Weight))
    );
    let got = Arc::default();
    let one = come(pool, &got, 1, Turn::Next, &Tried::default());
    until_waiting(pool, 1).await;
    pool.publish(weigh(1));
    one.await.unwrap();
    assert_eq!(names(&got), [(1, 0)]);
}
