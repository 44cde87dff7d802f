//! Another algorithm while requests come.

use super::*;

fn go_by(pools: &Pools, algorithm: Algorithm) {
    let live = Live {
        algorithm,
        ..(**pools.live()).clone()
    };
    pools.set_live(live);
}

#[test]
fn another_algorithm_chooses_from_the_next_request_on() {
    let pools = web(&[true; 3]);
    let pool = &pools.all()[0];
    let busy: Vec<Lease> = (0..2)
        .map(|_| pool.pick(Turn::Next, &Tried::default()).unwrap())
        .collect();
    go_by(&pools, Algorithm::LeastConn);
    assert_eq!(picks(pool, &[Turn::Next; 3]), [2; 3]);
    let keys: Vec<Turn> = (0..40u8).map(|n| Turn::Key(place(&[n]))).collect();
    go_by(&pools, Algorithm::Hash);
    let home = picks(pool, &keys);
    assert_eq!(picks(pool, &keys), home);
    assert!((0..3).all(|index| home.contains(&index)));
    go_by(&pools, Algorithm::IpHash);
    assert_eq!(picks(pool, &keys), home, "it is the same ring");
    go_by(&pools, Algorithm::RoundRobin);
    assert!(pool.snapshot().ring.is_none());
    assert_eq!(
        picks(pool, &keys[..4]),
        [0, 1, 2, 0],
        "a key of before takes the next"
    );
    let lives = pool.snapshot().members.clone();
    assert_eq!(
        lives.iter().map(|one| one.life.in_flight()).sum::<u32>(),
        2,
        "what is in flight counts on"
    );
    drop(busy);
    assert!(lives.iter().all(|one| one.life.in_flight() == 0));
}

#[test]
fn what_does_not_change_goes_on_where_it_was() {
    let pools = web(&[true; 3]);
    let pool = &pools.all()[0];
    assert_eq!(picks(pool, &[Turn::Next; 2]), [0, 1]);
    let live = Live {
        retries: 7,
        ..(**pools.live()).clone()
    };
    pools.set_live(live);
    assert_eq!(pools.live().retries, 7);
    assert_eq!(picks(pool, &[Turn::Next]), [2]);
    pool.publish((0..3).map(|index| member(index, true)).collect());
    assert_eq!(picks(pool, &[Turn::Next; 2]), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_goes_by_the_new_algorithm() {
    let pools = web(&[false; 3]);
    let pool = pools.all()[0].clone();
    let home = {
        let pools = web_by(Algorithm::Hash, &[true; 3]);
        picks(&pools.all()[0], &[Turn::Key(99)])[0]
    };
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move {
            let none = Tried::default();
            let lease = pool.wait(Turn::Key(99), &none, Duration::from_secs(10));
            lease.await.unwrap().member().index
        }
    });
    while pool.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    go_by(&pools, Algorithm::Hash);
    assert_eq!(pool.waiting(), 1);
    pool.publish((0..3).map(|index| member(index, true)).collect());
    assert_eq!(waiting.await.unwrap(), home);
}

/// Neither of two writers undoes what the other one did, and every view is whole.
#[test]
fn publishing_and_choosing_another_algorithm_do_not_race() {
    let pools = web(&[true; 2]);
    let pool = &pools.all()[0];
    let algorithms = [Algorithm::Hash, Algorithm::RoundRobin, Algorithm::PeakEwma];
    for round in 0..300usize {
        let count = 1 + round % 4;
        let algorithm = algorithms[round % 3];
        std::thread::scope(|threads| {
            threads.spawn(|| pool.publish((0..count).map(|index| member(index, true)).collect()));
            threads.spawn(|| go_by(&pools, algorithm));
            threads.spawn(|| {
                let snapshot = pool.snapshot();
                let keys = snapshot.pickers.algorithm == Algorithm::Hash;
                assert_eq!(snapshot.ring.is_some(), keys);
                assert!(pool.pick(Turn::Key(7), &Tried::default()).is_some());
            });
        });
        let snapshot = pool.snapshot();
        assert_eq!(snapshot.members.len(), count);
        assert_eq!(snapshot.pickers.algorithm, algorithm);
        let ring = snapshot.ring.as_ref();
        assert_eq!(ring.is_some(), algorithm == Algorithm::Hash);
        assert!(ring.is_none_or(|ring| ring.is_of((0..count).map(|index| (index, 1)))));
    }
}
