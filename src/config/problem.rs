//! What can be wrong with a set-up, where, and how it is told.

use std::ops::Range;
use std::path::PathBuf;

use super::env_file::EnvFileError;
use super::value::ValueError;
use super::words::{FillError, SplitError};
use crate::error::Report;

/// Where something was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Where {
    /// In the file, at these bytes.
    File(Range<usize>),
    /// By this option.
    Option(&'static str),
    /// Nobody said it: it follows from what was found.
    Nowhere,
}

/// A value and where it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At<T> {
    pub value: T,
    pub at: Where,
}

impl<T> At<T> {
    /// A value that follows from what was found.
    pub(super) fn nowhere(value: T) -> Self {
        Self {
            value,
            at: Where::Nowhere,
        }
    }
}

/// A problem at a place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub at: Where,
    pub problem: Problem,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum Problem {
    #[error("{message}")]
    Syntax {
        message: String,
        /// What could stand there instead.
        instead: Option<String>,
    },
    #[error("unknown key `{key}` in {table}")]
    UnknownKey {
        key: String,
        table: String,
        like: Option<String>,
    },
    #[error("`{key}` is missing in {table}")]
    Missing { key: &'static str, table: String },
    #[error("{what}")]
    Lab { what: String, hint: Option<String> },
    #[error("`{key}` must be {wanted}, not {found}")]
    WrongType {
        key: String,
        wanted: &'static str,
        found: String,
    },
    #[error("`{key}` must be from {least} to {most}, not {found}")]
    OutOfRange {
        key: String,
        least: u64,
        most: u64,
        found: String,
    },
    #[error("`{key}` must be at least {least}")]
    TooShort { key: String, least: String },
    #[error("`{key}`")]
    Value {
        key: String,
        #[source]
        source: ValueError,
    },
    #[error(
        "a service cannot be called `{name}`: a name is letters, digits, `-` and `_`, begins with a letter, is not `all`, and has at most 40 letters"
    )]
    ServiceName { name: String },
    #[error(
        "`{key}` of `{service}` is only for servers that lbdev starts, and `{service}` is `external`"
    )]
    OnlyManaged { service: String, key: &'static str },
    #[error("`{key}` of `{service}` is only for a service with `ports`")]
    OnlyBalanced { service: String, key: &'static str },
    #[error(
        "`health.{key}` of `{service}` needs `health.path`: without it nothing is asked over HTTP while a backend is up"
    )]
    NeedsPath { service: String, key: &'static str },
    #[error("service `{service}` has nothing to run")]
    NoCommand { service: String },
    #[error("the command of `{service}` is empty")]
    EmptyCommand { service: String },
    #[error("the command of `{service}`")]
    Split {
        service: String,
        #[source]
        source: SplitError,
    },
    #[error("a command of `{key}` of `{service}` is empty")]
    EmptyTask { service: String, key: String },
    #[error("a command of `{key}` of `{service}`")]
    SplitTask {
        service: String,
        key: String,
        #[source]
        source: SplitError,
    },
    #[error("`watch_mode` of `{service}` says how, and there is no `watch` that says what")]
    NeedsWatch { service: String },
    #[error("`ready` of `{service}` needs a port to look at, and the service has no `ports`")]
    ReadyNeedsPort { service: String },
    #[error(
        "`{service}` has `ports`, so it goes on serving; `ready = \"exit\"` is for a job that ends"
    )]
    ReadyExit { service: String },
    #[error("`{service}` needs itself")]
    NeedsItself { service: String },
    #[error("services wait for each other: {circle}")]
    NeedsCircle { circle: String },
    #[error("`{key}` of `{service}`")]
    Fill {
        service: String,
        key: String,
        #[source]
        source: FillError,
    },
    #[error("no Python was found for `{{python}}` in `{service}`; looked at {looked}")]
    NoPython { service: String, looked: String },
    #[error("`external` of `{service}` is empty")]
    NoServers { service: String },
    #[error("`routes` of `{service}` is empty: it would answer nothing")]
    NoRoutes { service: String },
    #[error("services `{first}` and `{second}` both answer `{route}`")]
    SameRoute {
        first: String,
        second: String,
        route: String,
    },
    #[error("`{service}` has two servers with port {port}, but a backend is named by its port")]
    SameServer { service: String, port: u16 },
    #[error("port {port} is used by both `{first}` and `{second}`")]
    SamePort {
        port: u16,
        first: String,
        second: String,
    },
    #[error("port {port} is both where lbdev listens and `{backend}`")]
    ListenPort {
        port: u16,
        backend: String,
        /// A port that nothing in the set-up uses.
        free: Option<u16>,
    },
    #[error("{count} backends from port {first} do not fit below 65536")]
    PortsEnd { count: u32, first: u16 },
    #[error("`{service}` has no backend {port}")]
    NoSuchBackend {
        service: String,
        port: String,
        has: String,
    },
    #[error("every backend of `{service}` has weight 0: none would ever be picked")]
    AllWeightsZero { service: String },
    #[error("the working directory `{dir}` of `{service}` {why}")]
    Cwd {
        service: String,
        dir: String,
        why: &'static str,
    },
    #[error("a variable of the environment cannot be called `{name}`")]
    VariableName { name: String },
    #[error("a variable of the environment cannot hold a NUL character")]
    Nul,
    #[error("`{name}` is set by lbdev: it finds its processes by it")]
    Reserved { name: String },
    #[error("`env_file` of `{service}`: `{file}` {why}")]
    EnvFile {
        service: String,
        file: String,
        why: String,
    },
    #[error("`env_file` of `{service}`: `{file}`, line {line}")]
    EnvFileLine {
        service: String,
        file: String,
        line: usize,
        #[source]
        source: EnvFileError,
    },
    #[error("there is no service, and nothing in the folder is recognised")]
    NothingToRun,
    #[error("`{one}` and `{other}` cannot be combined")]
    NotTogether {
        one: &'static str,
        other: &'static str,
    },
    #[error("`{option}` does not say which service it is for: {services} have ports")]
    WhichService {
        option: &'static str,
        services: String,
    },
    #[error("`{option}` is for a service with ports, and there is none")]
    NoBalanced { option: &'static str },
    #[error("no service `{name}`; known: {known}")]
    NoSuchService {
        name: String,
        known: String,
        like: Option<String>,
    },
    #[error("no {count} free ports were found")]
    NoFreePorts { count: usize },
    #[error("`{dir}` {why}")]
    Folder { dir: PathBuf, why: String },
    #[error("`{file}` {why}")]
    File { file: PathBuf, why: String },
    #[error("no project was found in `{dir}`")]
    NoProject {
        dir: PathBuf,
        looked: String,
        /// A folder below that has one.
        below: Option<String>,
    },
    #[error("`{id}` needs `{marker}`, and `{dir}` has none")]
    NoMarker {
        id: String,
        marker: String,
        dir: PathBuf,
    },
    #[error("the framework `{id}` is not known; known: {known}")]
    NoFramework {
        id: String,
        known: String,
        like: Option<String>,
    },
    #[error("{place}: {what}")]
    Procfile {
        place: String,
        what: String,
        line: String,
    },
    #[error("`{file}` has no process in it")]
    ProcfileEmpty { file: String },
    #[error("{origin} is here, but no `{{{name}}}` for its command was found in {looked}")]
    NotFound {
        origin: String,
        name: String,
        looked: String,
        example: String,
    },
    #[error("{origin} is here, but `{file}` is not")]
    NoFile {
        origin: String,
        file: String,
        install: String,
    },
    #[error("`{marker}` is here, but {framework} is not installed for `{python}`")]
    NotInstalled {
        marker: String,
        framework: String,
        python: PathBuf,
        install: String,
    },
}

impl Problem {
    /// The code, where the place does not decide it.
    fn code(&self, at: &Where) -> &'static str {
        match self {
            Problem::NoProject { .. } | Problem::NoMarker { .. } => "LB002",
            Problem::Folder { .. } | Problem::File { .. } => "LB007",
            Problem::NoFreePorts { .. } => "LB008",
            Problem::NoPython { .. } => "LB013",
            Problem::NotInstalled { .. } | Problem::NoFile { .. } | Problem::NotFound { .. } => {
                "LB022"
            }
            Problem::Procfile { .. } | Problem::ProcfileEmpty { .. } => "LB020",
            _ => match at {
                Where::File(_) => "LB020",
                Where::Option(_) | Where::Nowhere => "LB021",
            },
        }
    }

    fn hint(&self) -> Option<String> {
        let meant = |like: &Option<String>| {
            let like = like.as_ref()?;
            Some(format!("did you mean `{like}`?"))
        };
        match self {
            Problem::UnknownKey {
                like: None,
                key,
                table,
            } => {
                let place = super::live::table_of(key)?;
                let service = place.starts_with("[services") && table.starts_with("[services");
                (!service && place != table).then(|| format!("it belongs below `{place}`"))
            }
            Problem::UnknownKey { like, .. }
            | Problem::NoSuchService { like, .. }
            | Problem::NoFramework { like, .. } => meant(like),
            Problem::Syntax { instead, .. } => {
                (instead.as_ref()).map(|instead| format!("write `{instead}`"))
            }
            Problem::Lab { hint, .. } => hint.clone(),
            Problem::NeedsWatch { .. } => Some("add one: `watch = [\"**/*.py\"]`".into()),
            Problem::ReadyNeedsPort { .. } => Some(
                "write `ready = \"log:TEXT\"` with a text that it writes when it is ready".into(),
            ),
            Problem::ReadyExit { .. } => Some("take out `ports`, or `ready`".into()),
            Problem::NeedsItself { .. } => Some("take it out".into()),
            Problem::NeedsCircle { .. } => Some("take one of these `needs` out".into()),
            Problem::NeedsPath { .. } => {
                Some("add one: `health = { path = \"/healthz\", … }`".into())
            }
            Problem::Value {
                source: ValueError::Choice { like, .. },
                ..
            } => meant(&like.map(str::to_owned)),
            Problem::Fill { source, .. } => source.hint(),
            Problem::NoCommand { .. } => {
                Some("give it a `command`, or `external` with the servers that run already".into())
            }
            Problem::SameRoute { second, .. } => Some(format!(
                "give `{second}` routes of its own: `routes = [\"/{second}\"]`"
            )),
            Problem::ListenPort {
                free: Some(free), ..
            } => Some(format!("run `lbdev up --listen {free}`")),
            Problem::NoSuchBackend { has, .. } => Some(format!("it has {has}")),
            Problem::Reserved { .. } => Some("take it out".into()),
            Problem::NoPython { .. } => {
                Some("install Python 3, or run `python3 -m venv .venv` where it is".into())
            }
            Problem::WhichService { .. } => Some(
                "name one after the options, as in `lbdev up -n 2 web`, or say it in lbdev.toml"
                    .into(),
            ),
            Problem::NothingToRun => Some("add `[services.web]` with a `command`".into()),
            Problem::NoProject {
                below: Some(below), ..
            } => Some(format!("run `lbdev up -C {below}`")),
            Problem::NoProject { below: None, .. } => {
                Some("run `lbdev init`, `lbdev up -c 'CMD {port}'` or `lbdev demo`".into())
            }
            Problem::NotInstalled { install, .. } | Problem::NoFile { install, .. } => {
                Some(format!("run `{install}`"))
            }
            Problem::NotFound { example, .. } => Some(format!("run `lbdev up -c '{example}'`")),
            Problem::Procfile { what, .. } if what.contains("$PORT") => {
                Some("let it read its port: `web: COMMAND --port $PORT`".into())
            }
            Problem::ProcfileEmpty { .. } => Some("add a line: `web: COMMAND --port $PORT`".into()),
            _ => None,
        }
    }

    fn details(&self) -> Option<String> {
        match self {
            Problem::NoProject { looked, .. } => Some(format!("looked for {looked}")),
            Problem::Procfile { line, .. } => Some(visible(line)),
            _ => None,
        }
    }
}

/// The text that places in the file refer to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// The file's name, as a person knows it.
    pub name: &'a str,
    pub text: &'a str,
}

/// Faults as reports: those in the file first, by place, each once.
pub(super) fn reports(mut faults: Vec<Fault>, source: Option<Source<'_>>) -> Vec<Report> {
    faults.sort_by_key(|fault| match &fault.at {
        Where::File(span) => (0, span.start),
        Where::Option(_) => (1, 0),
        Where::Nowhere => (2, 0),
    });
    let mut all: Vec<Report> = Vec::new();
    for fault in faults {
        let report = report(&fault, source);
        if !all.contains(&report) {
            all.push(report);
        }
    }
    all
}

fn report(fault: &Fault, source: Option<Source<'_>>) -> Report {
    let mut message = fault.problem.to_string();
    let mut cause = std::error::Error::source(&fault.problem);
    while let Some(inner) = cause {
        message = format!("{message}: {inner}");
        cause = inner.source();
    }
    let mut details = Vec::new();
    match (&fault.at, source) {
        (Where::File(span), Some(source)) => {
            let place = Place::of(source.text, span);
            message = format!("{}:{}:{}: {message}", source.name, place.line, place.column);
            details = place.shown;
        }
        // Said already in the message where it matters.
        (Where::Option(option), _) if !message.contains(option) => {
            message = format!("`{option}`: {message}");
        }
        _ => {}
    }
    details.extend(fault.problem.details());
    let mut report = Report::usage(fault.problem.code(&fault.at), visible(&message));
    report.details = details;
    report.hint = fault.problem.hint().map(|hint| visible(&hint));
    report
}

/// What a person needs to find a span: line and column from 1, in characters, and the line with carets below.
struct Place {
    line: usize,
    column: usize,
    shown: Vec<String>,
}

impl Place {
    fn of(text: &str, span: &Range<usize>) -> Self {
        let mut start = span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = text[line_start..start].chars().count() + 1;
        let content = text[line_start..].lines().next().unwrap_or_default();

        let mut end = span
            .end
            .clamp(start, line_start + content.len().max(start - line_start));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let carets = text[start..end].chars().count().max(1);
        // A line that does not fit on a screen helps nobody.
        let shown = match content.chars().count() {
            ..=160 => {
                let gutter = line.to_string();
                vec![
                    format!("{gutter} | {}", visible(content)),
                    format!(
                        "{} | {}{}",
                        " ".repeat(gutter.len()),
                        " ".repeat(column - 1),
                        "^".repeat(carets)
                    ),
                ]
            }
            _ => Vec::new(),
        };
        Place {
            line,
            column,
            shown,
        }
    }
}

/// Control characters would reach the terminal: each becomes one visible character, so that carets still fit.
fn visible(text: &str) -> String {
    let show = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(show).collect()
}
