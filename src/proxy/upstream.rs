//! Connections to backends: idle ones kept by each worker for itself, and new ones.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use tokio::net::TcpStream;

use super::clock::Clock;
use super::h1::{Broken, Exchange, ResponseHead, ToSend, Wire};
use super::tape::Outgoing;
use crate::backend::{BackendId, RunId};
use crate::pool::{AttemptFailure, Member};

/// Interim responses before one response. A backend that has more of them has no response.
const INTERIM_MAX: usize = 256;
/// A connection that was idle for so long gives its memory back.
const REST: Duration = Duration::from_secs(1);
/// Idle connections kept to one backend by one worker.
const IDLE_MAX: usize = 256;

/// What is waited for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Owed {
    /// The head of a response, by the backend (`timeouts.backend_head`).
    #[default]
    Head,
    /// More of the request, by the client (`timeouts.body`).
    Request,
    /// More of the response, by the backend (`timeouts.body`).
    Body,
}

/// What a request on a connection and the sweep tell each other.
#[derive(Debug, Default)]
struct Link {
    /// Since when, on the worker's [`Clock`], something is owed.
    owed_since: Cell<Option<Duration>>,
    owed: Cell<Owed>,
    /// What is owed did not come in time.
    timed_out: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Link {
    /// Nothing is owed any more. What came in the same moment as its time was up has come.
    fn settle(&self) {
        self.owed_since.set(None);
        self.timed_out.set(false);
    }

    /// Whoever is polled here is woken when it is too late.
    fn watch(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|it| it.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }
}

/// Whose connection it is: the place of its pool, its index there, and its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Origin {
    pool: usize,
    member: usize,
    run: Option<RunId>,
}

/// A connection to one run of a backend, without a request on it.
#[derive(Debug)]
pub(super) struct Conn {
    wire: Box<Wire>,
    link: Rc<Link>,
    origin: Origin,
}

/// A connection with a request on it.
#[derive(Debug)]
pub(super) struct Call {
    exchange: Exchange<Outgoing>,
    link: Rc<Link>,
    origin: Origin,
    may_pause: bool,
}

impl Call {
    /// Puts a request on the connection. Nothing is sent before [`Call::head`].
    pub(super) fn new(conn: Conn, head: ToSend<'_>, body: Option<Outgoing>) -> Self {
        Self {
            exchange: Exchange::new(conn.wire, head, body),
            link: conn.link,
            origin: conn.origin,
            may_pause: false,
        }
    }

    /// Sends the request and waits for the head of its response; `interim` gets those that come before it (1xx).
    ///
    /// # Errors
    /// Why none comes. [`Call::is_unsent`] and [`Call::has_begun`] then say how far it was.
    pub(super) async fn head(
        &mut self,
        clock: &Clock,
        interim: impl Fn(ResponseHead),
    ) -> Result<ResponseHead, NoHead> {
        self.link.owed_since.set(Some(clock.now()));
        let (exchange, link) = (&mut self.exchange, &self.link);
        let mut interims = 0;
        let head = poll_fn(|cx| {
            if link.timed_out.get() {
                return Poll::Ready(Err(match link.owed.get() {
                    Owed::Request => NoHead::ClientTimedOut,
                    Owed::Head | Owed::Body => NoHead::TimedOut,
                }));
            }
            let before = exchange.written();
            loop {
                let polled = exchange.poll_head(cx).map_err(NoHead::Broken);
                match polled {
                    Poll::Ready(Ok(head)) if head.is_interim() && interims < INTERIM_MAX => {
                        interims += 1;
                        interim(head);
                    }
                    Poll::Ready(Ok(head)) if head.is_interim() => {
                        return Poll::Ready(Err(NoHead::Broken(Broken::Endless)));
                    }
                    Poll::Ready(head) => return Poll::Ready(head),
                    Poll::Pending => break,
                }
            }
            let owed = match exchange.waits_for_client() {
                true => Owed::Request,
                false => Owed::Head,
            };
            let is_new = link.owed.replace(owed) != owed;
            if is_new || exchange.written() != before {
                // What is owed is owed from the last part of the request.
                link.owed_since.set(Some(clock.now()));
            }
            link.watch(cx);
            Poll::Pending
        })
        .await;
        self.link.settle();
        head
    }

    /// Not a byte of the request has left: the backend cannot have seen it.
    pub(super) fn is_unsent(&self) -> bool {
        self.exchange.is_unsent()
    }

    /// The whole of the request has left.
    pub(super) fn is_sent(&self) -> bool {
        self.exchange.is_sent()
    }

    /// Some byte of a response has come.
    pub(super) fn has_begun(&self) -> bool {
        self.exchange.has_begun()
    }

    /// The whole response has been read.
    pub(super) fn is_done(&self) -> bool {
        self.exchange.is_done()
    }

    /// The length of what is still to be read of the body, where it is known.
    pub(super) fn length(&self) -> Option<u64> {
        self.exchange.length()
    }

    /// The whole of the body has come, though it may not have been read.
    pub(super) fn is_whole(&self) -> bool {
        self.exchange.is_whole()
    }

    /// Waits until the whole of a body of known length has come.
    ///
    /// # Errors
    /// When it ends before.
    pub(super) async fn whole(&mut self) -> Result<(), AttemptFailure> {
        poll_fn(|cx| self.exchange.poll_whole(cx))
            .await
            .map_err(|broken| match failure_of(&broken) {
                Some(AttemptFailure::BadResponse) => AttemptFailure::BadResponse,
                _ => AttemptFailure::CutBody,
            })
    }

    /// The next part of the body. A backend that goes silent in the middle of it is given up, unless it `may_pause`.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        now: Duration,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let before = self.exchange.written();
        let polled = self.exchange.poll_frame(cx);
        if polled.is_ready() {
            self.link.settle();
            return polled;
        }
        if self.link.timed_out.get() {
            return Poll::Ready(Some(Err(match self.link.owed.get() {
                Owed::Request => Broken::Request,
                Owed::Head | Owed::Body => Broken::Silent,
            })));
        }
        let owed = match self.exchange.waits_for_client() {
            true => Owed::Request,
            false => Owed::Body,
        };
        let is_new = self.link.owed.replace(owed) != owed;
        let moves = is_new || self.exchange.written() != before;
        if self.may_pause && owed == Owed::Body {
            self.link.owed_since.set(None);
        } else if moves || self.link.owed_since.get().is_none() {
            self.link.owed_since.set(Some(now));
        }
        self.link.watch(cx);
        Poll::Pending
    }

    /// Goes on sending the request while the client takes nothing of the response: it may send all of the one before it reads
    /// any of the other. What comes of it is told by [`Call::poll_frame`].
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) {
        self.exchange.poll_send_on(cx);
    }

    /// Its body may be silent for as long as it likes.
    pub(super) fn may_pause(&mut self) {
        self.may_pause = true;
    }

    /// After a switch of protocols: the socket, and what came behind the head.
    pub(super) fn into_parts(self) -> (TcpStream, BytesMut) {
        self.exchange.into_parts()
    }
}

/// Why there is no head of a response.
#[derive(Debug)]
pub(super) enum NoHead {
    /// It did not come in time.
    TimedOut,
    /// The client did not send the rest of its request in time.
    ClientTimedOut,
    /// It cannot come any more.
    Broken(Broken),
}

/// One backend's idle connections, all of one run. The last one back is the first one out.
#[derive(Debug, Default)]
struct Shelf {
    run: Option<RunId>,
    /// Of this backend: an index may get another one when the pool changes.
    name_line: Option<(BackendId, Vec<u8>)>,
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
    connect: Cell<Duration>,
    head: Cell<Option<Duration>>,
    /// Somebody debugs: a head may take as long as it takes.
    patient: Cell<bool>,
    body: Cell<Option<Duration>>,
    idle: Cell<Duration>,
    clock: Clock,
}

impl Upstreams {
    pub(super) fn new(timeouts: &crate::config::Timeouts, clock: Clock) -> Self {
        Self {
            shelves: RefCell::default(),
            links: RefCell::default(),
            connect: Cell::new(timeouts.connect),
            head: Cell::new(timeouts.backend_head),
            patient: Cell::new(false),
            body: Cell::new(timeouts.body),
            idle: Cell::new(timeouts.idle),
            clock,
        }
    }

    /// From now on these hold.
    pub(super) fn set_timeouts(&self, timeouts: &crate::config::Timeouts) {
        self.connect.set(timeouts.connect);
        self.head.set(timeouts.backend_head);
        self.body.set(timeouts.body);
        self.idle.set(timeouts.idle);
    }

    /// An idle connection to this run that is still open, as far as can be told without a system call for each.
    pub(super) fn take(&self, pool: usize, member: &Member) -> Option<Conn> {
        let mut shelves = self.shelves.borrow_mut();
        let shelf = Shelf::of(&mut shelves, pool, member.index);
        shelf.enter(member.run);
        while let Some((conn, _)) = shelf.idle.pop() {
            if conn.wire.is_quiet() {
                return Some(conn);
            }
        }
        None
    }

    /// Keeps a connection whose response has ended, where the backend takes another request on it.
    pub(super) fn put_back(&self, call: Call) {
        let Some(wire) = call.exchange.into_idle() else {
            return;
        };
        let (link, origin) = (call.link, call.origin);
        let mut shelves = self.shelves.borrow_mut();
        let shelf = Shelf::of(&mut shelves, origin.pool, origin.member);
        if shelf.run == origin.run && shelf.idle.len() < IDLE_MAX {
            let conn = Conn { wire, link, origin };
            shelf.idle.push((conn, self.clock.now()));
        }
    }

    /// Shows the line that names this backend, `X-Lbdev-Backend`.
    pub(super) fn name_line(&self, pool: usize, member: &Member, see: impl FnOnce(&[u8])) {
        let mut shelves = self.shelves.borrow_mut();
        let shelf = Shelf::of(&mut shelves, pool, member.index);
        // A service's name is ASCII by the rules of the configuration.
        let make = || {
            let line = format!("X-Lbdev-Backend: {}\r\n", member.id).into_bytes();
            (member.id.clone(), line)
        };
        shelf.name_line.take_if(|(id, _)| *id != member.id);
        see(&shelf.name_line.get_or_insert_with(make).1);
    }

    /// A new connection. Where there are idle ones that the request did not bear, the oldest makes room: what always
    /// needs a new one would otherwise leave a heap of them behind.
    pub(super) async fn dial(&self, pool: usize, member: &Member) -> Result<Conn, AttemptFailure> {
        self.make_room(pool, member);
        let stream = self.connect(member).await?;
        // It matters where it works; where it does not, the request only takes longer.
        let _ = stream.set_nodelay(true);
        let link = Rc::new(Link::default());
        self.links.borrow_mut().push(Rc::downgrade(&link));
        let mut shelves = self.shelves.borrow_mut();
        Shelf::of(&mut shelves, pool, member.index).enter(member.run);
        Ok(Conn {
            wire: Wire::new(stream),
            link,
            origin: Origin {
                pool,
                member: member.index,
                run: member.run,
            },
        })
    }

    /// Closes the idle connections to a backend: one of them has shown that it ends them.
    pub(super) fn forget_idle(&self, pool: usize, member: &Member) {
        let mut shelves = self.shelves.borrow_mut();
        Shelf::of(&mut shelves, pool, member.index).idle.clear();
    }

    fn make_room(&self, pool: usize, member: &Member) {
        let mut shelves = self.shelves.borrow_mut();
        let idle = &mut Shelf::of(&mut shelves, pool, member.index).idle;
        if !idle.is_empty() {
            idle.remove(0);
        }
    }

    /// A socket to the backend, within the limit on time.
    pub(super) async fn connect(&self, member: &Member) -> Result<TcpStream, AttemptFailure> {
        match tokio::time::timeout(self.connect.get(), TcpStream::connect(member.address)).await {
            Err(_) => Err(AttemptFailure::ConnectTimeout),
            Ok(Ok(stream)) if is_to_itself(&stream) => Err(AttemptFailure::Refused),
            Ok(connected) => connected.map_err(|error| match error.kind() {
                io::ErrorKind::ConnectionRefused => AttemptFailure::Refused,
                io::ErrorKind::TimedOut => AttemptFailure::ConnectTimeout,
                _ => AttemptFailure::ConnectFailed,
            }),
        }
    }

    /// Whether a response's head may take as long as it takes, from now on.
    pub(super) fn be_patient(&self, patient: bool) {
        self.patient.set(patient);
    }

    /// Ends what is overdue, and lets go of what is closed or idle for too long. `grain` is how far apart sweeps are: a
    /// time limit is kept at least, and passed by at most two of these.
    pub(super) fn sweep(&self, grain: Duration) {
        let now = self.clock.now();
        self.links.borrow_mut().retain(|link| {
            let Some(link) = link.upgrade() else {
                return false;
            };
            let limit = match link.owed.get() {
                Owed::Head => self.head.get().filter(|_| !self.patient.get()),
                Owed::Request | Owed::Body => self.body.get(),
            };
            if let (Some(since), Some(limit)) = (link.owed_since.get(), limit)
                && now >= since + limit + grain
            {
                link.timed_out.set(true);
                if let Some(waker) = link.waker.take() {
                    waker.wake();
                }
            }
            true
        });
        for shelf in self.shelves.borrow_mut().iter_mut().flatten() {
            shelf.idle.retain_mut(|(conn, since)| {
                if now >= *since + REST {
                    conn.wire.rest();
                }
                conn.wire.is_quiet() && now < *since + self.idle.get()
            });
        }
    }
}

/// On loopback, a connection to a port that nobody listens on, from the range that the system takes its own ports from, now
/// and then meets itself: it is its own other end (RFC 9293 §3.5, simultaneous open).
fn is_to_itself(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(here), Ok(there)) if here == there)
}

/// Why a request that was sent has no whole response. `None`: the client's part of it could not be read.
pub(super) fn failure_of(broken: &Broken) -> Option<AttemptFailure> {
    match broken {
        Broken::Io(error) => Some(match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => AttemptFailure::Reset,
            _ => AttemptFailure::Closed,
        }),
        Broken::Ended | Broken::Silent => Some(AttemptFailure::Closed),
        Broken::Endless | Broken::Head(_) | Broken::Chunk(_) => Some(AttemptFailure::BadResponse),
        Broken::Request => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::proxy::fields::Fields;
    use crate::proxy::h1::Target;

    #[tokio::test]
    async fn a_connection_that_meets_itself_is_none() {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let itself = socket.local_addr().unwrap();
        // Where the system allows it: nobody else is there.
        if let Ok(stream) = socket.connect(itself).await {
            assert!(is_to_itself(&stream));
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(!is_to_itself(&TcpStream::connect(address).await.unwrap()));
    }

    /// What comes between a sweep that finds its time up and the next look at it has come: neither it nor the next request on
    /// that connection pays for it.
    #[tokio::test]
    async fn what_comes_as_its_time_is_up_has_come() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let member = Member {
            address: listener.local_addr().unwrap(),
            ..Member::well(0)
        };
        let timeouts = crate::config::Timeouts {
            backend_head: None,
            body: Some(Duration::ZERO),
            ..crate::config::Balancer::default().timeouts
        };
        let clock = Clock::new();
        let upstreams = Upstreams::new(&timeouts, clock.clone());
        let call = |conn| {
            let head = ToSend {
                method: &hyper::Method::GET,
                target: &Target::new(Bytes::from_static(b"/"), None),
                fields: &Fields::default(),
                stamp: b"",
            };
            Call::new(conn, head, None)
        };
        let mut first = call(upstreams.dial(0, &member).await.unwrap());
        let mut backend = listener.accept().unwrap().0;
        let half = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
        backend.write_all(half).unwrap();
        first.head(&clock, |_| {}).await.unwrap();
        poll_fn(|cx| {
            assert!(first.poll_frame(cx, clock.now()).is_pending());
            Poll::Ready(())
        })
        .await;
        backend.write_all(b"ok").unwrap();
        upstreams.sweep(Duration::ZERO);
        assert!(first.link.timed_out.get(), "its time was up");
        let body = poll_fn(|cx| {
            // The socket's news need a turn of the runtime, as they do between a sweep and the look that it asked for.
            match first.exchange.poll_whole(cx) {
                Poll::Ready(whole) => {
                    whole.unwrap();
                    first.poll_frame(cx, clock.now())
                }
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        assert_eq!(body.unwrap().unwrap().into_data().unwrap(), "ok");
        upstreams.put_back(first);
        let mut next = call(upstreams.take(0, &member).unwrap());
        backend
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .unwrap();
        let head = next.head(&clock, |_| {}).await.unwrap();
        assert_eq!(head.status, 204);
    }
}
