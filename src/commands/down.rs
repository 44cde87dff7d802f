//! `down`.

use std::time::{Duration, Instant};

use super::client_of;
use crate::cli::Place;
use crate::control::Client;
use crate::error::Report;
use crate::instance::{self, Folder, Found, InstanceError};
use crate::process;
use crate::ui::Ui;
use crate::ui::units::{plural, took};
use crate::wire::{BackendStatus, Instance, VERSION};
use serde_json::json;

/// Between two looks at whether it is gone.
const LOOK: Duration = Duration::from_millis(20);
/// How long one that starts may take until it can be told to stop.
const START: Duration = Duration::from_secs(15);
/// One that was killed is gone after that.
const GOING: Duration = Duration::from_secs(1);
/// After so long, and each time again, it is said what it is waiting for, where that has changed.
const SAY: Duration = Duration::from_secs(1);
/// Drain and stop timeouts are a matter of the set-up, so this is no more than the end of all patience.
const PATIENCE: Duration = Duration::from_secs(120);

/// Stops everything that was started for this folder, or for all folders. Nothing to stop is fine.
pub(super) async fn down(place: &Place, all: bool, ui: &Ui) -> Result<u8, Report> {
    let found = if all {
        instance::all_running()?
    } else {
        reachable(place).await?;
        meant(place, ui)?
    };
    // What one that was killed has left is to go, too; it may be killed while it is being stopped.
    let dir = (!all).then_some(place.dir.as_path());
    let clean_up = || match all || place.project.is_none() {
        true => super::left_over::clean_up(dir, ui),
        false => Ok(()),
    };
    if found.is_empty() {
        clean_up()?;
        let what = match (all, &place.project) {
            (true, _) => "nothing is running".to_owned(),
            (false, Some(project)) => format!("no project called `{project}` is running"),
            (false, None) => format!("nothing is running for `{}`", instance::tilde(&place.dir)),
        };
        ui.progress(&what);
        tell_stopped(&[], ui);
        return Ok(0);
    }
    let mut failure = None;
    for one in &found {
        if let Err(report) = stop(one, ui).await {
            match failure {
                None => failure = Some(report),
                Some(_) if ui.json => {}
                Some(_) => ui.report(&report),
            }
        }
    }
    clean_up()?;
    failure.map_or(Ok(()), Err)?;
    tell_stopped(&found, ui);
    Ok(0)
}

/// Under `--json`: what was stopped.
fn tell_stopped(found: &[Found], ui: &Ui) {
    if ui.json {
        let one = |found: &Found| {
            let Instance {
                project, dir, pid, ..
            } = &found.instance;
            json!({ "project": project, "dir": dir, "pid": pid })
        };
        let stopped: Vec<_> = found.iter().map(one).collect();
        ui.json(&json!({ "version": VERSION, "stopped": stopped }));
    }
}

/// One that has only just been started cannot be told anything yet, but it is there: its folder is locked. It is waited
/// for, else it would go on after a `down` that found nothing.
async fn reachable(place: &Place) -> Result<(), Report> {
    if place.project.is_some() {
        return Ok(());
    }
    // A folder that is not there has none.
    let folders: Vec<Folder> = place
        .dir
        .ancestors()
        .filter_map(|dir| Folder::of(dir).ok())
        .collect();
    let until = Instant::now() + START;
    for folder in folders {
        while folder.is_locked() && instance::running(&folder).is_none() {
            if Instant::now() >= until {
                let what = "the lbdev of this folder neither answers nor ends";
                return Err(Report::failed("LB006", what).hint(format!(
                    "find its pid with `{}`, then run `{}`",
                    process::FIND_COMMAND,
                    process::kill_command("PID")
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}

/// Unlike other verbs, `down` takes no other project than this folder's because it is the only one: who types it twice
/// must not stop somebody else's work. The demo belongs to no folder, so it is taken.
fn meant(place: &Place, ui: &Ui) -> Result<Vec<Found>, Report> {
    let found = match instance::find(Some(&place.dir), place.project.as_deref()) {
        Err(error @ InstanceError::NothingRuns { .. }) if !place.said => instance::running_demo()?
            .map(|demo| Found {
                note: Some("using the demo".to_owned()),
                ..demo
            })
            .ok_or(error),
        other => other,
    };
    match found {
        Ok(found) => {
            if let Some(note) = &found.note {
                ui.note(note);
            }
            Ok(vec![found])
        }
        Err(error) if error.nothing_runs() => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

async fn stop(found: &Found, ui: &Ui) -> Result<(), Report> {
    let client = client_of(found)?;
    // For the last line only: one that cannot say it is stopped all the same.
    let backends = client.status().await.map_or(0, |status| {
        let balanced = status.backends.iter().filter(|one| one.kind != "engine");
        balanced.count()
    });
    let began = Instant::now();
    if let Err(error) = client.shutdown().await {
        // It may have ended between the look and the question, or be ending: the last of its threads gives the lock back.
        let until = Instant::now() + GOING;
        while found.folder.is_locked() {
            if Instant::now() >= until {
                return Err(Report::from(error).hint(format!(
                    "run `{}`",
                    process::kill_command(found.instance.pid)
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    let mut waits = HeldUp::default();
    while found.folder.is_locked() {
        let waited = began.elapsed();
        if waited >= PATIENCE {
            let report = Report::failed(
                "LB006",
                format!(
                    "lbdev (pid {}) has not ended {} after it was told to",
                    found.instance.pid,
                    took(waited)
                ),
            );
            return Err(report.hint(format!(
                "run `{}`",
                process::kill_command(found.instance.pid)
            )));
        }
        waits.look(&client, waited, ui).await;
        tokio::time::sleep(LOOK).await;
    }
    let backends = plural(backends, "backend", "backends");
    ui.did(&format!(
        "{} {} stopped after {} ({backends})",
        ui.out.check(),
        found.instance.project,
        took(began.elapsed())
    ));
    Ok(())
}

/// Whom an end waits for, said once a second where it is not the same as before.
#[derive(Default)]
struct HeldUp {
    looks: u32,
    said: Vec<String>,
}

impl HeldUp {
    async fn look(&mut self, client: &Client, waited: Duration, ui: &Ui) {
        if waited < SAY * (self.looks + 1) {
            return;
        }
        self.looks += 1;
        let Ok(status) = client.status().await else {
            return;
        };
        let now: Vec<String> = status.backends.iter().filter_map(held_up).collect();
        if !now.is_empty() && now != self.said {
            ui.note(&format!("still waiting for {}", now.join("; ")));
            self.said = now;
        }
    }
}

/// Why a backend is still there.
fn held_up(backend: &BackendStatus) -> Option<String> {
    let pid = backend.pid?;
    let why = match (backend.state.as_str(), backend.in_flight) {
        ("draining", Some(1)) => "1 request in flight".to_owned(),
        ("draining", Some(in_flight)) => format!("{in_flight} requests in flight"),
        (state, _) => backend.why.clone().unwrap_or_else(|| state.to_owned()),
    };
    Some(format!("`{}` (pid {pid}): {why}", backend.id))
}
