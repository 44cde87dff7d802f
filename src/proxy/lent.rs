//! What the data path gets from outside, since it keeps no files and knows no processes.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::sticky::StickyKey;
use crate::backend::BackendId;

/// What the application lends the data path.
#[derive(Debug, Clone)]
pub struct Lent {
    /// The project's name, which the sticky cookie carries.
    pub project: String,
    /// What the sticky cookie's values are made with.
    pub sticky_key: StickyKey,
    /// What backends wrote last, for pages that say why nobody answers. It is never shown where others than this machine
    /// can connect: logs hold what is nobody else's business.
    pub last_lines: Option<LastLines>,
}

impl Lent {
    /// The same, for a front on these addresses.
    pub(super) fn before(mut self, addresses: &[SocketAddr]) -> Self {
        if !addresses
            .iter()
            .all(|address| address.ip().to_canonical().is_loopback())
        {
            self.last_lines = None;
        }
        self
    }
}

/// Tells the last lines of a backend, at most so many, the oldest first.
#[derive(Clone)]
pub struct LastLines(Arc<Tell>);

type Tell = dyn Fn(&BackendId, usize) -> Vec<String> + Send + Sync;

impl LastLines {
    /// By this function. It is called on the data path's threads and must not wait.
    pub fn new(tell: impl Fn(&BackendId, usize) -> Vec<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(super) fn of(&self, id: &BackendId, lines: usize) -> Vec<String> {
        (self.0)(id, lines)
    }
}

impl fmt::Debug for LastLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LastLines")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_for_this_machine_only() {
        for (addresses, shown) in [
            (&["127.0.0.1:80", "[::1]:80"][..], true),
            (&["127.0.0.53:80"], true),
            (&["[::ffff:127.0.0.1]:80"], true),
            (&["0.0.0.0:80"], false),
            (&["[::]:80"], false),
            (&["192.168.1.7:80"], false),
            (&["127.0.0.1:80", "192.168.1.7:80"], false),
        ] {
            let lent = Lent {
                project: "site".into(),
                sticky_key: StickyKey::new(&[0; 32]),
                last_lines: Some(LastLines::new(|_, _| Vec::new())),
            };
            let addresses: Vec<SocketAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
            assert_eq!(
                lent.before(&addresses).last_lines.is_some(),
                shown,
                "{addresses:?}"
            );
        }
    }
}
