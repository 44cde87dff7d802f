//! The control API: one router, the doors to it, and the client that knocks. The socket's door is guarded by its file
//! permissions; the one for browsers is in [`dashboard`](crate::dashboard).

mod attach;
mod bodies;
mod caller;
pub mod client;
mod door;
mod feed;
pub mod frames;
mod history;
mod journal;
mod key;
mod metrics;
mod openapi;
mod refusal;
mod router;
mod seen;
mod socket;
mod status;
mod timeline;

pub use bodies::Body;
pub use caller::Caller;
pub use client::{Client, ClientError};
pub use door::{Door, open};
pub use feed::Feed;
pub use journal::Journal;
pub use key::Key;
pub use refusal::Refusal;
pub use router::{About, Control, Page, Reload};
pub use timeline::Timeline;
