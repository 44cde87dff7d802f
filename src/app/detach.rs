//! `up -d`: starts lbdev in the background and tells how that went.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use super::serve::LOST_THE_RACE;
use super::{BACKGROUND, Start, again, files, pitfalls};
use crate::control::Client;
use crate::error::{CODES, Report};
use crate::instance::{self, Folder, Lock};
use crate::process::Daemon;
use crate::ui;
use crate::{commands, process, wire};

/// How long a background process may take until its socket answers.
pub(super) const SOCKET: Duration = Duration::from_secs(15);
/// How long one answer of it may take at least, however short `--wait-timeout` is.
const ANSWER: Duration = Duration::from_secs(2);
/// How long lbdev may take to see that nothing can become of a start.
const ENDS_BY_ITSELF: Duration = Duration::from_secs(3);
/// How long its log may take to say why some backends failed.
const REASONS: Duration = Duration::from_secs(1);
/// A server that somebody else runs and that does not answer for so many seconds is not waited for.
const EXTERNAL_GRACE: f64 = 2.0;
/// Between two looks at it.
pub(super) const LOOK: Duration = Duration::from_millis(5);

/// Whose start is looked at.
pub(super) enum Followed<'a> {
    /// This command has started it.
    Ours(&'a Daemon),
    /// It was there before.
    Theirs(&'a wire::Instance),
}

impl Followed<'_> {
    fn pid(&self) -> u32 {
        match self {
            Followed::Ours(daemon) => daemon.pid(),
            Followed::Theirs(instance) => instance.pid,
        }
    }

    fn has_ended(&self, folder: &Folder) -> bool {
        match self {
            Followed::Ours(daemon) => matches!(daemon.try_wait(), Ok(Some(_)) | Err(_)),
            Followed::Theirs(_) => !folder.is_locked(),
        }
    }
}

/// Starts lbdev in the background. Returns when it runs, or with `--wait` when all backends are ready.
pub(super) fn up(start: &Start) -> Result<u8, Vec<Report>> {
    loop {
        let done = if start.folder.is_locked() {
            again::already_running(start)?
        } else {
            launch(start)?
        };
        if let Some(code) = done {
            return Ok(code);
        }
    }
}

/// `None` when another one was faster.
fn launch(start: &Start) -> Result<Option<u8>, Vec<Report>> {
    let Start { folder, .. } = start;
    // Here, where somebody reads what is said of it.
    if let Some(said) = files::check(start)? {
        start.ui.note(&said);
    }
    if let Some(lock) = Lock::try_take(folder).map_err(|error| vec![error.into()])? {
        let ended = commands::end_left_over(&lock).map_err(|error| vec![error.into()])?;
        if let Some(said) = ended {
            start.ui.note(&said);
        }
        for said in pitfalls::news(&start.config, folder) {
            start.ui.note(&said);
        }
    }
    let runtime = commands::runtime().map_err(|report| vec![report])?;
    let mut args: Vec<OsString> = std::env::args_os().skip(1).collect();
    fix_ports(&mut args, start);
    args.insert(0, BACKGROUND.into());
    let log = folder.boot_log();
    let daemon = process::spawn_detached(args, &log).map_err(|error| {
        vec![Report::failed(
            "LB008",
            format!("lbdev cannot start itself in the background: {error}"),
        )]
    })?;
    runtime.block_on(async {
        let until = Instant::now() + SOCKET;
        loop {
            if let Ok(Some(status)) = daemon.try_wait() {
                if status.code() == Some(LOST_THE_RACE.into()) {
                    return Ok(None);
                }
                return has_ended(start, &Followed::Ours(&daemon)).map(Some);
            }
            if instance::running(folder).is_some_and(|instance| instance.pid == daemon.pid()) {
                return follow_start(start, &Followed::Ours(&daemon))
                    .await
                    .map(Some);
            }
            if Instant::now() >= until {
                return Err(vec![silent(daemon.pid(), &log)]);
            }
            tokio::time::sleep(LOOK).await;
        }
    })
}

/// `--ports auto` was drawn by this process; the one in the background is not to draw again.
fn fix_ports(args: &mut [OsString], start: &Start) {
    if start.options.request.ports.as_deref() != Some("auto") {
        return;
    }
    let drawn: Vec<String> = super::preflight::managed_ports(&start.config)
        .iter()
        .map(u16::to_string)
        .collect();
    let drawn = drawn.join(",");
    for place in 0..args.len() {
        if args[place] == "--ports=auto" {
            args[place] = format!("--ports={drawn}").into();
        } else if args[place] == "auto" && place > 0 && args[place - 1] == "--ports" {
            args[place] = drawn.clone().into();
        }
    }
}

/// Under `--json`: how it all is now.
pub(super) fn tell_status(start: &Start) -> Result<(), Vec<Report>> {
    let runtime = commands::runtime().map_err(|report| vec![report])?;
    let client = client(start)?;
    let status = runtime.block_on(client.status());
    start.ui.json(&status.map_err(|error| vec![error.into()])?);
    Ok(())
}

/// The first error in the log of the background, which is text.
fn as_report(said: &str) -> Report {
    let mut lines = said.lines();
    let first = lines.next().unwrap_or_default();
    let head = first
        .strip_prefix("error[")
        .and_then(|rest| rest.split_once("]: "));
    let (code, message) = head.unwrap_or(("LB006", first));
    let code = CODES
        .iter()
        .map(|(code, _)| *code)
        .find(|known| *known == code);
    let report = Report::failed(code.unwrap_or("LB006"), message);
    lines.fold(report, |report, line| match line.strip_prefix("  hint: ") {
        Some(hint) => report.hint(hint),
        None => report.detail(line.trim_start()),
    })
}

pub(super) fn client(start: &Start) -> Result<Client, Vec<Report>> {
    Client::new(start.folder.socket()).map_err(|error| vec![error.into()])
}

/// It runs, and does not answer.
fn silent(pid: u32, log: &Path) -> Report {
    Report::failed(
        "LB006",
        format!("lbdev (pid {pid}) started and does not answer"),
    )
    .detail(format!("its log: {}", log.display()))
    .hint("run `lbdev down`, then `lbdev up`")
}

/// It has ended by itself, because nothing could become of it: then its log says why. Or somebody has ended it.
fn has_ended(start: &Start, followed: &Followed<'_>) -> Result<u8, Vec<Report>> {
    let said = std::fs::read_to_string(start.folder.boot_log()).unwrap_or_default();
    let status = match followed {
        Followed::Ours(daemon) => daemon.try_wait().ok().flatten(),
        Followed::Theirs(_) => None,
    };
    if !said.is_empty() && start.ui.json {
        return Err(vec![as_report(&said)]);
    }
    if !said.is_empty() {
        start.ui.progress(&said);
        let code = status.and_then(|status| status.code());
        let code = code.and_then(|code| u8::try_from(code).ok());
        return Ok(code.filter(|code| *code != 0).unwrap_or(1));
    }
    let pid = followed.pid();
    let report = match status {
        Some(status) if !status.success() => Report::failed(
            "LB006",
            format!("lbdev in the background (pid {pid}) has ended without a word ({status})"),
        )
        .hint(format!(
            "run `{}` to see in this terminal what happens",
            start.command()
        )),
        Some(_) | None => Report::failed(
            "LB006",
            format!("lbdev (pid {pid}) was told to stop before everything was ready"),
        )
        .hint(format!("run `{}` again", start.command())),
    };
    Err(vec![report])
}

/// Without `--wait`: until everything is launched. With it: until everything is ready, or cannot be.
pub(super) async fn follow_start(
    start: &Start,
    followed: &Followed<'_>,
) -> Result<u8, Vec<Report>> {
    let Start {
        options,
        config,
        folder,
        ui,
        ..
    } = start;
    let client = client(start)?;
    // Of one that was there before, its start is no news.
    let mut screen = match followed {
        Followed::Ours(_) => {
            let url = folder.read().and_then(|instance| instance.dashboard);
            let about = ui::About {
                dashboard: super::serve::page_link(config, url.as_deref(), folder, ui),
                ..ui::About::new(config, Some(super::preflight::said(config)))
            };
            Some(ui::Starting::new(*ui, about))
        }
        Followed::Theirs(_) => None,
    };
    let until = Instant::now() + options.wait_timeout;
    let mut heard = Instant::now();
    let mut hopeless_since = None;
    loop {
        if followed.has_ended(folder) {
            end(screen, None);
            return has_ended(start, followed);
        }
        // It may hang, whatever was asked for.
        let patience = match options.wait {
            true => until.clamp(heard + ANSWER, heard + SOCKET),
            false => heard + SOCKET,
        };
        let status = match tokio::time::timeout_at(patience.into(), client.status()).await {
            Ok(Ok(status)) => status,
            Ok(Err(_)) if Instant::now() < patience => {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            Ok(Err(_)) | Err(_) => {
                end(screen, None);
                return Err(vec![silent(followed.pid(), &folder.boot_log())]);
            }
        };
        heard = Instant::now();
        if let Some(screen) = &mut screen {
            screen.show(&status);
        }
        let on_the_way = |backend: &wire::BackendStatus| match backend.state.as_str() {
            "unhealthy" if backend.kind == "external" => {
                options.wait && status.uptime_s < EXTERNAL_GRACE
            }
            "starting" => {
                options.wait
                    || (backend.kind == "managed" && backend.pid.is_none() && !is_needy(backend))
            }
            "backoff" => options.wait,
            _ => false,
        };
        let all = status.backends.len();
        let ready = status
            .backends
            .iter()
            .filter(|backend| backend.state == "up" || backend.done)
            .count();
        let settled = status.state != "stopping" && !status.backends.iter().any(on_the_way);
        if ready == all {
            end(screen, Some(&status));
            return Ok(0);
        }
        // From outside, one that died after it was ready looks the same: then lbdev goes on.
        let may_end =
            hopeless(&status) && hopeless_since.get_or_insert(heard).elapsed() < ENDS_BY_ITSELF;
        if settled && !may_end {
            end(screen, Some(&status));
            // Nobody has failed who only needs a moment longer.
            if options.wait || status.backends.iter().any(|one| one.state == "failed") {
                relay_reasons(start, followed).await;
            }
            return Ok(u8::from(options.wait));
        }
        if options.wait && Instant::now() >= until {
            end(screen, Some(&status));
            return Err(too_slow(start, &client, &status, followed).await);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn end(screen: Option<ui::Starting>, status: Option<&wire::Status>) {
    if let Some(screen) = screen {
        screen.end(status);
    }
}

/// It waits for something that may never come, not only for what runs before it.
fn is_needy(backend: &wire::BackendStatus) -> bool {
    let needs = |why: &str| why.starts_with("waits for");
    backend.waiting && backend.why.as_deref().is_some_and(needs)
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
async fn relay_reasons(start: &Start, followed: &Followed<'_>) {
    let until = Instant::now() + REASONS;
    loop {
        let said = std::fs::read_to_string(start.folder.boot_log()).unwrap_or_default();
        let whole = said.ends_with('\n') || followed.has_ended(&start.folder);
        if whole || Instant::now() >= until {
            if !said.is_empty() {
                start.ui.progress(&said);
            }
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The time is up: what this command has started and nobody can use is ended again; what serves in part goes on.
async fn too_slow(
    start: &Start,
    client: &Client,
    status: &wire::Status,
    followed: &Followed<'_>,
) -> Vec<Report> {
    let mut reports = Vec::new();
    let starting = || {
        let backends = status.backends.iter();
        backends.filter(|backend| backend.state == "starting")
    };
    let at = |backend: &wire::BackendStatus| Some((backend.pid?, backend.port?));
    let processes: Vec<(u32, u16)> = starting().filter_map(at).collect();
    let found = super::preflight::other_ports(processes.clone()).await;
    for backend in starting() {
        let place = at(backend).and_then(|at| processes.iter().position(|one| *one == at));
        let elsewhere = place.map_or(&[][..], |place| &found[place]);
        let why = backend.why.as_deref().unwrap_or("no answer");
        let limit = start.options.wait_timeout.as_secs_f64();
        let report = if elsewhere.is_empty() {
            Report::failed(
                "LB011",
                format!(
                    "backend `{}` is not ready after {limit} s: {why}",
                    backend.id
                ),
            )
            .hint("run `lbdev logs`, or give it longer: `lbdev up -d --wait --wait-timeout 300s`")
        } else {
            super::preflight::elsewhere(&backend.id, backend.port.unwrap_or_default(), elsewhere)
        };
        reports.push(report);
    }
    let useless = status.backends.iter().all(|backend| backend.state != "up");
    if let Followed::Ours(daemon) = followed
        && useless
    {
        // If it is gone by now, that was the aim.
        let _ = client.shutdown().await;
        let until = Instant::now() + SOCKET;
        while matches!(daemon.try_wait(), Ok(None)) && Instant::now() < until {
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
