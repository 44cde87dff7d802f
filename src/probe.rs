//! Checks of one backend: is it ready, and is it still well?
//!
//! Readiness is one HTTP request that gets any answer. Afterwards a check is a TCP connection, or an HTTP request where
//! the person named a path. One task a run; dropping its [`Watch`] ends it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::backend::{BackendId, HealthPolicy, RunId};

/// How often a starting backend is asked: first often, since most are ready soon, then at leisure.
const STARTING: Duration = Duration::from_millis(5);
const STARTING_LATER: Duration = Duration::from_millis(25);
const STARTING_OFTEN_FOR: Duration = Duration::from_secs(2);
/// How often a backend is asked that was ready and is not well.
const DOWN: Duration = Duration::from_millis(100);
/// How a refused connection is called in a check's detail.
const REFUSED: &str = "connection refused";
/// How long a readiness probe may take at least: the first request to a server often loads half the program.
const READINESS_TIMEOUT: Duration = Duration::from_secs(10);

/// What is checked.
#[derive(Debug, Clone)]
pub struct Target {
    /// Whose.
    pub id: BackendId,
    /// Which life.
    pub run: RunId,
    /// Where it may listen, in the order to try.
    pub addresses: Vec<SocketAddr>,
    /// How.
    pub health: HealthPolicy,
    /// The `Host` of its HTTP checks: the listener's, since the server may refuse others.
    pub host: String,
}

impl Target {
    fn report(&self, address: Option<SocketAddr>, detail: String) -> Report {
        Report {
            id: self.id.clone(),
            run: self.run,
            address,
            refused: detail.ends_with(REFUSED),
            detail,
            at: SystemTime::now(),
        }
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whose.
    pub id: BackendId,
    /// Which life.
    pub run: RunId,
    /// Where it answered; `None` when it failed.
    pub address: Option<SocketAddr>,
    /// Nobody listens there: no further check is needed to know that it is down.
    pub refused: bool,
    /// In words.
    pub detail: String,
    /// When.
    pub at: SystemTime,
}

/// A running check; dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    healthy: watch::Sender<bool>,
    task: AbortHandle,
}

impl Watch {
    /// Says whether the backend counts as healthy: one that does not is asked more often.
    pub fn set_healthy(&self, healthy: bool) {
        self.healthy
            .send_if_modified(|now| std::mem::replace(now, healthy) != healthy);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whatever can check backends; tests have one that they control.
pub trait Probe: Send + Sync {
    /// Begins to check `target`. Reports go to `out`; the first that passed is its readiness.
    fn begin(&self, target: Target, out: mpsc::UnboundedSender<Report>) -> Watch;
}

/// Checks over the network.
#[derive(Debug, Clone)]
pub struct Network {
    client: reqwest::Client,
}

impl Network {
    /// A client that keeps no connection, follows nothing and ignores the machine's proxy settings.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .user_agent(concat!("lbdev/", env!("CARGO_PKG_VERSION"), " (check)"))
            .build()?;
        Ok(Self { client })
    }

    async fn http(&self, target: &Target, address: SocketAddr, limit: Duration) -> (bool, String) {
        let path = target.health.path.as_deref().unwrap_or("/");
        let request = self
            .client
            .get(format!("http://{address}{path}"))
            .header("host", &target.host)
            .timeout(limit)
            .send();
        match request.await {
            Ok(response) => {
                let status = response.status();
                // Without a path of its own, any answer says that the server runs.
                let ok =
                    target.health.path.is_none() || status.is_success() || status.is_redirection();
                (ok, format!("GET {path} → {}", status.as_u16()))
            }
            Err(error) => (false, format!("GET {path} → {}", in_words(&error, limit))),
        }
    }

    async fn tcp(address: SocketAddr, limit: Duration) -> (bool, String) {
        match tokio::time::timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(_)) => (true, "port open".to_owned()),
            Ok(Err(error)) => (false, io_words(&error)),
            Err(_) => (false, format!("no connection within {limit:?}")),
        }
    }

    /// Asks each address in turn until one passes.
    async fn ask(&self, target: &Target, addresses: &[SocketAddr], readiness: bool) -> Report {
        // The first address's reason is the one that people expect.
        let mut why = None;
        for &address in addresses {
            let (ok, detail) = if readiness {
                self.http(
                    target,
                    address,
                    target.health.timeout.max(READINESS_TIMEOUT),
                )
                .await
            } else if target.health.path.is_some() {
                self.http(target, address, target.health.timeout).await
            } else {
                Self::tcp(address, target.health.timeout).await
            };
            if ok {
                return target.report(Some(address), detail);
            }
            why.get_or_insert(detail);
        }
        target.report(None, why.unwrap_or_else(|| "no address".to_owned()))
    }

    async fn watch(
        self,
        target: Target,
        out: mpsc::UnboundedSender<Report>,
        mut healthy: watch::Receiver<bool>,
    ) {
        let began = Instant::now();
        let address = loop {
            let report = self.ask(&target, &target.addresses, true).await;
            let answered = report.address;
            if out.send(report).is_err() {
                return;
            }
            if let Some(address) = answered {
                break address;
            }
            let often = began.elapsed() < STARTING_OFTEN_FOR;
            tokio::time::sleep(if often { STARTING } else { STARTING_LATER }).await;
        };
        loop {
            let wait = if *healthy.borrow_and_update() {
                target.health.interval
            } else {
                DOWN
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                changed = healthy.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            }
            if out
                .send(self.ask(&target, &[address], false).await)
                .is_err()
            {
                return;
            }
        }
    }
}

impl Probe for Network {
    fn begin(&self, target: Target, out: mpsc::UnboundedSender<Report>) -> Watch {
        let (healthy, now) = watch::channel(true);
        let task = tokio::spawn(self.clone().watch(target, out, now)).abort_handle();
        Watch { healthy, task }
    }
}

impl Watch {
    /// A watch over a task that somebody else made.
    pub fn of(task: AbortHandle) -> Self {
        Self {
            healthy: watch::channel(true).0,
            task,
        }
    }
}

/// The innermost cause is the one that says something.
fn in_words(error: &reqwest::Error, limit: Duration) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", limit.as_secs_f64());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return io_words(io);
        }
        cause = inner;
    }
    match cause.downcast_ref::<std::io::Error>() {
        Some(io) => io_words(io),
        None => cause.to_string(),
    }
}

fn io_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => REFUSED.to_owned(),
        std::io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        _ => error.to_string(),
    }
}

/// Shared by every backend of an instance.
pub type Prober = Arc<dyn Probe>;
