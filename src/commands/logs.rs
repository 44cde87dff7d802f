//! `logs`: what backends wrote, while lbdev runs and after it.

use std::time::Duration;

use jiff::Timestamp;
use regex::Regex;
use serde::Serialize;

use super::client_of;
use crate::cli::{LogsOptions, Place};
use crate::error::Report;
use crate::instance::{self, Folder, Found, InstanceError};
use crate::process::logs::{Follower, Record, Wanted, read};
use crate::ui::Ui;
use crate::ui::lines::{self, Names, short};
use crate::wire::{BackendStatus, VERSION};

/// Between two looks at whether lbdev still runs; after its end, so long for what is still unread.
const LOOK: Duration = Duration::from_millis(300);

/// One line of `logs --json`.
#[derive(Serialize)]
struct JsonLine<'a> {
    version: u32,
    at: Timestamp,
    backend: &'a str,
    /// `stdout | stderr`
    stream: &'static str,
    text: &'a str,
}

/// Prints the lines, and with `-f` those that come.
pub(super) async fn logs(place: &Place, options: &LogsOptions, ui: &Ui) -> Result<u8, Report> {
    let (folder, running) = whose(place, ui)?;
    let known = match &running {
        Some(found) => Some(client_of(found)?.status().await?.backends),
        None => None,
    };
    let dir = folder.logs_dir();
    // `scale` may have taken it away since: what it wrote is still there.
    let wrote = |one: &str| {
        let last = read(
            &dir,
            &Wanted {
                targets: Some(vec![one.to_owned()]),
                last: Some(1),
                ..Wanted::default()
            },
        );
        last.is_ok_and(|last| !last.is_empty())
    };
    let wanted = Wanted {
        targets: targets(options.target.as_deref(), known.as_deref(), wrote)?,
        since: options.since,
        grep: options.grep.as_deref().map(pattern).transpose()?,
        last: options.last,
    };
    let unreadable = |error: std::io::Error| {
        Report::failed("LB007", format!("cannot read `{}`: {error}", dir.display()))
            .hint("run `lbdev logs` as the user who ran `lbdev up`")
    };
    let mut follower = None;
    let records = if options.follow {
        let mut from = Follower::new(&dir, &wanted).map_err(unreadable)?;
        let first = at_hand(&mut from).await;
        follower = Some(from);
        first
    } else {
        read(&dir, &wanted).map_err(unreadable)?
    };
    let mut print = Print::new(ui.json, known.as_deref(), &records);
    if records.is_empty() && !options.follow {
        if wanted.since.is_some() || wanted.grep.is_some() {
            ui.progress("no line is like that");
        } else if known.is_none() {
            return nothing(&dir, options.target.as_deref(), ui);
        }
    }
    print.records(&records, ui);
    if let Some(mut follower) = follower {
        follow(&mut follower, &mut print, running.as_ref(), ui).await;
    }
    Ok(0)
}

/// What `--grep` looks for.
fn pattern(text: &str) -> Result<Regex, Report> {
    Regex::new(text).map_err(|error| {
        // The crate draws the place; its first line says only that there is an error.
        let said = error.to_string();
        let lines = said.lines().skip(1);
        let report = Report::usage("LB021", format!("`{text}` is no regular expression"));
        lines
            .fold(report, |report, line| report.detail(line.trim_end()))
            .hint("put a backslash before a character that is meant as it stands: `\\[`")
    })
}

/// The running instance of this folder; else what an earlier one left; else the only one that runs.
fn whose(place: &Place, ui: &Ui) -> Result<(Folder, Option<Found>), Report> {
    let here = match instance::find(Some(&place.dir), place.project.as_deref()) {
        Ok(found) => return Ok(running(found, ui)),
        Err(error @ InstanceError::NothingRuns { .. }) => error,
        Err(InstanceError::NoSuchProject { project, .. }) if project == "demo" => {
            return Ok((Folder::demo()?, None));
        }
        Err(error) => return Err(error.into()),
    };
    for dir in place.dir.ancestors() {
        // A folder that cannot be opened left nothing either.
        if let Ok(folder) = Folder::of(dir)
            && folder.logs_dir().is_dir()
        {
            return Ok((folder, None));
        }
    }
    if place.said {
        return Err(here.into());
    }
    match instance::find(None, None) {
        Ok(found) => Ok(running(found, ui)),
        // Nothing runs anywhere: the demo, which belongs to no folder, may have left something.
        Err(InstanceError::NothingRuns { .. }) if Folder::demo()?.logs_dir().is_dir() => {
            ui.note("nothing is running; these are the logs of the last demo");
            Ok((Folder::demo()?, None))
        }
        Err(error) => Err(error.into()),
    }
}

fn running(found: Found, ui: &Ui) -> (Folder, Option<Found>) {
    if let Some(note) = &found.note {
        ui.note(note);
    }
    (found.folder.clone(), Some(found))
}

/// What was typed, as a list; of a running instance each must name a backend that is there or `wrote` something. Without a
/// target, the services it has, with what `scale` adds to them or takes from them: files of earlier ones may lie beside
/// theirs.
fn targets(
    typed: Option<&str>,
    known: Option<&[BackendStatus]>,
    wrote: impl Fn(&str) -> bool,
) -> Result<Option<Vec<String>>, Report> {
    let Some(typed) = typed else {
        let services = known.map(|known| {
            let mut names: Vec<String> = known.iter().map(|one| one.service.clone()).collect();
            names.dedup();
            names
        });
        return Ok(services);
    };
    let typed: Vec<String> = typed
        .split(',')
        .map(|one| one.trim().to_owned())
        .filter(|one| !one.is_empty())
        .collect();
    for one in &typed {
        if let Some(known) = known
            && !known.iter().any(|backend| names(one, backend))
            && !wrote(one)
        {
            return Err(no_such(one, known.iter().map(crate::ui::acted::name)));
        }
    }
    Ok(Some(typed))
}

fn names(typed: &str, backend: &BackendStatus) -> bool {
    typed == "all"
        || typed == backend.id
        || typed == backend.service
        || backend.port.is_some_and(|port| port.to_string() == typed)
}

fn no_such(typed: &str, known: impl Iterator<Item = String>) -> Report {
    let known: Vec<_> = known.map(|name| format!("`{name}`")).collect();
    Report::usage(
        "LB030",
        format!(
            "no backend is called `{typed}`; known: {}",
            known.join(", ")
        ),
    )
    .hint("run `lbdev logs` for all of them")
}

/// No line at all, and nothing runs: that is said, on stderr.
fn nothing(dir: &std::path::Path, typed: Option<&str>, ui: &Ui) -> Result<u8, Report> {
    let mut known: Vec<String> = read(dir, &Wanted::default())
        .unwrap_or_default()
        .into_iter()
        .map(|record| record.backend)
        .collect();
    known.sort();
    known.dedup();
    match typed {
        Some(typed) if typed != "all" && !known.is_empty() => {
            Err(no_such(typed, known.into_iter()))
        }
        _ => {
            ui.progress("the backends wrote nothing");
            Ok(0)
        }
    }
}

/// Goes on until lbdev has ended, if it runs; else until somebody ends this.
async fn follow(from: &mut Follower, print: &mut Print, running: Option<&Found>, ui: &Ui) {
    loop {
        match tokio::time::timeout(LOOK, from.next()).await {
            Ok(Some(record)) => {
                let mut records = vec![record];
                records.extend(at_hand(from).await);
                print.records(&records, ui);
            }
            Ok(None) => return,
            Err(_) if running.is_some_and(|found| !found.folder.is_locked()) => {
                return ui.note("lbdev has ended");
            }
            Err(_) => {}
        }
    }
}

/// What can be had without waiting.
async fn at_hand(from: &mut Follower) -> Vec<Record> {
    let mut records = Vec::new();
    while let Ok(Some(record)) = tokio::time::timeout(Duration::ZERO, from.next()).await {
        records.push(record);
    }
    records
}

struct Print {
    json: bool,
    names: Names,
}

impl Print {
    fn new(json: bool, known: Option<&[BackendStatus]>, records: &[Record]) -> Self {
        let mut ids: Vec<&str> = match known {
            Some(known) => known.iter().map(|backend| backend.id.as_str()).collect(),
            None => records
                .iter()
                .map(|record| record.backend.as_str())
                .collect(),
        };
        if known.is_none() {
            ids.sort_unstable();
            ids.dedup();
        }
        Self {
            json,
            names: Names::new(ids.into_iter().map(short)),
        }
    }

    fn records(&mut self, records: &[Record], ui: &Ui) {
        /// So many are written at once: the first lines of a long log come at once, too.
        const AT_ONCE: usize = 1024;
        for some in records.chunks(AT_ONCE) {
            let text: String = some.iter().map(|record| self.line(record, ui)).collect();
            ui.out(&text);
        }
    }

    fn line(&self, record: &Record, ui: &Ui) -> String {
        if !self.json {
            return lines::render(short(&record.backend), &record.text, &self.names, ui.out);
        }
        let line = JsonLine {
            version: VERSION,
            at: record.at,
            backend: &record.backend,
            stream: if record.err { "stderr" } else { "stdout" },
            text: &record.text,
        };
        // Strings and a time are always JSON.
        let mut text = serde_json::to_string(&line).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names() {
        for (id, expected) in [("web:8000", "8000"), ("worker.1", "worker.1"), ("", "")] {
            assert_eq!(short(id), expected);
        }
    }

    #[test]
    fn a_list_of_targets() {
        for (typed, expected) in [
            (None, None),
            (Some("8000"), Some(vec!["8000"])),
            (
                Some("web:8000, worker.1,"),
                Some(vec!["web:8000", "worker.1"]),
            ),
        ] {
            let expected: Option<Vec<String>> =
                expected.map(|list| list.into_iter().map(str::to_owned).collect());
            assert_eq!(targets(typed, None, |_| false).unwrap(), expected);
        }
        let none: &[BackendStatus] = &[];
        let refused = targets(Some("9"), Some(none), |_| false).unwrap_err();
        assert_eq!(refused.code, "LB030");
        let gone = targets(Some("9"), Some(none), |one| one == "9").unwrap();
        assert_eq!(gone, Some(vec!["9".to_owned()]));
    }
}
