//! The control API: one router, and the doors to it. The socket's door is guarded by its file permissions.

mod door;
mod router;
mod status;

pub use door::{Door, open};
pub use router::{About, Control};
