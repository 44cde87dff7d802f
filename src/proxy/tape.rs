//! A request's body on its way to backends: what came is kept while it is short enough, so that another backend can have
//! it from the start.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::header::HeaderMap;

use super::headers;
use super::request::RequestBody;

/// Parts that are kept at most: a body in single bytes would else take many times its length.
const PARTS_MAX: usize = 16 * 1024;

/// The client's half. It outlives every connection that its body is sent on.
#[derive(Debug)]
pub(super) struct Tape<B = RequestBody> {
    body: B,
    /// Its length, where the client said it.
    length: Option<u64>,
    /// The parts that came, or `None` once they were too long to keep.
    kept: Option<Vec<Bytes>>,
    /// Bytes that may still be kept.
    room: u64,
    trailers: Option<HeaderMap>,
    ended: bool,
    /// It will never be whole: hyper says so once, and speaks of an end from then on.
    torn: bool,
}

/// The client failed or left before its body was whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request's body ended before it was whole")]
pub(super) struct Torn;

impl<B: Body<Data = Bytes>> Tape<B> {
    /// Of which up to `limit` bytes are kept; nothing of one that says that it is longer.
    pub(super) fn new(body: B, limit: u64) -> Rc<RefCell<Self>> {
        let length = body.size_hint().exact();
        let keeps = length.is_none_or(|length| length <= limit);
        Rc::new(RefCell::new(Self {
            body,
            length,
            kept: keeps.then(Vec::new),
            room: limit,
            trailers: None,
            ended: false,
            torn: false,
        }))
    }

    /// It can be sent from the start once more.
    pub(super) fn is_replayable(&self) -> bool {
        self.kept.is_some()
    }

    /// It will never be whole.
    pub(super) fn is_torn(&self) -> bool {
        self.torn
    }

    /// It should still be when all of it has come: it is short enough by its length.
    pub(super) fn stays_replayable(&self) -> bool {
        self.kept.is_some() && self.length.is_some()
    }

    fn keep(&mut self, data: &Bytes) {
        let length = data.len() as u64;
        match &mut self.kept {
            Some(kept) if length <= self.room && kept.len() < PARTS_MAX => {
                self.room -= length;
                kept.push(data.clone());
            }
            _ => self.kept = None,
        }
    }
}

/// The body, once, from its start.
#[derive(Debug)]
pub(super) struct Outgoing<B = RequestBody> {
    tape: Rc<RefCell<Tape<B>>>,
    /// The next part, of those that were kept.
    place: usize,
}

impl<B> Outgoing<B> {
    /// Of `tape`; one at a time.
    pub(super) fn of(tape: &Rc<RefCell<Tape<B>>>) -> Self {
        Self {
            tape: tape.clone(),
            place: 0,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Outgoing<B> {
    type Data = Bytes;
    type Error = Torn;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Torn>>> {
        let this = &mut *self;
        let mut tape = this.tape.borrow_mut();
        if tape.torn {
            return Poll::Ready(Some(Err(Torn)));
        }
        if let Some(part) = tape.kept.as_ref().and_then(|kept| kept.get(this.place)) {
            this.place += 1;
            return Poll::Ready(Some(Ok(Frame::data(part.clone()))));
        }
        if tape.ended {
            let trailers = match this.place {
                usize::MAX => None,
                _ => tape.trailers.clone(),
            };
            this.place = usize::MAX;
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        match ready!(Pin::new(&mut tape.body).poll_frame(cx)) {
            Some(Ok(mut frame)) => {
                if let Some(data) = frame.data_ref() {
                    tape.keep(data);
                    this.place += 1;
                } else if let Some(trailers) = frame.trailers_mut() {
                    headers::strip_trailers(trailers);
                    tape.trailers = Some(trailers.clone());
                    tape.ended = true;
                    this.place = usize::MAX;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(_)) => {
                tape.torn = true;
                tape.kept = None;
                Poll::Ready(Some(Err(Torn)))
            }
            None => {
                tape.ended = true;
                this.place = usize::MAX;
                Poll::Ready(None)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.tape.borrow().length {
            Some(length) => SizeHint::with_exact(length),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests;
