//! A socket with what was read from it and not taken yet, and what is to be written to it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::net::TcpStream;

use super::to_backend::{write_chunk, write_chunk_size};

/// Read at once at first: most heads with their small bodies fit.
const READ_FIRST: usize = 16 * 1024;
/// Read at once of a long body.
const READ_MOST: usize = 256 * 1024;
/// What is longer is written from where it is, not copied behind the head.
const COPY_MOST: usize = 4 * 1024;

/// Parts that are written at once, at most.
const SLICES: usize = 8;

thread_local! {
    /// Where bytes stand between the socket and whoever keeps them.
    static SCRATCH: RefCell<[u8; READ_FIRST]> = const { RefCell::new([0; READ_FIRST]) };
}

/// One end of a connection.
#[derive(Debug)]
pub(in crate::proxy) struct Wire {
    stream: TcpStream,
    /// Read, not taken yet.
    pub(in crate::proxy) input: BytesMut,
    /// To be written, in this order.
    pub(in crate::proxy) output: BytesMut,
    /// To be written after `output`, in this order, without a copy.
    bulk: VecDeque<Bytes>,
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
            bulk: VecDeque::new(),
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
        self.output.is_empty() && self.bulk.is_empty()
    }

    /// Bytes that wait to be written.
    pub(in crate::proxy) fn unsent(&self) -> usize {
        self.output.len() + self.bulk.iter().map(Bytes::len).sum::<usize>()
    }

    /// Appends data to what is to be written.
    pub(in crate::proxy) fn push(&mut self, data: Bytes) {
        match self.bulk.is_empty() && data.len() <= COPY_MOST {
            true => self.output.extend_from_slice(&data),
            false if data.is_empty() => {}
            false => self.bulk.push_back(data),
        }
    }

    /// Appends data as one chunk (RFC 9112 §7.1); an empty one would be the end, and is left out.
    pub(in crate::proxy) fn push_chunk(&mut self, data: Bytes) {
        if self.bulk.is_empty() && data.len() <= COPY_MOST {
            return write_chunk(&mut self.output, &data);
        }
        if !data.is_empty() {
            self.append(|out| write_chunk_size(out, data.len()));
            self.push(data);
            self.push(Bytes::from_static(b"\r\n"));
        }
    }

    /// Appends what is written here to what is to be written.
    pub(in crate::proxy) fn append(&mut self, write: impl FnOnce(&mut BytesMut)) {
        if self.bulk.is_empty() {
            return write(&mut self.output);
        }
        let mut more = BytesMut::new();
        write(&mut more);
        self.push(more.freeze());
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

    /// The same, but that little takes no more memory than it has bytes: most clients say little, and rarely.
    pub(in crate::proxy) fn poll_fill_lightly(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.read > READ_FIRST {
            return self.poll_fill(cx);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            let came = buffer.filled();
            self.input.extend_from_slice(came);
            if came.len() == READ_FIRST {
                self.read = (self.read * 4).min(READ_MOST);
            }
            Poll::Ready(Ok(came.len()))
        })
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
            let tried = match self.bulk.is_empty() {
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

    /// What waits, as the system takes it.
    fn waiting(&self) -> [io::IoSlice<'_>; SLICES] {
        let mut slices = [io::IoSlice::new(&[]); SLICES];
        slices[0] = io::IoSlice::new(&self.output);
        for (slice, data) in slices[1..].iter_mut().zip(&self.bulk) {
            *slice = io::IoSlice::new(data);
        }
        slices
    }

    /// The system took so many bytes.
    fn went(&mut self, count: usize) {
        self.written += count as u64;
        let mut left = count - count.min(self.output.len());
        self.output.advance(count - left);
        while let Some(data) = self.bulk.front_mut() {
            if left < data.len() {
                data.advance(left);
                break;
            }
            left -= data.len();
            self.bulk.pop_front();
        }
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
