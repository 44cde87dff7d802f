//! The control API: one router, the doors to it, and the client that knocks. The socket's door is guarded by its file
//! permissions.

mod attach;
mod bodies;
pub mod client;
mod door;
pub mod frames;
mod history;
mod journal;
mod refusal;
mod router;
mod socket;
mod status;

pub use client::{Client, ClientError};
pub use door::{Door, open};
pub use journal::Journal;
pub use router::{About, Control, Reload};
