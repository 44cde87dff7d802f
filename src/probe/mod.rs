//! Checks of one backend: is it ready, and is it still well?
//!
//! Readiness is one HTTP request that is answered. Afterwards a check is a TCP connection, or an HTTP request where the
//! person named a path, where only checks tell of a death, or where an open port proves nothing. One task a backend;
//! dropping its [`Watch`] ends it.

mod network;
mod words;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::backend::{BackendId, HealthPolicy, RunId};

pub use network::Network;

/// What is checked.
#[derive(Debug, Clone)]
pub struct Target {
    /// Whose.
    pub id: BackendId,
    /// Which life.
    pub run: RunId,
    /// Where it may listen, in the order to try.
    pub addresses: Vec<SocketAddr>,
    /// It was ready: readiness is not asked for again.
    pub was_ready: bool,
    /// It is ready when its port accepts: no request has to be answered.
    pub port_is_enough: bool,
    /// How.
    pub health: HealthPolicy,
    /// The `Host` of its HTTP checks: the listener's, since the server may refuse others.
    pub host: String,
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
    /// It asked over HTTP.
    pub http: bool,
    /// In words.
    pub detail: String,
    /// When it began.
    pub began: Instant,
    /// When it ended.
    pub at: SystemTime,
}

/// How a backend that was ready is checked.
///
/// The next check begins so long after the last one has *ended*. With [`Course::Steady`] a death is therefore known after
/// `(fall-1)·interval` at the earliest (it died just before a check began, and each of them failed at once) and
/// `fall·(interval+timeout)` at the latest (it died just after one had passed, and each took its whole time).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// It is well: each `interval`, its port or its path.
    Up,
    /// It is not: often, its port or its path.
    Down,
    /// Requests failed at it although its port accepts: often, and only an answer over HTTP says something.
    Proof,
    /// Only checks tell: each `interval`, over HTTP, whether it is well or not.
    Steady,
}

/// A running check; dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    course: watch::Sender<Course>,
    task: AbortHandle,
}

impl Watch {
    /// A watch over a task that somebody else made.
    pub fn of(task: AbortHandle) -> Self {
        Self {
            course: watch::channel(Course::Up).0,
            task,
        }
    }

    /// Says how it is checked from now on, once it was ready. A check under way is not cut short.
    pub fn set_course(&self, course: Course) {
        self.course
            .send_if_modified(|now| std::mem::replace(now, course) != course);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whatever can check backends; tests have one that they control.
pub trait Probe: Send + Sync {
    /// Begins to check `target`. Reports go to `out`; the first that passed is its readiness, unless it was ready.
    fn begin(&self, target: Target, out: mpsc::UnboundedSender<Report>) -> Watch;
}

/// Shared by every backend of an instance.
pub type Prober = Arc<dyn Probe>;
