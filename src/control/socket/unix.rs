//! A Unix socket: a file that only its owner may open.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::net::{UnixListener, UnixStream};

/// A socket that listens.
#[derive(Debug)]
pub(in crate::control) struct Listener(UnixListener);

impl Listener {
    /// Listens on `path`, in place of what is there.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub(in crate::control) fn bind(path: &Path) -> io::Result<Self> {
        match fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(Self(listener))
    }

    /// The next client.
    ///
    /// # Errors
    /// When the system has no file descriptor for it.
    pub(in crate::control) async fn accept(&mut self) -> io::Result<UnixStream> {
        Ok(self.0.accept().await?.0)
    }
}

/// Takes the file away.
pub(in crate::control) fn remove(path: &Path) {
    // Somebody may have cleaned up already.
    let _ = fs::remove_file(path);
}
