//! The loop with a fake launcher, fake checks and a paused clock.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::time::SystemTime;

use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;

use super::*;
use crate::backend::{
    ExitStatus, HealthPolicy, Kind, RestartMode, RestartPolicy, Slot, StopPolicy,
};
use crate::config::{Balancer, Command, More, Route};
use crate::pool::{Pools, Tried, Turn};
use crate::probe::{Probe, Report, Target, Watch};
use crate::process::{Launch, News};

/// Processes that start at once and end when they are told, unless they ignore TERM.
struct FakeProcesses {
    news: mpsc::UnboundedSender<News>,
    alive: Mutex<Vec<(BackendId, RunId)>>,
    signals: Mutex<Vec<(RunId, Signal)>>,
    stubborn: bool,
}

impl Launch for FakeProcesses {
    fn launch(&self, id: BackendId, run: RunId, _: Command) {
        self.alive.lock().unwrap().push((id.clone(), run));
        self.news.send(News::Launched { id, run, pid: 1 }).unwrap();
    }

    fn signal(&self, run: RunId, signal: Signal) {
        self.signals.lock().unwrap().push((run, signal));
        match signal {
            Signal::Kill => self.end(run, 9),
            Signal::Term if !self.stubborn => self.end(run, 15),
            _ => {}
        }
    }
}

impl FakeProcesses {
    fn end(&self, run: RunId, signal: i32) {
        let mut alive = self.alive.lock().unwrap();
        if let Some(place) = alive.iter().position(|(_, other)| *other == run) {
            let (id, run) = alive.remove(place);
            let status = ExitStatus::Signal(signal);
            self.news
                .send(News::Exited {
                    id,
                    run,
                    status,
                    at: SystemTime::now(),
                })
                .unwrap();
        }
    }
}

/// Checks that pass at once, and are kept so that a test can report others.
#[derive(Default)]
struct FakeChecks(Mutex<Vec<(Target, mpsc::UnboundedSender<Report>)>>);

impl Probe for FakeChecks {
    fn begin(&self, target: Target, out: mpsc::UnboundedSender<Report>) -> Watch {
        if !target.was_ready {
            out.send(report(&target, true)).unwrap();
        }
        self.0.lock().unwrap().push((target, out));
        Watch::of(tokio::spawn(async {}).abort_handle())
    }
}

fn report(target: &Target, ok: bool) -> Report {
    let address = ok.then_some(target.addresses[0]);
    Report {
        id: target.id.clone(),
        run: target.run,
        address,
        refused: false,
        http: true,
        detail: "fake".into(),
        began: super::run::now(),
        at: SystemTime::now(),
    }
}

struct Rig {
    handle: Handle,
    task: JoinHandle<()>,
    changes: broadcast::Receiver<Change>,
    processes: Arc<FakeProcesses>,
    checks: Arc<FakeChecks>,
    pools: Arc<Pools>,
}

fn spec(port: u16, kind: Kind) -> BackendSpec {
    BackendSpec {
        id: BackendId::new("web", Slot::Port(port)),
        index: 1,
        kind,
        addresses: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))],
        command: Some(Command {
            argv: vec!["true".into()],
            env: Vec::new(),
            cwd: "/".into(),
            pty: false,
            awaits: None,
        }),
        weight: 1,
        backup: false,
        max_connections: 0,
        slow_start: Duration::ZERO,
        ready: crate::backend::Ready::Http,
        health: HealthPolicy {
            path: None,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            rise: 1,
            fall: 2,
            status: None,
            body: None,
        },
        restart: RestartPolicy {
            mode: RestartMode::OnFailure,
            backoff_min: Duration::from_millis(200),
            backoff_max: Duration::from_secs(10),
            max: 10,
        },
        stop: StopPolicy {
            signal: Signal::Term,
            timeout: Duration::from_secs(5),
        },
    }
}

impl Rig {
    fn new(backends: Vec<BackendSpec>, stubborn: bool) -> Self {
        Self::with_more(backends, stubborn, HashMap::new(), 8080)
    }

    fn with_more(
        backends: Vec<BackendSpec>,
        stubborn: bool,
        more: HashMap<String, More>,
        listen: u16,
    ) -> Self {
        let (news_to, news) = mpsc::unbounded_channel();
        let processes = Arc::new(FakeProcesses {
            news: news_to,
            alive: Mutex::default(),
            signals: Mutex::default(),
            stubborn,
        });
        let checks = Arc::new(FakeChecks::default());
        let pools = Arc::new(Pools::new(
            [(Arc::from("web"), vec![Route::Prefix("/".into())])],
            &Balancer::default(),
        ));
        let (handle, task) = start(Parts {
            backends,
            launcher: processes.clone(),
            news,
            prober: checks.clone(),
            pools: pools.clone(),
            drain: Duration::from_secs(2),
            host: "localhost:8080".into(),
            listen,
            more,
        });
        let changes = handle.changes();
        Self {
            handle,
            task,
            changes,
            processes,
            checks,
            pools,
        }
    }

    async fn up(count: u16, stubborn: bool) -> Self {
        let mut rig = Rig::new(
            (0..count).map(|n| spec(8000 + n, Kind::Managed)).collect(),
            stubborn,
        );
        rig.handle.start_all().await;
        for _ in 0..count {
            rig.until(Phase::Up).await;
        }
        rig
    }

    async fn act(&self, target: &str, verb: Verb) -> Result<Vec<BackendView>, Refused> {
        let view = self.handle.view().borrow().clone();
        let ids =
            resolve_target(target, view.backends.iter().map(|backend| &backend.spec.id)).unwrap();
        self.handle.act(ids, verb).await
    }

    async fn until(&mut self, to: Phase) -> Change {
        loop {
            let change = self.changes.recv().await.unwrap();
            if change.to == to {
                return change;
            }
        }
    }

    fn eligible(&self) -> Vec<u16> {
        let snapshot = self.pools.all()[0].snapshot();
        snapshot
            .members
            .iter()
            .filter(|member| member.takes_requests())
            .filter_map(|m| m.id.port())
            .collect()
    }
}

const KILL: Verb = Verb::Kill {
    signal: Signal::Kill,
    restart: false,
};

#[tokio::test(start_paused = true)]
async fn a_kill_is_out_of_the_pool_and_answered_with_its_end() {
    let mut rig = Rig::up(4, false).await;
    assert_eq!(rig.eligible(), [8000, 8001, 8002, 8003]);
    let after = rig.act("8000", KILL).await.unwrap();
    assert_eq!(
        (after[0].phase, after[0].why.as_deref()),
        (Phase::Stopped, Some("killed by you (SIGKILL)"))
    );
    assert_eq!(rig.eligible(), [8001, 8002, 8003]);
    let change = rig.until(Phase::Stopping).await;
    assert!(change.out_after.is_some());
    rig.act("8000", Verb::Start).await.unwrap();
    rig.until(Phase::Up).await;
    assert_eq!(rig.eligible(), [8000, 8001, 8002, 8003]);
}

#[tokio::test(start_paused = true)]
async fn a_death_from_outside_is_published_and_the_policy_acts() {
    let mut rig = Rig::up(2, false).await;
    let run = rig.handle.view().borrow().backends[0].run.unwrap();
    rig.processes.end(run, 9);
    let change = rig.until(Phase::Backoff).await;
    assert!(
        matches!(change.cause, Cause::Exited(exit) if exit.by == crate::backend::By::Outside),
        "{change:?}"
    );
    assert_eq!(rig.eligible(), [8001]);
    rig.until(Phase::Up).await;
    assert_eq!(rig.eligible(), [8000, 8001]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_what_is_in_flight_but_not_for_ever() {
    let mut rig = Rig::up(1, false).await;
    let lease = rig.pools.all()[0]
        .pick(Turn::Next, &Tried::default())
        .unwrap();
    rig.act("8000", Verb::Stop).await.unwrap();
    rig.until(Phase::Draining).await;
    assert!(rig.processes.signals.lock().unwrap().is_empty());
    drop(lease);
    assert_eq!(rig.until(Phase::Stopping).await.cause, Cause::Drained);
    rig.until(Phase::Stopped).await;

    rig.act("8000", Verb::Start).await.unwrap();
    rig.until(Phase::Up).await;
    let _kept = rig.pools.all()[0]
        .pick(Turn::Next, &Tried::default())
        .unwrap();
    rig.act("8000", Verb::Stop).await.unwrap();
    assert_eq!(rig.until(Phase::Stopping).await.cause, Cause::TimeLimit);
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_all_of_them_at_once_with_kill_at_the_latest() {
    let rig = Rig::up(4, true).await;
    let began = tokio::time::Instant::now();
    rig.handle.shutdown().await;
    rig.task.await.unwrap();
    assert!(rig.processes.alive.lock().unwrap().is_empty());
    let took = began.elapsed();
    assert!(
        (Duration::from_secs(5)..Duration::from_secs(6)).contains(&took),
        "{took:?}"
    );
    assert_eq!(
        rig.processes
            .signals
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, s)| *s == Signal::Kill)
            .count(),
        4
    );
}

#[tokio::test(start_paused = true)]
async fn an_abort_kills_without_asking() {
    let rig = Rig::up(2, true).await;
    rig.handle.abort().await;
    rig.task.await.unwrap();
    assert!(
        rig.processes
            .signals
            .lock()
            .unwrap()
            .iter()
            .all(|(_, signal)| *signal == Signal::Kill)
    );
}

#[tokio::test(start_paused = true)]
async fn an_external_one_is_checked_and_never_signalled() {
    let mut rig = Rig::new(vec![spec(8000, Kind::External)], false);
    assert_eq!(
        rig.act("8000", KILL).await.unwrap_err(),
        Refused::External(BackendId::new("web", Slot::Port(8000)))
    );
    rig.handle.start_all().await;
    rig.until(Phase::Up).await;
    let pool = &rig.pools.all()[0];
    let lease = pool.pick(Turn::Next, &Tried::default()).unwrap();
    pool.refused(lease.member());
    assert_eq!(rig.until(Phase::Unhealthy).await.cause, Cause::Refused);
    assert!(rig.eligible().is_empty());
    let (target, out) = rig.checks.0.lock().unwrap().last().cloned().unwrap();
    out.send(report(&target, true)).unwrap();
    rig.until(Phase::Up).await;
    assert_eq!(rig.eligible(), [8000]);
    rig.handle.shutdown().await;
    rig.task.await.unwrap();
    assert!(rig.processes.signals.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_drain_moves_requests_and_no_process_and_holds_across_a_restart() {
    let mut rig = Rig::up(2, false).await;
    let pool = rig.pools.all()[0].clone();
    let _kept = pool.pick(Turn::Next, &Tried::default()).unwrap();
    let after = rig
        .act("8000", Verb::Drain { everyone: false })
        .await
        .unwrap();
    assert_eq!(
        (after[0].phase, after[0].why.as_deref()),
        (Phase::Draining, Some("drained by you"))
    );
    let change = rig.until(Phase::Draining).await;
    assert_eq!(change.cause, Cause::Asked(Verb::Drain { everyone: false }));
    assert!(change.out_after.is_some());
    assert_eq!(rig.eligible(), [8001]);
    // However long: nothing in flight is cut by it.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(rig.processes.signals.lock().unwrap().is_empty());

    rig.act("8000", Verb::Restart).await.unwrap();
    assert_eq!(
        rig.until(Phase::Draining).await.cause,
        Cause::Asked(Verb::Restart)
    );
    rig.until(Phase::Starting).await;
    assert_eq!(rig.until(Phase::Draining).await.cause, Cause::Ready);
    assert_eq!(rig.eligible(), [8001]);
    rig.act("all", Verb::Undrain).await.unwrap();
    rig.until(Phase::Up).await;
    assert_eq!(rig.eligible(), [8000, 8001]);
}

#[tokio::test(start_paused = true)]
async fn what_is_down_is_drained_for_later_and_it_is_told() {
    let mut rig = Rig::up(1, false).await;
    rig.act("8000", KILL).await.unwrap();
    rig.until(Phase::Stopped).await;
    rig.act("8000", Verb::Drain { everyone: false })
        .await
        .unwrap();
    let change = rig.until(Phase::Stopped).await;
    assert_eq!(change.cause, Cause::Asked(Verb::Drain { everyone: false }));
    rig.act("8000", Verb::Start).await.unwrap();
    rig.until(Phase::Draining).await;
    assert!(rig.eligible().is_empty());
}

#[tokio::test(start_paused = true)]
async fn external_ones_are_drained_and_those_without_requests_are_not() {
    let worker = BackendSpec {
        id: BackendId::new("worker", Slot::Number(1)),
        addresses: Vec::new(),
        ..spec(9000, Kind::Managed)
    };
    let mut rig = Rig::new(vec![spec(8000, Kind::External), worker], false);
    rig.handle.start_all().await;
    rig.until(Phase::Up).await;
    rig.until(Phase::Up).await;
    assert_eq!(
        rig.act("worker", Verb::Drain { everyone: false })
            .await
            .unwrap_err(),
        Refused::NotBalanced(BackendId::new("worker", Slot::Number(1)))
    );
    let drained = rig
        .act("all", Verb::Drain { everyone: false })
        .await
        .unwrap();
    assert_eq!(drained.len(), 1);
    assert!(rig.eligible().is_empty());
    assert_eq!(rig.act("8000", Verb::Undrain).await.unwrap().len(), 1);
    assert_eq!(rig.eligible(), [8000]);
    assert!(rig.processes.signals.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn stuck_clients_stay_through_a_drain_unless_it_is_for_everyone() {
    let mut rig = Rig::up(2, false).await;
    let stays = |rig: &Rig| {
        let snapshot = rig.pools.all()[0].snapshot();
        snapshot
            .members
            .iter()
            .map(|one| one.stays)
            .collect::<Vec<_>>()
    };
    for (everyone, expected) in [(false, [true, false]), (true, [false, false])] {
        rig.act("8000", Verb::Drain { everyone }).await.unwrap();
        assert_eq!(stays(&rig), expected);
        assert_eq!(rig.eligible(), [8001]);
        rig.act("8000", Verb::Undrain).await.unwrap();
        assert_eq!(stays(&rig), [false, false]);
        assert_eq!(rig.eligible(), [8000, 8001]);
    }
    rig.act("8000", Verb::Drain { everyone: false })
        .await
        .unwrap();
    rig.act("8000", KILL).await.unwrap();
    rig.until(Phase::Stopped).await;
    assert_eq!(stays(&rig), [false, false]);
}

mod detect;
mod scale;
mod shares;
