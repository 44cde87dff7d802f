//! What the dashboard asks for before it answers.

use std::fmt;
use std::io;
use std::sync::Arc;

use subtle::ConstantTimeEq;
use tokio::sync::watch;

use crate::instance::Lock;

/// The token of an instance's dashboard. Nothing shows it: whoever may read the file in the state folder has it.
pub struct Key {
    lock: Arc<Lock>,
    now: watch::Sender<Arc<str>>,
}

impl Key {
    /// The one of this project.
    ///
    /// # Errors
    /// When there is none, and none can be made and kept.
    pub fn of(lock: Arc<Lock>) -> io::Result<Self> {
        let token = lock.dashboard_token()?;
        let now = watch::Sender::new(token.into());
        Ok(Self { lock, now })
    }

    /// Whether it is what somebody said. How long that takes tells nothing about where they differ.
    pub fn is(&self, said: &[u8]) -> bool {
        let now = self.now.borrow().clone();
        now.as_bytes().ct_eq(said).into()
    }

    /// Makes another one.
    ///
    /// # Errors
    /// When it cannot be made and kept; then this one holds.
    pub(super) fn renew(&self) -> io::Result<()> {
        let token = self.lock.new_dashboard_token()?;
        self.now.send_replace(token.into());
        Ok(())
    }

    /// Changes when it does.
    pub fn changes(&self) -> watch::Receiver<Arc<str>> {
        self.now.subscribe()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}
