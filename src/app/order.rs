//! In which order services start: what they need comes first, then what runs once before them.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::notes::Notes;
use super::tasks::Tasks;
use crate::backend::{Phase, Slot};
use crate::config::{Need, Service};
use crate::error::Report;
use crate::shutdown::{Level, Shutdown};
use crate::supervisor::{Handle, View};

/// Between two tries to reach what something else starts.
const TRY: Duration = Duration::from_millis(100);
/// After so long it is said for what a service waits.
const SAID_AFTER: Duration = Duration::from_secs(1);
/// How long one try may take.
const TRY_LIMIT: Duration = Duration::from_secs(1);

/// What a start in order needs.
#[derive(Clone)]
pub(super) struct Order {
    pub(super) supervisor: Handle,
    pub(super) tasks: Arc<Tasks>,
    pub(super) shutdown: Shutdown,
}

impl Order {
    /// Has the backends wait of every service that something comes before.
    pub(super) async fn prepare(&self, services: &[Service]) {
        for service in services {
            if let Some(first) = comes_first(service) {
                self.supervisor.wait_for(&service.name, Some(first)).await;
            }
        }
    }

    /// Starts each of these services when its time has come; what failed before that.
    pub(super) async fn start(&self, services: &[Service], notes: &Notes) -> Vec<Report> {
        let late = services
            .iter()
            .filter(|service| !service.needs.is_empty() || !service.before.is_empty());
        let mut starts = JoinSet::new();
        for service in late {
            let (order, service, notes) = (self.clone(), service.clone(), notes.clone());
            starts.spawn(async move { order.start_one(&service, &notes).await });
        }
        let mut failed = Vec::new();
        while let Some(done) = starts.join_next().await {
            // One that panicked said so on stderr.
            failed.extend(done.ok().and_then(Result::err));
        }
        failed
    }

    async fn start_one(&self, service: &Service, notes: &Notes) -> Result<(), Report> {
        for need in &service.needs {
            let waits = self
                .supervisor
                .wait_for(&service.name, Some(waits_for(need)));
            waits.await;
            let said = async {
                tokio::time::sleep(SAID_AFTER).await;
                notes.tell(format!("`{}` {}", service.name, waits_for(need)));
                std::future::pending().await
            };
            tokio::select! {
                () = self.until_there(need) => {}
                () = said => {}
                _ = self.shutdown.reached(Level::Drain) => return Ok(()),
            }
        }
        for task in &service.before {
            let what = Some(runs(&task.line));
            self.supervisor.wait_for(&service.name, what).await;
            let end = (&self.shutdown, Level::Drain);
            if !self.tasks.run(service, Slot::Before, task, end).await? {
                return Ok(());
            }
        }
        self.supervisor.wait_for(&service.name, None).await;
        Ok(())
    }

    /// Runs what comes after each of these services, whatever becomes of each; what failed.
    pub(super) async fn finish(&self, services: &[Service], notes: &Notes) -> Vec<Report> {
        let mut failed = Vec::new();
        for service in services {
            for task in &service.after {
                let end = (&self.shutdown, Level::Force);
                notes.tell(format!("`{}` runs after `{}`", task.line, service.name));
                match self.tasks.run(service, Slot::After, task, end).await {
                    Ok(true) => {}
                    Ok(false) => return failed,
                    Err(report) => failed.push(report),
                }
            }
        }
        failed
    }

    async fn until_there(&self, need: &Need) {
        match need {
            Need::Service(name) => {
                let mut view = self.supervisor.view();
                // A supervisor that has ended has nothing ready any more.
                let _ = view.wait_for(|view| is_ready(view, name)).await;
            }
            Need::Tcp { host, port } => {
                while !accepts(host, *port).await {
                    tokio::time::sleep(TRY).await;
                }
            }
        }
    }
}

/// What comes before a service, in words.
pub(super) fn comes_first(service: &Service) -> Option<String> {
    let need = service.needs.first().map(waits_for);
    need.or_else(|| service.before.first().map(|task| runs(&task.line)))
}

fn waits_for(need: &Need) -> String {
    format!("waits for `{need}`")
}

fn runs(line: &str) -> String {
    format!("`{line}` runs first")
}

/// One of its backends may have requests, runs, or has done its job.
fn is_ready(view: &View, service: &str) -> bool {
    view.backends.iter().any(|backend| {
        let up = matches!(backend.phase, Phase::Up | Phase::Frozen) && backend.healthy;
        backend.spec.id.service() == service && (up || backend.is_done())
    })
}

async fn accepts(host: &str, port: u16) -> bool {
    let connected = tokio::time::timeout(TRY_LIMIT, TcpStream::connect((host, port))).await;
    // On loopback, a port that nobody listens on can meet itself.
    matches!(connected, Ok(Ok(stream)) if stream.local_addr().ok() != stream.peer_addr().ok())
}
