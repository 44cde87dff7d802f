//! `reload`: a running lbdev takes over what `lbdev.toml` says by now.

use super::act::{LOOK, PATIENCE, find};
use super::connect;
use crate::cli::Place;
use crate::control::client::{Client, ClientError};
use crate::error::Report;
use crate::ui::{Ui, acted};
use crate::wire::{Reloaded, Status};
use std::time::Instant;

/// By the request that it runs by. Every error of the file is told, with its place in it.
pub(super) async fn reload(place: &Place, ui: &Ui) -> Result<u8, Vec<Report>> {
    let (_, client) = connect(place, ui).map_err(|report| vec![report])?;
    let before = client.status().await.map_err(|error| vec![error.into()])?;
    let reloaded = client.reload(None).await.map_err(ClientError::reports)?;
    tell(&reloaded, ui);
    let followed = follow(&client, &reloaded, &before, ui).await;
    let code = followed.map_err(|report| vec![report])?;
    if ui.json {
        ui.json(&reloaded);
    }
    Ok(code)
}

/// Says what has changed at once, and what is under way.
pub(crate) fn tell(reloaded: &Reloaded, ui: &Ui) {
    for note in &reloaded.notes {
        ui.note(note);
    }
    for line in acted::reloaded(reloaded) {
        ui.did(&line);
    }
}

/// Waits until what is new is ready, what is gone has gone, and what is another has been restarted.
pub(crate) async fn follow(
    client: &Client,
    reloaded: &Reloaded,
    before: &Status,
    ui: &Ui,
) -> Result<u8, Report> {
    let began = Instant::now();
    let mut open: Vec<&String> = (reloaded.added.iter())
        .chain(&reloaded.outdated)
        .chain(&reloaded.dropped)
        .collect();
    loop {
        let status = client.status().await?;
        let took = began.elapsed();
        let mut failed = None;
        open.retain(|id| {
            let now = find(&status, id);
            if reloaded.dropped.contains(*id) {
                let old = find(before, id);
                if now.is_none()
                    && let Some(old) = old
                {
                    ui.did(&acted::gone(old, old.pid, took, ui.out));
                }
                return now.is_some();
            }
            // Somebody took it out meanwhile.
            let Some(now) = now else { return false };
            let old = find(before, id).filter(|_| reloaded.outdated.contains(*id));
            let same = old.is_some_and(|old| old.pid.is_some() && old.pid == now.pid);
            match now.state.as_str() {
                _ if now.done && !same => false,
                "failed" => {
                    failed.get_or_insert_with(|| now.clone());
                    false
                }
                // It stays down, as somebody wanted.
                "stopped" if now.desired == "stopped" => false,
                "up" if !same => {
                    ui.did(&acted::up(now, took, ui.out));
                    false
                }
                "draining" if !now.enabled && !same && now.healthy => false,
                _ if now.waiting => {
                    let why = now.why.as_deref().unwrap_or("waits");
                    ui.note(&format!("`{id}` is started later: {why}"));
                    false
                }
                _ => true,
            }
        });
        if let Some(failed) = failed {
            let why = failed.why.as_deref().unwrap_or("it ended");
            let message = format!(
                "backend `{}` does not start by the new set-up: {why}",
                failed.id
            );
            let name = acted::name(&failed);
            return Err(Report::failed("LB015", message)
                .detail("those that were not restarted go on as before")
                .hint(format!(
                    "run `lbdev logs {name}`, mend lbdev.toml, then run `lbdev reload`"
                )));
        }
        if open.is_empty() {
            return Ok(0);
        }
        if took >= PATIENCE {
            let message = format!(
                "`{}` is not through with it after {} s",
                open[0],
                PATIENCE.as_secs()
            );
            return Err(Report::failed("LB011", message).hint("run `lbdev status`"));
        }
        tokio::time::sleep(LOOK).await;
    }
}
