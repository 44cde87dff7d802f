//! Doors into private modules, over bytes: for `benches`, for the fuzzers in `tests/fuzz`, and for `tests/it/corpus.rs`, which
//! feeds what the fuzzers are fed. Only with the feature `internals`, and no API: whatever is behind a door may change.

pub use crate::config::internals::config;
pub use crate::proxy::internals::{
    Body, Unread, chunked, chunked_written, field_checks, host, request_forwarded, request_head,
    request_head_writer, response_head, sticky_cookies,
};
