//! Where a running lbdev leaves its traces, and how another one finds it: the state folder, the lock, the instance file.
//!
//! The lock says that lbdev runs, and it vanishes with the process, whatever ended it. The socket that connects says that it
//! answers. Files alone say nothing: stale ones never block a start.

mod find;
mod lock;
mod os;
mod place;
mod secrets;

use std::io;
use std::path::PathBuf;

pub use find::{Found, all_running, find, folder_of, left_over, running, running_demo};
pub use lock::Lock;
pub use os::identity;
pub use place::{Folder, home, labs_folder, tilde};

use crate::error::{Exit, Report};

/// What can go wrong with the traces of an instance.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// The project's folder is not there.
    #[error("cannot open the folder")]
    NoFolder {
        /// Which.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Neither a home folder nor `XDG_STATE_HOME` is known.
    #[error("no home folder")]
    NoHome,
    /// A folder or a file of ours cannot be made, read or written.
    #[error("cannot use a file of lbdev's own")]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder for sockets under `/tmp` is not ours alone: somebody else could answer in our name.
    #[error("a folder is not ours alone")]
    Unsafe {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nothing runs for this folder, its parents, or anywhere.
    #[error("nothing is running")]
    NothingRuns {
        /// Where it was looked for.
        dir: PathBuf,
        /// What runs elsewhere, where the choice was narrowed down to this folder.
        elsewhere: Vec<Found>,
    },
    /// No running project has this name.
    #[error("no such project runs")]
    NoSuchProject {
        /// Which.
        project: String,
        /// Those that run.
        running: Vec<Found>,
    },
    /// Several projects run and nothing says which is meant.
    #[error("several projects run")]
    Several {
        /// Those that could be meant.
        running: Vec<Found>,
    },
}

impl InstanceError {
    /// Nothing is running where it was looked for.
    pub fn nothing_runs(&self) -> bool {
        matches!(
            self,
            InstanceError::NothingRuns { .. } | InstanceError::NoSuchProject { .. }
        )
    }
}

impl From<InstanceError> for Report {
    fn from(error: InstanceError) -> Report {
        match error {
            InstanceError::NoFolder { dir, source } => Report::usage(
                "LB007",
                format!(
                    "cannot open the folder `{}`: {}",
                    tilde(&dir),
                    plain(&source)
                ),
            )
            .hint("run `ls` to see which folders there are"),
            InstanceError::NoHome => Report::failed(
                "LB007",
                "there is no home folder to keep lbdev's state in, and XDG_STATE_HOME is not set",
            )
            .hint("run `export XDG_STATE_HOME=/tmp/my-state`, then try again"),
            InstanceError::Unusable { path, source } => Report::failed(
                "LB007",
                format!("cannot use `{}`: {}", tilde(&path), plain(&source)),
            )
            .hint(match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "make room on its disk, or set XDG_STATE_HOME to a folder on another one"
                }
                _ => "make it writable, or set XDG_STATE_HOME to a folder that is",
            }),
            InstanceError::Unsafe { path, why } => Report::failed(
                "LB007",
                format!("will not use `{}`: {why}", path.display()),
            )
            .hint(format!(
                "remove it, or set XDG_STATE_HOME to a folder with a short path: `ls -ld {}`",
                path.display()
            )),
            InstanceError::NothingRuns { dir, elsewhere } => {
                let report =
                    Report::failed("LB005", format!("nothing is running for `{}`", tilde(&dir)));
                with_list(report, &elsewhere)
                    .hint("run `lbdev up` in your project, or `lbdev demo`")
            }
            InstanceError::NoSuchProject { project, running } => {
                let report =
                    Report::failed("LB005", format!("no project called `{project}` is running"));
                with_list(report, &running).hint("run `lbdev ls` to see what is")
            }
            InstanceError::Several { running } => {
                let first = running.first().map(Found::flag).unwrap_or_default();
                let report = Report {
                    exit: Exit::Usage,
                    ..Report::failed(
                        "LB004",
                        format!("{} projects are running: which one?", running.len()),
                    )
                };
                with_list(report, &running)
                    .hint(format!("say it, for example `lbdev status {first}`"))
            }
        }
    }
}

/// Each running project on a line of its own.
fn with_list(report: Report, running: &[Found]) -> Report {
    running.iter().fold(report, |report, one| {
        let (project, url) = (&one.instance.project, &one.instance.url);
        report.detail(format!("{project}  {url}  {}", one.flag()))
    })
}

/// An I/O error without the operating system's number.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is nothing of that name".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotADirectory => "it is not a folder".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
