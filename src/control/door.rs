//! The door for the command line: a socket that only its owner may open.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::AbortHandle;

use super::socket::{self, Listener};
use super::{Caller, Control};

/// A client that sends nothing is let go after this.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// An open door; dropping it closes it and removes the socket.
#[derive(Debug)]
pub struct Door {
    path: PathBuf,
    task: AbortHandle,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
        socket::remove(&self.path);
    }
}

/// Listens on `path`, whose folder only the owner may enter. A socket that an earlier instance left there is replaced: the
/// caller holds the instance's lock, so nobody listens on it.
///
/// # Errors
/// When the socket cannot be made.
pub fn open(path: &Path, control: Arc<Control>) -> io::Result<Door> {
    let listener = Listener::bind(path)?;
    let task = tokio::spawn(serve(listener, control)).abort_handle();
    Ok(Door {
        path: path.to_owned(),
        task,
    })
}

async fn serve(mut listener: Listener, control: Arc<Control>) {
    loop {
        let Ok(stream) = listener.accept().await else {
            // Out of file descriptors, most likely: try again when some have been closed.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let control = control.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| async {
                Ok::<_, Infallible>(control.answer(request, Caller::CommandLine).await)
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT);
            // A client that breaks off or speaks nonsense is its own affair.
            let connection = http.serve_connection(TokioIo::new(stream), service);
            // One may become a terminal.
            let _ = connection.with_upgrades().await;
        });
    }
}
