//! Doors into private modules, over bytes: for `benches`, for the fuzzers in `tests/fuzz`, and for `tests/it/corpus.rs`, which
//! feeds what the fuzzers are fed. Only with the feature `internals`, and no API: whatever is behind a door may change.
//!
//! The door to the head of a request (`request_head`) comes with the codec's half towards clients.

pub use crate::config::internals::config;
pub use crate::proxy::internals::{
    Body, Unread, chunked, chunked_written, field_checks, host, request_head_writer, response_head,
    sticky_cookies,
};
