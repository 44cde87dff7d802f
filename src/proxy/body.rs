//! The bodies of responses: one enum, never boxed, never collected.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::fault::{Impaired, Piece};
use super::flight::{End, Flight};
use super::h1::Broken;
use super::headers;
use super::upstream::Call;
use crate::config::Fault;

/// A response's body on its way to the client. The request it belongs to ends with it.
#[derive(Debug)]
pub(super) struct Body {
    content: Content,
    flight: Option<Box<Flight>>,
    /// A fault does something to it.
    impaired: Option<Box<Impaired>>,
}

// A box would cost an allocation for each response, to make the few moves of it shorter.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
enum Content {
    Ours(Option<Bytes>),
    Backends(Call),
    /// It was cut: what came before is with the client first.
    Cut(Option<Broken>),
    /// It was read to its end, and its connection is somebody else's now.
    Ended,
}

impl Body {
    /// A body of our own.
    pub(super) fn ours(bytes: Bytes, flight: Box<Flight>) -> Self {
        Self {
            content: Content::Ours(Some(bytes).filter(|bytes| !bytes.is_empty())),
            flight: Some(flight),
            impaired: None,
        }
    }

    /// A backend's.
    pub(super) fn backends(call: Call, flight: Box<Flight>) -> Self {
        let mut body = Self {
            content: Content::Backends(call),
            flight: Some(flight),
            impaired: None,
        };
        body.let_go();
        body
    }

    /// From now on this fault does to it what it does to bodies. One that has no content has nothing to be impaired.
    pub(super) fn impair(&mut self, fault: &Fault) {
        if !self.has_ended() {
            self.impaired = Some(Impaired::new(fault));
        }
    }

    /// The connection is free as soon as the last byte was read; the request goes on until the client has it.
    fn let_go(&mut self) {
        if let Content::Backends(call) = &self.content
            && call.is_done()
            && let Content::Backends(call) = std::mem::replace(&mut self.content, Content::Ended)
            && let Some(flight) = &self.flight
        {
            flight.put_back(call);
        }
    }

    /// Goes on sending the request while the client takes nothing of this.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) {
        if let Content::Backends(call) = &mut self.content {
            call.poll_send(cx);
        }
    }

    fn end(&mut self, end: End) {
        if let Some(flight) = self.flight.take() {
            flight.end(end);
        }
    }
}

impl Body {
    /// How long it is, where that is known.
    pub(super) fn length(&self) -> Option<u64> {
        self.size_hint().exact()
    }
}

impl End {
    /// Of a response that was cut.
    fn of(broken: &Broken) -> Self {
        match broken {
            Broken::Request => End::ClientLeft,
            Broken::Io(_)
            | Broken::Ended
            | Broken::Silent
            | Broken::Endless
            | Broken::Head(_)
            | Broken::Chunk(_) => End::Cut,
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        // It is taken out while both are used, and put back.
        let Some(mut impaired) = this.impaired.take() else {
            return this.poll_content(false, cx);
        };
        let polled = this.poll_impaired(&mut impaired, cx);
        this.impaired = Some(impaired);
        if let Poll::Ready(None) = polled {
            this.end(End::Whole);
        }
        if let Poll::Ready(Some(Ok(_))) = polled
            && this.is_end_stream()
        {
            this.end(End::Whole);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.impaired.as_ref().is_none_or(|it| it.is_over()) && self.has_ended()
    }

    fn size_hint(&self) -> SizeHint {
        let waiting = self.impaired.as_ref().map_or(0, |it| it.waiting());
        let rest = self.rest();
        match rest.exact() {
            Some(exact) => SizeHint::with_exact(exact + waiting),
            None => rest,
        }
    }
}

impl Body {
    /// The next piece of a body to which a fault does something.
    fn poll_impaired(
        &mut self,
        impaired: &mut Impaired,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let cut = matches!(self.content, Content::Cut(_));
        if impaired.is_empty() {
            match ready!(self.poll_content(true, cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => impaired.take(bytes),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(broken)) => return Poll::Ready(Some(Err(broken))),
                None if cut => return Poll::Ready(None),
                None => {
                    ready!(impaired.poll_end(cx));
                    return Poll::Ready(None);
                }
            }
        }
        match ready!(impaired.poll_piece(self.has_ended(), cx)) {
            Piece::Data(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            Piece::Cut => {
                // As where the backend's own connection ends: what came before is written first.
                impaired.take(Bytes::new());
                self.content = Content::Cut(Some(Broken::Ended));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    /// The next piece, as fast as it comes.
    fn poll_content(
        &mut self,
        impaired: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self;
        let now = |flight: &Option<Box<Flight>>| {
            flight
                .as_ref()
                .map_or_else(Default::default, |flight| flight.worker().clock.now())
        };
        let frame = match &mut this.content {
            Content::Ours(bytes) => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
            }
            Content::Ended => None,
            Content::Cut(broken) => broken.take().map(Err),
            Content::Backends(call) => match ready!(call.poll_frame(cx, now(&this.flight))) {
                Some(Err(broken)) => {
                    // hyper drops what it has not written yet, when a body fails: it gets a turn to write it.
                    this.content = Content::Cut(Some(broken));
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Ok(mut frame)) => {
                    if let Some(trailers) = frame.trailers_mut() {
                        headers::strip_response_trailers(trailers);
                    }
                    Some(Ok(frame))
                }
                None => None,
            },
        };
        this.let_go();
        match &frame {
            Some(Err(broken)) => this.end(End::of(broken)),
            None if !impaired => this.end(End::Whole),
            // One that is impaired ends with its last piece.
            Some(Ok(_)) if this.has_ended() && !impaired => this.end(End::Whole),
            None | Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn has_ended(&self) -> bool {
        match &self.content {
            Content::Ours(bytes) => bytes.is_none(),
            Content::Ended => true,
            Content::Backends(_) | Content::Cut(_) => false,
        }
    }

    fn rest(&self) -> SizeHint {
        match &self.content {
            Content::Ours(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Ended => SizeHint::with_exact(0),
            Content::Cut(_) => SizeHint::default(),
            Content::Backends(call) => call
                .length()
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let end = match &self.content {
            Content::Ours(_) | Content::Ended => End::Whole,
            Content::Cut(broken) => broken.as_ref().map_or(End::Cut, End::of),
            // Whoever drops it before its end has no client any more.
            Content::Backends(_) => End::ClientLeft,
        };
        self.end(end);
    }
}
