//! `kill`, `start`, `stop`, `restart`.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{connect, tell_backends};
use crate::backend::Signal;
use crate::cli::Place;
use crate::control::client::Client;
use crate::error::Report;
use crate::ui::acted::Back;
use crate::ui::{Ui, acted};
use crate::wire::{BackendStatus, Status};

/// Between two looks at how far it is.
pub(super) const LOOK: Duration = Duration::from_millis(25);
/// A start or a stop that takes longer is not waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Sends a signal, now. Nothing is waited for.
pub(super) async fn kill(
    place: &Place,
    target: &str,
    signal: Signal,
    restart: bool,
    ui: &Ui,
) -> Result<u8, Report> {
    let (_, client) = connect(place, ui)?;
    let before = client.status().await?;
    let signal_name = signal.full_name();
    let body = json!({ "signal": signal_name, "restart": restart });
    let reply = client.act(target, "kill", Some(body)).await?;
    let ends = signal == Signal::Kill;
    let mut killed = 0;
    for backend in &reply.backends {
        let pid = find(&before, &backend.id).and_then(|before| before.pid);
        let line = match pid {
            None => acted::already(backend, ui.out),
            Some(pid) if ends => {
                killed += 1;
                let back = match restart {
                    true => Back::ByPolicy,
                    false if reply.backends.len() == 1 => Back::ByStart,
                    false => Back::SaidElsewhere,
                };
                acted::killed(backend, signal_name, pid, back, ui.out)
            }
            Some(pid) => acted::signalled(backend, signal_name, pid, ui.out),
        };
        ui.did(&line);
    }
    if killed > 0 && !restart && reply.backends.len() > 1 {
        ui.did(&acted::bring_back(target));
    }
    if ui.json {
        ui.json(&reply);
    }
    Ok(0)
}

/// Starts what is down, and waits until it answers.
pub(super) async fn start(place: &Place, target: &str, ui: &Ui) -> Result<u8, Report> {
    let (_, client) = connect(place, ui)?;
    let before = client.status().await?;
    let reply = client.act(target, "start", None).await?;
    let mut waiting = Vec::new();
    for backend in reply.backends {
        let old = find(&before, &backend.id);
        if old.is_some_and(|old| old.state == "up") {
            ui.did(&acted::already(&backend, ui.out));
        } else if old.is_some_and(|old| old.desired == "up" && up_but_drained(old)) {
            ui.did(&acted::up_but_drained(&backend, ui.out));
        } else {
            waiting.push(backend);
        }
    }
    wait(&client, waiting, ui, |now, _, took| {
        // It was ending, and comes up again when it has ended.
        let ending = find(&before, &now.id)
            .is_some_and(|old| old.desired == "stopped" && old.pid.is_some() && old.pid == now.pid);
        if ending && up_but_drained(now) {
            return Verdict::NotYet;
        }
        judge_start(now, took, ui)
    })
    .await?;
    tell_backends(&client, target, ui).await?;
    Ok(0)
}

/// Lets requests in flight finish, stops, and waits until it has ended.
pub(super) async fn stop(place: &Place, target: &str, ui: &Ui) -> Result<u8, Report> {
    let (_, client) = connect(place, ui)?;
    let before = client.status().await?;
    let reply = client.act(target, "stop", None).await?;
    let mut waiting = Vec::new();
    for backend in reply.backends {
        let old = find(&before, &backend.id);
        if old.is_some_and(|old| old.state == "stopped" && old.desired == "stopped") {
            ui.did(&acted::already(&backend, ui.out));
        } else {
            waiting.push(backend);
        }
    }
    let one = waiting.len() == 1;
    wait(&client, waiting, ui, |now, _, took| {
        match now.state.as_str() {
            "stopped" => {
                let pid = find(&before, &now.id).and_then(|before| before.pid);
                Verdict::Done(acted::stopped(now, pid, took, one, ui.out))
            }
            _ => Verdict::NotYet,
        }
    })
    .await?;
    tell_backends(&client, target, ui).await?;
    Ok(0)
}

/// Stops, starts, and waits until it answers again.
pub(super) async fn restart(place: &Place, target: &str, ui: &Ui) -> Result<u8, Report> {
    let (_, client) = connect(place, ui)?;
    restart_named(&client, target, ui).await?;
    tell_backends(&client, target, ui).await?;
    Ok(0)
}

/// Restarts all that `target` names at once.
pub(super) async fn restart_named(client: &Client, target: &str, ui: &Ui) -> Result<u8, Report> {
    let before = client.status().await?;
    let reply = client.act(target, "restart", None).await?;
    wait(client, reply.backends, ui, |now, _, took| {
        let old = find(&before, &now.id);
        // It is still the old process that is up: the restart has not begun.
        let same = old.is_some_and(|old| old.pid == now.pid && old.restarts == now.restarts);
        if same && old.is_some_and(|old| old.pid.is_some()) {
            return Verdict::NotYet;
        }
        judge_start(now, took, ui)
    })
    .await
}

pub(super) enum Verdict {
    NotYet,
    Done(String),
    Failed(Box<Report>),
}

pub(super) fn judge_start(now: &BackendStatus, took: Duration, ui: &Ui) -> Verdict {
    match now.state.as_str() {
        "up" => Verdict::Done(acted::up(now, took, ui.out)),
        _ if up_but_drained(now) => Verdict::Done(acted::up(now, took, ui.out)),
        // It was told to start: if it is stopped, it has ended by itself, or somebody else has stopped it.
        "failed" | "backoff" | "stopped" => {
            let why = now.why.as_deref().unwrap_or("it ended");
            let report = Report::failed(
                "LB010",
                format!("backend `{}` did not start: {why}", now.id),
            );
            let name = acted::name(now);
            Verdict::Failed(Box::new(report.hint(format!("run `lbdev logs {name}`"))))
        }
        _ => Verdict::NotYet,
    }
}

/// It answers, and gets no requests because the operator said so.
fn up_but_drained(now: &BackendStatus) -> bool {
    now.state == "draining" && !now.enabled && now.healthy
}

/// Asks until `judge` is content with each, or `PATIENCE` is over. The first failure is reported when all are through.
pub(super) async fn wait(
    client: &Client,
    mut waiting: Vec<BackendStatus>,
    ui: &Ui,
    judge: impl Fn(&BackendStatus, &Status, Duration) -> Verdict,
) -> Result<u8, Report> {
    let began = Instant::now();
    let mut failure = None;
    while !waiting.is_empty() {
        let status = client.status().await?;
        let took = began.elapsed();
        waiting.retain(|backend| {
            // One that is no longer there is not waited for.
            let Some(now) = find(&status, &backend.id) else {
                return false;
            };
            match judge(now, &status, took) {
                Verdict::NotYet => true,
                Verdict::Done(line) => {
                    ui.did(&line);
                    false
                }
                Verdict::Failed(report) => {
                    match failure {
                        None => failure = Some(*report),
                        Some(_) if ui.json => {}
                        Some(_) => ui.report(&report),
                    }
                    false
                }
            }
        });
        if let Some(slow) = waiting.first()
            && took >= PATIENCE
        {
            let slow = find(&status, &slow.id).unwrap_or(slow);
            return Err(too_slow(slow, waiting.len()));
        }
        if !waiting.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    }
    failure.map_or(Ok(0), Err)
}

fn too_slow(slow: &BackendStatus, how_many: usize) -> Report {
    let others = match how_many {
        1 => String::new(),
        n => format!(", and so are {} others", n - 1),
    };
    Report::failed(
        "LB011",
        format!(
            "backend `{}` is still {} after {} s{others}",
            slow.id,
            slow.state,
            PATIENCE.as_secs()
        ),
    )
    .hint(format!("run `lbdev logs {}`", acted::name(slow)))
}

pub(super) fn find<'a>(status: &'a Status, id: &str) -> Option<&'a BackendStatus> {
    status.backends.iter().find(|backend| backend.id == id)
}
