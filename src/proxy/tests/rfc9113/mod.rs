//! HTTP/2 with prior knowledge, section by section of RFC 9113: clients that behave (hyper's), and clients that do not (frames
//! by hand, in `wire`).

mod abuse;
mod ends;
mod requests;
mod strange;
mod wire;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::mpsc;

use super::taking::{Taken, pattern, taking};
use super::*;

pub(super) type Sent = http_body_util::combinators::BoxBody<Bytes, Infallible>;

/// A client with one connection.
pub(super) struct Peer {
    send: SendRequest<Sent>,
    /// Ends with the connection.
    connection: JoinHandle<hyper::Result<()>>,
}

impl Front {
    pub(super) async fn h2(&self) -> Peer {
        let io = TokioIo::new(self.connect().await);
        let (send, connection) = within(http2::handshake(TokioExecutor::new(), io))
            .await
            .unwrap();
        Peer {
            send,
            connection: tokio::spawn(connection),
        }
    }
}

impl Peer {
    /// The head of the answer, and its body to come.
    pub(super) async fn begin(&self, request: Request<Sent>) -> hyper::Result<Response<Incoming>> {
        let mut send = self.send.clone();
        within(send.ready()).await?;
        within(send.send_request(request)).await
    }

    /// The answer, whole.
    pub(super) async fn ask(&self, request: Request<Sent>) -> Answered {
        let (head, body) = self.begin(request).await.unwrap().into_parts();
        let body = within(body.collect()).await.unwrap();
        Answered {
            status: head.status.as_u16(),
            fields: head.headers,
            trailers: body.trailers().cloned(),
            body: body.to_bytes(),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answered {
        self.ask(get(path)).await
    }
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    fields: HeaderMap,
    pub(super) body: Bytes,
    pub(super) trailers: Option<HeaderMap>,
}

impl Answered {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(super) fn request(method: &str, path: &str, body: Sent) -> Request<Sent> {
    let request = Request::builder().method(method);
    request.uri(format!("http://a{path}")).body(body).unwrap()
}

pub(super) fn get(path: &str) -> Request<Sent> {
    request("GET", path, Empty::new().boxed())
}

fn full(body: &[u8]) -> Sent {
    Full::new(Bytes::copy_from_slice(body)).boxed()
}

/// A body whose parts come when they are given to it; it ends when the other end is dropped.
struct Fed(mpsc::UnboundedReceiver<Frame<Bytes>>);

impl Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

pub(super) fn fed() -> (mpsc::UnboundedSender<Frame<Bytes>>, Sent) {
    let (feed, eater) = mpsc::unbounded_channel();
    (feed, Fed(eater).boxed())
}
