//! One thread of the data path: its sockets, its clients, its connections to backends. Workers share nothing but the
//! pools.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use super::client::{Client, Host};
use super::clock::Clock;
use super::connection;
use super::lent::{LastLines, Lent};
use super::sticky::Cookies;
use super::tunnel::Scratch;
use super::upstream::Upstreams;
use crate::config::Balancer;
use crate::pool::{AccessLog, Counter, Pools};
use crate::process;

/// How far the proxy has come in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It accepts and answers.
    Open,
    /// It answers those who are connected.
    NotAccepting,
    /// It answers what is in flight, until then.
    Draining(Instant),
}

/// What a worker goes by from now on.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) settings: Balancer,
    /// Other sockets than before, and what those who connect there may read.
    pub(super) listeners: Option<(Vec<std::net::TcpListener>, Option<LastLines>)>,
}

/// Sweeps are as far apart as a quarter of the shortest limit they watch, within these.
const SWEEP_MIN: Duration = Duration::from_millis(20);
const SWEEP_MAX: Duration = Duration::from_millis(500);

/// After an error of `accept` (no file descriptors left), or while as many clients are there as may be, this long nothing is
/// accepted: it would only fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the tasks of one thread share.
#[derive(Debug)]
pub(super) struct Worker {
    settings: RefCell<Rc<Balancer>>,
    pub(super) pools: Arc<Pools>,
    pub(super) access: Arc<AccessLog>,
    pub(super) counter: Counter,
    pub(super) clock: Clock,
    pub(super) upstreams: Upstreams,
    pub(super) cookies: Cookies,
    /// What backends wrote last, where clients may read that.
    pub(super) last_lines: RefCell<Option<LastLines>>,
    /// Turns true once, when what cannot end by itself has to.
    pub(super) draining: watch::Sender<bool>,
    /// The host that was asked for last: a new connection most often asks for it too.
    pub(super) last_host: RefCell<Option<Rc<Host>>>,
    pub(super) scratch: Scratch,
    clients: RefCell<HashMap<u64, Rc<Client>>>,
    next_client: std::cell::Cell<u64>,
    tunnels: std::cell::Cell<usize>,
    left: Notify,
}

impl Worker {
    pub(super) fn new(
        settings: Balancer,
        pools: Arc<Pools>,
        access: Arc<AccessLog>,
        lent: Lent,
    ) -> Rc<Self> {
        let clock = Clock::new();
        Rc::new(Self {
            upstreams: Upstreams::new(&settings.timeouts, clock.clone()),
            cookies: Cookies::new(&lent.project, lent.sticky_key, &pools),
            last_lines: RefCell::new(lent.last_lines),
            settings: RefCell::new(Rc::new(settings)),
            pools,
            counter: access.counter(),
            access,
            last_host: RefCell::default(),
            clock,
            scratch: Scratch::default(),
            draining: watch::Sender::new(false),
            clients: RefCell::default(),
            next_client: std::cell::Cell::new(0),
            tunnels: std::cell::Cell::new(0),
            left: Notify::new(),
        })
    }

    /// Works until it has drained.
    pub(super) async fn run(
        self: Rc<Self>,
        listeners: Vec<TcpListener>,
        mut stage: watch::Receiver<Stage>,
        mut changes: mpsc::UnboundedReceiver<Change>,
    ) {
        let mut accepting = self.accept_on(listeners);
        let mut grain = self.grain();
        let mut sweeps = tokio::time::interval(grain);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut until = loop {
            tokio::select! {
                _ = sweeps.tick() => self.sweep(grain),
                Some(change) = changes.recv() => {
                    if let Some((listeners, last_lines)) = self.change(change) {
                        // Who is connected stays; what waits in the old socket is lost, as it is nobody's address any more.
                        accepting.iter().for_each(AbortHandle::abort);
                        accepting = self.accept_on(listeners);
                        self.last_lines.replace(last_lines);
                    }
                    grain = self.grain();
                    sweeps = tokio::time::interval(grain);
                    sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
                }
                // Whoever held the other end is gone without a word: the same as to close at once.
                changed = stage.changed() => match changed.map(|()| *stage.borrow_and_update()) {
                    Ok(Stage::Open) => {}
                    Ok(Stage::NotAccepting) => accepting.iter().for_each(AbortHandle::abort),
                    Ok(Stage::Draining(until)) => break until,
                    Err(_) => break Instant::now(),
                },
            }
        };
        accepting.iter().for_each(AbortHandle::abort);
        self.draining.send_replace(true);
        for client in self.clients.borrow().values() {
            client.finish();
        }
        while !self.clients.borrow().is_empty() || self.tunnels.get() > 0 {
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => break,
                () = self.left.notified() => {}
                _ = sweeps.tick() => self.sweep(grain),
                Ok(()) = stage.changed() => {
                    if let Stage::Draining(sooner) = *stage.borrow_and_update() {
                        until = until.min(sooner);
                    }
                }
            }
        }
        // What is still in flight is dropped with the runtime.
    }

    fn accept_on(self: &Rc<Self>, listeners: Vec<TcpListener>) -> Vec<AbortHandle> {
        let accept = |listener| tokio::task::spawn_local(accept(self.clone(), listener));
        let tasks = listeners.into_iter().map(accept);
        tasks.map(|task| task.abort_handle()).collect()
    }

    /// Goes by other settings from now on. Other sockets, if there are some that can be used.
    fn change(&self, change: Change) -> Option<(Vec<TcpListener>, Option<LastLines>)> {
        self.upstreams.set_timeouts(&change.settings.timeouts);
        self.settings.replace(Rc::new(change.settings));
        let (listeners, last_lines) = change.listeners?;
        let listeners = listeners.into_iter().map(TcpListener::from_std);
        Some((listeners.collect::<Result<_, _>>().ok()?, last_lines))
    }

    /// Those that hold now.
    pub(super) fn settings(&self) -> Rc<Balancer> {
        self.settings.borrow().clone()
    }

    fn grain(&self) -> Duration {
        let timeouts = &self.settings().timeouts;
        let watched = [
            Some(timeouts.idle),
            timeouts.backend_head,
            timeouts.client_head,
            timeouts.body,
        ];
        let shortest = watched.into_iter().flatten().min();
        (shortest.unwrap_or(SWEEP_MAX) / 4).clamp(SWEEP_MIN, SWEEP_MAX)
    }

    fn sweep(&self, grain: Duration) {
        self.clock.wind();
        self.upstreams
            .be_patient(self.pools.live().debugged.is_some());
        self.upstreams.sweep(grain);
        for client in self.clients.borrow().values() {
            client.sweep();
        }
    }

    /// One more tunnel, until what is returned is dropped: they say goodbye before the worker ends.
    pub(super) fn begin_tunnel(self: &Rc<Self>) -> Tunnel {
        self.tunnels.set(self.tunnels.get() + 1);
        Tunnel(self.clone())
    }

    fn left(&self) {
        if *self.draining.borrow() {
            self.left.notify_one();
        }
    }

    fn enter(self: &Rc<Self>, client: &Rc<Client>) -> Entered {
        let key = self.next_client.get();
        self.next_client.set(key + 1);
        self.clients.borrow_mut().insert(key, client.clone());
        Entered {
            worker: self.clone(),
            key,
        }
    }
}

/// A client on the worker's list, until this is dropped.
struct Entered {
    worker: Rc<Worker>,
    key: u64,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let client = self.worker.clients.borrow_mut().remove(&self.key);
        drop(client);
        self.worker.left();
    }
}

/// A tunnel that the worker waits for when it ends.
pub(super) struct Tunnel(Rc<Worker>);

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.0.tunnels.set(self.0.tunnels.get() - 1);
        self.0.left();
    }
}

/// Whether as many files are open as clients may have; `newest` is the last that was opened. The others wait until they are
/// accepted: a command that ends a backend, or lbdev, has to come through all the same.
#[cfg(unix)]
fn is_full(newest: &impl std::os::fd::AsRawFd, end: u64) -> bool {
    u64::try_from(newest.as_raw_fd()).is_ok_and(|number| number >= end)
}

#[cfg(not(unix))]
fn is_full<T>(_newest: &T, _end: u64) -> bool {
    false
}

/// Waits until one more file would be none too many.
#[cfg(unix)]
async fn until_room(listener: &TcpListener, end: u64) {
    use std::os::fd::AsFd;
    loop {
        match listener.as_fd().try_clone_to_owned() {
            Ok(one_more) if !is_full(&one_more, end) => return,
            Ok(_) | Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

#[cfg(not(unix))]
async fn until_room(_listener: &TcpListener, _end: u64) {}

async fn accept(worker: Rc<Worker>, listener: TcpListener) {
    let port = listener.local_addr().map_or(0, |address| address.port());
    let end = process::end_for_clients();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let full = is_full(&stream, end);
                let client = Client::new(worker.clone(), peer, port);
                let entered = worker.enter(&client);
                tokio::task::spawn_local(async move {
                    let _entered = entered;
                    connection::serve(client, stream).await;
                });
                if full {
                    until_room(&listener, end).await;
                }
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}
