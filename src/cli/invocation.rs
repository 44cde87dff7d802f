//! An invocation as plain values.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::backend::Signal;
use crate::config::request::Request;
use crate::ui::ColorChoice;

/// One run of the command.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// Which project is meant.
    pub place: Place,
    /// When to use colours.
    pub color: ColorChoice,
    /// What to do.
    pub verb: Verb,
}

impl Invocation {
    /// Whether the output, errors too, is to be JSON.
    pub fn json(&self) -> bool {
        match &self.verb {
            Verb::Up(_) => false,
            Verb::Task(task) => task.json(),
        }
    }
}

/// Which project is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The folder: `-C`, else the current one. Absolute, but perhaps not there.
    pub dir: PathBuf,
    /// `dir` was said with `-C`.
    pub said: bool,
    /// `--project` or `LBDEV_PROJECT`.
    pub project: Option<String>,
}

impl Place {
    /// The folder if it was said: what [`instance::find`](crate::instance::find) wants.
    pub fn said_dir(&self) -> Option<&Path> {
        self.said.then_some(&self.dir)
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Verb {
    /// `up` and `demo`: be the one that runs, or start it in the background.
    Up(Box<UpOptions>),
    /// Everything else: see [`commands::run`](crate::commands::run).
    Task(Task),
}

/// A verb that asks or tells something, and ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// Stop everything.
    Down {
        /// Of every project.
        all: bool,
    },
    /// One row a backend.
    Status {
        /// As JSON.
        json: bool,
    },
    /// Every running project.
    Ls {
        /// As JSON.
        json: bool,
    },
    /// A signal to the whole process tree, now.
    Kill {
        /// Which backends, as typed.
        target: String,
        /// Which signal.
        signal: Signal,
        /// The restart policy may bring it back.
        restart: bool,
    },
    /// Start what is down.
    Start {
        /// Which backends, as typed.
        target: String,
    },
    /// Drain, then stop.
    Stop {
        /// Which backends, as typed.
        target: String,
    },
    /// Drain, stop, start.
    Restart {
        /// Which backends, as typed.
        target: String,
        /// One after the other, each only when the one before is up.
        rolling: bool,
    },
    /// No new requests, or new ones again.
    Drain {
        /// Which backends, as typed.
        target: String,
        /// Undo it.
        off: bool,
        /// Clients that stick to it go too.
        everyone: bool,
    },
    /// The process hangs, and its port still accepts.
    Freeze {
        /// Which backends, as typed.
        target: String,
    },
    /// Undo it.
    Thaw {
        /// Which backends, as typed.
        target: String,
    },
    /// This terminal becomes a backend's.
    Attach {
        /// Which backend, as typed.
        target: String,
        /// It is started anew for that, and gets every request.
        debug: bool,
    },
    /// More backends of a service, or fewer.
    Scale {
        /// `6` or `web=6`, as typed.
        wanted: String,
    },
    /// Change settings while requests are answered.
    Set {
        /// A target or none, then `KEY=VALUE`, as typed.
        words: Vec<String>,
        /// As JSON.
        json: bool,
    },
    /// Take over what `lbdev.toml` says by now.
    Reload,
    /// What backends wrote.
    Logs(LogsOptions),
    /// Write `lbdev.toml`.
    Init {
        /// For this framework, instead of what is recognised.
        framework: Option<String>,
    },
    /// Show the set-up with every default filled in.
    Config {
        /// What was asked for.
        request: Box<Request>,
        /// As JSON.
        json: bool,
        /// Not this one, but what the file may hold.
        schema: bool,
    },
}

impl Task {
    /// Whether the output, errors too, is to be JSON.
    pub fn json(&self) -> bool {
        match self {
            Task::Status { json } | Task::Ls { json } => *json,
            Task::Set { json, .. } | Task::Config { json, .. } => *json,
            Task::Logs(options) => options.json,
            Task::Down { .. }
            | Task::Kill { .. }
            | Task::Start { .. }
            | Task::Stop { .. }
            | Task::Restart { .. }
            | Task::Drain { .. }
            | Task::Attach { .. }
            | Task::Freeze { .. }
            | Task::Thaw { .. }
            | Task::Scale { .. }
            | Task::Reload
            | Task::Init { .. } => false,
        }
    }
}

/// `up` and `demo`.
#[derive(Debug, Clone, PartialEq)]
pub struct UpOptions {
    /// What shapes the set-up.
    pub request: Request,
    /// In the background.
    pub detach: bool,
    /// Return when all backends are ready, or fail; `detach` is set too.
    pub wait: bool,
    /// How long `wait` waits.
    pub wait_timeout: Duration,
    /// Lines of frameworks about requests are shown as well.
    pub raw_logs: bool,
    /// `run`: what runs when all backends are ready, and ends everything when it ends.
    pub then: Option<Vec<OsString>>,
}

/// `logs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogsOptions {
    /// Only these backends, as typed.
    pub target: Option<String>,
    /// Go on with what comes.
    pub follow: bool,
    /// Only so many of the last lines.
    pub last: Option<usize>,
    /// Not older than this.
    pub since: Option<jiff::Timestamp>,
    /// Only lines with a match of this regular expression.
    pub grep: Option<String>,
    /// As JSON, a line each.
    pub json: bool,
}
