//! The socket of a client, with what hyper does not do by itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What the socket of a client and its requests tell each other.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// A request waits for its response: a reset by the client is worth hearing of.
    waiting: AtomicBool,
    /// A body whose end is the end of the connection is under way: to close now would make it look whole.
    open_ended: AtomicBool,
    /// The last write waits for the client to read.
    stuck: AtomicBool,
    /// The client said that it sends nothing after this request, which has no body.
    last: AtomicBool,
}

impl Signs {
    pub(super) fn set_waiting(&self, waiting: bool) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    pub(super) fn set_last(&self, last: bool) {
        self.last.store(last, Ordering::Relaxed);
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    /// Notes whether a write has to wait.
    fn after_write<T>(&self, written: Poll<T>) -> Poll<T> {
        self.stuck.store(written.is_pending(), Ordering::Relaxed);
        written
    }

    pub(super) fn set_open_ended(&self, open: bool) {
        self.open_ended.store(open, Ordering::Relaxed);
    }
}

/// A socket of a client.
///
/// hyper does not read while a request is being answered when half-closed clients are welcome, so it would not hear that
/// the client went away; here the socket is asked. An end in the middle of a body that has no other end is a reset.
#[derive(Debug)]
pub(super) struct ClientIo {
    stream: TcpStream,
    signs: Arc<Signs>,
}

impl ClientIo {
    pub(super) fn new(stream: TcpStream, signs: Arc<Signs>) -> Self {
        Self { stream, signs }
    }
}

impl Drop for ClientIo {
    fn drop(&mut self) {
        if self.signs.open_ended.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.signs.after_write(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.signs.after_write(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes whenever it has been polled, with a request in flight too. A socket that can be read then has
        // more of the client's bytes, its half-close, or a reset; only the last is an error.
        if self.signs.waiting.load(Ordering::Relaxed)
            && let Poll::Ready(Ok(())) = self.stream.poll_read_ready(cx)
            && let Some(error) = self.stream.take_error()?
        {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.signs.open_ended.load(Ordering::Relaxed) {
            // No end-of-file before the reset.
            return Poll::Ready(Ok(()));
        }
        if self.signs.last.load(Ordering::Relaxed) {
            // hyper lets go of the socket right after this, which tells the client the same: with nothing unread, that is
            // no reset.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
