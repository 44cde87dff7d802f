//! HTTP/1.1 on both sides, as bytes: heads read and written, bodies in their framings. The parts that speak of bytes are
//! pure; `wire` puts them on a socket, `client` and `backend` are the two ends.
//!
//! Strict where a difference in reading could let one message pass for two (RFC 9112 §11.2), and never more than it has
//! to hold: a head is bounded, a body is passed on as it comes.

mod backend;
mod chunked;
mod client;
mod from_backend;
mod from_client;
mod to_backend;
mod to_client;
mod wire;

pub(super) use backend::{Broken, Exchange, ToSend};
pub(super) use chunked::{BadChunk, Chunk, Chunked};
pub(super) use client::{ClientBody, ClientWire, Next, Presence};
pub(super) use from_backend::{BadHead, Framing, ResponseHead, read_head};
#[cfg(feature = "internals")]
pub(super) use from_client::read_request;
pub(super) use from_client::{FALSE_FRAMING, Refusal, RequestHead, Target, check_target};
#[cfg(feature = "internals")]
pub(super) use to_backend::write_chunk;
pub(super) use to_backend::{RequestFraming, write_head, write_last_chunk};
pub(super) use to_client::{ResponseFraming, Stays, write_response};
pub(super) use wire::Wire;
