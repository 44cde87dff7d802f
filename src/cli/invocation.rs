//! An invocation as plain values.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::backend::Signal;
use crate::config::Engine;
use crate::config::request::Request;
use crate::export::Target;
use crate::load::Limits;
use crate::ui::ColorChoice;

/// One run of the command.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// Which project is meant.
    pub place: Place,
    /// When to use colours.
    pub color: ColorChoice,
    /// Data and errors are to be JSON.
    pub json: bool,
    /// What to do.
    pub verb: Verb,
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
    /// What makes this shell complete our words.
    Completions(&'static str),
    /// The manual page.
    Man,
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
    Status,
    /// Every running project.
    Ls,
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
    },
    /// Put a fault into what goes to backends, or take it out.
    Fault {
        /// Which backends, as typed.
        target: String,
        /// `latency=250ms`, `reset`, `off`, as typed.
        what: Vec<String>,
    },
    /// What happened.
    Events {
        /// Go on with what comes.
        follow: bool,
        /// Only so many of the last.
        last: Option<usize>,
    },
    /// Lessons that check themselves.
    Lab(Box<LabOptions>),
    /// Send requests, and measure what becomes of them.
    Load(Box<LoadOptions>),
    /// The live screen.
    Top,
    /// Look for what will go wrong.
    Doctor {
        /// Only this port.
        port: Option<u16>,
    },
    /// The set-up, for something else.
    Export(Box<ExportOptions>),
    /// A set-up of something else.
    Import(Box<ImportOptions>),
    /// One drill on each balancer.
    Compare(CompareOptions),
    /// What a code means.
    Explain {
        /// Which, as typed; `None` is all.
        code: Option<String>,
    },
    /// Show the dashboard in a browser.
    Open {
        /// Only its address.
        print: bool,
        /// The application instead.
        app: bool,
        /// With another key from now on.
        new_token: bool,
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
        /// Not this one, but what the file may hold.
        schema: bool,
    },
}

impl Verb {
    /// Why there is no JSON of it, if there is none: the verb, and what to do instead.
    pub fn without_json(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Verb::Up(options) if options.then.is_some() => {
                Some(("run", "the output is that of the command"))
            }
            Verb::Up(options) if !options.detach => Some((
                "up in the foreground",
                "run `lbdev up -d --wait --json`, then `lbdev events -f --json`",
            )),
            Verb::Completions(_) => Some(("completions", "leave `--json` out")),
            Verb::Man => Some(("man", "leave `--json` out")),
            Verb::Task(Task::Attach { .. }) => Some((
                "attach",
                "run `lbdev logs --json` for what a backend writes",
            )),
            Verb::Task(Task::Top) => Some(("top", "run `lbdev status --json`")),
            Verb::Up(_) | Verb::Task(_) => None,
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

/// `lab`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabOptions {
    /// Names of labs, or `list`, `hint`, `show`, `grade` and what follows.
    pub words: Vec<String>,
    /// Nobody is asked.
    pub auto: bool,
    /// The project whose server is used.
    pub app: Option<PathBuf>,
    /// Whose numbers.
    pub student: Option<String>,
    /// The lesson is broken on purpose.
    pub broken: bool,
    /// Who balances.
    pub engine: Engine,
    /// Who should have results.
    pub roster: Option<PathBuf>,
    /// CSV instead of a table.
    pub csv: bool,
}

/// `load`.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadOptions {
    /// Addresses, or paths of the running project; none is its first page.
    pub urls: Vec<String>,
    /// Requests a second.
    pub rps: Option<f64>,
    /// Connections at most; without `rps` each sends the next request when the one before was answered.
    pub connections: Option<usize>,
    /// How long.
    pub lasts: Duration,
    /// Times and verbs, as typed.
    pub at: Vec<(String, String)>,
    /// The method, if it was said.
    pub method: Option<String>,
    /// Fields, as typed.
    pub headers: Vec<String>,
    /// A body, or `@FILE`.
    pub data: Option<String>,
    /// Virtual users.
    pub users: usize,
    /// A request that takes longer has failed.
    pub timeout: Duration,
    /// What must hold.
    pub limits: Limits,
    /// Where a page of it is to be written.
    pub html: Option<PathBuf>,
}

/// `export`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportOptions {
    /// For what.
    pub target: Target,
    /// Into which file; `None` is stdout.
    pub output: Option<PathBuf>,
    /// Nothing may be lost.
    pub strict: bool,
    /// Which set-up.
    pub request: Request,
}

/// `import`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportOptions {
    /// What is read.
    pub file: PathBuf,
    /// Where it goes; `None` is `lbdev.toml`, `-` is stdout.
    pub output: Option<PathBuf>,
    /// Commands that start servers, as typed: `CMD` or `SERVICE=CMD`.
    pub run: Vec<String>,
}

/// `compare`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompareOptions {
    /// Which, in their order; empty: all that are here.
    pub engines: Vec<Engine>,
    /// A third of the time.
    pub quick: bool,
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
}
