//! The life of one backend as data: states that carry what belongs to them, events, effects.

use std::time::{Duration, Instant, SystemTime};

use super::{Detect, RunId, Seen, Signal};

/// Who runs the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// lbdev launches and ends it.
    Managed,
    /// Somebody else does; lbdev only routes to it and checks it.
    External,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// By itself, with this status.
    Code(i32),
    /// By this signal's number.
    Signal(i32),
}

/// Who made a process end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A verb somebody typed or clicked.
    Operator,
    /// lbdev's own shutdown, or a start that took too long.
    Lbdev,
    /// The process itself.
    Itself,
    /// A signal that lbdev did not send.
    Outside,
}

/// The end of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// How.
    pub status: ExitStatus,
    /// When, by the wall clock.
    pub at: SystemTime,
    /// Who.
    pub by: By,
    /// It was asked to end first, and had its time to.
    pub asked: bool,
}

/// What follows when the process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it stays down.
    Stay,
    /// A new run, at once.
    Launch,
    /// What the restart policy says.
    Policy,
}

/// What is observed. Intent is kept apart from it, in [`Backend`](super::Backend).
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// No process.
    Stopped {
        /// How the last one ended.
        last: Option<Exit>,
    },
    /// A process that has not answered yet.
    Starting {
        /// Its life.
        run: RunId,
        /// Since when.
        since: Instant,
        /// When it counts as failed, if ever.
        deadline: Option<Instant>,
    },
    /// A process that has answered.
    Up {
        /// Its life.
        run: RunId,
        /// Since when it is ready.
        since: Instant,
    },
    /// A process that was told to hang. Its port still accepts.
    Frozen {
        /// Its life.
        run: RunId,
        /// Since when.
        since: Instant,
    },
    /// It gets no new requests; those in flight may finish.
    Draining {
        /// Its life.
        run: RunId,
        /// When streams that would never end by themselves are told to; `None` once they were.
        goodbye: Option<Instant>,
        /// When it is stopped all the same.
        until: Instant,
        /// What follows its end.
        next: Next,
        /// Who wanted it.
        by: By,
    },
    /// It was told to end.
    Stopping {
        /// Its life.
        run: RunId,
        /// When KILL is sent (again).
        kill_at: Instant,
        /// It was asked by its stop signal, not killed at once.
        asked: bool,
        /// What follows its end.
        next: Next,
        /// Who wanted it.
        by: By,
    },
    /// It ended by itself and waits to be started again.
    Backoff {
        /// Restarts in a row, this one counted.
        attempt: u32,
        /// When it is launched.
        until: Instant,
        /// How it ended.
        last: Exit,
    },
    /// It ended by itself and is not started again.
    Failed {
        /// Launches in a row that came to nothing.
        attempts: u32,
        /// How the last one ended; `None` when it could not be launched at all or was too slow.
        last: Option<Exit>,
    },
}

/// A [`State`] in one word, as `status` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the words explain themselves; architecture and README define them
pub enum Phase {
    Starting,
    Up,
    Unhealthy,
    Draining,
    Stopping,
    Stopped,
    Frozen,
    Backoff,
    Failed,
}

impl Phase {
    /// Every one there is.
    pub const ALL: [Phase; 9] = [
        Self::Starting,
        Self::Up,
        Self::Unhealthy,
        Self::Draining,
        Self::Stopping,
        Self::Stopped,
        Self::Frozen,
        Self::Backoff,
        Self::Failed,
    ];

    /// The word for it on every screen and in `--json`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Unhealthy => "unhealthy",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Frozen => "frozen",
            Self::Backoff => "backoff",
            Self::Failed => "failed",
        }
    }
}

/// What happens to a backend.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Somebody wants it up.
    Start,
    /// Somebody wants it down: drain, then the stop signal, then KILL.
    Stop(By),
    /// Somebody wants a new process: drain, stop, launch.
    Restart,
    /// There is new code: drain, stop, launch, where it is wanted up at all. A run that ends before it is ready is not
    /// tried again: the code is what is wrong.
    Renew,
    /// A signal, now. After KILL, and where TERM, INT or QUIT end it, it stays down unless the restart policy is to act.
    /// Other signals are only passed on.
    Kill {
        /// Which signal.
        signal: Signal,
        /// Let the restart policy act.
        restart: bool,
    },
    /// KILL, now, because a person pressed Ctrl-C twice. It stays down.
    Abort,
    /// Hang it.
    Freeze,
    /// Let it go on.
    Thaw,
    /// No new requests.
    Disable {
        /// Clients that stick to it go elsewhere too.
        everyone: bool,
    },
    /// New requests again.
    Enable,
    /// Its command could not be started.
    LaunchFailed {
        /// Which life.
        run: RunId,
    },
    /// None of its processes is left.
    Exited {
        /// Which life.
        run: RunId,
        /// How its first process ended.
        status: ExitStatus,
        /// When, by the wall clock.
        at: SystemTime,
    },
    /// Its first probe passed.
    Ready {
        /// Which life.
        run: RunId,
    },
    /// A check of a backend that was ready.
    Checked {
        /// Which life was ready last.
        run: RunId,
        /// What it said.
        seen: Seen,
        /// Another backend of its pool may get requests.
        spare: bool,
    },
    /// Users' requests failed too often at it.
    Failing {
        /// Which life was ready last.
        run: RunId,
        /// Another backend of its pool may get requests.
        spare: bool,
        /// For how long it gets none with [`Detect::Passive`].
        window: Duration,
    },
    /// From now on a death is noticed in this way.
    Detect {
        /// How.
        detect: Detect,
        /// For how long what is not well now gets no requests with [`Detect::Passive`].
        window: Duration,
    },
    /// A user's request found the port refused.
    Refused {
        /// Which life.
        run: RunId,
    },
    /// No request is in flight any more.
    Drained {
        /// Which life.
        run: RunId,
    },
    /// Time has passed; see [`Backend::deadline`](super::Backend::deadline).
    Tick,
}

/// What the supervisor has to do, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Start its command.
    Launch(RunId),
    /// Tell the streams of this run that they have to end: its signal follows soon.
    EndStreams(RunId),
    /// Send a signal to every process of this run.
    Signal(RunId, Signal),
}

/// One moment, as an argument: `step` reads no clock and rolls no dice.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Now.
    pub now: Instant,
    /// Evenly spread in `0.0..1.0`; the jitter of a backoff.
    pub dice: f64,
    /// The run that a launch in this step begins.
    pub fresh: RunId,
}
