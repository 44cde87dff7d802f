//! What a person reads when something is wrong: one shape for every module's errors.

mod explain;

pub use explain::{Explanation, explanation};

use std::fmt;

/// An error as it is shown: code, cause, hint, exit code. Every module has its own error enum with fields; each of them
/// turns into a `Report` at the edge, and only `ui` prints one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// `LB001` …; what `lbdev explain` expands.
    pub code: &'static str,
    /// What, which and where: lower-case, names in backticks, no full stop.
    pub message: String,
    /// Further lines below the message, indented: a source line with a caret, a process's last words.
    pub details: Vec<String>,
    /// An imperative with a whole command that works.
    pub hint: Option<String>,
    /// How the process ends.
    pub exit: Exit,
}

/// Exit codes of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 1: it failed.
    Failed,
    /// 2: wrong usage or configuration.
    Usage,
    /// 4: nothing runs.
    NothingRuns,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NothingRuns => 4,
        }
    }
}

impl Report {
    /// A failure with exit code 1.
    pub fn failed(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Vec::new(),
            hint: None,
            exit: Exit::Failed,
        }
    }

    /// Wrong usage or configuration, exit code 2.
    pub fn usage(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            ..Self::failed(code, message)
        }
    }

    /// Adds the hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the last lines that a process wrote, if it wrote any.
    #[must_use]
    pub fn last_lines(self, lines: Vec<String>) -> Self {
        match lines.as_slice() {
            [] => self,
            [line] => self.detail(format!("its last line: {line}")),
            lines => {
                let report = self.detail("its last lines:");
                lines
                    .iter()
                    .fold(report, |report, line| report.detail(format!("  {line}")))
            }
        }
    }

    /// Adds a line of detail.
    #[must_use]
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, self.message)?;
        for line in &self.details {
            write!(f, "\n  {line}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

/// Every code there is, with the line that `lbdev explain` begins with: errors, and from LB100 on what breaks behind a
/// balancer. A test holds that each is used.
pub const CODES: &[(&str, &str)] = &[
    ("LB001", "a port is in use"),
    ("LB002", "no project was found"),
    ("LB003", "already running with another set-up"),
    ("LB004", "several projects are running"),
    ("LB005", "nothing is running"),
    ("LB006", "the running lbdev does not answer"),
    ("LB007", "a folder or file cannot be used"),
    ("LB008", "the machine refuses: a port, a thread, a socket"),
    ("LB009", "lbdev's guardian was ended"),
    ("LB010", "a backend ended before it was ready"),
    ("LB011", "a backend did not become ready in time"),
    ("LB012", "a backend listens on another port"),
    ("LB013", "a command cannot be started"),
    ("LB014", "a backend that served was given up"),
    ("LB015", "saved code does not start"),
    ("LB016", "what runs before or after a service failed"),
    ("LB020", "an error in lbdev.toml"),
    ("LB021", "an option has a value that cannot be"),
    ("LB022", "the framework is not installed"),
    ("LB030", "no such backend"),
    ("LB031", "lbdev did not start this backend"),
    ("LB032", "a backend is not up"),
    ("LB033", "this needs a terminal"),
    ("LB034", "a backend's terminal is not to be had"),
    (
        "LB040",
        "the dashboard lets nobody in who cannot show its token",
    ),
    ("LB050", "nobody answers where the load was to go"),
    ("LB051", "a lab that is not known, or whose file has errors"),
    (
        "LB052",
        "the set-up cannot be written for something else at all",
    ),
    (
        "LB053",
        "with --strict: something of the set-up would be lost",
    ),
    ("LB054", "nothing in a file of nginx passes requests on"),
    ("LB055", "the program of --engine is not installed"),
    ("LB056", "only lbdev's own balancer does that"),
    ("LB110", "each copy makes a secret key of its own"),
    ("LB111", "the cache is in the memory of each process"),
    ("LB112", "sessions live in the memory of one process"),
    (
        "LB113",
        "the channel layer is in the memory of each process",
    ),
    ("LB114", "a scheduler runs in every copy"),
    ("LB115", "several copies write into one SQLite file"),
    ("LB116", "the application does not answer for lbdev's host"),
    ("LB117", "cookies or redirects are for HTTPS only"),
];
