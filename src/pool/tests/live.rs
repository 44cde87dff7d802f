//! What changes while requests are answered, and what would have been without lbdev.

use super::*;

fn with(each: &[(bool, bool)]) -> Vec<Arc<Member>> {
    let each = each
        .iter()
        .enumerate()
        .map(|(index, &(eligible, listed))| Member {
            listed,
            ..(*member(index, eligible)).clone()
        });
    each.map(Arc::new).collect()
}

fn set(pools: &Pools, algorithm: Algorithm) {
    let mut live = (**pools.live()).clone();
    live.algorithm = algorithm;
    pools.set_live(live);
}

#[test]
fn the_algorithm_changes_and_the_same_one_goes_on() {
    let pools = web(&[true; 3]);
    let pool = &pools.all()[0];
    assert_eq!(picks(pool, &[Turn::Next]), [0]);
    set(&pools, Algorithm::RoundRobin);
    assert_eq!(picks(pool, &[Turn::Next]), [1], "nothing was changed");
    set(&pools, Algorithm::Hash);
    let key = Turn::Key(place(b"a"));
    let home = picks(pool, &[key]);
    assert_eq!(picks(pool, &[key; 5]), home.repeat(5));
    let held = pool.pick(key, &Tried::default()).unwrap();
    set(&pools, Algorithm::LeastConn);
    assert_ne!(
        picks(pool, &[key, key]),
        home.repeat(2),
        "keys mean nothing any more"
    );
    assert_eq!(held.member().life.in_flight(), 1);
    drop(held);
    assert_eq!(pools.live().algorithm, Algorithm::LeastConn);
}

#[test]
fn publishing_and_switching_at_once_lose_neither() {
    let pools = web(&[true; 2]);
    let pool = &pools.all()[0];
    std::thread::scope(|scope| {
        scope.spawn(|| (0..500).for_each(|_| pool.publish(with(&[(true, true); 4]))));
        for algorithm in [Algorithm::Hash, Algorithm::PeakEwma]
            .into_iter()
            .cycle()
            .take(500)
        {
            set(&pools, algorithm);
        }
    });
    set(&pools, Algorithm::RoundRobin);
    assert_eq!(picks(pool, &[Turn::Next; 4]), [0, 1, 2, 3]);
}

#[test]
fn shares_decide_not_weights_and_0_is_nobodys() {
    let pools = web(&[]);
    let pool = &pools.all()[0];
    let shares = |shares: [u32; 3]| -> Vec<Arc<Member>> {
        let each = shares.iter().enumerate().map(|(index, &share)| Member {
            share,
            ..(*member(index, true)).clone()
        });
        each.map(Arc::new).collect()
    };
    pool.publish(shares([5, 1, 1]));
    assert_eq!(picks(pool, &[Turn::Next; 7]), [0, 0, 1, 0, 2, 0, 0]);
    pool.publish(shares([0, 0, 0]));
    assert!(!pool.any_eligible());
    assert!(pool.pick(Turn::Next, &Tried::default()).is_none());
    assert!(
        pool.pick(Turn::Stuck(1), &Tried::default()).is_some(),
        "who sticks to it stays"
    );
}

#[test]
fn a_client_sticks_to_a_drained_backend_until_it_is_gone() {
    let pools = web(&[true; 3]);
    let pool = &pools.all()[0];
    assert_eq!(picks(pool, &[Turn::Stuck(2); 3]), [2, 2, 2]);
    let drained = |stays| {
        let mut members = with(&[(true, true), (true, true), (false, true)]);
        members[2] = Arc::new(Member {
            stays,
            ..(*members[2]).clone()
        });
        members
    };
    pool.publish(drained(true));
    assert_eq!(
        picks(pool, &[Turn::Stuck(2), Turn::Next, Turn::Next]),
        [2, 0, 1]
    );
    let mut tried = Tried::default();
    tried.add(&pool.snapshot().members[2]);
    assert_ne!(pool.pick(Turn::Stuck(2), &tried).unwrap().member().index, 2);
    pool.publish(drained(false));
    assert!(!picks(pool, &[Turn::Stuck(2); 3]).contains(&2));
    assert!(
        pool.pick(Turn::Stuck(9), &Tried::default()).is_some(),
        "there is no such one"
    );
}

fn spared(pool: &Pool) -> Vec<u64> {
    let snapshot = pool.snapshot();
    snapshot
        .members
        .iter()
        .map(|one| one.tally.spared())
        .collect()
}

#[test]
fn one_in_four_would_have_gone_to_the_one_of_four_that_is_dead() {
    let pools = web(&[]);
    let pool = &pools.all()[0];
    let came = |times: usize| (0..times).for_each(|_| pool.came(Turn::Next, Instant::now()));
    pool.publish(with(&[(true, true); 4]));
    came(8);
    assert_eq!(spared(pool), [0; 4]);
    let mut members = pool.snapshot().members.clone();
    members[1] = Arc::new(Member {
        eligible: false,
        ..(*members[1]).clone()
    });
    pool.publish(members.clone());
    came(12);
    assert_eq!(spared(pool), [0, 3, 0, 0]);
    members[1] = Arc::new(Member {
        listed: false,
        ..(*members[1]).clone()
    });
    pool.publish(members);
    came(12);
    assert_eq!(spared(pool), [0, 3, 0, 0], "it was taken out on purpose");
}

#[test]
fn keys_and_stuck_clients_would_have_gone_home() {
    let pools = web_by(Algorithm::Hash, &[]);
    let pool = &pools.all()[0];
    pool.publish(with(&[(true, true), (true, true), (true, true)]));
    let key = Turn::Key(place(b"a"));
    let home = picks(pool, &[key])[0];
    let mut members = pool.snapshot().members.clone();
    members[home] = Arc::new(Member {
        eligible: false,
        ..(*members[home]).clone()
    });
    pool.publish(members);
    let now = Instant::now();
    pool.came(key, now);
    pool.came(Turn::Stuck(home), now);
    pool.came(Turn::Stuck((home + 1) % 3), now);
    assert_eq!(spared(pool)[home], 2);
    assert_eq!(spared(pool).iter().sum::<u64>(), 2);
}

#[test]
fn failures_are_counted_by_kind() {
    let pools = web(&[true]);
    let pool = &pools.all()[0];
    for failure in [
        AttemptFailure::Closed,
        AttemptFailure::Status(503),
        AttemptFailure::Closed,
    ] {
        let lease = pool.pick(Turn::Next, &Tried::default()).unwrap();
        pool.failed(&lease, failure);
    }
    let tally = &pool.snapshot().members[0].tally;
    let by: Vec<_> = tally.failures_by().collect();
    assert_eq!(
        (by, tally.failures()),
        (vec![("closed", 2), ("status", 1)], 3)
    );
}
