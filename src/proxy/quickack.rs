//! `TCP_QUICKACK`, where there is one (tcp(7)): acknowledge what was read now, not up to 40 ms later.

use tokio::net::TcpStream;

/// Acknowledges now. A failure changes nothing but the delay.
pub(super) fn acknowledge(stream: &TcpStream) {
    let _ = stream.set_quickack(true);
}
