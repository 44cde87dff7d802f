//! Who gets how much: slow starts and weights; and how streams hear of the end of a drain.

use super::*;
use crate::backend::Detect;
use crate::config::LiveChange;

fn shares(rig: &Rig) -> Vec<u32> {
    let snapshot = rig.pools.all()[0].snapshot();
    snapshot.members.iter().map(|one| one.share).collect()
}

async fn two_with_slow_start() -> Rig {
    let slow = BackendSpec {
        slow_start: Duration::from_secs(10),
        ..spec(8001, Kind::Managed)
    };
    let mut rig = Rig::new(vec![spec(8000, Kind::Managed), slow], false);
    rig.handle.start_all().await;
    rig.until(Phase::Up).await;
    rig.until(Phase::Up).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(shares(&rig), [1, 1]);
    rig
}

/// Its process lived all the time, but it was not well: what comes back at once under the whole load may fall over again.
#[tokio::test(start_paused = true)]
async fn who_is_well_again_starts_slowly_too() {
    let mut rig = two_with_slow_start().await;
    let checks = rig.checks.0.lock().unwrap().clone();
    let of_it = |(target, _): &&(Target, _)| target.id.port() == Some(8001);
    let (target, out) = checks.iter().rev().find(of_it).unwrap();
    for _ in 0..2 {
        out.send(report(target, false)).unwrap();
    }
    rig.until(Phase::Unhealthy).await;
    assert_eq!(shares(&rig), [1, 1]);
    out.send(report(target, true)).unwrap();
    rig.until(Phase::Up).await;
    assert_eq!(shares(&rig), [10, 1]);
    tokio::time::sleep(Duration::from_millis(5050)).await;
    assert_eq!(shares(&rig), [10, 6]);
    // While the other is away there is nobody to spare it.
    rig.act("8000", KILL).await.unwrap();
    assert_eq!(shares(&rig), [1, 1]);
    rig.act("8000", Verb::Start).await.unwrap();
    rig.until(Phase::Up).await;
    assert_eq!(shares(&rig), [10, 6]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(shares(&rig), [1, 1]);
}

/// Kept away on purpose it stays as warm as it was.
#[tokio::test(start_paused = true)]
async fn who_was_drained_has_its_whole_share_again() {
    let rig = two_with_slow_start().await;
    let drain = Verb::Drain { everyone: true };
    rig.act("8001", drain).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    rig.act("8001", Verb::Undrain).await.unwrap();
    assert_eq!(shares(&rig), [1, 1]);
}

/// The time in which it gets nothing is nginx's `fail_timeout`; after it, nginx starts slowly as well.
#[tokio::test(start_paused = true)]
async fn who_comes_back_by_time_starts_slowly() {
    let mut rig = two_with_slow_start().await;
    let change = LiveChange {
        detect: Some(Detect::Passive),
        ..LiveChange::default()
    };
    rig.handle.set_live(change).await.unwrap();
    let pool = rig.pools.all()[0].clone();
    let mut failed = 0;
    while failed < 3 {
        let lease = pool.pick(Turn::Next, &Tried::default()).unwrap();
        if lease.member().id.port() == Some(8001) {
            pool.failed(&lease, crate::pool::AttemptFailure::Reset);
            failed += 1;
        }
    }
    rig.until(Phase::Unhealthy).await;
    assert_eq!(rig.eligible(), [8000]);
    rig.until(Phase::Up).await;
    assert_eq!(shares(&rig), [10, 1]);
}

#[tokio::test(start_paused = true)]
async fn somebody_of_a_service_keeps_a_weight() {
    let backup = BackendSpec {
        backup: true,
        ..spec(8002, Kind::Managed)
    };
    let mut backends = vec![spec(8000, Kind::Managed), spec(8001, Kind::Managed)];
    backends.push(backup);
    let rig = Rig::new(backends, false);
    let set = async |ports: &[u16], weight| {
        let ids = ports
            .iter()
            .map(|&port| BackendId::new("web", Slot::Port(port)));
        rig.handle
            .set_weight(ids.collect(), weight)
            .await
            .map(|_| ())
    };
    let service = "web".to_owned();
    let refused = Err(Refused::AllWeightsZero { service });
    let weights = || {
        let view = rig.handle.view().borrow().clone();
        view.backends
            .iter()
            .map(|one| one.weight)
            .collect::<Vec<_>>()
    };
    // All or none of them: the backup would be left, but it is for emergencies.
    assert_eq!(set(&[8000, 8001], 0).await, refused);
    assert_eq!(weights(), [1, 1, 1]);
    assert_eq!(set(&[8000, 8002], 0).await, Ok(()));
    assert_eq!(weights(), [0, 1, 0]);
    assert_eq!(set(&[8001], 0).await, refused);
    assert_eq!(set(&[8000], 7).await, Ok(()));
    assert_eq!(set(&[8001], 0).await, Ok(()));
    assert_eq!(weights(), [7, 0, 0]);
}

/// A tunnel that never ends by itself hears of its end 100 ms before the process does; one that then leaves ends the drain.
#[tokio::test(start_paused = true)]
async fn streams_are_told_before_the_process() {
    let mut rig = Rig::up(1, false).await;
    let stream = rig.pools.all()[0]
        .pick(Turn::Next, &Tried::default())
        .unwrap();
    let began = tokio::time::Instant::now();
    let told = stream.member().life.streams_end();
    rig.act("8000", Verb::Stop).await.unwrap();
    told.await;
    assert!(rig.processes.signals.lock().unwrap().is_empty());
    let after = began.elapsed().as_millis();
    assert!((1900..1950).contains(&after), "{after} ms of 2000");
    drop(stream);
    assert_eq!(rig.until(Phase::Stopping).await.cause, Cause::Drained);
    assert!(began.elapsed() < Duration::from_millis(1950));

    // One that does not leave is cut at the deadline.
    rig.until(Phase::Stopped).await;
    rig.act("8000", Verb::Start).await.unwrap();
    rig.until(Phase::Up).await;
    let _kept = rig.pools.all()[0]
        .pick(Turn::Next, &Tried::default())
        .unwrap();
    let began = tokio::time::Instant::now();
    rig.act("8000", Verb::Stop).await.unwrap();
    assert_eq!(rig.until(Phase::Stopping).await.cause, Cause::TimeLimit);
    let after = began.elapsed().as_millis();
    assert!((2000..2050).contains(&after), "{after} ms");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_comes_back_gets_its_share_little_by_little() {
    let slow = BackendSpec {
        slow_start: Duration::from_secs(10),
        ..spec(8001, Kind::Managed)
    };
    let mut rig = Rig::new(vec![spec(8000, Kind::Managed), slow], false);
    rig.handle.start_all().await;
    rig.until(Phase::Up).await;
    rig.until(Phase::Up).await;
    let began = tokio::time::Instant::now();
    for (seconds, expected) in [
        (0, [10, 1]),
        (1, [10, 2]),
        (5, [10, 6]),
        (8, [10, 9]),
        (9, [1, 1]),
    ] {
        // A little after the step, so that it has been published.
        tokio::time::sleep_until(began + Duration::from_millis(seconds * 1000 + 50)).await;
        assert_eq!(shares(&rig), expected, "after {seconds} s");
    }
    let ids = resolve_target(
        "8000",
        rig.pools.all()[0].snapshot().members.iter().map(|m| &m.id),
    )
    .unwrap();
    rig.handle.set_weight(ids, 3).await.unwrap();
    assert_eq!(shares(&rig), [3, 1]);
    rig.act("8001", Verb::Restart).await.unwrap();
    rig.until(Phase::Starting).await;
    rig.until(Phase::Up).await;
    assert_eq!(shares(&rig), [30, 1]);
}
