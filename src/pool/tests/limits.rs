//! `max_connections`, and the queue before full backends.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::*;

/// Backends with these limits; 0 is none.
fn limited(algorithm: Algorithm, limits: &[u32]) -> Pools {
    let pools = web_by(algorithm, &[]);
    pools.all()[0].publish(with_limits(limits));
    pools
}

fn with_limits(limits: &[u32]) -> Vec<Arc<Member>> {
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
    while pool.waiting() != count {
        tokio::task::yield_now().await;
    }
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

#[test]
fn no_limit_is_ever_exceeded_whoever_asks() {
    for &(name, algorithm) in Algorithm::NAMES {
        let limits = [1, 2, 5];
        let pools = limited(algorithm, &limits);
        let pool = &pools.all()[0];
        let held: [AtomicU32; 3] = Default::default();
        let most: [AtomicU32; 3] = Default::default();
        std::thread::scope(|threads| {
            for thread in 0..6u8 {
                let (held, most) = (&held, &most);
                threads.spawn(move || {
                    let mut leases = std::collections::VecDeque::new();
                    for n in 0..2000u32 {
                        let key = place(&[thread, (n % 251) as u8]);
                        let turn = [Turn::Next, Turn::Key(key), Turn::Stuck(n as usize % 3)]
                            [n as usize % 3];
                        if let Some(lease) = pool.pick_first(turn, Instant::now()) {
                            let index = lease.member().index;
                            let now = held[index].fetch_add(1, Ordering::SeqCst) + 1;
                            most[index].fetch_max(now, Ordering::SeqCst);
                            assert!(now <= limits[index], "{name}: {now} at {index}");
                            leases.push_back(lease);
                        }
                        if leases.len() > usize::from(thread) % 3
                            && let Some(lease) = leases.pop_front()
                        {
                            held[lease.member().index].fetch_sub(1, Ordering::SeqCst);
                            drop(lease);
                        }
                    }
                    for lease in leases {
                        held[lease.member().index].fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        for (index, member) in pool.snapshot().members.iter().enumerate() {
            assert_eq!(member.life.in_flight(), 0, "{name}");
            assert!(most[index].load(Ordering::SeqCst) > 0, "{name}: {index}");
        }
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

/// Threads that take, wait and give back, while others publish and choose other algorithms: nobody waits for ever, and
/// nothing is left over.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_is_forgotten() {
    let mut settings = Balancer {
        queue_max: 10_000,
        ..Balancer::default()
    };
    settings.live.algorithm = Algorithm::RoundRobin;
    let route = vec![Route::Prefix("/".into())];
    let pools = Arc::new(Pools::new([(Arc::from("web"), route)], &settings));
    let pool = pools.all()[0].clone();
    let members = with_limits(&[1, 2, 1]);
    pool.publish(members.clone());
    let done = Arc::new(AtomicBool::new(false));
    let changes = std::thread::spawn({
        let (pools, done, members) = (pools.clone(), done.clone(), members.clone());
        move || {
            for round in 0.. {
                if done.load(Ordering::SeqCst) {
                    break;
                }
                let mut live = settings.live.clone();
                live.algorithm = Algorithm::NAMES[round % Algorithm::NAMES.len()].1;
                pools.set_live(live);
                let up = |one: &Arc<Member>| {
                    let eligible = !(round + one.index).is_multiple_of(3);
                    but(one, |one| one.eligible = eligible)
                };
                pools.all()[0].publish(members.iter().map(up).collect());
                std::thread::yield_now();
            }
        }
    });
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..40u8 {
        let pool = pool.clone();
        clients.spawn(async move {
            for n in 0..100u8 {
                let turn = match n % 3 {
                    0 => Turn::Key(place(&[client, n])),
                    1 => Turn::Stuck(usize::from(n) % 4),
                    _ => Turn::Next,
                };
                let lease = match pool.pick_first(turn, Instant::now()) {
                    Some(lease) => lease,
                    None => pool
                        .wait(turn, &Tried::default(), Duration::from_secs(60))
                        .await
                        .unwrap(),
                };
                let max = lease.member().max_connections;
                assert!(lease.member().life.in_flight() <= max);
                if n % 5 == 0 {
                    tokio::task::yield_now().await;
                }
                lease.answered(Instant::now());
            }
        });
    }
    while let Some(one) = clients.join_next().await {
        one.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    changes.join().unwrap();
    assert_eq!(pool.waiting(), 0);
    assert!(members.iter().all(|one| one.life.in_flight() == 0));
    let answered: u64 = members.iter().map(|one| one.tally.requests()).sum();
    assert_eq!(answered, 4000);
}
