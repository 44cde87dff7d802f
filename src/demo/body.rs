//! The bodies of responses, and what is done with those of requests.

use std::io;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use tokio::sync::mpsc;

/// Any response body of the two servers.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A body that is there already.
pub(super) fn full(content: impl Into<Bytes>) -> Body {
    Full::new(content.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// No body.
pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that somebody pushes, piece by piece: each goes out before the next is taken. The sender sees a client that
/// has gone as a closed channel.
pub(super) fn pushed() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Pushed(receiver).boxed_unsync())
}

struct Pushed(mpsc::Receiver<Bytes>);

impl HttpBody for Pushed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0
            .poll_recv(cx)
            .map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// `/bytes/N`: byte number i (from 0) is i mod 251. 251 is prime, so that no block size hides a block that went missing.
pub(super) fn pattern(length: u64) -> Body {
    Pattern { left: length }.boxed_unsync()
}

const PERIOD: usize = 251;

/// A whole number of periods: every piece begins where the last one ended.
static PIECE: LazyLock<Bytes> =
    LazyLock::new(|| (0..PERIOD as u8).cycle().take(PERIOD * 256).collect());

struct Pattern {
    left: u64,
}

impl HttpBody for Pattern {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let length = usize::try_from(self.left).map_or(PIECE.len(), |left| left.min(PIECE.len()));
        self.left -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(PIECE.slice(..length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Reads a body to its end and forgets it, so that the connection can be used again. Its error is the client's: there
/// is nobody left to tell.
pub(super) async fn drain<B>(mut body: B)
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    while let Some(Ok(_)) = body.frame().await {}
}
