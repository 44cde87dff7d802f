//! Connections to backends: idle ones kept by each worker for itself, and new ones.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::body::Outgoing;
use super::clock::Clock;
use super::io::UpstreamIo;
use crate::backend::RunId;
use crate::pool::{AttemptFailure, Member};

/// Idle connections kept to one backend by one worker.
const IDLE_MAX: usize = 256;

/// What a connection, the request on it and the sweep tell each other.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// Since when, on the worker's [`Clock`], the backend owes the head of a response.
    owed_since: Cell<Option<Duration>>,
    /// The sweep ended it because the head did not come in time.
    pub(super) timed_out: Cell<bool>,
    /// The client's part of the request could not be read: not the backend's fault.
    pub(super) client_failed: Cell<bool>,
    task: RefCell<Option<AbortHandle>>,
}

impl Link {
    /// The request was handed over.
    pub(super) fn sent(&self, now: Duration) {
        self.owed_since.set(Some(now));
    }

    /// A further part of the request's body was handed over: what is owed is owed from now. A response that began before
    /// the request had ended owes nothing any more.
    pub(super) fn went_on(&self, now: Duration) {
        if self.owed_since.get().is_some() {
            self.owed_since.set(Some(now));
        }
    }

    /// The head of the response has come.
    pub(super) fn answered(&self) {
        self.owed_since.set(None);
    }
}

/// A connection to one run of a backend.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) sender: SendRequest<Outgoing>,
    pub(super) link: Rc<Link>,
    pool: usize,
    member: usize,
    run: Option<RunId>,
}

/// One backend's idle connections, all of one run. The last one back is the first one out.
#[derive(Debug, Default)]
struct Shelf {
    run: Option<RunId>,
    name: Option<HeaderValue>,
    idle: Vec<(Conn, Duration)>,
}

impl Shelf {
    fn of(shelves: &mut Vec<Vec<Shelf>>, pool: usize, member: usize) -> &mut Shelf {
        if shelves.len() <= pool {
            shelves.resize_with(pool + 1, Vec::new);
        }
        let shelves = &mut shelves[pool];
        if shelves.len() <= member {
            shelves.resize_with(member + 1, Shelf::default);
        }
        &mut shelves[member]
    }

    /// Makes it the shelf of `run`: connections of another life are of no use.
    fn enter(&mut self, run: Option<RunId>) {
        if self.run != run {
            self.idle.clear();
            self.run = run;
        }
    }
}

/// One worker's connections to all backends.
#[derive(Debug)]
pub(super) struct Upstreams {
    shelves: RefCell<Vec<Vec<Shelf>>>,
    links: RefCell<Vec<Weak<Link>>>,
    connect: Duration,
    head: Option<Duration>,
    idle: Duration,
    clock: Clock,
}

impl Upstreams {
    pub(super) fn new(timeouts: &crate::config::Timeouts, clock: Clock) -> Self {
        Self {
            shelves: RefCell::default(),
            links: RefCell::default(),
            connect: timeouts.connect,
            head: timeouts.backend_head,
            idle: timeouts.idle,
            clock,
        }
    }

    /// An idle connection to this run that is still open.
    pub(super) fn take(&self, pool: usize, member: &Member) -> Option<Conn> {
        let mut shelves = self.shelves.borrow_mut();
        let shelf = Shelf::of(&mut shelves, pool, member.index);
        shelf.enter(member.run);
        let mut place = shelf.idle.len();
        while place > 0 {
            place -= 1;
            let sender = &shelf.idle[place].0.sender;
            if sender.is_closed() {
                shelf.idle.remove(place);
            } else if sender.is_ready() {
                return Some(shelf.idle.remove(place).0);
            }
            // Neither: its last response has only just ended, and it is not done with it yet.
        }
        None
    }

    /// Keeps a connection whose response has ended.
    pub(super) fn put_back(&self, conn: Conn) {
        if conn.sender.is_closed() {
            return;
        }
        let mut shelves = self.shelves.borrow_mut();
        let shelf = Shelf::of(&mut shelves, conn.pool, conn.member);
        if shelf.run == conn.run && shelf.idle.len() < IDLE_MAX {
            shelf.idle.push((conn, self.clock.now()));
        }
    }

    /// `X-Lbdev-Backend` for this backend.
    pub(super) fn name(&self, pool: usize, member: &Member) -> HeaderValue {
        let mut shelves = self.shelves.borrow_mut();
        let shelf = Shelf::of(&mut shelves, pool, member.index);
        let name = shelf.name.get_or_insert_with(|| {
            HeaderValue::from_str(&member.id.to_string())
                // A service's name is ASCII by the rules of the configuration.
                .unwrap_or_else(|_| HeaderValue::from_static("?"))
        });
        name.clone()
    }

    /// A new connection. `upgrades`: it may switch protocols.
    pub(super) async fn dial(
        &self,
        pool: usize,
        member: &Member,
        upgrades: bool,
    ) -> Result<Conn, AttemptFailure> {
        let stream = self.connect(member).await?;
        // It matters where it works; where it does not, the request only takes longer.
        let _ = stream.set_nodelay(true);
        let io = TokioIo::new(UpstreamIo::new(stream));
        let (sender, connection) = http1::Builder::new()
            .handshake(io)
            .await
            .map_err(|_| AttemptFailure::ConnectFailed)?;
        // How a connection ended is told to the request on it; without one it matters to nobody.
        let task = if upgrades {
            tokio::task::spawn_local(async { drop(connection.with_upgrades().await) })
        } else {
            tokio::task::spawn_local(async { drop(connection.await) })
        };
        let link = Rc::new(Link::default());
        link.task.replace(Some(task.abort_handle()));
        self.links.borrow_mut().push(Rc::downgrade(&link));
        {
            let mut shelves = self.shelves.borrow_mut();
            Shelf::of(&mut shelves, pool, member.index).enter(member.run);
        }
        Ok(Conn {
            sender,
            link,
            pool,
            member: member.index,
            run: member.run,
        })
    }

    /// A socket to the backend, within the limit on time.
    pub(super) async fn connect(&self, member: &Member) -> Result<TcpStream, AttemptFailure> {
        match tokio::time::timeout(self.connect, TcpStream::connect(member.address)).await {
            Err(_) => Err(AttemptFailure::ConnectTimeout),
            Ok(connected) => connected.map_err(|error| match error.kind() {
                io::ErrorKind::ConnectionRefused => AttemptFailure::Refused,
                io::ErrorKind::TimedOut => AttemptFailure::ConnectTimeout,
                _ => AttemptFailure::ConnectFailed,
            }),
        }
    }

    /// Ends what is overdue, and lets go of what is closed or idle for too long. `grain` is how far apart sweeps are: a
    /// time limit is kept at least, and passed by at most two of these.
    pub(super) fn sweep(&self, grain: Duration) {
        let now = self.clock.now();
        self.links.borrow_mut().retain(|link| {
            let Some(link) = link.upgrade() else {
                return false;
            };
            if let (Some(since), Some(limit)) = (link.owed_since.get(), self.head)
                && now >= since + limit + grain
            {
                link.timed_out.set(true);
                if let Some(task) = link.task.take() {
                    task.abort();
                }
            }
            true
        });
        for shelf in self.shelves.borrow_mut().iter_mut().flatten() {
            shelf
                .idle
                .retain(|(conn, since)| !conn.sender.is_closed() && now < *since + self.idle);
        }
    }
}

/// Why a request that was sent has no response.
pub(super) fn failure_of(error: &hyper::Error) -> AttemptFailure {
    use std::error::Error;
    if error.is_parse() {
        return AttemptFailure::BadResponse;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return match io.kind() {
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => AttemptFailure::Reset,
                _ => AttemptFailure::Closed,
            };
        }
        source = cause.source();
    }
    AttemptFailure::Closed
}
