//! The control socket: what a running instance can be asked, and who asks.

pub mod client;
