//! The loop that owns every backend: it receives events, calls [`Backend::step`](crate::backend::Backend::step), performs
//! the effects, publishes what it sees.

mod adopt;
mod asked;
mod detect;
mod gap;
mod handle;
mod publish;
mod roll;
mod run;
mod scale;
mod slow_start;
mod target;
mod unit;
mod words;

#[cfg(test)]
mod tests;

pub use adopt::{Adopted, Wanted};
pub use handle::{Handle, Refused};
pub use roll::{Rolled, roll, roll_some};
pub use run::{Parts, start};
pub use target::{UnknownTarget, resolve_target};
pub use words::{by_words, ending_words, exit_words, failing_words};

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::backend::{BackendId, Exit, ExitStatus, Phase, Ready, RunId, Signal};
use crate::config::BackendSpec;

/// Everything there is to see of all backends at one moment.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// In the order of the configuration.
    pub backends: Vec<BackendView>,
    /// lbdev is ending.
    pub stopping: bool,
}

/// One backend as it is now.
#[derive(Debug, Clone)]
pub struct BackendView {
    /// How it was configured.
    pub spec: Arc<BackendSpec>,
    /// Its share, as it was set last.
    pub weight: u32,
    /// The state of its process in one word.
    pub phase: Phase,
    /// Somebody wants it up.
    pub desired: bool,
    /// The operator lets it have requests.
    pub enabled: bool,
    /// Ready, and recent checks and traffic pass, as the balancer believes: only with `detect = "instant"` it surely lives.
    pub healthy: bool,
    /// Ready, healthy and enabled, as the balancer believes.
    pub eligible: bool,
    /// The life its process leads.
    pub run: Option<RunId>,
    /// The first process of that run.
    pub pid: Option<u32>,
    /// Since when it is in this phase.
    pub since: Instant,
    /// Since when its process runs.
    pub launched: Option<Instant>,
    /// From its launch to its readiness, in this run.
    pub ready_after: Option<Duration>,
    /// Whether any of its runs was ever ready.
    pub was_ready: bool,
    /// How often it was started again.
    pub restarts: u32,
    /// How its last process ended.
    pub last_exit: Option<Exit>,
    /// What the last check said.
    pub last_check: Option<Check>,
    /// Why it is not up, in words, where it is not: "exited with status 1", "killed by you (SIGKILL)".
    pub why: Option<String>,
    /// Its last run is the first of new code, and is not ready, or was not.
    pub on_trial: bool,
    /// It is not launched yet: something else comes first, which `why` says.
    pub waiting: bool,
}

impl BackendView {
    /// It was a job, and is done.
    pub fn is_done(&self) -> bool {
        let well = |exit: Exit| exit.status == ExitStatus::Code(0);
        self.spec.ready == Ready::Exit
            && self.was_ready
            && self.phase == Phase::Stopped
            && self.last_exit.is_some_and(well)
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Whether it passed.
    pub ok: bool,
    /// In words: "GET / → 200", "connection refused".
    pub detail: String,
    /// When.
    pub at: SystemTime,
}

/// A change of phase, with its reason. Sent to whoever shows events.
#[derive(Debug, Clone)]
pub struct Change {
    /// When.
    pub at: SystemTime,
    /// Whose.
    pub id: BackendId,
    /// From.
    pub from: Phase,
    /// To.
    pub to: Phase,
    /// Why.
    pub cause: Cause,
    /// The process it is about, if any.
    pub pid: Option<u32>,
    /// How long it was in `from`. On becoming ready: since its launch.
    pub after: Duration,
    /// From the moment lbdev learnt of the cause to the moment no request is routed there any more, where that changed.
    pub out_after: Option<Duration>,
    /// It may get requests from now on, which it could not before.
    pub back: bool,
}

/// Why a phase changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// A person typed or clicked it.
    Asked(Verb),
    /// What comes before its first launch is done.
    Turn,
    /// lbdev is ending.
    Shutdown,
    /// Its process ended.
    Exited(Exit),
    /// It could not be launched.
    LaunchFailed(String),
    /// Its first probe passed.
    Ready,
    /// A check passed or failed.
    Checked(Check),
    /// A user's request found its port refused.
    Refused,
    /// Users' requests failed too often at it.
    Failing {
        /// So many.
        failures: u32,
        /// Within this time.
        window: Duration,
    },
    /// The time for which it got no requests, since they had failed, is over.
    FailTimeOver,
    /// Its last request in flight has ended.
    Drained,
    /// A time limit passed: of the drain, of the stop signal, of the backoff.
    TimeLimit,
}

/// What a person can ask of backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Start what is down.
    Start,
    /// Drain, then stop. It stays down.
    Stop,
    /// Drain, stop, start.
    Restart,
    /// The same for new code, where it is wanted up: what does not get ready is not tried again.
    Renew,
    /// No new requests; those in flight finish, and the process goes on. It holds across restarts.
    Drain {
        /// Clients that stick to it go elsewhere too.
        everyone: bool,
    },
    /// New requests again.
    Undrain,
    /// Its processes hang, and its port still accepts.
    Freeze,
    /// They go on.
    Thaw,
    /// A signal to the whole process tree, now. KILL keeps it down unless `restart`; another signal is only sent.
    Kill {
        /// Which.
        signal: Signal,
        /// Let the restart policy bring it back.
        restart: bool,
    },
}

impl Verb {
    /// The past participle, after "8000": `8000 killed by you`.
    pub fn done(self) -> &'static str {
        match self {
            Verb::Start => "started",
            Verb::Stop => "stopped",
            Verb::Restart | Verb::Renew => "restarted",
            Verb::Drain { .. } => "drained",
            Verb::Undrain => "undrained",
            Verb::Freeze => "frozen",
            Verb::Thaw => "thawed",
            Verb::Kill { .. } => "killed",
        }
    }
}
