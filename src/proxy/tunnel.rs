//! After a switch of protocols: bytes, both ways, until both have ended.
//!
//! A tunnel also ends with the streams of its backend's run and with lbdev itself. Both ends of a WebSocket then get a close
//! frame, "going away", where a frame has just ended; other protocols are only closed, since nobody here knows their words.

use std::io::{self, Cursor};
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::frames::{Frames, going_away};
use super::worker::Worker;
use crate::pool::Lease;

/// A tunnel's buffer, each way.
const BUFFER: usize = 64 * 1024;
/// How long the frame that is under way may take to end when the tunnel has to, and the goodbyes to be taken. Below the
/// time that a backend still has before its stop signal.
const GRACE: Duration = Duration::from_millis(80);
/// How long a client's own goodbye is waited for. A socket that is closed with something unread is reset, and what was
/// said last may be lost with it.
const LINGER: Duration = Duration::from_millis(200);

/// What two ends have switched to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// RFC 6455.
    WebSocket,
    /// Whatever they like.
    Other,
}

impl Protocol {
    /// By the `Upgrade` of the response (RFC 9110 §7.8; names of protocols have no case).
    pub(super) fn of(token: Option<&[u8]>) -> Self {
        match token {
            Some(token) if token.eq_ignore_ascii_case(b"websocket") => Protocol::WebSocket,
            _ => Protocol::Other,
        }
    }

    fn frames(self) -> Option<Frames> {
        (self == Protocol::WebSocket).then(Frames::default)
    }
}

/// The backend's end of a tunnel to be.
#[derive(Debug)]
pub(super) struct Switched {
    pub(super) lease: Lease,
    pub(super) protocol: Protocol,
    /// Its socket, and what it has said already.
    pub(super) backend: (TcpStream, BytesMut),
}

/// Opens the tunnel between a backend and a client, which may have said something too. It counts as in flight until it ends: by
/// itself, with the streams of its backend's run, or at once when the worker drains.
pub(super) fn open(worker: &Rc<Worker>, switched: Switched, client: (TcpStream, BytesMut)) {
    let mut draining = worker.draining.subscribe();
    let under_way = worker.begin_tunnel();
    tokio::task::spawn_local(async move {
        let _under_way = under_way;
        let Switched {
            lease, protocol, ..
        } = switched;
        let (from_client, to_client) = client.0.into_split();
        let (from_backend, to_backend) = switched.backend.0.into_split();
        let mut down = Way::new(
            Cursor::new(switched.backend.1).chain(from_backend),
            to_client,
            protocol.frames(),
        );
        let mut up = Way::new(
            Cursor::new(client.1).chain(from_client),
            to_backend,
            protocol.frames(),
        );
        let asked = {
            // A half-close is passed on. An error means that one end is gone, and there is nobody to tell.
            let through = async { drop(tokio::try_join!(down.run(), up.run())) };
            tokio::select! {
                biased;
                () = must_end(&lease, &mut draining) => true,
                () = through => false,
            }
        };
        if !asked || protocol == Protocol::Other {
            return;
        }
        let (to_client, to_backend) = (going_away(None), mask().map(|mask| going_away(Some(mask))));
        let goodbyes = async { tokio::join!(down.part(Some(to_client)), up.part(to_backend)) };
        // An end that takes nothing any more, or is in the middle of a long frame, is cut without one.
        let _ = tokio::time::timeout(GRACE, goodbyes).await;
        let _ = down.to.shutdown().await;
        let mut client = up.into_from();
        // The backend is free now; dropping this half of the client's socket does not close it.
        drop((down, lease));
        let unread = async { tokio::io::copy(&mut client, &mut tokio::io::sink()).await };
        let _ = tokio::time::timeout(LINGER, unread).await;
    });
}

/// Resolves when the streams of the backend's run have to end, or the worker's.
async fn must_end(lease: &Lease, draining: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = lease.member().life.streams_end() => {}
        _ = draining.wait_for(|draining| *draining) => {}
    }
}

/// A masking key that nobody can guess (RFC 6455 §10.3). Without one, nothing masked can be said.
fn mask() -> Option<[u8; 4]> {
    let mut mask = [0; 4];
    getrandom::fill(&mut mask).ok()?;
    Some(mask)
}

/// One direction. Its state is whole at every await: a future of it can be dropped, and another go on from there.
struct Way<R, W> {
    from: R,
    to: W,
    buffer: Box<[u8]>,
    /// What was read and not yet written: `buffer[start..end]`.
    start: usize,
    end: usize,
    /// What was written, if it is a WebSocket.
    frames: Option<Frames>,
    /// The end of `from` was passed on.
    over: bool,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Way<R, W> {
    fn new(from: R, to: W, frames: Option<Frames>) -> Self {
        Self {
            from,
            to,
            buffer: vec![0; BUFFER].into(),
            start: 0,
            end: 0,
            frames,
            over: false,
        }
    }

    /// Passes everything on, the end too.
    async fn run(&mut self) -> io::Result<()> {
        loop {
            self.write_out().await?;
            if !self.read(BUFFER).await? {
                self.over = true;
                return self.to.shutdown().await;
            }
        }
    }

    /// Ends it: what was read is passed on, the frame under way too, then the close frame `goodbye` if none has passed.
    async fn part(&mut self, goodbye: Option<Vec<u8>>) -> io::Result<()> {
        self.write_out().await?;
        while let Some(wants) = self.frames.map(|frames| frames.wants()).filter(|n| *n > 0) {
            let wants = usize::try_from(wants).map_or(BUFFER, |wants| wants.min(BUFFER));
            if !self.read(wants).await? {
                break;
            }
            self.write_out().await?;
        }
        let may_close = |frames: Frames| frames.at_boundary() && !frames.is_closed();
        if let Some(goodbye) = goodbye.filter(|_| !self.over && self.frames.is_some_and(may_close))
        {
            self.to.write_all(&goodbye).await?;
        }
        self.to.shutdown().await
    }

    /// What it reads from; the rest is let go.
    fn into_from(self) -> R {
        self.from
    }

    /// Reads at most `limit` bytes; false at the end. Everything read before must be written.
    async fn read(&mut self, limit: usize) -> io::Result<bool> {
        let read = self.from.read(&mut self.buffer[..limit]).await?;
        (self.start, self.end) = (0, read);
        Ok(read > 0)
    }

    async fn write_out(&mut self) -> io::Result<()> {
        while self.start < self.end {
            let rest = &self.buffer[self.start..self.end];
            let written = self.to.write(rest).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            if let Some(frames) = &mut self.frames {
                frames.pass(&rest[..written]);
            }
            self.start += written;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends a WebSocket's direction that has passed `passed` and still has `waiting` to read; what comes out.
    async fn parted(passed: &[u8], waiting: &[u8]) -> Vec<u8> {
        let (mut sender, from) = tokio::io::duplex(1024);
        let (to, mut receiver) = tokio::io::duplex(1024);
        let mut way = Way::new(from, to, Some(Frames::default()));
        sender.write_all(passed).await.unwrap();
        assert!(way.read(BUFFER).await.unwrap());
        sender.write_all(waiting).await.unwrap();
        drop(sender);
        way.part(Some(b"BYE".to_vec())).await.unwrap();
        drop(way);
        let mut out = Vec::new();
        receiver.read_to_end(&mut out).await.unwrap();
        out
    }

    #[tokio::test]
    async fn the_frame_under_way_ends_first_and_no_other_begins() {
        for (passed, waiting, out) in [
            (&b"\x81\x02ab"[..], &b""[..], &b"\x81\x02abBYE"[..]),
            (b"\x81\x02ab", b"\x81\x02cd", b"\x81\x02abBYE"),
            (b"\x81\x02a", b"b\x81\x02cd", b"\x81\x02abBYE"),
            (b"\x81", b"\x02ab\x81\x02cd", b"\x81\x02abBYE"),
            (b"\x81\x7e\x00", b"\x01a\x81", b"\x81\x7e\x00\x01aBYE"),
            // Read already: it is passed on, all of it.
            (
                b"\x81\x01a\x81\x02b",
                b"c\x81\x01d",
                b"\x81\x01a\x81\x02bcBYE",
            ),
            // The frame never ends, or it was a goodbye.
            (b"\x81\x02a", b"", b"\x81\x02a"),
            (b"\x88\x00", b"", b"\x88\x00"),
        ] {
            assert_eq!(
                parted(passed, waiting).await,
                out,
                "{passed:02x?} {waiting:02x?}"
            );
        }
    }

    #[test]
    fn protocols() {
        for (token, protocol) in [
            (Some(&b"websocket"[..]), Protocol::WebSocket),
            (Some(b"WebSocket"), Protocol::WebSocket),
            (Some(b"h2c"), Protocol::Other),
            (None, Protocol::Other),
        ] {
            assert_eq!(Protocol::of(token), protocol, "{token:?}");
        }
    }
}
