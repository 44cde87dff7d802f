//! `load`: requests at set times, verbs in the middle, and what it all came to.

mod actions;
mod plan;

use std::path::Path;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::cli::{LoadOptions, Place};
use crate::control::client::Client;
use crate::error::Report;
use crate::instance;
use crate::load::{self, Caller, Driven, Plan, RunError, Target, Verb};
use crate::shutdown::{Level, Shutdown};
use crate::ui::Ui;
use crate::ui::load::{Meter, html, text};
use crate::wire::{LoadReport, Status};

/// A connection to the target is tried so long before anything is sent.
const CONNECT: Duration = Duration::from_secs(5);
/// The exit code of what Ctrl-C cut short.
const INTERRUPTED: u8 = 130;

/// Sends the load, and tells what came of it.
pub(super) fn load(place: &Place, options: &LoadOptions, ui: &Ui) -> Result<u8, Vec<Report>> {
    let runtime = super::runtime().map_err(|error| vec![error])?;
    runtime
        .block_on(run(place, options, ui))
        .map_err(|report| vec![report])
}

async fn run(place: &Place, options: &LoadOptions, ui: &Ui) -> Result<u8, Report> {
    let verbs = actions::read(&options.at, options.lasts)?;
    let here = Here::find(place, options, ui).await?;
    let plan = plan::plan(
        options,
        here.as_ref().map(|here| here.status.balancer.url.as_str()),
    )?;
    reach(&plan.target).await?;
    let html = options.html.as_deref();
    if let Some(file) = html {
        // What cannot be written is told before minutes have gone by.
        writable(file).map_err(|error| unwritable(file, &error))?;
    }
    // Of another server's load our own events would tell nothing.
    let here = here.filter(|here| here.is_at(&plan.target));
    let driven = send(place, &plan, here.as_ref(), &verbs, ui).await?;
    let report = load::report(&plan, &driven, &options.limits);
    if let Some(file) = html {
        write(file, &html_of(&report)?)?;
    }
    if ui.json {
        ui.json(&report);
    } else {
        ui.out(&text(&report, ui.width(), ui.out));
        if let Some(file) = html {
            ui.note(&format!("the page is in `{}`", file.display()));
        }
    }
    Ok(code(&report))
}

fn html_of(report: &LoadReport) -> Result<String, Report> {
    html::page(report)
        .map_err(|error| Report::failed("LB007", format!("cannot make the page: {error}")))
}

/// Success, or what was not.
fn code(report: &LoadReport) -> u8 {
    let nothing = report.ok == 0;
    let broken = report.limits.iter().any(|limit| !limit.held);
    let acted = report.actions.iter().any(|one| one.exit != Some(0));
    match () {
        () if report.stopped => INTERRUPTED,
        () if nothing || broken || acted => 1,
        () => 0,
    }
}

/// The running instance.
struct Here {
    client: Client,
    status: Status,
}

impl Here {
    /// The one that is meant; `None` where an address was said, and no instance is there.
    async fn find(place: &Place, options: &LoadOptions, ui: &Ui) -> Result<Option<Self>, Report> {
        let needed = plan::needs_instance(&options.urls);
        let found = match instance::find(place.said_dir(), place.project.as_deref()) {
            Ok(found) => found,
            Err(error) if needed => return Err(error.into()),
            Err(_) => return Ok(None),
        };
        if let Some(note) = found.note.as_ref().filter(|_| needed) {
            ui.note(note);
        }
        let client = super::client_of(&found)?;
        let status = client.status().await?;
        Ok(Some(Self { client, status }))
    }

    /// The load goes to its balancer.
    fn is_at(&self, target: &Target) -> bool {
        let of_its = Target::parse(&self.status.balancer.url);
        of_its.is_ok_and(|(its, _)| its.port() == target.port() && target.is_here())
    }
}

/// Sends everything, and shows how far it is.
async fn send(
    place: &Place,
    plan: &Plan,
    here: Option<&Here>,
    verbs: &[Verb],
    ui: &Ui,
) -> Result<Driven, Report> {
    let shutdown = Shutdown::default();
    shutdown.listen().map_err(machine)?;
    let caller = Caller {
        dir: place.dir.clone(),
        project: place.project.clone(),
    };
    let meter = Meter::new(*ui, plan);
    let client = here.map(|here| &here.client);
    let stop = async {
        shutdown.reached(Level::Drain).await;
    };
    let driven = load::drive(plan, verbs, &caller, client, |seen| meter.show(&seen), stop);
    let driven = tokio::select! {
        driven = driven => driven,
        _ = shutdown.reached(Level::Force) => std::process::exit(i32::from(INTERRUPTED)),
    };
    meter.end();
    let driven = driven.map_err(|error| match error {
        RunError::Machine(error) => machine(error),
        RunError::Plan(error) => plan::report(&error),
    })?;
    undo_faults(here, &driven.acted, ui).await;
    Ok(driven)
}

/// A fault that was put in for this load ends with it.
async fn undo_faults(here: Option<&Here>, acted: &[load::Acted], ui: &Ui) {
    let Some(here) = here else { return };
    let is_fault = |one: &load::Acted| one.command.split_whitespace().next() == Some("fault");
    if !acted.iter().any(is_fault) {
        return;
    }
    let Ok(now) = here.client.status().await else {
        return;
    };
    for backend in &now.backends {
        let before = super::act::find(&here.status, &backend.id);
        let had = before.is_some_and(|before| before.fault == backend.fault);
        let Some(fault) = backend.fault.as_ref().filter(|_| !had) else {
            continue;
        };
        let off = serde_json::json!({ "off": true });
        match here.client.act(&backend.id, "fault", Some(off)).await {
            Ok(_) => ui.note(&format!(
                "the fault of {} is taken out again ({fault})",
                crate::ui::acted::name(backend)
            )),
            Err(error) => ui.report(&error.into()),
        }
    }
}

/// Somebody accepts connections there.
async fn reach(target: &Target) -> Result<(), Report> {
    let mut last = None;
    for address in &target.addresses {
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => last = Some(error.to_string()),
            Err(_) => last = Some(format!("no answer within {} s", CONNECT.as_secs())),
        }
    }
    let why = last.unwrap_or_else(|| "it has no address".to_owned());
    let message = format!("nobody answers at `http://{}`: {why}", target.authority);
    Err(Report::failed("LB050", message)
        .hint("run `lbdev up`, or see with `lbdev status` where it answers"))
}

/// An earlier page stays until there is another one: the load may be cut short.
fn writable(file: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true).open(file).map(drop)
}

fn write(file: &Path, text: &str) -> Result<(), Report> {
    std::fs::write(file, text).map_err(|error| unwritable(file, &error))
}

fn unwritable(file: &Path, error: &std::io::Error) -> Report {
    let message = format!("cannot write `{}`: {error}", file.display());
    Report::failed("LB007", message).hint("say another file with `--html`")
}

fn machine(error: std::io::Error) -> Report {
    Report::failed(
        "LB008",
        format!("the machine refuses what a load needs: {error}"),
    )
    .hint("raise the limits: `ulimit -n 4096`, or send less: `--connections 50`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_whether_a_file_can_be_written_leaves_it_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report.html");
        writable(&file).unwrap();
        std::fs::write(&file, "an earlier page").unwrap();
        writable(&file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "an earlier page");
        assert!(writable(&folder.path().join("none/report.html")).is_err());
    }
}
