//! The page and its API for browsers: the same router as the control socket's, behind a door that lets nobody else in.
//!
//! Whoever comes through it can start and end processes, so that it is treated as code execution: each rule of its guard is
//! there because a tool like this one was got at without it.

mod assets;
mod door;
mod guard;
mod listen;
mod patient;

pub use door::{Door, open};
pub use listen::{Bound, Unbound, bind};
