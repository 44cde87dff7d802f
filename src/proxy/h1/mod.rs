//! HTTP/1.1 towards a backend, as bytes: the head of a request written, the head of a response read, bodies in their
//! framings. The parts that speak of bytes are pure; `wire` and `backend` put them on a socket.
//!
//! Strict where a difference in reading could let one message pass for two (RFC 9112 §11.2), and never more than it has
//! to hold: a head is bounded, a body is passed on as it comes.

mod backend;
mod chunked;
mod from_backend;
mod to_backend;
mod wire;

pub(super) use backend::{Broken, Exchange};
pub(super) use chunked::{BadChunk, Chunk, Chunked};
pub(super) use from_backend::{BadHead, Framing, ResponseHead, read_head};
pub(super) use to_backend::{RequestFraming, write_chunk, write_head, write_last_chunk};
pub(super) use wire::Wire;
