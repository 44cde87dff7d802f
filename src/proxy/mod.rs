//! The data path: a reverse proxy for HTTP/1 and, with prior knowledge, HTTP/2. One thread a worker, each with a runtime and
//! connections of its own; they meet in the pools only.
//!
//! A `request` goes `connection` (or `h2`) → `fit` (checks, routes) → `forward` (tries) → `attempt` (one backend, over an
//! `upstream` connection that speaks `h1`) → `hold` (short answers) → `answer`, and is a `flight` from its head to the end of
//! its response. Its `fields` stay in the bytes that they were read from. Its body is on a `tape`, so that it can be sent again.

mod answer;
mod attempt;
mod body;
mod client;
mod clock;
mod connection;
mod fault;
mod fields;
mod fit;
mod flight;
mod forward;
mod frames;
mod h1;
mod h2;
mod headers;
mod hold;
#[cfg(feature = "internals")]
pub(crate) mod internals;
mod key;
mod lent;
mod listen;
mod page;
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    path = "quickack_none.rs"
)]
mod quickack;
mod request;
mod retry;
mod sticky;
mod tape;
mod tunnel;
mod turn;
mod upstream;
mod worker;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::{mpsc, watch};

pub use lent::{LastLines, Lent};
pub use listen::{BindError, Bound, bind};
pub use sticky::StickyKey;

use crate::config::Balancer;
use crate::error::Report;
use crate::pool::{AccessLog, Pools};
use worker::{Change, Stage, Worker};

/// Why the data path cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The system gives no thread, or no event queue for it.
    #[error("the machine gives no thread to the balancer")]
    Thread(#[source] std::io::Error),
}

impl From<StartError> for Report {
    fn from(error: StartError) -> Self {
        let message = error.to_string();
        let StartError::Thread(source) = error;
        Report::failed("LB008", message).detail(source.to_string())
    }
}

/// The running data path. Dropping it ends it at once, without waiting; [`Proxy::close`] is the proper end.
#[derive(Debug)]
pub struct Proxy {
    stage: watch::Sender<Stage>,
    /// Each worker holds a sender: there is nobody left when nothing can come any more.
    working: mpsc::Receiver<()>,
    threads: Vec<JoinHandle<()>>,
    workers: Workers,
}

/// Speaks to the threads of a running data path.
#[derive(Debug, Clone)]
pub struct Workers {
    changes: Vec<mpsc::UnboundedSender<Change>>,
    lent: Lent,
}

impl Workers {
    /// How many there are, which stays so.
    pub fn count(&self) -> usize {
        self.changes.len()
    }

    /// From the next request on, other settings; and where `bound` is there, other sockets, made for as many workers. Those
    /// who are connected stay. What belongs to the pools (`passive`, `queue.max`, `retry.budget`) stays as it was.
    pub fn change(&self, settings: &Balancer, bound: Option<Bound>) {
        let last_lines = bound
            .as_ref()
            .map(|bound| self.lent.clone().before(bound.addresses()).last_lines);
        let mut sockets = bound.into_iter().flat_map(|bound| bound.workers);
        for worker in &self.changes {
            let listeners = sockets.next().zip(last_lines.clone());
            let settings = settings.clone();
            // A worker that has ended goes by nothing.
            let _ = worker.send(Change {
                settings,
                listeners,
            });
        }
    }
}

/// Starts answering on `bound`, one thread for each of its workers.
///
/// # Errors
/// When the system gives no thread or no event queue.
pub fn start(
    settings: Arc<Balancer>,
    bound: Bound,
    pools: Arc<Pools>,
    access: Arc<AccessLog>,
    lent: Lent,
) -> Result<Proxy, StartError> {
    let workers = Workers {
        changes: Vec::new(),
        lent: lent.clone(),
    };
    let lent = lent.before(bound.addresses());
    let (stage, seen) = watch::channel(Stage::Open);
    let (worker_lives, working) = mpsc::channel(1);
    let mut proxy = Proxy {
        stage,
        working,
        threads: Vec::new(),
        workers,
    };
    for (number, listeners) in bound.workers.into_iter().enumerate() {
        let (settings, pools, access) = (Balancer::clone(&settings), pools.clone(), access.clone());
        let (change, changes) = mpsc::unbounded_channel();
        proxy.workers.changes.push(change);
        let (seen, lives, lent) = (seen.clone(), worker_lives.clone(), lent.clone());
        let runtime = Builder::new_current_thread();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(format!("proxy-{}", number + 1))
            .spawn(move || {
                let _lives = lives;
                let started = begin(runtime, listeners);
                match started {
                    Ok((runtime, listeners)) => {
                        let _ = ready.send(Ok(()));
                        let worker = Worker::new(settings, pools, access, lent);
                        runtime.block_on(worker.run(listeners, seen, changes));
                    }
                    Err(error) => {
                        let _ = ready.send(Err(error));
                    }
                }
            })
            .map_err(StartError::Thread)?;
        proxy.threads.push(thread);
        // A thread that ends without a word has panicked; its message is on stderr.
        is_ready
            .recv()
            .unwrap_or_else(|_| Err(std::io::Error::other("the thread ended")))
            .map_err(StartError::Thread)?;
    }
    Ok(proxy)
}

/// The runtime of one worker, and its sockets in it.
fn begin(
    mut runtime: Builder,
    listeners: Vec<std::net::TcpListener>,
) -> std::io::Result<(LocalRuntime, Vec<tokio::net::TcpListener>)> {
    let runtime = runtime.enable_all().build_local(LocalOptions::default())?;
    let entered = runtime.enter();
    let listeners = listeners
        .into_iter()
        .map(tokio::net::TcpListener::from_std)
        .collect::<Result<_, _>>()?;
    drop(entered);
    Ok((runtime, listeners))
}

impl Proxy {
    /// What can be said to its threads while they work.
    pub fn workers(&self) -> Workers {
        self.workers.clone()
    }

    /// Accepts no more connections; those that are there are answered. A second call changes nothing.
    pub fn stop_accepting(&self) {
        self.stage.send_if_modified(|stage| {
            let open = *stage == Stage::Open;
            if open {
                *stage = Stage::NotAccepting;
            }
            open
        });
    }

    /// Ends it: no more connections; idle ones and upgraded ones are closed at once (a WebSocket with a close frame);
    /// requests in flight have `drain` to end, with `Connection: close`, and are then dropped. Returns when its threads have ended. Dropping the future
    /// ends everything at once.
    pub async fn close(mut self, drain: Duration) {
        let until = Instant::now() + drain;
        self.stage.send_replace(Stage::Draining(until));
        // Nothing is ever sent: `None` when the last worker has gone.
        while self.working.recv().await.is_some() {}
        for thread in std::mem::take(&mut self.threads) {
            // It has ended but for its last few instructions; a panic was on stderr.
            let _ = thread.join();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stage.send_replace(Stage::Draining(Instant::now()));
    }
}

#[cfg(test)]
mod tests;
