//! `lbdev ls`.

use std::path::Path;

use serde::Serialize;

use super::Paint;
use super::table::{Column, KEEP, render as table};
use super::units::uptime;
use crate::instance::tilde;
use crate::wire::{Instance, Status, VERSION};

/// `lbdev ls --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listing {
    version: u32,
    projects: Vec<Project>,
}

/// One running project.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Project {
    project: String,
    dir: String,
    /// Its folder is no longer at `dir`: it was moved or removed while it runs.
    moved: bool,
    pid: u32,
    url: String,
    /// As in `status`, or `silent` where it does not answer.
    state: String,
    serving: usize,
    backends: usize,
    uptime_s: Option<f64>,
}

/// What each instance says of itself; `None` for one that does not answer.
pub fn listing(found: &[(Instance, Option<Status>)]) -> Listing {
    let projects = found.iter().map(|(instance, status)| Project {
        project: instance.project.clone(),
        dir: instance.dir.clone(),
        moved: !instance.is_in_place(),
        pid: instance.pid,
        url: instance.url.clone(),
        state: status.as_ref().map_or("silent", |s| &s.state).to_owned(),
        serving: status.as_ref().map_or(0, |status| {
            let all = status.backends.iter();
            all.filter(|b| super::status::serves(b)).count()
        }),
        backends: status.as_ref().map_or(0, |status| status.backends.len()),
        uptime_s: status.as_ref().map(|status| status.uptime_s),
    });
    Listing {
        version: VERSION,
        projects: projects.collect(),
    }
}

/// A row a project.
pub fn render(listing: &Listing, paint: Paint, width: Option<usize>) -> String {
    let columns = [
        Column::left("PROJECT", KEEP),
        Column::left("STATE", 40),
        Column::right("SERVING", 30),
        Column::right("UP", 20),
        Column::left("ADDRESS", 50),
        Column::left("FOLDER", 10),
    ];
    let rows: Vec<_> = listing.projects.iter().map(|one| row(one, paint)).collect();
    table(&columns, &rows, width)
}

fn row(one: &Project, paint: Paint) -> Vec<String> {
    let state = match one.state.as_str() {
        "serving" => paint.good("● serving"),
        "silent" => paint.bad("? silent"),
        "down" => paint.bad("✗ down"),
        other => paint.attention(&format!("! {other}")),
    };
    vec![
        one.project.clone(),
        state,
        format!("{} of {}", one.serving, one.backends),
        one.uptime_s.map_or("-".to_owned(), uptime),
        one.url.clone(),
        match one.moved {
            true => format!("{} (moved or removed since)", tilde(Path::new(&one.dir))),
            false => tilde(Path::new(&one.dir)),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::status::tests::{backend, status};

    #[test]
    fn rows_and_json() {
        let instance = |project: &str| Instance {
            version: VERSION,
            id: "x".into(),
            project: project.into(),
            dir: format!("/srv/{project}"),
            pid: 7,
            url: "http://localhost:8080".into(),
            socket: "/s".into(),
            started: jiff::Timestamp::UNIX_EPOCH,
            dashboard: None,
            setup: String::new(),
            device: 0,
            inode: u64::from(project == "hangs"),
        };
        let backends = vec![backend(8000, "up"), backend(8001, "stopped")];
        let list = listing(&[
            (instance("mysite"), Some(status(backends))),
            (instance("hangs"), None),
        ]);
        insta::assert_snapshot!(render(&list, Paint::new(false), None), @r"
        PROJECT  STATE      SERVING      UP  ADDRESS                FOLDER
        mysite   ● serving   1 of 2  12m04s  http://localhost:8080  /srv/mysite
        hangs    ? silent    0 of 0       -  http://localhost:8080  /srv/hangs (moved or removed since)
        ");
        insta::assert_snapshot!(serde_json::to_string(&listing(&[])).unwrap(), @r#"{"version":1,"projects":[]}"#);
    }
}
