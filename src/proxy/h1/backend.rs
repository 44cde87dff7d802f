//! The backend's half: one request sent, its response read, on a connection that may take another one afterwards.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::Method;
use hyper::header::HeaderMap;
use tokio::net::TcpStream;

use super::wire::Wire;
use super::{
    BadChunk, BadHead, Chunk, Chunked, Framing, RequestFraming, ResponseHead, Target, read_head,
    write_head, write_last_chunk,
};
use crate::proxy::fields::Fields;
use crate::proxy::quickack;

/// Why there is no (whole) response.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum Broken {
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// It ended before the response did.
    #[error("the connection ended too early")]
    Ended,
    /// Nothing came for too long.
    #[error("the backend went silent in the middle of a body")]
    Silent,
    /// It says ever more before the response.
    #[error("there are interim responses without an end")]
    Endless,
    /// What came is no response.
    #[error("what came is not HTTP")]
    Head(#[from] BadHead),
    /// What came is not the body that the head speaks of.
    #[error("the body is not in the framing that its head names")]
    Chunk(#[from] BadChunk),
    /// The request's own body could not be read: the client's fault.
    #[error("the request's body could not be read")]
    Request,
}

/// A request's body on its way, and how far it is.
#[derive(Debug)]
enum Sending<B> {
    Body(B, RequestFraming),
    Done,
    /// The rest of it will never come.
    Broken,
}

/// A connection with a request on it.
#[derive(Debug)]
pub(in crate::proxy) struct Exchange<B> {
    wire: Box<Wire>,
    method: Method,
    sending: Sending<B>,
    reading: Reading,
    persists: bool,
    /// An interim head has come.
    interim: bool,
    /// The response has no body: one that came all the same would pass for the next response.
    bodiless: bool,
    /// Written on the connection before this request.
    before: u64,
}

/// The head of a request, as a backend gets it.
#[derive(Debug, Clone, Copy)]
pub(in crate::proxy) struct ToSend<'a> {
    pub(in crate::proxy) method: &'a Method,
    pub(in crate::proxy) target: &'a Target,
    /// Without a framing of their own.
    pub(in crate::proxy) fields: &'a Fields,
    /// Lines behind them.
    pub(in crate::proxy) stamp: &'a [u8],
}

/// Where the response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Head,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Done,
}

impl<B> Exchange<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// Puts the request on the connection; nothing is written before the first poll.
    pub(in crate::proxy) fn new(mut wire: Box<Wire>, head: ToSend<'_>, body: Option<B>) -> Self {
        let framing = match &body {
            None if matches!(*head.method, Method::POST | Method::PUT | Method::PATCH) => {
                RequestFraming::Length(0)
            }
            None => RequestFraming::None,
            Some(body) => match body.size_hint().exact() {
                Some(length) => RequestFraming::Length(length),
                None => RequestFraming::Chunked,
            },
        };
        write_head(
            &mut wire.output,
            head.method,
            head.target,
            head.fields,
            head.stamp,
            framing,
        );
        Self {
            before: wire.written(),
            wire,
            method: head.method.clone(),
            sending: body.map_or(Sending::Done, |body| Sending::Body(body, framing)),
            reading: Reading::Head,
            persists: false,
            interim: false,
            bodiless: false,
        }
    }

    /// No byte of the request has left: the backend cannot have seen it.
    pub(in crate::proxy) fn is_unsent(&self) -> bool {
        self.wire.written() == self.before
    }

    /// The whole of the request has left.
    pub(in crate::proxy) fn is_sent(&self) -> bool {
        matches!(self.sending, Sending::Done) && self.wire.is_flushed()
    }

    /// Some byte of a response has come, be it an interim one.
    pub(in crate::proxy) fn has_begun(&self) -> bool {
        self.interim || !self.wire.input.is_empty()
    }

    /// All that came of the request was taken, and the client has not sent the rest yet: the backend owes nothing.
    pub(in crate::proxy) fn waits_for_client(&self) -> bool {
        matches!(self.sending, Sending::Body(..)) && self.wire.is_flushed()
    }

    /// Sends what can be sent, and reads the next head: an interim one (1xx but 101) or that of the response.
    ///
    /// # Errors
    /// When no response can come any more. A backend that answers before it has read the whole request, and closes, is
    /// heard: its answer counts more than the failed write.
    pub(in crate::proxy) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseHead, Broken>> {
        let sent = match self.poll_send(cx) {
            Poll::Ready(Err(Broken::Request)) => return Poll::Ready(Err(Broken::Request)),
            Poll::Ready(Err(error)) => Some(error),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        };
        loop {
            if let Some(head) = read_head(&mut self.wire.input, &self.method)? {
                if head.is_interim() {
                    self.interim = true;
                    return Poll::Ready(Ok(head));
                }
                self.begin(&head);
                return Poll::Ready(Ok(head));
            }
            match self.wire.poll_fill(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(sent.unwrap_or(Broken::Ended))),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(sent.unwrap_or(error.into()))),
                Poll::Pending => {
                    if !self.wire.input.is_empty() {
                        quickack::acknowledge(self.wire.stream());
                    }
                    // After a failed write too: what came before the end of the connection, or the end itself, wakes us. It
                    // may be there already, and only its news is not.
                    return Poll::Pending;
                }
            }
        }
    }

    fn begin(&mut self, head: &ResponseHead) {
        self.persists = head.persists;
        self.bodiless = head.framing == Framing::None;
        self.reading = match head.framing {
            Framing::None => Reading::Done,
            Framing::Length(length) => Reading::Length(length),
            Framing::Chunked => Reading::Chunked(Chunked::default()),
            Framing::UntilClose => Reading::UntilClose,
        };
    }

    /// The length of the body that is to come, where it is known.
    pub(in crate::proxy) fn length(&self) -> Option<u64> {
        match self.reading {
            Reading::Done => Some(0),
            Reading::Length(length) => Some(length),
            Reading::Head | Reading::Chunked(_) | Reading::UntilClose => None,
        }
    }

    /// The whole of a body of known length has come, though it may not have been read.
    pub(in crate::proxy) fn is_whole(&self) -> bool {
        self.length()
            .is_some_and(|length| length <= self.wire.input.len() as u64)
    }

    /// Reads until [`Exchange::is_whole`].
    ///
    /// # Errors
    /// When it ends before.
    pub(in crate::proxy) fn poll_whole(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        if self.poll_send_rest(cx) {
            // `poll_frame` tells it.
            return Poll::Ready(Ok(()));
        }
        while !self.is_whole() {
            match self.wire.poll_fill(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(Broken::Ended)),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => {
                    quickack::acknowledge(self.wire.stream());
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Bytes written on the connection.
    pub(in crate::proxy) fn written(&self) -> u64 {
        self.wire.written()
    }

    /// Goes on sending while the answer comes. That a backend does not take the rest matters to nobody; true where the
    /// client does not send it.
    fn poll_send_rest(&mut self, cx: &mut Context<'_>) -> bool {
        match self.poll_send(cx) {
            Poll::Ready(Err(Broken::Request)) => true,
            Poll::Ready(Err(_)) => {
                self.sending = Sending::Done;
                self.persists = false;
                false
            }
            Poll::Ready(Ok(())) | Poll::Pending => false,
        }
    }

    /// Sends what can be sent, while nobody wants the response.
    pub(in crate::proxy) fn poll_send_on(&mut self, cx: &mut Context<'_>) {
        // That the client does not send the rest stays noted.
        let _ = self.poll_send_rest(cx);
    }

    /// The response has ended.
    pub(in crate::proxy) fn is_done(&self) -> bool {
        self.reading == Reading::Done
    }

    /// Reads the next part of the response's body, and goes on sending the request's.
    ///
    /// # Errors
    /// When the body ends too early or is in no framing, or the backend may wait in vain for the client to go on.
    pub(in crate::proxy) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let client_left = self.poll_send_rest(cx);
        loop {
            match self.take() {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.is_done() => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            match self.wire.poll_fill(cx) {
                Poll::Ready(Ok(0)) if self.reading == Reading::UntilClose => {
                    self.reading = Reading::Done
                }
                Poll::Ready(Ok(0)) => return Poll::Ready(Some(Err(Broken::Ended))),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Poll::Pending if client_left => {
                    return Poll::Ready(Some(Err(Broken::Request)));
                }
                Poll::Pending => {
                    quickack::acknowledge(self.wire.stream());
                    return Poll::Pending;
                }
            }
        }
    }

    /// What of the body is here already.
    fn take(&mut self) -> Result<Option<Frame<Bytes>>, Broken> {
        match &mut self.reading {
            Reading::Head | Reading::Done => Ok(None),
            Reading::Length(left) => {
                if self.wire.input.is_empty() {
                    return Ok(None);
                }
                let here = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(self.wire.input.len());
                *left -= here as u64;
                if *left == 0 {
                    self.reading = Reading::Done;
                }
                Ok(Some(Frame::data(self.wire.input.split_to(here).freeze())))
            }
            Reading::UntilClose => {
                let all = self.wire.input.split().freeze();
                Ok((!all.is_empty()).then(|| Frame::data(all)))
            }
            Reading::Chunked(coding) => match coding.read(&mut self.wire.input)? {
                None => Ok(None),
                Some(Chunk::Data(data)) => Ok(Some(Frame::data(data))),
                Some(Chunk::End(trailers)) => {
                    self.reading = Reading::Done;
                    Ok(trailers.map(Frame::trailers))
                }
            },
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            ready!(self.wire.poll_flush(cx))?;
            let (body, framing) = match &mut self.sending {
                Sending::Body(body, framing) => (body, framing),
                Sending::Done => return Poll::Ready(Ok(())),
                Sending::Broken => return Poll::Ready(Err(Broken::Request)),
            };
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => match (frame.into_data(), *framing) {
                    (Ok(data), RequestFraming::Chunked) => self.wire.push_chunk(data),
                    (Ok(data), _) => self.wire.push(data),
                    (Err(frame), RequestFraming::Chunked) => {
                        let trailers: Option<HeaderMap> = frame.into_trailers().ok();
                        self.wire
                            .append(|out| write_last_chunk(out, trailers.as_ref()));
                        self.sending = Sending::Done;
                    }
                    // Trailers have no place after a body with a length.
                    (Err(_), _) => {}
                },
                // It is not asked again: a body that failed may then seem to have ended.
                Some(Err(_)) => self.sending = Sending::Broken,
                None => {
                    if *framing == RequestFraming::Chunked {
                        self.wire.append(|out| write_last_chunk(out, None));
                    }
                    self.sending = Sending::Done;
                }
            }
        }
    }

    /// The connection for another request, if the whole of both messages went over it and the backend takes one.
    pub(in crate::proxy) fn into_idle(mut self) -> Option<Box<Wire>> {
        let sent = self.is_sent();
        // A backend that speaks unasked is not understood: what it said could pass for the next answer. Some send the body that
        // `HEAD` is not to have, a little later.
        let quiet = self.is_done() && self.wire.input.is_empty() && self.method != Method::HEAD;
        let fit = self.persists && sent && quiet;
        fit.then(|| {
            self.wire.calm();
            self.wire.doubt(self.bodiless);
            self.wire
        })
    }

    /// After a switch of protocols: the socket, and what came behind the head.
    pub(in crate::proxy) fn into_parts(self) -> (TcpStream, bytes::BytesMut) {
        self.wire.into_parts()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::io::{Read, Write};
    use std::rc::Rc;

    use super::*;

    /// A body whose next part is put here. Nobody is woken for it.
    struct Parts(Rc<Cell<Option<Bytes>>>);

    impl Body for Parts {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            match self.0.take() {
                Some(part) => Poll::Ready(Some(Ok(Frame::data(part)))),
                None => Poll::Pending,
            }
        }
    }

    /// The news of what came and the failure of a write reach us in any order: here the write fails first.
    #[tokio::test]
    async fn an_answer_that_came_counts_more_than_a_write_that_failed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let mut backend = Some(listener.accept().unwrap().0);
        let head = ToSend {
            method: &Method::POST,
            target: &Target::new(Bytes::from_static(b"/"), None),
            fields: &Fields::default(),
            stamp: b"",
        };
        let part = Rc::new(Cell::new(None));
        let mut exchange = Exchange::new(Wire::new(stream), head, Some(Parts(part.clone())));
        let head = poll_fn(|cx| {
            if let Some(mut backend) = backend.take() {
                assert!(exchange.poll_head(cx).is_pending());
                assert!(exchange.wire.written() > 0);
                // All within one poll, so that nobody hears of the answer meanwhile.
                backend.read_exact(&mut [0; 10]).unwrap();
                backend
                    .write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
                    .unwrap();
                // With something unread, this is a reset.
                drop(backend);
                part.set(Some(Bytes::from_static(b"more")));
            }
            exchange.poll_head(cx)
        })
        .await;
        assert_eq!(head.unwrap().status, 413);
    }
}
