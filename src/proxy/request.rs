//! A request, whichever version of HTTP it came in.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::{Method, Version};

use super::fields::Fields;
use super::h1::{ClientBody, ClientWire, Target};

/// A request of a client.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) target: Target,
    pub(super) version: Version,
    pub(super) fields: Fields,
    /// `None` where it has none.
    pub(super) body: Option<RequestBody>,
    /// Where interim responses go, if its version has a way for them here.
    pub(super) interim: Option<Rc<ClientWire>>,
}

/// The body of a request, as it comes.
#[derive(Debug)]
pub(super) enum RequestBody {
    H1(ClientBody),
    H2(Incoming),
}

/// It will never be whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request's body could not be read")]
pub(super) struct Unreadable;

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Unreadable;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Unreadable>>> {
        match self.get_mut() {
            RequestBody::H1(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|_| Unreadable))),
            RequestBody::H2(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|_| Unreadable))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::H1(body) => body.is_end_stream(),
            RequestBody::H2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::H1(body) => body.size_hint(),
            RequestBody::H2(body) => body.size_hint(),
        }
    }
}
