//! `detect`: how the death of a backend is noticed.

use super::*;
use crate::backend::Detect;
use crate::pool::AttemptFailure;

impl Rig {
    async fn detect(detect: Detect, count: u16) -> Self {
        let rig = Rig::up(count, false).await;
        rig.switch(detect).await;
        rig
    }

    async fn switch(&self, detect: Detect) {
        let mut live = self.pools.live().as_ref().clone();
        live.detect = detect;
        self.handle.set_live(live).await.unwrap();
        self.settled().await;
    }

    /// The loop has taken all that was sent before: news and checks come before the next command's answer.
    async fn settled(&self) {
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        let ids = Vec::new();
        self.handle.act(ids, Verb::Undrain).await.unwrap();
        tokio::task::yield_now().await;
        let ids = Vec::new();
        self.handle.act(ids, Verb::Undrain).await.unwrap();
    }

    fn row(&self, place: usize) -> BackendView {
        self.handle.view().borrow().backends[place].clone()
    }

    /// `times` failed attempts at the first backend.
    fn fail(&self, times: usize) {
        let pool = &self.pools.all()[0];
        let mut others = Vec::new();
        for _ in 0..times {
            let lease = loop {
                let lease = pool.pick(Turn::Next, &Tried::default()).unwrap();
                if lease.member().index == 0 {
                    break lease;
                }
                others.push(lease);
            };
            pool.failed(&lease, AttemptFailure::Closed);
        }
    }

    /// A check of the first backend by whatever checks it now.
    async fn check(&self, ok: bool, refused: bool) {
        let (target, out) = self
            .checks
            .0
            .lock()
            .unwrap()
            .iter()
            .rfind(|(target, _)| target.id.port() == Some(8000))
            .cloned()
            .unwrap();
        let report = Report {
            refused,
            ..report(&target, ok)
        };
        out.send(report).unwrap();
        self.settled().await;
    }

    fn published(&self) -> Arc<crate::pool::Member> {
        self.pools.all()[0].snapshot().members[0].clone()
    }
}

#[tokio::test(start_paused = true)]
async fn three_failed_requests_take_it_out_until_a_check_is_answered() {
    let mut rig = Rig::up(2, false).await;
    rig.fail(2);
    rig.settled().await;
    assert_eq!(rig.eligible(), [8000, 8001]);
    rig.fail(1);
    assert_eq!(rig.eligible(), [8001], "before the supervisor has heard");
    let change = rig.until(Phase::Unhealthy).await;
    let (failures, window) = (3, Duration::from_secs(10));
    assert_eq!(change.cause, Cause::Failing { failures, window });
    assert!(change.out_after.is_some());
    assert_eq!(rig.row(0).why.as_deref(), Some("failed 3 requests in 10 s"));
    // However long: it is not for time to bring it back.
    tokio::time::sleep(Duration::from_secs(60)).await;
    rig.settled().await;
    assert_eq!(rig.eligible(), [8001]);
    rig.check(false, false).await;
    assert_eq!(rig.eligible(), [8001]);
    rig.check(true, false).await;
    assert_eq!(rig.eligible(), [8000, 8001]);
    assert!(matches!(
        rig.until(Phase::Up).await.cause,
        Cause::Checked(_)
    ));
}

#[tokio::test(start_paused = true)]
async fn the_last_one_stays_and_those_that_waited_go() {
    let mut rig = Rig::up(2, false).await;
    rig.act("8001", KILL).await.unwrap();
    rig.until(Phase::Stopped).await;
    rig.fail(5);
    rig.settled().await;
    assert_eq!(rig.eligible(), [8000]);
    for _ in 0..5 {
        rig.check(false, false).await;
    }
    assert_eq!(rig.eligible(), [8000], "not by checks either");
    rig.check(false, true).await;
    assert!(rig.eligible().is_empty(), "but by a refusal");
}

#[tokio::test(start_paused = true)]
async fn passive_a_dead_one_is_believed_until_requests_fail_and_again_after_the_window() {
    let mut rig = Rig::detect(Detect::Passive, 2).await;
    let before = rig.published();
    rig.act("8000", KILL).await.unwrap();
    rig.settled().await;
    let row = rig.row(0);
    assert_eq!(
        (row.phase, row.healthy, row.eligible, row.run),
        (Phase::Stopped, true, true, None)
    );
    assert_eq!(rig.eligible(), [8000, 8001]);
    let dead = rig.published();
    assert_eq!((dead.run, dead.address), (before.run, before.address));
    assert!(dead.listed);

    let began = tokio::time::Instant::now();
    rig.fail(3);
    rig.settled().await;
    assert_eq!(rig.eligible(), [8001]);
    assert!(!rig.row(0).eligible);
    // A new process is not told to the balancer: its time runs on.
    rig.act("8000", Verb::Start).await.unwrap();
    let change = rig.until(Phase::Unhealthy).await;
    assert_eq!(change.cause, Cause::Ready);
    assert_eq!(rig.eligible(), [8001]);
    assert_ne!(rig.published().run, before.run);
    let back = rig.until(Phase::Up).await;
    assert_eq!(back.cause, Cause::FailTimeOver);
    assert_eq!(rig.eligible(), [8000, 8001]);
    let out = began.elapsed();
    assert!(
        (Duration::from_secs(10)..Duration::from_millis(10_100)).contains(&out),
        "{out:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn passive_a_single_one_is_never_out_and_checks_say_nothing() {
    let rig = Rig::detect(Detect::Passive, 1).await;
    rig.act("8000", KILL).await.unwrap();
    rig.fail(20);
    rig.settled().await;
    assert_eq!(rig.eligible(), [8000]);
    for _ in 0..5 {
        rig.check(false, true).await;
    }
    assert_eq!(rig.eligible(), [8000]);
}

#[tokio::test(start_paused = true)]
async fn what_the_operator_does_the_balancer_knows_in_every_mode() {
    for detect in [Detect::Passive, Detect::Active] {
        let mut rig = Rig::detect(detect, 2).await;
        rig.act("8000", Verb::Drain { everyone: false })
            .await
            .unwrap();
        assert_eq!(rig.eligible(), [8001], "{detect:?}");
        assert!(!rig.published().listed);
        rig.act("8000", Verb::Undrain).await.unwrap();
        assert_eq!(rig.eligible(), [8000, 8001], "{detect:?}");

        rig.act("8000", Verb::Restart).await.unwrap();
        let change = rig.until(Phase::Draining).await;
        assert_eq!(change.cause, Cause::Asked(Verb::Drain { everyone: false }));
        let change = rig.until(Phase::Draining).await;
        assert_eq!(change.cause, Cause::Asked(Verb::Restart));
        assert!(change.out_after.is_some(), "{detect:?}: at once");
        rig.until(Phase::Starting).await;
        rig.until(Phase::Up).await;
        assert_eq!(rig.eligible(), [8000, 8001], "{detect:?}");

        rig.act("8000", Verb::Stop).await.unwrap();
        assert_eq!(rig.eligible(), [8001], "{detect:?}");
        rig.until(Phase::Stopped).await;
        assert_eq!(rig.eligible(), [8001], "{detect:?}");
        assert!(!rig.published().listed);
        rig.act("8000", Verb::Start).await.unwrap();
        rig.until(Phase::Up).await;
        assert_eq!(rig.eligible(), [8000, 8001], "{detect:?}");

        // Dead and believed, it can be taken out too.
        rig.act("8000", KILL).await.unwrap();
        assert_eq!(rig.eligible(), [8000, 8001], "{detect:?}");
        rig.act("8000", Verb::Stop).await.unwrap();
        assert_eq!(rig.eligible(), [8001], "{detect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn active_only_checks_tell_also_of_the_dead() {
    let mut rig = Rig::detect(Detect::Active, 2).await;
    let run = rig.row(0).run.unwrap();
    rig.processes.end(run, 9);
    rig.until(Phase::Backoff).await;
    assert_eq!(rig.eligible(), [8000, 8001]);
    rig.fail(9);
    rig.settled().await;
    assert_eq!(rig.eligible(), [8000, 8001], "failed requests say nothing");
    rig.check(false, true).await;
    assert_eq!(rig.eligible(), [8000, 8001], "one of two");
    rig.check(false, true).await;
    assert_eq!(rig.eligible(), [8001]);
    let change = rig.until(Phase::Backoff).await;
    assert!(matches!(&change.cause, Cause::Checked(check) if !check.ok));
    assert!(change.out_after.is_some());
    // The policy brings the process back; the checks bring the backend back.
    assert_eq!(rig.until(Phase::Unhealthy).await.cause, Cause::Ready);
    assert_eq!(rig.eligible(), [8001]);
    rig.check(true, false).await;
    assert_eq!(rig.eligible(), [8000, 8001]);
}

#[tokio::test(start_paused = true)]
async fn a_switch_takes_effect_at_once() {
    let rig = Rig::up(2, false).await;
    rig.act("8000", KILL).await.unwrap();
    assert!(rig.published().listed, "nobody took it out on purpose");
    for detect in [Detect::Passive, Detect::Active, Detect::Instant] {
        rig.switch(detect).await;
        assert_eq!(rig.eligible(), [8001], "{detect:?}");
    }
    rig.act("8000", Verb::Start).await.unwrap();
    rig.settled().await;
    for detect in [Detect::Passive, Detect::Active, Detect::Instant] {
        rig.switch(detect).await;
        assert_eq!(rig.eligible(), [8000, 8001], "{detect:?}");
    }
    for detect in [Detect::Passive, Detect::Active] {
        rig.switch(detect).await;
        rig.act("8000", KILL).await.unwrap();
        assert_eq!(rig.eligible(), [8000, 8001], "{detect:?}");
        rig.switch(Detect::Instant).await;
        assert_eq!(rig.eligible(), [8001], "{detect:?}");
        rig.act("8000", Verb::Start).await.unwrap();
        rig.settled().await;
        assert_eq!(rig.eligible(), [8000, 8001], "{detect:?}");
    }
    // The checks go on after each switch.
    rig.check(false, true).await;
    assert_eq!(rig.eligible(), [8001]);
    rig.check(true, false).await;
    assert_eq!(rig.eligible(), [8000, 8001]);
}
