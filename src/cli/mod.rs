//! What was typed, as plain values: the only module that knows clap.

mod args;
mod complete;
mod invocation;
mod man;
mod meaning;
mod usage;
mod values;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Parser;

pub use complete::{asked as completions_asked, registration};
pub use invocation::{
    CompareOptions, ExportOptions, ImportOptions, Invocation, LabOptions, LoadOptions, LogsOptions,
    Place, Task, UpOptions, Verb,
};
pub use man::page as man_page;

use crate::error::Report;
use crate::ui::ColorChoice;

/// Why there is nothing to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A text that was asked for: help, the version. Exit code 0.
    Text {
        /// With colours.
        colored: String,
        /// Without.
        plain: String,
    },
    /// Wrong usage. Exit code 2.
    Usage(Box<Report>),
    /// The current folder, or another thing that every verb needs, is not to be had.
    Unable(Box<Report>),
}

impl Stop {
    /// How the process ends.
    pub fn exit_code(&self) -> u8 {
        match self {
            Stop::Text { .. } => 0,
            Stop::Usage(report) | Stop::Unable(report) => report.exit.code(),
        }
    }
}

/// What `args` (the program's name first) ask for. `cwd` is asked for the current folder.
///
/// # Errors
/// A [`Stop`], for the caller to print and end with.
pub fn parse_from<I, A>(
    args: I,
    cwd: impl FnOnce() -> std::io::Result<std::path::PathBuf>,
) -> Result<Invocation, Stop>
where
    I: IntoIterator<Item = A>,
    A: Into<OsString> + Clone,
{
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let words = || {
        args.iter()
            .map(|arg| arg.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
    };
    let typed = args::Args::try_parse_from(&args).map_err(|error| stop(error, &words()))?;
    let cwd = cwd().map_err(|source| {
        let report = Report::failed("LB007", format!("the current folder is gone: {source}"));
        Stop::Unable(Box::new(
            report.hint("run `cd` to a folder that exists, then try again"),
        ))
    })?;
    let invocation = typed.into_invocation(&cwd);
    match invocation.verb.without_json().filter(|_| invocation.json) {
        Some((verb, instead)) => {
            let report = Report::usage("LB021", format!("`lbdev {verb}` has no JSON form"));
            Err(Stop::Usage(Box::new(report.hint(instead))))
        }
        None => Ok(invocation),
    }
}

/// What a verb and its words, as one text without `lbdev`, ask for. Nothing is printed.
///
/// # Errors
/// When they ask for nothing that can be done.
pub fn parse_line(line: &str) -> Result<(Vec<String>, Invocation), Report> {
    let words = shlex::split(line).ok_or_else(|| {
        let report = Report::usage("LB021", format!("`{line}` ends within quotes"));
        report.hint("close them")
    })?;
    let args = std::iter::once("lbdev".to_owned()).chain(words.iter().cloned());
    match parse_from(args, current_folder) {
        Ok(invocation) => Ok((words, invocation)),
        Err(Stop::Usage(report) | Stop::Unable(report)) => Err(*report),
        Err(Stop::Text { .. }) => {
            let report = Report::usage("LB021", format!("`lbdev {line}` only prints a text"));
            Err(report.hint("say a verb, such as `kill 8000`"))
        }
    }
}

/// `60s`, `500ms`, `2m`; a bare number is seconds.
///
/// # Errors
/// What is wanted, in words.
pub fn time(typed: &str) -> Result<std::time::Duration, String> {
    values::duration(typed)
}

/// The current folder. In one that was removed, where it was: the shell still knows, and what runs for it can be stopped.
fn current_folder() -> std::io::Result<PathBuf> {
    std::env::current_dir().or_else(|error| {
        let pwd = std::env::var_os("PWD").map(PathBuf::from);
        pwd.filter(|pwd| pwd.is_absolute()).ok_or(error)
    })
}

/// What was typed: `args`, the program's name first. Help, the version and usage errors are printed, and the process ends.
pub fn parse(args: &[OsString]) -> Invocation {
    // Before clap has judged the words, these two are looked for as they stand.
    let before = |word: &str| {
        args.iter()
            .take_while(|arg| *arg != "--")
            .any(|a| a == word)
    };
    let color = color_typed(args);
    let json = before("--json");
    match parse_from(args, current_folder) {
        Ok(invocation) => invocation,
        Err(stop) => {
            let ui = crate::ui::Ui::new(color, json);
            let code = stop.exit_code();
            match stop {
                Stop::Text { colored, plain } => ui.out_either(&colored, &plain),
                Stop::Usage(report) | Stop::Unable(report) => ui.report(&report),
            }
            std::process::exit(i32::from(code))
        }
    }
}

fn color_typed(args: &[OsString]) -> ColorChoice {
    let words = || args.iter().map(|arg| arg.to_string_lossy());
    words()
        .zip(words().skip(1))
        .filter(|(flag, _)| flag == "--color")
        .map(|(_, value)| value.into_owned())
        .chain(words().filter_map(|word| word.strip_prefix("--color=").map(str::to_owned)))
        .find_map(|value| match value.as_str() {
            "always" => Some(ColorChoice::Always),
            "never" => Some(ColorChoice::Never),
            _ => None,
        })
        .unwrap_or(ColorChoice::Auto)
}

fn stop(error: clap::Error, typed: &[String]) -> Stop {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let rendered = error.render();
            Stop::Text {
                colored: rendered.ansi().to_string(),
                plain: rendered.to_string(),
            }
        }
        _ => Stop::Usage(Box::new(usage::report(&error, typed))),
    }
}

/// `path` as seen from `cwd`.
fn absolute(cwd: &Path, path: Option<&Path>) -> std::path::PathBuf {
    match path {
        Some(path) => cwd.join(path),
        None => cwd.to_owned(),
    }
}

#[cfg(test)]
mod tests;
