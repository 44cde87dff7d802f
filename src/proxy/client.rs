//! A client: who it is, and what its connection waits for.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::fields::{Fields, Name, Names};
use super::h2::Reading;
use super::headers;
use super::worker::Worker;

/// A connection without a request that has been idle for so long gives its memory back.
const REST: Duration = Duration::from_secs(1);

/// A connection that was told of its end and has nothing in flight has so long to go: HTTP/2 asks for a last word of the client
/// (RFC 9113 §6.8), which may never come.
const GOODBYE: Duration = Duration::from_secs(1);

/// More than the streams of a connection: so many are noted before those that have ended are forgotten.
const READINGS_KEPT: usize = 256;

/// What says for whom a request comes (RFC 7239 §4, and the fields that were there before it).
const FORWARDED: Names = Names::of(&[
    Name::FalseForwarded,
    Name::Forwarded,
    Name::XForwardedFor,
    Name::XForwardedHost,
    Name::XForwardedPort,
    Name::XForwardedProto,
]);

/// What the worker wants of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Go on.
    None,
    /// Answer what is in flight, with `Connection: close`, then end.
    Finish,
    /// End now.
    Drop,
}

/// What a connection waits for, and the worker watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    /// Nothing that the client owes.
    Nothing,
    /// A request, of which nothing has come (`timeouts.idle`).
    Request,
    /// The rest of a head (`timeouts.client_head`).
    Head,
    /// That the client reads what was written (`timeouts.body`).
    Reader,
}

/// A host that a client asked for, with what is made of it for every request.
#[derive(Debug)]
pub(super) struct Host {
    /// As the client wrote it.
    pub(super) field: Vec<u8>,
    /// Lower-case, without a port.
    pub(super) name: String,
    peer: IpAddr,
    forwarded: String,
    /// The lines that tell a backend who asks, for whom, and how.
    pub(super) stamp: Vec<u8>,
}

impl Host {
    /// `None` where `field` is not one host name with an optional port.
    fn new(peer: IpAddr, port: u16, field: &[u8]) -> Option<Self> {
        let name = headers::host_name(field)?.into_owned();
        let text = std::str::from_utf8(field).ok()?;
        let forwarded = headers::forwarded(&headers::node(peer), text);
        let stamp = format!(
            "X-Forwarded-For: {peer}\r\nX-Forwarded-Host: {text}\r\nX-Forwarded-Port: {port}\r\n\
             X-Forwarded-Proto: http\r\nForwarded: {forwarded}\r\n"
        );
        Some(Self {
            field: field.to_vec(),
            name,
            peer,
            forwarded,
            stamp: stamp.into_bytes(),
        })
    }
}

/// A client's connection, as its requests and the worker see it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) worker: Rc<Worker>,
    /// Its address, an IPv4 one in IPv6 clothes undressed.
    pub(super) peer: IpAddr,
    /// The port that it came to.
    port: u16,
    /// The host it asked for last: most clients never ask for another.
    last_host: RefCell<Option<Rc<Host>>>,
    in_flight: Cell<u32>,
    waits: Cell<Waits>,
    /// Since when, on the worker's clock.
    since: Cell<Duration>,
    too_slow: Cell<bool>,
    /// What the system knows of it does not wake anybody: it has to be asked.
    blind: Cell<bool>,
    last_chance: Cell<bool>,
    shall_rest: Cell<bool>,
    order: Cell<Order>,
    waker: RefCell<Option<Waker>>,
    /// Its answers on streams of their own.
    readings: RefCell<Vec<Weak<Reading>>>,
}

impl Client {
    pub(super) fn new(worker: Rc<Worker>, peer: SocketAddr, port: u16) -> Rc<Self> {
        Rc::new(Self {
            peer: peer.ip().to_canonical(),
            port,
            last_host: RefCell::default(),
            in_flight: Cell::new(0),
            waits: Cell::new(Waits::Request),
            since: Cell::new(worker.clock.now()),
            too_slow: Cell::new(false),
            blind: Cell::new(false),
            last_chance: Cell::new(false),
            shall_rest: Cell::new(false),
            order: Cell::new(Order::None),
            waker: RefCell::default(),
            readings: RefCell::default(),
            worker,
        })
    }

    pub(super) fn begin_request(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    pub(super) fn end_request(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
        self.since.set(self.worker.clock.now());
    }

    /// Notes what the connection waits for from now on. The same again is no news.
    pub(super) fn waits_for(&self, what: Waits) {
        if self.waits.replace(what) != what {
            self.since.set(self.worker.clock.now());
            self.too_slow.set(false);
        }
        self.shall_rest
            .set(self.shall_rest.get() && what == Waits::Request);
        self.last_chance
            .set(self.last_chance.get() && what == Waits::Reader);
    }

    /// The head of a request did not come in time.
    pub(super) fn is_too_slow(&self) -> bool {
        self.too_slow.get()
    }

    /// It has not been seen to read for too long: told once for each time.
    pub(super) fn is_last_chance(&self) -> bool {
        self.last_chance.take()
    }

    /// It has been idle for a while: once for each time.
    pub(super) fn shall_rest(&self) -> bool {
        self.shall_rest.get()
    }

    /// It is to end after what is in flight.
    pub(super) fn is_finishing(&self) -> bool {
        self.order.get() != Order::None
    }

    /// Ends it after what is in flight.
    pub(super) fn finish(&self) {
        self.give(Order::Finish);
    }

    /// Ends what is overdue.
    pub(super) fn sweep(&self) {
        let now = self.worker.clock.now();
        let limits = &self.worker.settings().timeouts;
        let over = |limit: Duration| now >= self.since.get() + limit;
        if self.blind.get() {
            self.wake();
        }
        if let Some(limit) = limits.body {
            self.sweep_readings(now, limit);
        }
        match self.waits.get() {
            Waits::Request if self.in_flight.get() > 0 => {}
            Waits::Request if self.is_finishing() && over(limits.idle + GOODBYE) => {
                self.give(Order::Drop);
            }
            Waits::Request if over(limits.idle) => self.give(Order::Finish),
            Waits::Request if over(REST) && !self.shall_rest.replace(true) => self.wake(),
            Waits::Head if limits.client_head.is_some_and(over) => {
                self.too_slow.set(true);
                self.wake();
            }
            Waits::Reader if limits.body.is_some_and(over) => {
                self.last_chance.set(true);
                self.wake();
            }
            Waits::Nothing | Waits::Request | Waits::Head | Waits::Reader => {}
        }
    }

    /// Notes whether the connection has to be asked how it is.
    pub(super) fn set_blind(&self, blind: bool) {
        self.blind.set(blind);
    }

    /// Watches that the client reads this answer, which has a stream of its own.
    pub(super) fn watch(&self, reading: &Rc<Reading>) {
        let mut readings = self.readings.borrow_mut();
        if readings.len() >= READINGS_KEPT {
            readings.retain(|reading| reading.strong_count() > 0);
        }
        readings.push(Rc::downgrade(reading));
    }

    /// Gives up the answers of which the client has taken nothing for so long. The connection may be busy with others.
    fn sweep_readings(&self, now: Duration, limit: Duration) {
        let mut overdue = Vec::new();
        self.readings.borrow_mut().retain(|reading| {
            let reading = reading.upgrade();
            overdue.extend(reading.as_ref().and_then(|it| it.overdue(now, limit)));
            reading.is_some()
        });
        // What it held is free now: dropped only here, since that may be of use to somebody at once.
        drop(overdue);
    }

    fn give(&self, order: Order) {
        if self.order.get() != Order::Drop {
            self.order.set(order);
        }
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Goes on with the connection's work until that ends or is to be dropped.
    pub(super) async fn obeying(&self, mut work: impl FnMut(&mut Context<'_>) -> Poll<()>) {
        poll_fn(|cx| {
            if self.order.get() == Order::Drop {
                return Poll::Ready(());
            }
            let mut waker = self.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
            drop(waker);
            work(cx)
        })
        .await;
    }

    /// The host that `field` names, if it is one.
    pub(super) fn host(&self, field: &[u8]) -> Option<Rc<Host>> {
        let is_it = |host: &&Rc<Host>| host.peer == self.peer && host.field == field;
        let mut last = self.last_host.borrow_mut();
        if let Some(host) = last.as_ref().filter(is_it) {
            return Some(host.clone());
        }
        let mut workers = self.worker.last_host.borrow_mut();
        let host = match workers.as_ref().filter(is_it) {
            Some(host) => host.clone(),
            None => Rc::new(Host::new(self.peer, self.port, field)?),
        };
        *workers = Some(host.clone());
        *last = Some(host.clone());
        Some(host)
    }

    /// Tells the backend who asks, for whom, and how: the lines that go behind the fields. What the client says about that
    /// itself is replaced; where it is trusted, it is kept and continued, as each proxy on the way does.
    pub(super) fn stamp(&self, fields: &mut Fields, host: &Host) -> Stamp {
        if !fields.has_any(FORWARDED) {
            return Stamp::Hosts;
        }
        let trusted = self.worker.settings().trust_forwarded;
        if trusted {
            self.continue_stamp(fields, host);
            return Stamp::InFields;
        }
        fields.remove_all(FORWARDED);
        Stamp::Hosts
    }

    fn continue_stamp(&self, fields: &mut Fields, host: &Host) {
        let list = |name, own: &str| {
            let said: Vec<&[u8]> = fields.all(name).collect();
            match said.is_empty() {
                true => own.as_bytes().to_vec(),
                false => [&said.join(&b", "[..])[..], b", ", own.as_bytes()].concat(),
            }
        };
        let one = |name, own: &[u8]| fields.get(name).unwrap_or(own).to_vec();
        let lines = [
            (
                "X-Forwarded-For",
                list(Name::XForwardedFor, &self.peer.to_string()),
            ),
            ("X-Forwarded-Host", one(Name::XForwardedHost, &host.field)),
            (
                "X-Forwarded-Port",
                one(Name::XForwardedPort, self.port.to_string().as_bytes()),
            ),
            ("X-Forwarded-Proto", one(Name::XForwardedProto, b"http")),
            ("Forwarded", list(Name::Forwarded, &host.forwarded)),
        ];
        fields.remove_all(FORWARDED);
        for (name, value) in lines {
            fields.add(name, &value);
        }
    }

    /// The host of a request that names none (HTTP/1.0 may): where it came in.
    pub(super) fn own_host(&self) -> Vec<u8> {
        format!("localhost:{}", self.port).into_bytes()
    }
}

/// Where the lines are that say for whom a request comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamp {
    /// Those of its host.
    Hosts,
    /// Among its fields.
    InFields,
}
