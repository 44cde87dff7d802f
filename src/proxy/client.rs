//! One connection of a client.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use hyper::header::{FORWARDED, HOST, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::forward;
use super::headers::{
    self, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO,
};
use super::io::{ClientIo, Signs};
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

/// A client's connection, as its requests and the worker see it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) worker: Rc<Worker>,
    pub(super) signs: Arc<Signs>,
    /// Its address, an IPv4 one in IPv6 clothes undressed.
    pub(super) peer: IpAddr,
    node: String,
    forwarded_for: HeaderValue,
    port: HeaderValue,
    /// The host it asked for last, and the `Forwarded` field made of it: most clients never ask for another.
    forwarded: RefCell<Option<(HeaderValue, HeaderValue)>>,
    in_flight: Cell<u32>,
    idle_since: Cell<Duration>,
    order: Cell<Order>,
    waker: RefCell<Option<Waker>>,
}

impl Client {
    pub(super) fn new(worker: Rc<Worker>, peer: SocketAddr, port: u16) -> Rc<Self> {
        let peer = peer.ip().to_canonical();
        let text = peer.to_string();
        Rc::new(Self {
            signs: Arc::default(),
            peer,
            node: headers::node(peer),
            forwarded_for: ascii(&text),
            port: HeaderValue::from(port),
            forwarded: RefCell::default(),
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

    /// Ends it if it was idle for `limit`.
    pub(super) fn end_if_idle(&self, limit: Duration) {
        if self.in_flight.get() == 0 && self.worker.clock.now() >= self.idle_since.get() + limit {
            self.give(Order::Drop);
        }
    }

    fn give(&self, order: Order) {
        self.order.set(order);
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Tells the backend who asks, for whom, and how. What the client says about that itself is replaced.
    pub(super) fn stamp(&self, headers: &mut HeaderMap, host: &HeaderValue) {
        headers.insert(&X_FORWARDED_FOR, self.forwarded_for.clone());
        headers.insert(&X_FORWARDED_HOST, host.clone());
        headers.insert(&X_FORWARDED_PORT, self.port.clone());
        headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static("http"));
        let mut last = self.forwarded.borrow_mut();
        let forwarded = match &*last {
            Some((of, forwarded)) if of == host => forwarded.clone(),
            Some(_) | None => {
                let text = host.to_str().unwrap_or("unknown");
                let forwarded = ascii(&headers::forwarded(&self.node, text));
                *last = Some((host.clone(), forwarded.clone()));
                forwarded
            }
        };
        headers.insert(FORWARDED, forwarded);
        if !headers.contains_key(HOST) {
            headers.insert(HOST, host.clone());
        }
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
    // Where it does not work, small responses only take longer.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(ClientIo::new(stream, client.signs.clone()));
    let service = service_fn(|request| {
        let client = client.clone();
        async move { Ok::<_, Infallible>(forward::handle(client, request).await) }
    });
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
