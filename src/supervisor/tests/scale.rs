//! More backends of a service, or fewer.

use std::net::TcpListener;

use super::*;
use crate::backend::By;
use crate::config::{Request, resolve};
use crate::pool::Lease;
use crate::process::ports::is_free;

/// `count` backends that were resolved as `up` does it. Their ports are free, and so are some after them.
struct Site {
    rig: Rig,
    first: u16,
    _dir: tempfile::TempDir,
}

/// The first of twelve ports in a row that nobody has now, outside those that the system gives to connections.
fn room() -> u16 {
    let mut bases = (0..500).map(|_| fastrand::u16(10_000..20_000));
    let free = bases.find(|&base| (base..base + 12).all(is_free));
    free.expect("twelve free ports in a row")
}

impl Site {
    fn new(count: u16, first: u16, listen: u16, toml: &str, stubborn: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let last = first + count - 1;
        let file = format!(
            "[balancer]\nlisten = \"localhost:{listen}\"\n[services.web]\n\
             command = \"server --port {{port}} --n {{index}}\"\nports = \"{first}-{last}\"\n{toml}\n"
        );
        std::fs::write(dir.path().join("lbdev.toml"), file).unwrap();
        let request = Request {
            dir: dir.path().to_owned(),
            ..Request::default()
        };
        let config = resolve(&request).unwrap();
        let of =
            |service: &crate::config::Service| Some((service.name.clone(), service.more.clone()?));
        let more = config.services.iter().filter_map(of).collect();
        let backends = config.services.into_iter().flat_map(|one| one.backends);
        Self {
            rig: Rig::with_more(backends.collect(), stubborn, more, listen),
            first,
            _dir: dir,
        }
    }

    async fn up(count: u16, toml: &str) -> Self {
        let first = room();
        let mut site = Self::new(count, first, first + 11, toml, false);
        site.rig.handle.start_all().await;
        site.all_up().await;
        site
    }

    async fn scale(&self, count: u32) -> Result<Vec<BackendView>, Refused> {
        self.rig.handle.scale("web".to_owned(), count).await
    }

    /// What `status` lists of the service.
    fn ports(&self) -> Vec<u16> {
        let view = self.rig.handle.view().borrow().clone();
        let web = view.backends.iter();
        web.filter_map(|backend| backend.spec.id.port()).collect()
    }

    async fn until(&self, what: impl FnMut(&Arc<View>) -> bool) {
        let mut view = self.rig.handle.view();
        let limit = Duration::from_secs(60);
        let seen = tokio::time::timeout(limit, view.wait_for(what)).await;
        seen.expect("it comes to that").unwrap();
    }

    async fn all_up(&mut self) {
        self.until(|view| view.backends.iter().all(|one| one.phase == Phase::Up))
            .await;
    }

    async fn until_listed(&self, count: usize) {
        self.until(|view| view.backends.len() == count).await;
    }

    /// A request in flight at this one.
    fn busy(&self, port: u16) -> Lease {
        let pool = &self.rig.pools.all()[0];
        let mut held = Vec::new();
        loop {
            let lease = pool.pick(Turn::Next, &Tried::default()).unwrap();
            if lease.member().id.port() == Some(port) {
                return lease;
            }
            held.push(lease);
            assert!(held.len() < 1000, "{port} gets no requests");
        }
    }

    /// Every member of the pool stands at its index.
    fn indices_hold(&self) {
        let snapshot = self.rig.pools.all()[0].snapshot();
        for (place, member) in snapshot.members.iter().enumerate() {
            assert_eq!(member.index, place, "{:?}", member.id);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn further_ones_are_made_like_the_others_on_the_next_free_ports() {
    let first = room();
    // One port is somebody else's, the next is the balancer's.
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first + 2)).unwrap();
    let own = format!(
        "slow_start = \"7s\"\nbackends.{} = {{ weight = 5 }}",
        first + 1
    );
    let mut site = Site::new(2, first, first + 3, &own, false);
    site.rig.handle.start_all().await;
    site.all_up().await;
    let all = site.scale(4).await.unwrap();
    assert_eq!(all.len(), 4);
    let ports = site.ports();
    assert_eq!(ports[..2], [first, first + 1]);
    assert!(
        ports.is_sorted_by(|a, b| a < b) && ports[2] > first + 3,
        "{ports:?}"
    );
    for (index, backend) in (1..).zip(&all) {
        let (spec, port) = (&backend.spec, backend.spec.id.port().unwrap());
        assert_eq!((spec.index, spec.slow_start.as_secs()), (index, 7));
        let command = spec.command.as_ref().unwrap();
        let (port, index) = (port.to_string(), index.to_string());
        assert_eq!(command.argv, ["server", "--port", &port, "--n", &index]);
        assert!(command.env.contains(&("PORT".to_owned(), port)));
    }
    assert_eq!((all[1].weight, all[2].weight), (5, 1));
    site.all_up().await;
    assert_eq!(site.rig.eligible(), ports);
    site.indices_hold();
}

#[tokio::test(start_paused = true)]
async fn those_that_go_finish_their_requests_and_are_forgotten() {
    let site = Site::up(4, "").await;
    let first = site.first;
    let kept = site.busy(first + 2);
    let counted = site.rig.pools.all()[0].snapshot();
    kept.answered(200, std::time::Instant::now());
    assert_eq!(counted.answered(), 1);
    let reply = site.scale(2).await.unwrap();
    // The one with nothing in flight ends at once, and waits for the other: no place changes.
    assert_eq!(reply.len(), 4);
    assert_eq!(reply[2].phase, Phase::Draining);
    assert_eq!(site.rig.eligible(), [first, first + 1]);
    site.until_listed(3).await;
    assert_eq!(site.ports(), [first, first + 1, first + 2]);
    site.indices_hold();
    drop(kept);
    site.until_listed(2).await;
    assert_eq!(site.rig.processes.alive.lock().unwrap().len(), 2);
    // What it answered still counts.
    assert_eq!(site.rig.pools.all()[0].snapshot().answered(), 1);
    site.indices_hold();
}

#[tokio::test(start_paused = true)]
async fn two_scales_at_once_end_with_the_later_one() {
    let mut site = Site::up(4, "").await;
    let first = site.first;
    let kept: Vec<Lease> = (first + 1..first + 4).map(|port| site.busy(port)).collect();
    site.scale(1).await.unwrap();
    // Nobody has left yet: those that shall stay come back on their own ports, and only then others.
    site.scale(3).await.unwrap();
    drop(kept);
    site.until(|view| {
        view.backends.len() == 3 && view.backends.iter().all(|one| one.phase == Phase::Up)
    })
    .await;
    assert_eq!(site.ports(), [first, first + 1, first + 2]);
    site.indices_hold();
    let (up, down) = tokio::join!(site.scale(5), site.scale(2));
    assert_eq!((up.is_ok(), down.is_ok()), (true, true));
    site.until_listed(2).await;
    site.all_up().await;
    assert_eq!(site.rig.processes.alive.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_goes_is_not_started_again() {
    let site = Site::up(3, "").await;
    let (first, last) = (site.first, site.first + 2);
    let kept = site.busy(last);
    site.scale(2).await.unwrap();
    let leaving = Refused::Leaving {
        id: BackendId::new("web", Slot::Port(last)),
        index: 3,
    };
    for verb in [Verb::Start, Verb::Restart] {
        let refused = site.rig.act(&last.to_string(), verb).await.unwrap_err();
        assert_eq!(refused, leaving);
        // Among others it is passed over.
        assert_eq!(site.rig.act("web", verb).await.unwrap().len(), 2);
    }
    drop(kept);
    site.until_listed(2).await;
    assert_eq!(site.ports(), [first, first + 1]);
}

#[tokio::test(start_paused = true)]
async fn what_is_down_goes_at_once() {
    let mut site = Site::up(4, "").await;
    let (first, last) = (site.first, site.first + 3);
    site.rig.act(&last.to_string(), KILL).await.unwrap();
    let run = site.rig.handle.view().borrow().backends[2].run.unwrap();
    site.rig.processes.end(run, 9);
    let change = site.rig.until(Phase::Backoff).await;
    assert!(matches!(change.cause, Cause::Exited(exit) if exit.by == By::Outside));
    site.scale(2).await.unwrap();
    assert_eq!(site.ports(), [first, first + 1]);
    // Its restart was due: it does not come.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(site.ports(), [first, first + 1]);
    assert_eq!(site.rig.processes.alive.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_scaled_is_refused_and_nothing_changes() {
    let first = room();
    let own = format!(
        "backends.{first} = {{ weight = 0 }}\n[services.theirs]\nexternal = [\"127.0.0.1:{}\"]\nroutes = [\"/x\"]",
        first + 9
    );
    let mut site = Site::new(2, first, first + 11, &own, false);
    site.rig.handle.start_all().await;
    site.all_up().await;
    for count in [0, 257, u32::MAX] {
        assert_eq!(
            site.scale(count).await.unwrap_err(),
            Refused::Count { count }
        );
    }
    let service = "web".to_owned();
    let refused = site.scale(1).await.unwrap_err();
    assert_eq!(
        refused,
        Refused::AllWeightsZero { service },
        "who is left gets nothing"
    );
    let service = "theirs".to_owned();
    let refused = site.rig.handle.scale(service.clone(), 2).await;
    assert_eq!(refused.unwrap_err(), Refused::ExternalService { service });
    let service = "shop".to_owned();
    let refused = site.rig.handle.scale(service.clone(), 2).await;
    let known = vec!["web".to_owned(), "theirs".to_owned()];
    assert_eq!(
        refused.unwrap_err(),
        Refused::NoSuchService { service, known }
    );
    assert_eq!(site.ports(), [first, first + 1, first + 9]);
    site.rig.handle.shutdown().await;
    assert_eq!(site.scale(3).await.unwrap_err(), Refused::Stopping);
}
