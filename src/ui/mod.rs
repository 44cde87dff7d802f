//! What a person sees. The only module that prints, and the only one that knows `console` and `indicatif`.
//!
//! Every text is made by a pure function from a value; the few functions that write it are thin.

mod color;
pub mod compare;
mod display;
mod screen;
mod state;
mod stream;
mod table;

pub mod access;
pub mod acted;
pub mod banner;
pub mod changes;
pub mod doctor;
pub mod events;
pub mod explained;
mod keys;
pub mod lab;
pub mod lines;
pub mod load;
pub mod ls;
pub mod serving;
pub mod settings;
pub mod starting;
pub mod status;
#[cfg_attr(windows, path = "terminal_windows.rs")]
pub mod terminal;
pub mod top;
pub mod units;

use std::io::IsTerminal;
use std::process::ExitCode;

pub use banner::{About, PageLink};
pub use color::{ColorChoice, Paint};
pub use keys::Order;
pub use serving::{End, Feeds, Running, Said, Serving};
pub use starting::Starting;
pub use state::Look;
pub use units::plural;

use crate::error::Report;
use crate::wire;
use color::Surroundings;
use stream::{Stream, write_or_end};

/// How to write on each of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ui {
    /// Colours on stdout.
    pub out: Paint,
    /// Colours on stderr.
    pub err: Paint,
    /// stdout is a terminal.
    pub out_terminal: bool,
    /// stderr is a terminal: progress may move.
    pub err_terminal: bool,
    /// Data and errors are JSON; what a verb did is in its data.
    pub json: bool,
}

impl Ui {
    /// By the flag, the environment and the two streams.
    pub fn new(choice: ColorChoice, json: bool) -> Self {
        let [no_color, force, term] =
            ["NO_COLOR", "CLICOLOR_FORCE", "TERM"].map(|name| std::env::var(name).ok());
        let wanted = |terminal| {
            let around = Surroundings {
                no_color: no_color.as_deref(),
                force: force.as_deref(),
                term: term.as_deref(),
                terminal,
            };
            Paint::new(color::wanted(choice, around))
        };
        let out_terminal = std::io::stdout().is_terminal();
        let err_terminal = std::io::stderr().is_terminal();
        Self {
            out: wanted(out_terminal),
            err: wanted(err_terminal),
            out_terminal,
            err_terminal,
            json,
        }
    }

    /// Columns of stdout; `None` where it is not a terminal: nothing is cut then.
    pub fn width(&self) -> Option<usize> {
        let size = console::Term::stdout().size_checked();
        size.filter(|_| self.out_terminal)
            .map(|(_, columns)| usize::from(columns))
    }

    /// Data, on stdout. Ends the process quietly if nobody reads it: only for verbs that have nothing to undo.
    pub fn out(&self, text: &str) {
        write_or_end(Stream::Out, &ended(text));
    }

    /// What a verb did, a line of it: data for eyes.
    pub fn did(&self, text: &str) {
        if !self.json {
            self.out(text);
        }
    }

    /// A value as JSON on one line of stdout.
    pub fn json<T: serde::Serialize>(&self, value: &T) {
        match serde_json::to_string(value) {
            Ok(text) => self.out(&text),
            Err(error) => self.report(&Report::failed(
                "LB007",
                format!("cannot write JSON: {error}"),
            )),
        }
    }

    /// A note, on stderr: `note: using ~/mysite`.
    pub fn note(&self, text: &str) {
        write_or_end(Stream::Err, &note(text, self.err));
    }

    /// A line of progress, on stderr.
    pub fn progress(&self, text: &str) {
        write_or_end(Stream::Err, &ended(text));
    }

    /// An error: in words on stderr, or under `--json` as an object on stdout.
    pub fn report(&self, report: &Report) {
        self.reports(std::slice::from_ref(report));
    }

    /// Several errors at once. Under `--json` the first is `error`, and if there are more, all are `errors`.
    pub fn reports(&self, reports: &[Report]) {
        if self.json {
            if let Some(text) = problems(reports) {
                self.out(&text);
            }
            return;
        }
        for one in reports {
            write_or_end(Stream::Err, &ended(&report(one, self.err)));
        }
    }

    /// Prints what went wrong, and gives the exit code for it.
    pub fn end(&self, outcome: Result<u8, Vec<Report>>) -> ExitCode {
        match outcome {
            Ok(code) => ExitCode::from(code),
            Err(errors) => {
                self.reports(&errors);
                let first = errors.first().map_or(1, |error| error.exit.code());
                ExitCode::from(first)
            }
        }
    }

    /// A text that comes with and without colours, on stdout.
    pub(crate) fn out_either(&self, colored: &str, plain: &str) {
        write_or_end(Stream::Out, if self.out.on() { colored } else { plain });
    }
}

/// With a newline at its end.
fn ended(text: &str) -> String {
    if text.ends_with('\n') || text.is_empty() {
        text.to_owned()
    } else {
        format!("{text}\n")
    }
}

/// `note: …`.
fn note(text: &str, paint: Paint) -> String {
    format!("{} {text}\n", paint.link("note:"))
}

/// A report as it is read, like its `Display`, in colour.
pub fn report(report: &Report, paint: Paint) -> String {
    let head = paint.bad(&format!("error[{}]:", report.code));
    let mut text = format!("{head} {}", paint.strong(&report.message));
    for line in &report.details {
        text.push_str("\n  ");
        text.push_str(line);
    }
    if let Some(hint) = &report.hint {
        text.push_str("\n  ");
        text.push_str(&format!("{} {hint}", paint.link("hint:")));
    }
    text
}

/// The contract's object for errors.
fn problems(reports: &[Report]) -> Option<String> {
    let body = |report: &Report| wire::ProblemBody {
        code: report.code.to_owned(),
        message: report.message.clone(),
        hint: report.hint.clone(),
        details: report.details.clone(),
    };
    let all: Vec<_> = reports.iter().map(body).collect();
    let problems = wire::Problem {
        version: wire::VERSION,
        error: all.first()?.clone(),
        errors: if all.len() > 1 { all } else { Vec::new() },
    };
    serde_json::to_string(&problems).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Report {
        Report::failed("LB030", "8080 is the balancer, not a backend")
            .detail("known: `8000`")
            .hint("run `lbdev down` to stop everything")
    }

    #[test]
    fn without_colour_a_report_reads_like_its_display() {
        assert_eq!(report(&some(), Paint::new(false)), some().to_string());
        assert_ne!(report(&some(), Paint::new(true)), some().to_string());
    }

    #[test]
    fn errors_as_json() {
        insta::assert_snapshot!(problems(&[some()]).unwrap(), @r#"{"version":1,"error":{"code":"LB030","message":"8080 is the balancer, not a backend","hint":"run `lbdev down` to stop everything","details":["known: `8000`"]}}"#);
        let two: serde_json::Value =
            serde_json::from_str(&problems(&[some(), some()]).unwrap()).unwrap();
        assert_eq!(two["errors"].as_array().unwrap().len(), 2);
        assert_eq!(problems(&[]), None);
    }

    #[test]
    fn one_newline_at_the_end() {
        for (text, expected) in [("", ""), ("a", "a\n"), ("a\n", "a\n")] {
            assert_eq!(ended(text), expected);
        }
    }
}
