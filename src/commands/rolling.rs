//! `restart --rolling`: one backend after the other, so that the others serve.
//!
//! The command leads and the server does each step whole: a Ctrl-C in between leaves the present backend to be finished
//! by the server, and the others as they are.

use super::act::{find, restart_named};
use super::{connect, tell_backends};
use crate::cli::Place;
use crate::error::Report;
use crate::ui::status::serves;
use crate::ui::{Ui, acted};
use crate::wire::{BackendStatus, Status};

/// Restarts each backend of `target`, the next one only when the one before takes requests again. Stops at the first that
/// does not come up, and says which were not touched.
pub(super) async fn restart(place: &Place, target: &str, ui: &Ui) -> Result<u8, Report> {
    let (_, client) = connect(place, ui)?;
    let mut named = client.backends(target).await?.backends;
    if let Some(external) = named.iter().find(|backend| backend.kind == "external") {
        // Said before anything is done, as the plain restart does.
        let message = format!("`{}` was not started by lbdev", external.id);
        return Err(Report::failed("LB031", message)
            .hint("name those that it started; `lbdev status` lists them"));
    }
    // What does not serve comes first: it costs nobody a place, and a setting that cannot start is found out there.
    named.sort_by_key(serves);
    for (place, backend) in named.iter().enumerate() {
        let left = &named[place + 1..];
        let status =
            (client.status().await).map_err(|error| not_touched(error.into(), &named[place..]))?;
        if find(&status, &backend.id).is_none() {
            gone(backend, ui);
            continue;
        }
        if is_last(&status, &backend.id) {
            ui.note(&format!(
                "no other backend of `{}` takes requests: they wait while {} restarts",
                backend.service,
                acted::name(backend)
            ));
        }
        match restart_named(&client, &backend.id, ui).await {
            // Somebody wants fewer by now, and this is one of those that go.
            Err(report) if report.code == "LB030" => gone(backend, ui),
            done => {
                done.map_err(|report| not_touched(report, left))?;
            }
        }
    }
    tell_backends(&client, target, ui).await?;
    Ok(0)
}

/// Whether it takes requests, and nobody else of its service does.
fn is_last(status: &Status, id: &str) -> bool {
    let Some(backend) = find(status, id).filter(|backend| serves(backend)) else {
        return false;
    };
    let mut of_service = (status.backends.iter()).filter(|other| other.service == backend.service);
    backend.port.is_some() && !of_service.any(|other| other.id != id && serves(other))
}

fn gone(backend: &BackendStatus, ui: &Ui) {
    ui.note(&format!(
        "{} is passed over: fewer backends of `{}` are wanted now",
        acted::name(backend),
        backend.service
    ));
}

fn not_touched(report: Report, left: &[BackendStatus]) -> Report {
    if left.is_empty() {
        return report;
    }
    let names: Vec<String> = left
        .iter()
        .map(|backend| format!("`{}`", acted::name(backend)))
        .collect();
    report.detail(format!("not touched: {}", names.join(", ")))
}
