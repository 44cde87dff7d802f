//! A socket with what was read from it and not taken yet, and what is to be written to it.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::to_backend::{write_chunk, write_chunk_size};

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
    /// To be written after `bulk`.
    tail: &'static [u8],
    /// Something may have come that nobody has heard of yet.
    doubtful: bool,
    /// Read at once the next time.
    read: usize,
    written: u64,
}

impl Wire {
    /// It is moved from request to request, and boxed for that.
    pub(in crate::proxy) fn new(stream: TcpStream) -> Box<Self> {
        Box::new(Self {
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
            bulk: Bytes::new(),
            tail: b"",
            doubtful: false,
            read: READ_FIRST,
            written: 0,
        })
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
        self.output.is_empty() && self.bulk.is_empty() && self.tail.is_empty()
    }

    /// Bytes that wait to be written.
    pub(in crate::proxy) fn unsent(&self) -> usize {
        self.output.len() + self.bulk.len() + self.tail.len()
    }

    /// Appends data to what is to be written.
    pub(in crate::proxy) fn push(&mut self, data: Bytes) {
        self.settle();
        match data.len() > COPY_MOST {
            true => self.bulk = data,
            false => self.output.extend_from_slice(&data),
        }
    }

    /// Appends data as one chunk (RFC 9112 §7.1); an empty one would be the end, and is left out.
    pub(in crate::proxy) fn push_chunk(&mut self, data: Bytes) {
        self.settle();
        if data.len() <= COPY_MOST {
            return write_chunk(&mut self.output, &data);
        }
        write_chunk_size(&mut self.output, data.len());
        self.bulk = data;
        self.tail = b"\r\n";
    }

    /// Makes `output` the end of what is to be written.
    fn settle(&mut self) {
        if !self.bulk.is_empty() || !self.tail.is_empty() {
            self.output
                .extend_from_slice(&std::mem::take(&mut self.bulk));
            self.output
                .extend_from_slice(std::mem::take(&mut self.tail));
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

    /// What came last may have had more behind it than it should: the socket is asked before it is used again.
    pub(in crate::proxy) fn doubt(&mut self, doubtful: bool) {
        self.doubtful = doubtful;
    }

    /// The other end has neither closed the connection nor sent anything unasked, as far as is known; where that was doubted, as
    /// the system knows it.
    pub(in crate::proxy) fn is_quiet(&self) -> bool {
        if self.doubtful {
            let peeked = socket2::SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit()]);
            return self.input.is_empty()
                && peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        }
        let tried = self.stream.try_read(&mut [0]);
        self.input.is_empty() && tried.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Writes until nothing waits.
    pub(in crate::proxy) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_flushed() {
            let tried = match self.bulk.is_empty() && self.tail.is_empty() {
                true => self.stream.try_write(&self.output),
                false => self.stream.try_write_vectored(&self.waiting()),
            };
            match tried {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => self.went(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_write_ready(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Lets go of what only a long body needed.
    pub(in crate::proxy) fn calm(&mut self) {
        let most = 2 * READ_FIRST;
        if self.input.capacity() > most || self.output.capacity() > most {
            self.rest();
        }
        self.read = READ_FIRST;
    }

    /// Writes what there is room for, though the system has not said that there is any: Linux says so only when a third of its
    /// buffer is free, which a slow reader takes its time for.
    ///
    /// # Errors
    /// When there is none, or nobody to write to.
    pub(in crate::proxy) fn squeeze(&mut self) -> io::Result<()> {
        let count = socket2::SockRef::from(&self.stream).send_vectored(&self.waiting())?;
        self.went(count);
        Ok(())
    }

    fn waiting(&self) -> [io::IoSlice<'_>; 3] {
        [
            io::IoSlice::new(&self.output),
            io::IoSlice::new(&self.bulk),
            io::IoSlice::new(self.tail),
        ]
    }

    /// The system took so many bytes.
    fn went(&mut self, count: usize) {
        self.written += count as u64;
        let of_output = count.min(self.output.len());
        self.output.advance(of_output);
        let of_bulk = (count - of_output).min(self.bulk.len());
        self.bulk.advance(of_bulk);
        self.tail = &self.tail[count - of_output - of_bulk..];
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
