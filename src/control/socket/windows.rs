//! A named pipe. Whoever is not its maker (or the machine's administrator) may read from it by the system's default rights,
//! but not write, so nobody else can ask for anything; and nobody on another machine can open it.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Ends of the pipe that wait for a client at any time. One that comes when all are taken is told to come again, which
/// clients of ours do not.
const WAITING: usize = 8;

/// Before another end is made where the system refused one.
const PAUSE: Duration = Duration::from_millis(50);

/// A pipe that listens.
#[derive(Debug)]
pub(in crate::control) struct Listener {
    clients: mpsc::Receiver<NamedPipeServer>,
    /// Dropping it closes the ends that wait.
    _waiting: JoinSet<()>,
}

impl Listener {
    /// Listens on the pipe `path`. To be called within a runtime.
    ///
    /// # Errors
    /// When somebody else has a pipe of that name, or it cannot be made.
    pub(in crate::control) fn bind(path: &Path) -> io::Result<Self> {
        let (give, clients) = mpsc::channel(WAITING);
        let mut waiting = JoinSet::new();
        for place in 0..WAITING {
            let end = ServerOptions::new()
                .first_pipe_instance(place == 0)
                .create(path)?;
            waiting.spawn(wait(end, path.to_owned(), give.clone()));
        }
        Ok(Self {
            clients,
            _waiting: waiting,
        })
    }

    /// The next client.
    ///
    /// # Errors
    /// None: it is the same function everywhere.
    pub(in crate::control) async fn accept(&mut self) -> io::Result<NamedPipeServer> {
        match self.clients.recv().await {
            Some(client) => Ok(client),
            // Those who wait for clients end with this one only.
            None => std::future::pending().await,
        }
    }
}

/// Gives away one client after the other.
async fn wait(
    mut end: NamedPipeServer,
    path: std::path::PathBuf,
    give: mpsc::Sender<NamedPipeServer>,
) {
    loop {
        // An error is a client that was gone before it was seen.
        let came = end.connect().await.is_ok();
        let next = loop {
            match ServerOptions::new().create(&path) {
                Ok(next) => break next,
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        };
        let client = std::mem::replace(&mut end, next);
        if came && give.send(client).await.is_err() {
            return;
        }
    }
}

/// A pipe that nobody holds is not there any more.
pub(in crate::control) fn remove(_: &Path) {}
