//! After a switch of protocols: bytes, both ways, until both have ended.
//!
//! A tunnel also ends with the streams of its backend's run and with lbdev itself. Both ends of a WebSocket then get a close
//! frame, "going away", where a frame has just ended; other protocols are only closed, since nobody here knows their words.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

use super::frames::{Frames, going_away};
use super::worker::Worker;
use crate::pool::Lease;

/// Read at once, of any tunnel.
const BUFFER: usize = 64 * 1024;
/// How long the frame that is under way may take to end when the tunnel has to, and the goodbyes to be taken. Below the
/// time that a backend still has before its stop signal.
const GRACE: Duration = Duration::from_millis(80);
/// How long a client's own goodbye is waited for. A socket that is closed with something unread is reset, and what was
/// said last may be lost with it.
const LINGER: Duration = Duration::from_millis(200);

/// Where bytes stand between a read and a write. All tunnels of a worker share it: no tunnel holds memory but for what the
/// other end does not take.
#[derive(Debug, Clone)]
pub(super) struct Scratch(Rc<RefCell<Box<[u8]>>>);

impl Default for Scratch {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(vec![0; BUFFER].into())))
    }
}

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
    let scratch = worker.scratch.clone();
    tokio::task::spawn_local(async move {
        let _under_way = under_way;
        let Switched {
            lease, protocol, ..
        } = switched;
        let (from_client, to_client) = client.0.into_split();
        let (from_backend, to_backend) = switched.backend.0.into_split();
        let mut down = Way::new(from_backend, to_client, &scratch, protocol.frames());
        let mut up = Way::new(from_client, to_backend, &scratch, protocol.frames());
        down.rest = switched.backend.1;
        up.rest = client.1;
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
struct Way {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    scratch: Scratch,
    /// What was read and could not be written yet.
    rest: BytesMut,
    /// What was written, if it is a WebSocket.
    frames: Option<Frames>,
    /// The end of `from` was passed on.
    over: bool,
}

impl Way {
    fn new(
        from: OwnedReadHalf,
        to: OwnedWriteHalf,
        scratch: &Scratch,
        frames: Option<Frames>,
    ) -> Self {
        Self {
            from,
            to,
            scratch: scratch.clone(),
            rest: BytesMut::new(),
            frames,
            over: false,
        }
    }

    /// Passes everything on, the end too.
    async fn run(&mut self) -> io::Result<()> {
        loop {
            self.write_out().await?;
            // Where both ends keep up, nothing above or below ever waits: others have their turn.
            tokio::task::coop::consume_budget().await;
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
    fn into_from(self) -> OwnedReadHalf {
        self.from
    }

    /// Reads at most `limit` bytes and writes what the other end takes of them; false at the end. Everything read before must
    /// be written.
    async fn read(&mut self, limit: usize) -> io::Result<bool> {
        loop {
            self.from.readable().await?;
            let mut scratch = self.scratch.0.borrow_mut();
            let read = match self.from.try_read(&mut scratch[..limit]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                read => read?,
            };
            let bytes = &scratch[..read];
            let written = match self.to.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                written => written?,
            };
            if let Some(frames) = &mut self.frames {
                frames.pass(&bytes[..written]);
            }
            self.rest.extend_from_slice(&bytes[written..]);
            return Ok(read > 0);
        }
    }

    async fn write_out(&mut self) -> io::Result<()> {
        while !self.rest.is_empty() {
            let written = self.to.write(&self.rest).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            if let Some(frames) = &mut self.frames {
                frames.pass(&self.rest[..written]);
            }
            self.rest.advance(written);
        }
        if self.rest.capacity() > 0 {
            self.rest = BytesMut::new();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// Two ends of a connection.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        (ours.unwrap(), theirs.unwrap().0)
    }

    /// Ends a WebSocket's direction that has passed `passed` and still has `waiting` to read; what comes out.
    async fn parted(passed: &[u8], waiting: &[u8]) -> Vec<u8> {
        let ((mut sender, from), (to, mut receiver)) = tokio::join!(pair(), pair());
        let (from, _keep) = from.into_split();
        let (_keep, to) = to.into_split();
        let frames = Some(Frames::default());
        let mut way = Way::new(from, to, &Scratch::default(), frames);
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
