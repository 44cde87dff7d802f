//! A connection of a client that speaks HTTP/2 from its first byte ("prior knowledge", RFC 9113 §3.3). hyper reads and
//! writes it; each stream is a request of its own, balanced by itself, and goes to its backend over HTTP/1.1.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::header::{COOKIE, HOST, HeaderMap, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::answer::Answer;
use super::body::Body;
use super::client::{Client, Waits};
use super::fields::{Fields, Name};
use super::flight::Flight;
use super::forward;
use super::h1::Broken;
use super::h1::{FALSE_FRAMING, Refusal, Target, check_target};
use super::page::Page;
use super::request::{Request, RequestBody};

/// Requests at once on one connection.
const STREAMS_MAX: u32 = 128;
/// A longer head is refused with 431, as over HTTP/1. CONTINUATION frames count (CVE-2024-27316 and its relatives).
const HEAD_MAX: u32 = 64 * 1024;
/// A client that opens streams only to reset them is let go after so many ("rapid reset", CVE-2023-44487).
const RESETS_MAX: usize = 100;
/// What a stream may send, and the connection, before it is asked for more.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Answers the streams of one connection until it ends; `said` has come already.
pub(super) async fn serve(client: &Rc<Client>, (stream, said): (TcpStream, BytesMut)) {
    client.waits_for(Waits::Request);
    let io = TokioIo::new(Rewound { stream, said });
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let client = client.clone();
        async move { Ok::<_, Infallible>(handle(&client, request).await) }
    });
    let connection = http2::Builder::new(Spawn)
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut finishing = false;
    client
        .obeying(|cx| {
            if client.is_finishing() && !finishing {
                finishing = true;
                // GOAWAY: what is in flight ends, nothing new begins (RFC 9113 §6.8).
                connection.as_mut().graceful_shutdown();
            }
            // An error is the client's, which hyper has told it already.
            connection.as_mut().poll(cx).map(drop)
        })
        .await;
}

async fn handle(client: &Rc<Client>, request: hyper::Request<Incoming>) -> Response<Watched> {
    let (mut head, body) = request.into_parts();
    let path = match (head.uri.path_and_query(), head.uri.authority()) {
        (Some(path), _) => path.as_str().to_owned(),
        // `CONNECT` has nothing else.
        (None, Some(authority)) => authority.as_str().to_owned(),
        (None, None) => "/".to_owned(),
    };
    let authority = head.uri.authority().cloned();
    if let Some(authority) = &authority {
        // Where both are there they are the same, or the pseudo-field counts (RFC 9113 §8.3.1).
        if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
            head.headers.insert(HOST, host);
        }
    }
    join_cookies(&mut head.headers);
    let fields = Fields::from_map(&head.headers);
    if let Err(refusal) = check(&head.method, path.as_bytes(), &fields) {
        let flight = Flight::refused(client.clone());
        let accept = fields.get(Name::Accept);
        return response(client, Page::refused(refusal).answer(accept, flight));
    }
    let length = body.size_hint().exact();
    let request = Request {
        method: head.method,
        target: Target::new(Bytes::from(path), None),
        version: Version::HTTP_2,
        fields,
        body: (!body.is_end_stream() && length != Some(0)).then_some(RequestBody::H2(body)),
        interim: None,
    };
    response(client, forward::handle(client, request).await)
}

/// HTTP/1 has one `Cookie` (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(COOKIE, cookie);
    }
}

/// What a request over HTTP/1 is refused for, where HTTP/2 itself lets it pass: it would be written to a backend.
fn check(method: &Method, path: &[u8], fields: &Fields) -> Result<(), Refusal> {
    let bad = |why| Refusal {
        status: StatusCode::BAD_REQUEST,
        why,
    };
    check_target(path)?;
    if !path.starts_with(b"/") && path != b"*" && *method != Method::CONNECT {
        return Err(bad("its path does not begin with `/`"));
    }
    match fields.has(Name::FalseFraming) {
        true => Err(bad(FALSE_FRAMING)),
        false => Ok(()),
    }
}

/// The answer as hyper writes it.
fn response(client: &Rc<Client>, answer: Answer) -> Response<Watched> {
    let reading = Rc::new(Reading {
        body: RefCell::new(Some(answer.body)),
        owed_since: Cell::new(Some(client.worker.clock.now())),
    });
    client.watch(&reading);
    let client = client.clone();
    let mut response = Response::new(Watched { client, reading });
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.fields.to_map();
    response
}

/// The body of an answer on its way to a client, who opens the window for it, or does not (RFC 9113 §5.2).
#[derive(Debug)]
pub(super) struct Reading {
    /// `None` once it was given up.
    body: RefCell<Option<Body>>,
    /// Since when, on the worker's clock, the client owes that it takes what is there.
    owed_since: Cell<Option<Duration>>,
}

impl Reading {
    /// What is given up, because the client has taken nothing of it for `limit`.
    pub(super) fn overdue(&self, now: Duration, limit: Duration) -> Option<Body> {
        let since = self.owed_since.get()?;
        (now >= since + limit)
            .then(|| self.body.borrow_mut().take())
            .flatten()
    }
}

/// The same as hyper sees it. It asks for more only when there is room for it.
struct Watched {
    client: Rc<Client>,
    reading: Rc<Reading>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let mut body = self.reading.body.borrow_mut();
        let Some(body) = body.as_mut() else {
            let late = io::Error::from(io::ErrorKind::TimedOut);
            return Poll::Ready(Some(Err(late.into())));
        };
        let frame = Pin::new(body).poll_frame(cx);
        let is_more = matches!(frame, Poll::Ready(Some(Ok(_))));
        let now = || self.client.worker.clock.now();
        self.reading.owed_since.set(is_more.then(now));
        frame
    }

    fn is_end_stream(&self) -> bool {
        let body = self.reading.body.borrow();
        body.as_ref().is_some_and(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.reading.body.borrow();
        body.as_ref()
            .map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

/// Runs what hyper spawns on this thread.
#[derive(Debug, Clone, Copy)]
struct Spawn;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Spawn {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// A socket that has something to read already.
struct Rewound {
    stream: TcpStream,
    said: BytesMut,
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.said.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let here = self.said.len().min(buf.remaining());
        buf.put_slice(&self.said[..here]);
        self.said.advance(here);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
