//! Systems without `TCP_QUICKACK`.

use tokio::net::TcpStream;

/// Nothing to do here.
pub(super) fn acknowledge(_: &TcpStream) {}
