//! The client's half: requests read one after the other, their bodies as somebody wants them, and what is written meanwhile.
//!
//! The connection and the body of the request on it share one [`ClientWire`]: a backend reads the body while its answer is
//! written. Both are polled by the one task of the connection.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::StatusCode;
use tokio::net::TcpStream;

use super::from_backend::Framing;
use super::from_client::{Refusal, RequestHead, is_foreign, read_request};
use super::to_client::write_interim;
use super::{BadChunk, Chunk, Chunked, Wire};
use crate::proxy::fields::Fields;
use crate::proxy::quickack;

/// What a client sends ahead of the answer is read up to so many bytes: to hear of its end, not to hoard.
const AHEAD_MAX: usize = 16 * 1024;
/// What begins a connection with HTTP/2 (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const BAD_CHUNK: Refusal = Refusal {
    status: StatusCode::BAD_REQUEST,
    why: "its body is not in the chunked coding",
};

/// How far the request's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Length(u64),
    Chunked(Chunked),
    /// It was read to its end, or there is none.
    Done,
    /// It cannot be read any further.
    Torn,
}

/// How it stands with `100 Continue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Continue {
    /// The client does not wait for it, or has it.
    Needless,
    /// The client waits.
    Awaited,
}

/// The connection of a client, as it and the request on it see it.
#[derive(Debug)]
pub(in crate::proxy) struct ClientWire {
    wire: RefCell<Wire>,
    reading: Cell<Reading>,
    go_ahead: Cell<Continue>,
    /// The client sends nothing more.
    ended: Cell<bool>,
    /// Interim responses are for this client.
    takes_interim: Cell<bool>,
}

/// What comes next on a connection.
// A box would cost an allocation for each request, to make the few moves of it shorter.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub(in crate::proxy) enum Next {
    /// A request.
    Head(RequestHead),
    /// HTTP/2.
    Preface,
    /// Something that is none.
    Refused(Refusal),
    /// Another protocol.
    Foreign,
    /// Nothing: it has ended.
    End,
}

/// Whether a client is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Presence {
    /// As far as is known; it is heard of when that changes.
    Here,
    /// It was now. Nobody is told when that changes: it has to be asked again.
    Unsure,
    Gone,
}

impl ClientWire {
    pub(in crate::proxy) fn new(stream: TcpStream) -> Rc<Self> {
        Rc::new(Self {
            wire: RefCell::new(*Wire::new(stream)),
            reading: Cell::new(Reading::Done),
            go_ahead: Cell::new(Continue::Needless),
            ended: Cell::new(false),
            takes_interim: Cell::new(false),
        })
    }

    /// Something of the next request has come.
    pub(in crate::proxy) fn has_begun(&self) -> bool {
        !self.wire.borrow().input.is_empty()
    }

    /// Holds no memory while nothing comes.
    pub(in crate::proxy) fn rest(&self) {
        self.wire.borrow_mut().rest();
    }

    /// Reads the head of the next request; at the `first`, the preface of HTTP/2 is welcome too, and stays unread.
    pub(in crate::proxy) fn poll_next(&self, cx: &mut Context<'_>, first: bool) -> Poll<Next> {
        let mut wire = self.wire.borrow_mut();
        loop {
            if first && is_preface(&wire.input) == Some(true) {
                return Poll::Ready(Next::Preface);
            }
            if !(first && is_preface(&wire.input).is_none()) {
                match read_request(&mut wire.input) {
                    Ok(Some(head)) => {
                        if head.framing == Framing::Chunked && Chunked::check(&wire.input).is_err()
                        {
                            // Known before a backend gets any of it.
                            return Poll::Ready(Next::Refused(BAD_CHUNK));
                        }
                        self.begin(&head);
                        return Poll::Ready(Next::Head(head));
                    }
                    Ok(None) => {}
                    Err(_) if is_foreign(&wire.input) => return Poll::Ready(Next::Foreign),
                    Err(refusal) => return Poll::Ready(Next::Refused(refusal)),
                }
            }
            if self.ended.get() {
                return Poll::Ready(self.cut(&wire.input));
            }
            match wire.poll_fill_lightly(cx) {
                Poll::Ready(Ok(0)) => self.ended.set(true),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Next::End),
                Poll::Pending => {
                    if !wire.input.is_empty() {
                        quickack::acknowledge(wire.stream());
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// The connection ended with this unread.
    fn cut(&self, rest: &[u8]) -> Next {
        match rest.is_empty() {
            true => Next::End,
            false => Next::Refused(Refusal {
                status: StatusCode::BAD_REQUEST,
                why: "it ended before its head was whole",
            }),
        }
    }

    fn begin(&self, head: &RequestHead) {
        self.reading.set(match head.framing {
            Framing::None | Framing::UntilClose => Reading::Done,
            Framing::Length(length) => Reading::Length(length),
            Framing::Chunked => Reading::Chunked(Chunked::default()),
        });
        self.go_ahead.set(match head.expects {
            true => Continue::Awaited,
            false => Continue::Needless,
        });
        self.takes_interim
            .set(head.version == hyper::Version::HTTP_11);
    }

    /// The body of the request that was read last, if it has one.
    pub(in crate::proxy) fn body(self: &Rc<Self>) -> Option<ClientBody> {
        (self.reading.get() != Reading::Done).then(|| ClientBody(self.clone()))
    }

    /// The whole of the request has been read.
    pub(in crate::proxy) fn is_read(&self) -> bool {
        self.reading.get() == Reading::Done
    }

    /// The client waits for leave to send the body, and has not begun to by itself.
    pub(in crate::proxy) fn waits_for_leave(&self) -> bool {
        self.go_ahead.get() == Continue::Awaited && self.wire.borrow().input.is_empty()
    }

    /// Passes an interim response on, where this client takes such. Leave to send a body is only for who asked for it, once.
    pub(in crate::proxy) fn interim(&self, status: StatusCode, reason: &[u8], fields: &Fields) {
        if !self.takes_interim.get() {
            return;
        }
        if status == StatusCode::CONTINUE
            && self.go_ahead.replace(Continue::Needless) == Continue::Needless
        {
            return;
        }
        let mut wire = self.wire.borrow_mut();
        // A backend that says ever more of these to a client that reads none gets nowhere.
        if wire.unsent() < AHEAD_MAX {
            wire.append(|out| write_interim(out, (status, reason), fields));
        }
    }

    /// No interim response belongs before what comes now.
    pub(in crate::proxy) fn begin_answer(&self) {
        self.takes_interim.set(false);
    }

    /// What is written goes here, and is sent by [`ClientWire::poll_flush`].
    pub(in crate::proxy) fn write(&self, write: impl FnOnce(&mut Wire)) {
        write(&mut self.wire.borrow_mut());
    }

    /// Bytes that the system has taken.
    pub(in crate::proxy) fn written(&self) -> u64 {
        self.wire.borrow().written()
    }

    /// Bytes that wait to be written.
    pub(in crate::proxy) fn unsent(&self) -> usize {
        self.wire.borrow().unsent()
    }

    /// Writes until nothing waits.
    pub(in crate::proxy) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.borrow_mut().poll_flush(cx)
    }

    /// Writes what there is room for, though the system has not said that there is any.
    ///
    /// # Errors
    /// When there is none.
    pub(in crate::proxy) fn squeeze(&self) -> io::Result<()> {
        self.wire.borrow_mut().squeeze()
    }

    /// Whether the client is still there, while it is answered. Its half-close says nothing of that (RFC 9112 §9.6): only what
    /// says that nobody reads any more does.
    pub(in crate::proxy) fn presence(&self, cx: &mut Context<'_>) -> Presence {
        let mut wire = self.wire.borrow_mut();
        if self.is_read() {
            while !self.ended.get() && wire.input.len() < AHEAD_MAX {
                match wire.poll_fill_lightly(cx) {
                    Poll::Ready(Ok(0)) => self.ended.set(true),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_)) => return Presence::Gone,
                    Poll::Pending => return Presence::Here,
                }
            }
        }
        if wire.stream().poll_read_ready(cx).is_pending() {
            return Presence::Here;
        }
        // There is something to read that nobody wants yet, or the end of it. A reset can be behind that.
        match wire.stream().take_error() {
            Ok(None) => Presence::Unsure,
            Ok(Some(_)) | Err(_) => Presence::Gone,
        }
    }

    /// Reads what comes next and throws it away; false at the end.
    pub(in crate::proxy) fn poll_discard(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut wire = self.wire.borrow_mut();
        wire.input.clear();
        wire.poll_fill_lightly(cx)
            .map(|read| matches!(read, Ok(1..)))
    }

    /// Tells the client that nothing more comes.
    pub(in crate::proxy) fn shut(&self) {
        let wire = self.wire.borrow();
        // A socket that is gone needs no end.
        let _ = socket2::SockRef::from(wire.stream()).shutdown(std::net::Shutdown::Write);
    }

    /// While it is so, an end of the connection is a reset, whatever brings it about: nobody can take what came for the whole.
    pub(in crate::proxy) fn set_abortive(&self, abortive: bool) {
        let wire = self.wire.borrow();
        let linger = abortive.then_some(std::time::Duration::ZERO);
        // A socket that is gone has no end to come.
        let _ = socket2::SockRef::from(wire.stream()).set_linger(linger);
    }

    /// After a switch of protocols: the socket, and what came behind the last head. `None` where somebody still holds a body.
    pub(in crate::proxy) fn into_parts(self: Rc<Self>) -> Option<(TcpStream, BytesMut)> {
        let wire = Rc::into_inner(self)?.wire.into_inner();
        Some(wire.into_parts())
    }

    fn poll_body(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, TornBody>>> {
        let mut wire = self.wire.borrow_mut();
        loop {
            match self.take(&mut wire.input) {
                Ok(Some(frame)) => {
                    // Who sends it does not wait for leave any more.
                    self.go_ahead.set(Continue::Needless);
                    return Poll::Ready(Some(Ok(frame)));
                }
                Ok(None) if self.is_read() => return Poll::Ready(None),
                Ok(None) => {}
                Err(torn) => {
                    self.reading.set(Reading::Torn);
                    return Poll::Ready(Some(Err(torn)));
                }
            }
            let filled = match self.ended.get() {
                true => Poll::Ready(Ok(0)),
                false => wire.poll_fill_lightly(cx),
            };
            match filled {
                Poll::Ready(Ok(0)) => {
                    self.ended.set(true);
                    self.reading.set(Reading::Torn);
                    return Poll::Ready(Some(Err(TornBody::Ended)));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => {
                    self.reading.set(Reading::Torn);
                    return Poll::Ready(Some(Err(TornBody::Ended)));
                }
                Poll::Pending => {
                    quickack::acknowledge(wire.stream());
                    return Poll::Pending;
                }
            }
        }
    }

    /// What of the body is here already.
    fn take(&self, input: &mut BytesMut) -> Result<Option<Frame<Bytes>>, TornBody> {
        match self.reading.get() {
            Reading::Done => Ok(None),
            Reading::Torn => Err(TornBody::Ended),
            Reading::Length(_) if input.is_empty() => Ok(None),
            Reading::Length(left) => {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                self.reading.set(match left - here as u64 {
                    0 => Reading::Done,
                    left => Reading::Length(left),
                });
                Ok(Some(Frame::data(input.split_to(here).freeze())))
            }
            Reading::Chunked(mut coding) => {
                let chunk = coding.read(input)?;
                self.reading.set(Reading::Chunked(coding));
                Ok(match chunk {
                    None => None,
                    Some(Chunk::Data(data)) => Some(Frame::data(data)),
                    Some(Chunk::End(trailers)) => {
                        self.reading.set(Reading::Done);
                        trailers.map(Frame::trailers)
                    }
                })
            }
        }
    }
}

/// Why the body of a request is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::proxy) enum TornBody {
    /// The client left.
    #[error("the connection ended too early")]
    Ended,
    /// It is not in its framing.
    #[error(transparent)]
    Chunk(#[from] BadChunk),
}

/// The body of the request on a connection.
#[derive(Debug)]
pub(in crate::proxy) struct ClientBody(Rc<ClientWire>);

impl Body for ClientBody {
    type Data = Bytes;
    type Error = TornBody;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TornBody>>> {
        self.0.poll_body(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_read()
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.reading.get() {
            Reading::Length(left) => SizeHint::with_exact(left),
            Reading::Done => SizeHint::with_exact(0),
            Reading::Chunked(_) | Reading::Torn => SizeHint::default(),
        }
    }
}

/// Whether a connection begins with HTTP/2; `None` while it may.
fn is_preface(input: &[u8]) -> Option<bool> {
    let length = input.len().min(PREFACE.len());
    match input[..length] == PREFACE[..length] {
        true if length == PREFACE.len() => Some(true),
        // The empty input is a request to come, as most are: nothing is lost by a look at it.
        true if length > 0 => None,
        _ => Some(false),
    }
}
