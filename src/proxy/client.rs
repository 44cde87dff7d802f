//! One connection of a client.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use hyper::header::{FORWARDED, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::forward;
use super::headers::{
    self, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO,
};
use super::io::{ClientIo, Signs};
use super::listen;
use super::worker::Worker;

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

/// A host that a client asked for, with what is made of it for every request.
#[derive(Debug)]
pub(super) struct Host {
    /// As the client wrote it, in memory of its own: a part of the client's read buffer would keep that from being used
    /// again.
    pub(super) field: HeaderValue,
    /// Lower-case, without a port.
    pub(super) name: String,
    peer: IpAddr,
    forwarded_for: HeaderValue,
    forwarded: HeaderValue,
}

impl Host {
    /// `None` where `field` is not one host name with an optional port.
    fn new(peer: IpAddr, field: &HeaderValue) -> Option<Self> {
        let name = headers::host_name(field.as_bytes())?.into_owned();
        let text = field.to_str().unwrap_or("unknown");
        Some(Self {
            name,
            forwarded_for: ascii(&peer.to_string()),
            forwarded: ascii(&headers::forwarded(&headers::node(peer), text)),
            field: ascii(text),
            peer,
        })
    }
}

/// A client's connection, as its requests and the worker see it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) worker: Rc<Worker>,
    pub(super) signs: Arc<Signs>,
    /// Its address, an IPv4 one in IPv6 clothes undressed.
    pub(super) peer: IpAddr,
    port: HeaderValue,
    /// The host it asked for last: most clients never ask for another.
    last_host: RefCell<Option<Rc<Host>>>,
    in_flight: Cell<u32>,
    idle_since: Cell<Duration>,
    order: Cell<Order>,
    waker: RefCell<Option<Waker>>,
}

impl Client {
    pub(super) fn new(worker: Rc<Worker>, peer: SocketAddr, port: HeaderValue) -> Rc<Self> {
        Rc::new(Self {
            signs: Arc::default(),
            peer: peer.ip().to_canonical(),
            port,
            last_host: RefCell::default(),
            in_flight: Cell::new(0),
            idle_since: Cell::new(worker.clock.now()),
            order: Cell::new(Order::None),
            waker: RefCell::default(),
            worker,
        })
    }

    pub(super) fn begin_request(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
        self.signs.set_waiting(true);
    }

    pub(super) fn end_request(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
        self.idle_since.set(self.worker.clock.now());
    }

    /// Ends it after what is in flight.
    pub(super) fn finish(&self) {
        self.give(Order::Finish);
    }

    /// Ends it if it was idle for `limit`. It is not while some of a response has still to be written: the request has ended by
    /// then, and who reads slowly would lose the end of it.
    pub(super) fn end_if_idle(&self, limit: Duration) {
        if self.signs.is_stuck() {
            self.idle_since.set(self.worker.clock.now());
        } else if self.in_flight.get() == 0
            && self.worker.clock.now() >= self.idle_since.get() + limit
        {
            self.give(Order::Drop);
        }
    }

    fn give(&self, order: Order) {
        self.order.set(order);
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// The host that `field` names, if it is one.
    pub(super) fn host(&self, field: &HeaderValue) -> Option<Rc<Host>> {
        let is_it = |host: &&Rc<Host>| host.peer == self.peer && host.field == *field;
        let mut last = self.last_host.borrow_mut();
        if let Some(host) = last.as_ref().filter(is_it) {
            return Some(host.clone());
        }
        let mut workers = self.worker.last_host.borrow_mut();
        let host = match workers.as_ref().filter(is_it) {
            Some(host) => host.clone(),
            None => Rc::new(Host::new(self.peer, field)?),
        };
        *workers = Some(host.clone());
        *last = Some(host.clone());
        Some(host)
    }

    /// Tells the backend who asks, for whom, and how. What the client says about that itself is replaced.
    pub(super) fn stamp(&self, headers: &mut HeaderMap, host: &Host) {
        headers.insert(&X_FORWARDED_FOR, host.forwarded_for.clone());
        headers.insert(&X_FORWARDED_HOST, host.field.clone());
        headers.insert(&X_FORWARDED_PORT, self.port.clone());
        headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static("http"));
        headers.insert(FORWARDED, host.forwarded.clone());
    }

    /// The host of a request that names none (HTTP/1.0 may): where it came in.
    pub(super) fn own_host(&self) -> HeaderValue {
        let port = self.port.to_str().unwrap_or("80");
        ascii(&format!("localhost:{port}"))
    }
}

/// A field value of what can only be printable ASCII: addresses, ports and hosts that were checked.
fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

/// Answers requests on one connection until it ends.
pub(super) async fn serve(client: Rc<Client>, stream: TcpStream) {
    if !listen::NODELAY_INHERITED {
        // Where it does not work, small responses only take longer.
        let _ = stream.set_nodelay(true);
    }
    let io = TokioIo::new(ClientIo::new(stream, client.signs.clone()));
    let service = service_fn(|request| forward::handle(client.clone(), request));
    let connection = http1::Builder::new()
        .half_close(true)
        .serve_connection(io, service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut finishing = false;
    poll_fn(|cx| {
        match client.order.get() {
            Order::None => {}
            Order::Finish if finishing => {}
            Order::Finish => {
                finishing = true;
                connection.as_mut().graceful_shutdown();
            }
            Order::Drop => return Poll::Ready(()),
        }
        let mut waker = client.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        drop(waker);
        // An error here is the client's: it left, or does not speak HTTP, which hyper has told it already.
        connection.as_mut().poll(cx).map(drop)
    })
    .await;
}
