//! Requests that a balancer which is not told of deaths would have sent to a backend that is gone.

use super::*;

/// Members that are listed; `gone` are dead.
fn listed(count: usize, gone: &[usize]) -> Vec<Arc<Member>> {
    (0..count)
        .map(|index| member(index, !gone.contains(&index)))
        .collect()
}

fn web_listed(algorithm: Algorithm, count: usize, gone: &[usize]) -> Pools {
    let pools = web_by(algorithm, &[]);
    pools.all()[0].publish(listed(count, gone));
    pools
}

/// Sends one request after the other, each of which ends at once.
fn send(pool: &Pool, turns: &[Turn]) {
    for &turn in turns {
        assert!(pool.pick_first(turn, Instant::now()).is_some());
    }
}

fn spared(pool: &Pool) -> Vec<u64> {
    let members = &pool.snapshot().members;
    members.iter().map(|one| one.tally.spared()).collect()
}

#[test]
fn in_turn_it_is_exactly_every_fourth() {
    let pools = web_listed(Algorithm::RoundRobin, 4, &[2]);
    let pool = &pools.all()[0];
    for rounds in 1..=50 {
        send(pool, &[Turn::Next; 4]);
        assert_eq!(spared(pool), [0, 0, rounds, 0]);
    }
}

#[test]
fn nothing_counts_while_everybody_is_there_or_was_taken_out_on_purpose() {
    for &(name, algorithm) in Algorithm::NAMES {
        let pools = web_listed(algorithm, 4, &[]);
        let pool = &pools.all()[0];
        send(pool, &[Turn::Next; 40]);
        assert_eq!(spared(pool), [0; 4], "{name}");
        let stopped = |one: &mut Member| (one.eligible, one.listed) = (false, false);
        let mut members = listed(4, &[]);
        members[1] = but(&members[1], stopped);
        pool.publish(members);
        send(pool, &[Turn::Next; 40]);
        assert_eq!(spared(pool), [0; 4], "{name}");
    }
}

#[test]
fn the_real_order_is_not_disturbed() {
    let [told, untold] = [true, false].map(|is_listed| {
        let pools = web_by(Algorithm::RoundRobin, &[]);
        let gone = |one: &mut Member| one.listed = is_listed;
        let mut members = listed(4, &[1]);
        members[1] = but(&members[1], gone);
        pools.all()[0].publish(members);
        let take = |_| pools.all()[0].pick_first(Turn::Next, Instant::now());
        let order: Vec<usize> = (0..20)
            .map(take)
            .map(|lease| lease.unwrap().member().index)
            .collect();
        order
    });
    assert_eq!(told, untold);
}

#[test]
fn keys_pages_and_clients_that_stick_count_where_they_belong() {
    let pools = web_by(Algorithm::Hash, &[true; 3]);
    let pool = &pools.all()[0];
    let keys: Vec<Turn> = (0..60u8).map(|n| Turn::Key(place(&[n]))).collect();
    let at_1 = picks(pool, &keys).iter().filter(|&&one| one == 1).count();
    pool.publish(listed(3, &[1]));
    send(pool, &keys);
    assert_eq!(spared(pool), [0, at_1 as u64, 0]);

    let pools = web_listed(Algorithm::RoundRobin, 3, &[]);
    let pool = &pools.all()[0];
    let client = ClientKey::new(Ipv4Addr::LOCALHOST.into(), b"x");
    send(pool, &[Turn::Page(client)]);
    pool.publish(listed(3, &[0]));
    let turns = [Turn::Asset(client), Turn::Stuck(0), Turn::Stuck(1)];
    send(pool, &turns);
    assert_eq!(spared(pool), [2, 0, 0]);
}

#[test]
fn backups_are_asked_only_where_no_other_is_listed() {
    let pools = web_by(Algorithm::RoundRobin, &[]);
    let pool = &pools.all()[0];
    let backup = |one: &mut Member| one.backup = true;
    let mut members = listed(3, &[0]);
    members[2] = but(&members[2], backup);
    pool.publish(members.clone());
    send(pool, &[Turn::Next; 10]);
    assert_eq!(spared(pool), [5, 0, 0]);
    members[1] = but(&members[1], |one| one.eligible = false);
    pool.publish(members);
    send(pool, &[Turn::Next; 10]);
    assert_eq!(spared(pool), [10, 5, 0]);
}

#[test]
fn a_further_try_counts_nothing() {
    let pools = web_listed(Algorithm::RoundRobin, 2, &[0]);
    let pool = &pools.all()[0];
    for _ in 0..10 {
        drop(pool.pick(Turn::Next, &Tried::default()));
    }
    assert_eq!(spared(pool), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_counts_once() {
    let pools = web_listed(Algorithm::RoundRobin, 1, &[0]);
    let pool = &pools.all()[0];
    assert!(pool.pick_first(Turn::Next, Instant::now()).is_none());
    assert!(wait_next(pool).await.is_err());
    assert_eq!(spared(pool), [1]);
}
