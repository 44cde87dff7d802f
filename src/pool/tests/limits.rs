//! `max_connections`: never exceeded, and those who wait for a place get it in the order in which they came.

use super::*;

fn limited(max: &[u32]) -> Vec<Arc<Member>> {
    let each = max.iter().enumerate().map(|(index, &max)| Member {
        max_connections: max,
        ..(*member(index, true)).clone()
    });
    each.map(Arc::new).collect()
}

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn a_full_backend_is_passed_over() {
    for &(_, algorithm) in Algorithm::NAMES {
        let pools = web_by(algorithm, &[]);
        let pool = &pools.all()[0];
        pool.publish(limited(&[1, 2]));
        let none = Tried::default();
        let leases: Vec<Lease> = (0..3)
            .map(|n| pool.pick(Turn::Key(place(&[n])), &none).unwrap())
            .collect();
        let mut picked: Vec<usize> = leases.iter().map(|lease| lease.member().index).collect();
        picked.sort_unstable();
        assert_eq!(picked, [0, 1, 1], "{algorithm:?}");
        assert!(!pool.any_eligible());
        for turn in [Turn::Next, Turn::Stuck(0), Turn::Key(7)] {
            assert!(pool.pick(turn, &none).is_none(), "{algorithm:?} {turn:?}");
        }
        drop(leases);
        assert!(pool.pick(Turn::Next, &none).is_some());
    }
}

#[test]
fn a_stuck_request_whose_backend_is_full_gets_the_next() {
    let pools = web(&[]);
    let pool = &pools.all()[0];
    pool.publish(limited(&[1, 0]));
    let _first = pool.pick(Turn::Stuck(0), &Tried::default()).unwrap();
    let second = pool.pick(Turn::Stuck(0), &Tried::default()).unwrap();
    assert_eq!(second.member().index, 1);
}

#[test]
fn a_retry_stands_in_line_for_who_is_only_busy() {
    let pools = web(&[]);
    let pool = &pools.all()[0];
    pool.publish(limited(&[1, 1]));
    let (first, _second) = (
        pool.pick(Turn::Next, &Tried::default()).unwrap(),
        pool.pick(Turn::Next, &Tried::default()).unwrap(),
    );
    let mut tried = Tried::default();
    tried.add(first.member());
    assert!(pool.is_busy_for(&tried));
    tried.add(&pool.snapshot().members[1]);
    assert!(!pool.is_busy_for(&tried));
}

#[test]
fn threads_never_pass_the_limit_together() {
    let pools = web(&[]);
    let pool = pools.all()[0].clone();
    pool.publish(limited(&[3, 2]));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    let lease = pool.pick(Turn::Next, &Tried::default());
                    for member in &pool.snapshot().members {
                        assert!(member.life.in_flight() <= member.max_connections);
                    }
                    drop(lease);
                }
            });
        }
    });
    assert!(
        pool.snapshot()
            .members
            .iter()
            .all(|one| one.life.in_flight() == 0)
    );
}

/// One who waits for a place and holds it until told; the order in which they get one is noted.
fn waiter(
    pool: &Arc<Pool>,
    name: usize,
    order: &Arc<Mutex<Vec<usize>>>,
) -> tokio::task::JoinHandle<Lease> {
    let (pool, order) = (pool.clone(), order.clone());
    tokio::spawn(async move {
        let mut place = None;
        loop {
            let mut ticket = pool.wait(place.take(), LIMIT).await.unwrap();
            if let Some(lease) = pool.pick_called(Turn::Next, &Tried::default(), &mut ticket) {
                order.lock().unwrap().push(name);
                return lease;
            }
            place = Some(ticket);
        }
    })
}

async fn until_waiting(pool: &Pool, count: usize) {
    while pool.waiting() < count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn places_are_given_in_the_order_of_arrival() {
    let settings = Balancer {
        queue_max: 8,
        ..Balancer::default()
    };
    let pools = Pools::new(
        [(Arc::from("web"), vec![Route::Prefix("/".into())])],
        &settings,
    );
    let pool = &pools.all()[0];
    pool.publish(limited(&[1]));
    let held = pool.pick(Turn::Next, &Tried::default()).unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waiters = Vec::new();
    for name in 0..4 {
        waiters.push(waiter(pool, name, &order));
        until_waiting(pool, name + 1).await;
    }
    let leaver = waiters.remove(1);
    leaver.abort();
    assert!(leaver.await.is_err());
    drop(held);
    assert!(
        pool.pick(Turn::Next, &Tried::default()).is_none(),
        "who comes now stands behind, although the place is free"
    );
    for waiter in waiters {
        drop(waiter.await.unwrap());
    }
    assert_eq!(*order.lock().unwrap(), [0, 2, 3]);
    assert!(
        pool.pick(Turn::Next, &Tried::default()).is_some(),
        "nobody waits any more"
    );
}

#[tokio::test(start_paused = true)]
async fn a_place_given_to_one_who_has_left_goes_to_the_next() {
    let pools = web(&[]);
    let pool = &pools.all()[0];
    pool.publish(limited(&[1]));
    let held = pool.pick(Turn::Next, &Tried::default()).unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let first = waiter(pool, 0, &order);
    until_waiting(pool, 1).await;
    let second = waiter(pool, 1, &order);
    until_waiting(pool, 2).await;
    // Called, and gone before it hears of it.
    drop(held);
    first.abort();
    let lease = tokio::time::timeout(LIMIT, second)
        .await
        .expect("the second is called")
        .unwrap();
    assert_eq!(lease.member().index, 0);
    drop(lease);
    assert!(pool.pick(Turn::Next, &Tried::default()).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_comes_back_takes_as_many_as_it_may() {
    let pools = web(&[]);
    let pool = &pools.all()[0];
    pool.publish(vec![Arc::new(Member {
        eligible: false,
        ..(*limited(&[1])[0]).clone()
    })]);
    let order = Arc::new(Mutex::new(Vec::new()));
    let first = waiter(pool, 0, &order);
    until_waiting(pool, 1).await;
    let second = waiter(pool, 1, &order);
    until_waiting(pool, 2).await;
    pool.publish(limited(&[1]));
    let lease = first.await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!((pool.waiting(), &*order.lock().unwrap()), (1, &vec![0]));
    drop(lease);
    drop(second.await.unwrap());
}
