//! Processes: the one launching path, the sessions they live in, what they write and use, the ports they hold.
//!
//! Only this module knows `duct`. Nothing here knows states or policies: it launches a run, signals a run, and reports
//! how a run ended.

mod ask;
mod beside;
mod daemon;
mod escapes;
#[cfg_attr(windows, path = "exec_windows.rs")]
mod exec;
#[cfg_attr(windows, path = "files_windows.rs")]
mod files;
mod find;
pub mod guardian;
mod launcher;
mod lines;
mod log_file;
mod log_writer;
pub mod logs;
mod os;
pub mod output;
mod own;
pub mod ports;
mod program;
#[cfg_attr(windows, path = "pump_windows.rs")]
mod pump;
mod run;
pub mod sessions;
mod signals;
mod spent;
mod strays;
#[cfg_attr(windows, path = "terminal_windows.rs")]
pub mod terminal;
mod usage;

use std::time::{Duration, SystemTime};

use crate::backend::{BackendId, ExitStatus, RunId, Signal};
use crate::config::Command;

pub use ask::ask;
pub use beside::Beside;
pub use daemon::{Daemon, spawn_detached};
pub use escapes::strip_escapes;
pub use exec::hidden;
pub use files::{end_for_clients, kept_from_clients, most as most_files, raise as raise_files};
pub use guardian::{Guardians, end_instance};
pub use launcher::Launcher;
pub use log_file::Rotation;
pub use own::adopt_orphans;
pub use spent::spent;
pub use strays::end_strays;
pub use usage::{Meter, Usage, Usages};

/// The command that ends a process at once, as a person types it.
pub fn kill_command(pid: impl std::fmt::Display) -> String {
    match cfg!(windows) {
        true => format!("taskkill /F /PID {pid}"),
        false => format!("kill -9 {pid}"),
    }
}

/// The command that shows every running lbdev with its pid.
pub const FIND_COMMAND: &str = match cfg!(windows) {
    true => "tasklist /FI \"IMAGENAME eq lbdev.exe\"",
    false => "pgrep -a lbdev",
};

/// A clock that goes on while the machine sleeps, from some fixed point; differences are what it is for.
pub fn uptime() -> Duration {
    os::uptime()
}

/// Launches and signals runs. Both calls return at once; what came of a launch arrives as [`News`] on the channel that
/// the launcher was made with.
pub trait Launch: Send + Sync + 'static {
    /// Starts `command` as one run of a backend.
    fn launch(&self, id: BackendId, run: RunId, command: Command);
    /// Sends a signal to every process of a run: its session, their descendants, and whatever carries its environment.
    /// A run that has ended is left alone.
    fn signal(&self, run: RunId, signal: Signal);
}

/// What came of a launch. Each run gets `LaunchFailed`, or `Launched` and later `Exited`.
#[derive(Debug)]
pub enum News {
    /// It wrote a line with the text that its command waits for.
    Said {
        /// Which backend.
        id: BackendId,
        /// Which of its lives.
        run: RunId,
    },
    /// Its first process runs.
    Launched {
        /// Whose.
        id: BackendId,
        /// Which life.
        run: RunId,
        /// The process id of its first process, which leads its session.
        pid: u32,
    },
    /// It could not be started.
    LaunchFailed {
        /// Whose.
        id: BackendId,
        /// Which life.
        run: RunId,
        /// Why, in words.
        why: String,
    },
    /// None of its processes is left.
    Exited {
        /// Whose.
        id: BackendId,
        /// Which life.
        run: RunId,
        /// How its first process ended.
        status: ExitStatus,
        /// When its first process ended.
        at: SystemTime,
    },
}
