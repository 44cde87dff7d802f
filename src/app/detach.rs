//! `up -d`: starts lbdev in the background and tells how that went; and what `up` does where lbdev runs already.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use super::serve::LOST_THE_RACE;
use super::{BACKGROUND, Start};
use crate::cli::{LogsOptions, Task, UpOptions};
use crate::config;
use crate::control::Client;
use crate::error::Report;
use crate::instance;
use crate::ui;
use crate::{commands, process, wire};

/// How long a background process may take until its socket answers.
const SOCKET: Duration = Duration::from_secs(15);
/// How long its log may take to say why some backends failed.
const REASONS: Duration = Duration::from_secs(1);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(5);

/// Starts lbdev in the background. Returns when it runs, or with `--wait` when all backends are ready.
pub(super) fn up(start: &Start) -> Result<u8, Vec<Report>> {
    let Start { folder, ui, .. } = start;
    if folder.is_locked() {
        return already_running(start);
    }
    folder.create().map_err(|error| vec![error.into()])?;
    let mut args: Vec<OsString> = std::env::args_os().skip(1).collect();
    args.insert(0, BACKGROUND.into());
    let log = folder.boot_log();
    let daemon = process::spawn_detached(args, &log).map_err(|error| {
        vec![Report::failed(
            "LB008",
            format!("lbdev cannot start itself in the background: {error}"),
        )]
    })?;
    let ended = || matches!(daemon.try_wait(), Ok(Some(_)) | Err(_));
    let outcome = block_on(async {
        let until = Instant::now() + SOCKET;
        loop {
            if let Ok(Some(status)) = daemon.try_wait() {
                let code = status
                    .code()
                    .and_then(|code| u8::try_from(code).ok())
                    .unwrap_or(1);
                if code == LOST_THE_RACE {
                    return Ok(None);
                }
                ui.progress(&std::fs::read_to_string(&log).unwrap_or_default());
                return Ok(Some(code));
            }
            if instance::running(folder).is_some_and(|instance| instance.pid == daemon.pid()) {
                return follow_start(start, &ended).await.map(Some);
            }
            if Instant::now() >= until {
                let report = Report::failed(
                    "LB006",
                    format!("lbdev (pid {}) started and does not answer", daemon.pid()),
                )
                .detail(format!("its log: {}", log.display()))
                .hint(format!("run `lbdev down`, then `{}`", start.command()));
                return Err(vec![report]);
            }
            tokio::time::sleep(LOOK).await;
        }
    })?;
    match outcome {
        Some(code) => Ok(code),
        None => already_running(start),
    }
}

/// What `up` does where lbdev runs already: nothing, if the set-up is the same.
pub(super) fn already_running(start: &Start) -> Result<u8, Vec<Report>> {
    let Start {
        options,
        config,
        folder,
        ui,
        ..
    } = start;
    let instance = block_on(async {
        let until = Instant::now() + SOCKET;
        loop {
            if let Some(instance) = instance::running(folder) {
                return Ok(Some(instance));
            }
            if !folder.is_locked() {
                return Ok(None);
            }
            if Instant::now() >= until {
                let report = Report::failed(
                    "LB006",
                    "another lbdev holds this project and does not answer".to_owned(),
                )
                .hint(format!("run `lbdev down`, then `{}`", start.command()));
                return Err(vec![report]);
            }
            tokio::time::sleep(LOOK).await;
        }
    })?;
    let Some(instance) = instance else {
        // It was just ending.
        let report = Report::failed(
            "LB006",
            "another lbdev of this project has just ended".to_owned(),
        );
        return Err(vec![
            report.hint(format!("run `{}` again", start.command())),
        ]);
    };
    if instance.setup != config::fingerprint(config) {
        let report = Report::failed(
            "LB003",
            format!(
                "lbdev is already running here (pid {}, {}) with another set-up",
                instance.pid, instance.url
            ),
        );
        return Err(vec![report.hint(format!(
            "run `lbdev down`, then `{}` again",
            start.command()
        ))]);
    }
    ui.note(&format!(
        "already running (pid {}) at {}",
        instance.pid, instance.url
    ));
    if options.detach {
        return block_on(follow_start(start, &|| !folder.is_locked()));
    }
    ui.note("following its logs; Ctrl-C only lets go");
    let logs = LogsOptions {
        target: None,
        follow: true,
        last: Some(0),
        json: false,
    };
    commands::run(Task::Logs(logs), &start.place, ui)
}

/// Without `--wait`: until everything is launched. With it: until everything is ready, or cannot be.
async fn follow_start(start: &Start, ended: &dyn Fn() -> bool) -> Result<u8, Vec<Report>> {
    let Start {
        options,
        config,
        folder,
        ui,
        ..
    } = start;
    let client = Client::new(folder.socket()).map_err(|error| vec![error.into()])?;
    let mut screen = ui::Starting::new(
        *ui,
        ui::About::new(config, Some(super::preflight::said(config))),
    );
    let until = Instant::now() + options.wait_timeout;
    loop {
        // It ends by itself when nothing can become of it, and its log says why.
        if ended() {
            screen.end(None);
            ui.progress(&std::fs::read_to_string(folder.boot_log()).unwrap_or_default());
            return Ok(1);
        }
        let Ok(status) = client.status().await else {
            tokio::time::sleep(LOOK).await;
            continue;
        };
        screen.show(&status);
        let on_the_way = |backend: &wire::BackendStatus| match backend.state.as_str() {
            "starting" => options.wait || (backend.kind == "managed" && backend.pid.is_none()),
            "backoff" => options.wait,
            _ => false,
        };
        let all = status.backends.len();
        let ready = status
            .backends
            .iter()
            .filter(|backend| backend.state == "up")
            .count();
        let settled = status.state != "stopping" && !status.backends.iter().any(on_the_way);
        if ready == all {
            screen.end(Some(&status));
            return Ok(0);
        }
        if settled && !hopeless(&status) {
            screen.end(Some(&status));
            relay_reasons(start, ended).await;
            return Ok(u8::from(options.wait));
        }
        if options.wait && Instant::now() >= until {
            screen.end(Some(&status));
            return Err(too_slow(options, &client, &status, ready).await);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether lbdev will end by itself: every backend of a service ended before it was ready.
fn hopeless(status: &wire::Status) -> bool {
    let dead = |backend: &&wire::BackendStatus| backend.state == "failed" && backend.restarts == 0;
    let mut services: Vec<&str> = status
        .backends
        .iter()
        .map(|backend| backend.service.as_str())
        .collect();
    services.dedup();
    let of = |service: &str| {
        status
            .backends
            .iter()
            .filter(move |backend| backend.service == service)
            .collect::<Vec<_>>()
    };
    services
        .into_iter()
        .any(|service| of(service).iter().all(dead))
}

/// Why some are not ready is in the log of the background, or will be in an instant.
async fn relay_reasons(start: &Start, ended: &dyn Fn() -> bool) {
    let until = Instant::now() + REASONS;
    loop {
        let said = std::fs::read_to_string(start.folder.boot_log()).unwrap_or_default();
        if said.ends_with('\n') || ended() || Instant::now() >= until {
            return start.ui.progress(&said);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The time is up: what nobody can use is ended again; what serves in part goes on.
async fn too_slow(
    options: &UpOptions,
    client: &Client,
    status: &wire::Status,
    ready: usize,
) -> Vec<Report> {
    let mut reports = Vec::new();
    for backend in status
        .backends
        .iter()
        .filter(|backend| backend.state == "starting")
    {
        let elsewhere = match (backend.pid, backend.port) {
            (Some(pid), Some(port)) => super::preflight::other_ports(pid, port),
            _ => Vec::new(),
        };
        let why = backend.why.as_deref().unwrap_or("no answer");
        let limit = options.wait_timeout.as_secs_f64();
        let report = if elsewhere.is_empty() {
            Report::failed(
                "LB011",
                format!(
                    "backend `{}` is not ready after {limit} s: {why}",
                    backend.id
                ),
            )
            .hint("run `lbdev logs`, or give it longer: `--wait-timeout 300s`")
        } else {
            super::preflight::elsewhere(&backend.id, backend.port.unwrap_or_default(), &elsewhere)
        };
        reports.push(report);
    }
    if ready == 0 {
        // If it is gone by now, that was the aim.
        let _ = client.shutdown().await;
        let until = Instant::now() + SOCKET;
        while client.status().await.is_ok() && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
    }
    alike_once(reports)
}

/// Of reports that differ in the backend's name only, the first, with the number of the others.
fn alike_once(mut reports: Vec<Report>) -> Vec<Report> {
    let count = reports.len();
    if count > 1 && reports.iter().all(|report| report.code == reports[0].code) {
        reports.truncate(1);
        reports[0]
            .details
            .push(format!("and {} more like it", count - 1));
    }
    reports
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    // A current-thread runtime needs one epoll descriptor; a process that cannot have it cannot do anything else either.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .expect("a small runtime can always be made")
        .block_on(future)
}
