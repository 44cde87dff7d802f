//! A socket with what was read from it and not taken yet, and what is to be written to it.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Read at once at first: most heads with their small bodies fit.
const READ_FIRST: usize = 8 * 1024;
/// Read at once of a long body.
const READ_MOST: usize = 256 * 1024;
/// What is longer is written from where it is, not copied behind the head.
const COPY_MOST: usize = 16 * 1024;

/// One end of a connection.
#[derive(Debug)]
pub(in crate::proxy) struct Wire {
    stream: TcpStream,
    /// Read, not taken yet.
    pub(in crate::proxy) input: BytesMut,
    /// To be written, in this order.
    pub(in crate::proxy) output: BytesMut,
    /// To be written after `output`, without a copy.
    bulk: Bytes,
    /// Read at once the next time.
    read: usize,
    written: u64,
}

impl Wire {
    pub(in crate::proxy) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
            bulk: Bytes::new(),
            read: READ_FIRST,
            written: 0,
        }
    }

    pub(in crate::proxy) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The socket, and what was read from it and not taken.
    pub(in crate::proxy) fn into_parts(self) -> (TcpStream, BytesMut) {
        (self.stream, self.input)
    }

    /// Bytes that the system took, since the connection was made.
    pub(in crate::proxy) fn written(&self) -> u64 {
        self.written
    }

    /// Nothing waits to be written.
    pub(in crate::proxy) fn is_flushed(&self) -> bool {
        self.output.is_empty() && self.bulk.is_empty()
    }

    /// Appends data to what is to be written.
    pub(in crate::proxy) fn push(&mut self, data: Bytes) {
        if self.bulk.is_empty() && data.len() > COPY_MOST {
            self.bulk = data;
        } else {
            if !self.bulk.is_empty() {
                self.output
                    .extend_from_slice(&std::mem::take(&mut self.bulk));
            }
            self.output.extend_from_slice(&data);
        }
    }

    /// Reads once, behind what is there. 0 is the end.
    pub(in crate::proxy) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < self.read / 2 {
            self.input.reserve(self.read);
        }
        let room = self.input.capacity() - self.input.len();
        let count = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx))?;
        if count == room {
            // Who fills what there was room for has more.
            self.read = (self.read * 4).min(READ_MOST);
        }
        Poll::Ready(Ok(count))
    }

    /// The other end has neither closed the connection nor sent anything unasked.
    pub(in crate::proxy) fn is_quiet(&self) -> bool {
        let tried = self.stream.try_read(&mut [0]);
        self.input.is_empty() && tried.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Writes until nothing waits.
    pub(in crate::proxy) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_flushed() {
            let tried = match (self.output.is_empty(), self.bulk.is_empty()) {
                (false, false) => {
                    let parts = [io::IoSlice::new(&self.output), io::IoSlice::new(&self.bulk)];
                    self.stream.try_write_vectored(&parts)
                }
                (false, true) => self.stream.try_write(&self.output),
                (true, _) => self.stream.try_write(&self.bulk),
            };
            match tried {
                Ok(count) => {
                    self.written += count as u64;
                    let of_output = count.min(self.output.len());
                    self.output.advance(of_output);
                    self.bulk.advance(count - of_output);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_write_ready(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// An idle connection holds no memory.
    pub(in crate::proxy) fn rest(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        if self.output.is_empty() {
            self.output = BytesMut::new();
        }
        self.read = READ_FIRST;
    }
}
