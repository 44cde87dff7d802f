//! Clients that stick to a backend.

use super::*;

#[test]
fn a_client_keeps_its_backend_while_that_is_there() {
    let pools = web(&[true; 3]);
    let pool = &pools.all()[0];
    // What is different about the backend that the client sticks to; whether it keeps it, and whether others get it.
    let check = |what: &str, change: &dyn Fn(&mut Member), keeps: bool, others: bool| {
        let mut members: Vec<_> = (0..3).map(|index| member(index, true)).collect();
        members[1] = but(&members[1], change);
        pool.publish(members);
        let stuck = picks(pool, &[Turn::Stuck(1); 4]);
        match keeps {
            true => assert_eq!(stuck, [1; 4], "{what}"),
            false => assert!(!stuck.contains(&1), "{what}: {stuck:?}"),
        }
        let next = picks(pool, &[Turn::Next; 6]);
        assert_eq!(next.contains(&1), others, "{what}: {next:?}");
    };
    check("up", &|_| {}, true, true);
    let drained = |one: &mut Member| (one.eligible, one.stays) = (false, true);
    check("drained", &drained, true, false);
    check("drained for all", &|one| one.eligible = false, false, false);
    let about_to_stop = |one: &mut Member| {
        drained(one);
        one.life.drain();
    };
    check("drained and about to stop", &about_to_stop, false, false);
    let refused = |one: &mut Member| {
        drained(one);
        one.life.marks.set(Trouble::Refused);
    };
    check("drained and refused", &refused, false, false);
    check("a backup", &|one| one.backup = true, true, false);
    let weightless = |one: &mut Member| (one.weight, one.share) = (0, 0);
    check("of weight 0", &weightless, true, false);
    let small = |one: &mut Member| one.max_connections = 1;
    check("with a limit", &small, true, true);
}

#[test]
fn who_sticks_to_nobody_takes_the_next_and_moves_the_order_only_then() {
    let pools = web(&[true; 3]);
    let pool = &pools.all()[0];
    let turns = [
        Turn::Next,
        Turn::Stuck(2),
        Turn::Stuck(2),
        Turn::Next,
        Turn::Stuck(9),
        Turn::Next,
    ];
    assert_eq!(picks(pool, &turns), [0, 2, 2, 1, 2, 0]);
}

#[test]
fn a_tried_one_is_left_alone() {
    let pools = web(&[true; 2]);
    let pool = &pools.all()[0];
    let mut tried = Tried::default();
    tried.add(&pool.snapshot().members[1]);
    let pick = |tried: &Tried| pool.pick(Turn::Stuck(1), tried);
    assert_eq!(pick(&tried).unwrap().member().index, 0);
    tried.add(&pool.snapshot().members[0]);
    assert!(pick(&tried).is_none());
    pool.publish(vec![
        member(0, true),
        but(&member(1, true), |one| one.run = Some(RunId::FIRST.next())),
    ]);
    assert_eq!(pick(&tried).unwrap().member().index, 1, "a new run");
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_backend_is_gone_waits_like_others() {
    let pools = web(&[false; 2]);
    let pool = pools.all()[0].clone();
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move {
            let none = Tried::default();
            let lease = pool.wait(Turn::Stuck(1), &none, Duration::from_secs(10));
            lease.await.unwrap().member().index
        }
    });
    while pool.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    pool.publish(vec![member(0, true), member(1, true)]);
    assert_eq!(waiting.await.unwrap(), 1);
}
