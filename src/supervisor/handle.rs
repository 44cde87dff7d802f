//! What others can ask of the supervisor.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::{Adopted, BackendView, Change, Verb, View, Wanted};
use crate::backend::{BackendId, Phase, RunId};
use crate::config::defaults::MOST_BACKENDS;
use crate::config::{Live, LiveChange};

/// Why the supervisor did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It has ended, or is ending.
    #[error("lbdev is stopping")]
    Stopping,
    /// A process that lbdev did not launch.
    #[error("`{0}` was not started by lbdev")]
    External(BackendId),
    /// Somebody debugs already.
    #[error("`{by}` is being debugged")]
    Debugged {
        /// Which.
        by: BackendId,
    },
    /// Who runs it cannot change while lbdev runs.
    #[error(
        "`{0}` would have to change between a server that lbdev starts and one that it does not"
    )]
    OtherKind(BackendId),
    /// Only what is up can hang.
    #[error("`{id}` is {}, not up: there is nothing that could hang", .phase.word())]
    NotUp {
        /// Which.
        id: BackendId,
        /// What it is instead.
        phase: Phase,
    },
    /// It has no port, so there is nothing to drain.
    #[error("`{0}` has no port: it gets no requests that could be kept from it")]
    NotBalanced(BackendId),
    /// Fewer backends are wanted, and it is one of those that go.
    #[error("`{id}` is about to go: fewer backends of its service are wanted")]
    Leaving {
        /// Which.
        id: BackendId,
        /// So many backends its service would have to have, at least, for it to stay.
        index: u32,
    },
    /// A service whose backends would all have weight 0.
    #[error("every backend of `{service}` would have weight 0: none would ever be picked")]
    AllWeightsZero {
        /// Which.
        service: String,
    },
    /// There is no such service.
    #[error("there is no service `{service}`")]
    NoSuchService {
        /// Which.
        service: String,
        /// Those that are.
        known: Vec<String>,
    },
    /// Its servers are somebody else's.
    #[error("the servers of `{service}` were not started by lbdev")]
    ExternalService {
        /// Which.
        service: String,
    },
    /// No number of backends that a service can have.
    #[error("a service has from 1 to {MOST_BACKENDS} backends, not {count}")]
    Count {
        /// What was asked for.
        count: u32,
    },
    /// No port is left above those that the service has.
    #[error("no port is free above those of the service")]
    NoPort,
    /// A further backend cannot be made as the others were.
    #[error("a further backend cannot be made: {0}")]
    NotMade(String),
}

pub(super) type Reply = oneshot::Sender<Result<Vec<BackendView>, Refused>>;

pub(super) enum Command {
    StartAll {
        reply: oneshot::Sender<()>,
    },
    Act {
        ids: Vec<BackendId>,
        verb: Verb,
        reply: Reply,
    },
    Live {
        change: LiveChange,
        reply: oneshot::Sender<Live>,
    },
    Wait {
        service: String,
        why: Option<String>,
        reply: oneshot::Sender<()>,
    },
    Mark {
        reply: oneshot::Sender<RunId>,
    },
    OnlyFrom {
        service: String,
        first: Option<RunId>,
        reply: oneshot::Sender<()>,
    },
    Adopt {
        wanted: Box<Wanted>,
        reply: oneshot::Sender<Result<Adopted, Refused>>,
    },
    Replace {
        live: Box<Live>,
        reply: oneshot::Sender<()>,
    },
    Debug {
        id: Option<BackendId>,
        reply: oneshot::Sender<Result<(), Refused>>,
    },
    Weight {
        ids: Vec<BackendId>,
        weight: u32,
        reply: Reply,
    },
    Scale {
        service: String,
        count: u32,
        reply: Reply,
    },
    Shutdown,
    Abort,
}

/// Speaks to the supervisor's loop. Clones speak to the same one; dropping all of them does not end it.
#[derive(Clone)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) view: watch::Receiver<Arc<View>>,
    pub(super) changes: broadcast::Sender<Change>,
    pub(super) gaps: broadcast::Sender<Duration>,
}

impl Handle {
    /// All backends as they are, now and whenever they change.
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// Every change of phase from now on.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Every gap in time from now on: how long the machine slept, or lbdev was stopped.
    pub fn gaps(&self) -> broadcast::Receiver<Duration> {
        self.gaps.subscribe()
    }

    /// Starts every backend, managed or external. Afterwards the view shows them so.
    pub async fn start_all(&self) {
        let (reply, done) = oneshot::channel();
        // A loop that has ended starts nothing.
        let _ = self.commands.send(Command::StartAll { reply }).await;
        let _ = done.await;
    }

    /// Something comes before the backends of a service, which `why` says: those that nobody has started yet are shown as
    /// starting, and [`Handle::start_all`] passes them over. `None`: what waits is started now.
    pub async fn wait_for(&self, service: &str, why: Option<String>) {
        let (reply, done) = oneshot::channel();
        let service = service.to_owned();
        let wait = Command::Wait {
            service,
            why,
            reply,
        };
        // A loop that has ended starts nothing.
        let _ = self.commands.send(wait).await;
        let _ = done.await;
    }

    /// Takes over another set of backends: new ones are started, unless they wait; those that are there no more finish their
    /// requests and go; others go by their new settings. Those whose command is another are only named.
    ///
    /// # Errors
    /// When one would have to change its kind (then nothing is changed), or lbdev is ending.
    pub async fn adopt(&self, wanted: Wanted) -> Result<Adopted, Refused> {
        let (reply, answer) = oneshot::channel();
        let wanted = Box::new(wanted);
        let sent = self.commands.send(Command::Adopt { wanted, reply }).await;
        sent.map_err(|_| Refused::Stopping)?;
        answer.await.unwrap_or(Err(Refused::Stopping))
    }

    /// Every run that is launched from now on is at least this one.
    ///
    /// # Errors
    /// When lbdev is ending.
    pub async fn mark(&self) -> Result<RunId, Refused> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(Command::Mark { reply }).await;
        sent.map_err(|_| Refused::Stopping)?;
        answer.await.map_err(|_| Refused::Stopping)
    }

    /// From now on requests of a service go to runs from `first` on, and wait while there is none; `None` ends that.
    pub async fn only_from(&self, service: &str, first: Option<RunId>) {
        let (reply, done) = oneshot::channel();
        let service = service.to_owned();
        let only = Command::OnlyFrom {
            service,
            first,
            reply,
        };
        // A loop that has ended routes nothing.
        let _ = self.commands.send(only).await;
        let _ = done.await;
    }

    /// Does `verb` to all of `ids`, and replies with each as it then is; after a KILL that is when its processes are
    /// gone (2 s at most). Dropping the future does not undo it. Draining passes over those that have no port, unless
    /// there are no others.
    ///
    /// # Errors
    /// When one of them is external and the verb is about its process, or none has requests to drain, or what is to be
    /// started is about to go for good (then none is touched), or lbdev is ending.
    pub async fn act(&self, ids: Vec<BackendId>, verb: Verb) -> Result<Vec<BackendView>, Refused> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(Command::Act { ids, verb, reply }).await;
        sent.map_err(|_| Refused::Stopping)?;
        answer.await.unwrap_or(Err(Refused::Stopping))
    }

    /// Changes settings that can be changed while requests are answered, and replies with all of them as they then are.
    /// Two changes at once do not lose each other's settings: the loop makes them one after the other.
    ///
    /// # Errors
    /// When lbdev is ending.
    pub async fn set_live(&self, change: impl Into<LiveChange>) -> Result<Live, Refused> {
        let (reply, answer) = oneshot::channel();
        let change = change.into();
        let sent = self.commands.send(Command::Live { change, reply }).await;
        sent.map_err(|_| Refused::Stopping)?;
        answer.await.map_err(|_| Refused::Stopping)
    }

    /// Has all of these settings hold at once.
    ///
    /// # Errors
    /// When lbdev is ending.
    pub async fn replace_live(&self, live: Live) -> Result<(), Refused> {
        let (reply, answer) = oneshot::channel();
        let live = Box::new(live);
        let sent = self.commands.send(Command::Replace { live, reply }).await;
        sent.map_err(|_| Refused::Stopping)?;
        answer.await.map_err(|_| Refused::Stopping)
    }

    /// From now on this backend gets every request of its service, however long it takes to answer one, and no request is
    /// tried twice; `None` ends that.
    ///
    /// # Errors
    /// When another one is debugged, it has no port, or lbdev is ending.
    pub async fn debug(&self, id: Option<BackendId>) -> Result<(), Refused> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(Command::Debug { id, reply }).await;
        sent.map_err(|_| Refused::Stopping)?;
        answer.await.unwrap_or(Err(Refused::Stopping))
    }

    /// Gives all of `ids` this weight, and replies with each as it then is. One of 0 gets no requests. Those that have no
    /// port are passed over, unless there are no others.
    ///
    /// # Errors
    /// When nobody of a service but its backups would be left to get requests, or none has a port (then none is touched), or
    /// lbdev is ending.
    pub async fn set_weight(
        &self,
        ids: Vec<BackendId>,
        weight: u32,
    ) -> Result<Vec<BackendView>, Refused> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Weight { ids, weight, reply };
        let sent = self.commands.send(command).await;
        sent.map_err(|_| Refused::Stopping)?;
        answer.await.unwrap_or(Err(Refused::Stopping))
    }

    /// Makes a service have so many backends: launches further ones, on the next ports that are free, or drains and stops the
    /// last ones. Replies with all of the service once those are launched or told to stop; who has stopped is forgotten.
    ///
    /// # Errors
    /// When there is no such service, it is external, the number is none that it can have, a further backend cannot be made,
    /// those that would be left all have weight 0, or lbdev is ending.
    pub async fn scale(&self, service: String, count: u32) -> Result<Vec<BackendView>, Refused> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Scale {
            service,
            count,
            reply,
        };
        let sent = self.commands.send(command).await;
        sent.map_err(|_| Refused::Stopping)?;
        answer.await.unwrap_or(Err(Refused::Stopping))
    }

    /// Drains and stops everything, all at once. The loop's task ends when no process is left.
    pub async fn shutdown(&self) {
        // A loop that has ended has nothing left to stop.
        let _ = self.commands.send(Command::Shutdown).await;
    }

    /// KILLs everything, all at once.
    pub async fn abort(&self) {
        let _ = self.commands.send(Command::Abort).await;
    }
}
