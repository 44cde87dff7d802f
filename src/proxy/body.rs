//! Bodies: one enum each way, never boxed, never collected.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::clock::Clock;
use super::flight::{End, Flight};
use super::upstream::Link;

/// A request's body on its way to a backend.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// There is none.
    Empty,
    /// The client's.
    Stream {
        body: Incoming,
        link: Rc<Link>,
        clock: Clock,
    },
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Outgoing::Empty => Poll::Ready(None),
            Outgoing::Stream { body, link, clock } => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                // The limit on the response's head counts from the last part of the request.
                link.went_on(clock.now());
                if let Some(Err(_)) = frame {
                    link.client_failed.set(true);
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Outgoing::Empty => true,
            Outgoing::Stream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Outgoing::Empty => SizeHint::with_exact(0),
            Outgoing::Stream { body, .. } => body.size_hint(),
        }
    }
}

/// A response's body on its way to the client. The request it belongs to ends with it.
#[derive(Debug)]
pub(super) struct Body {
    content: Content,
    flight: Option<Box<Flight>>,
}

#[derive(Debug)]
enum Content {
    Ours(Option<Bytes>),
    Backends(Incoming),
}

impl Body {
    /// A body of our own.
    pub(super) fn ours(bytes: Bytes, flight: Box<Flight>) -> Self {
        Self {
            content: Content::Ours(Some(bytes).filter(|bytes| !bytes.is_empty())),
            flight: Some(flight),
        }
    }

    /// A backend's.
    pub(super) fn backends(body: Incoming, flight: Box<Flight>) -> Self {
        Self {
            content: Content::Backends(body),
            flight: Some(flight),
        }
    }

    fn end(&mut self, end: End) {
        if let Some(flight) = self.flight.take() {
            flight.end(end);
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let body = match &mut self.content {
            Content::Ours(bytes) => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
            }
            Content::Backends(body) => body,
        };
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        let end = match &frame {
            None => Some(End::Whole),
            Some(Err(_)) => Some(End::Cut),
            Some(Ok(frame)) if frame.is_trailers() || body.is_end_stream() => Some(End::Whole),
            Some(Ok(_)) => None,
        };
        if let Some(end) = end {
            self.end(end);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Ours(bytes) => bytes.is_none(),
            Content::Backends(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Ours(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Backends(body) => body.size_hint(),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let end = match &self.content {
            Content::Ours(_) => End::Whole,
            Content::Backends(body) if body.is_end_stream() => End::Whole,
            // Whoever drops it before its end has no client any more.
            Content::Backends(_) => End::ClientLeft,
        };
        self.end(end);
    }
}
