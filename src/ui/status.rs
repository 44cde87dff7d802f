//! `lbdev status`, for eyes.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::banner::app_url;
use super::table::{Column, KEEP, render as table};
use super::units::{clock, count, latency, memory, plural, took, uptime};
use super::{Look, Paint};
use crate::wire::{BackendStatus, Status};

/// The whole screen: a headline, a row a backend, what happened last, what to type next.
pub fn render(status: &Status, paint: Paint, width: Option<usize>, zone: &TimeZone) -> String {
    let mut text = headline(status, paint);
    text.push('\n');
    let named = names(&status.backends);
    text.push_str(&rows(status, &named, paint, width));
    if let Some(debugged) = &status.balancer.debugged {
        let said = format!("{debugged} is being debugged: it gets every request of its service");
        text.push_str(&format!("{}  {said}\n", paint.dim("note")));
    }
    if status.balancer.requests.is_none() {
        let engine = &status.balancer.engine;
        let said = format!(
            "requests, shares and times are not known with this engine: {engine} balances, and tells lbdev nothing"
        );
        text.push_str(&format!("{}  {said}\n", paint.dim("note")));
    }
    for (backend, name) in status.backends.iter().zip(&named) {
        if let Some(fault) = &backend.fault {
            let said = format!("{name} has a fault: {fault} (`lbdev fault {name} off` ends it)");
            text.push_str(&format!("{}  {said}\n", paint.dim("note")));
        }
    }
    if let Some(unnoticed) = unnoticed(status, &named).filter(|_| !text.contains(UNNOTICED)) {
        text.push_str(&format!("{}  {unnoticed}\n", paint.dim("note")));
    }
    if let Some(spared) = spared(status, &named) {
        text.push_str(&format!("{}  {spared}\n", paint.dim("note")));
    }
    if let Some(last) = last(status, &named, zone) {
        text.push_str(&format!("{}  {last}\n", paint.dim("last")));
    }
    if let Some(next) = next(status, &named) {
        text.push_str(&format!("{}  {next}\n", paint.dim("next")));
    }
    text
}

fn headline(status: &Status, paint: Paint) -> String {
    let balanced = || status.backends.iter().filter(|one| one.kind != "engine");
    let serving = balanced().filter(|one| serves(one)).count();
    let word = status.state.to_uppercase();
    let word = match status.state.as_str() {
        "serving" => paint.good(&word),
        "down" => paint.bad(&word),
        _ => paint.attention(&word),
    };
    let up = Duration::try_from_secs_f64(status.uptime_s).unwrap_or_default();
    format!(
        "{}  {word}  {serving} of {} serving · up {} · {} · {}",
        paint.strong(&status.project),
        balanced().count(),
        took(up),
        match status.balancer.engine.as_str() {
            "builtin" => status.balancer.algorithm.replace('_', " "),
            engine => engine.to_owned(),
        },
        paint.link(&app_url(&status.balancer.url, &status.project)),
    )
}

/// It may get requests.
pub fn serves(backend: &BackendStatus) -> bool {
    backend.state == "up" && backend.healthy && backend.enabled
}

/// How backends are called where several stand together: by port while that says it all, else by id.
pub(super) fn names(backends: &[BackendStatus]) -> Vec<String> {
    let one_service = backends
        .windows(2)
        .all(|two| two[0].service == two[1].service);
    backends
        .iter()
        .map(|backend| match backend.port {
            Some(port) if one_service => port.to_string(),
            _ => backend.id.clone(),
        })
        .collect()
}

fn rows(status: &Status, names: &[String], paint: Paint, width: Option<usize>) -> String {
    let by_port = status.backends.iter().all(|backend| backend.port.is_some());
    // Where all weigh the same it says nothing.
    let weighed = status.backends.iter().any(|backend| backend.weight != 1);
    let columns = [
        Column::left(if by_port { "PORT" } else { "BACKEND" }, KEEP),
        Column::left("STATE", KEEP),
        Column::right("PID", 70),
        Column::right("UPTIME", 60),
        Column::right("WEIGHT", 75),
        Column::right("REQUESTS", 80),
        Column::right("SHARE", 50),
        Column::right("NOW", 40),
        Column::right("FAILED", 28),
        Column::right("5XX", 30),
        Column::right("P50", 25),
        Column::right("P99", 20),
        Column::right("CPU", 15),
        Column::right("MEMORY", 14),
        Column::left("LAST CHECK", 10),
    ];
    let all: u64 = status.backends.iter().filter_map(|b| b.requests).sum();
    let dash = || "-".to_owned();
    let known = |number: Option<u64>| number.map_or_else(dash, count);
    let ms = |ms: Option<f64>| {
        let span = ms.and_then(|ms| Duration::try_from_secs_f64(ms / 1e3).ok());
        span.map_or_else(dash, latency)
    };
    let rows: Vec<Vec<String>> = status
        .backends
        .iter()
        .zip(names)
        .map(|(backend, name)| {
            let runs = backend.pid.is_some() || serves(backend);
            let usage =
                Some(backend).filter(|backend| backend.pid.is_some() && backend.rss_bytes > 0);
            let why = match (&backend.why, &backend.last_check) {
                _ if is_unnoticed(status, backend) => UNNOTICED.to_owned(),
                (Some(why), _) if backend.state != "up" => why.clone(),
                (_, Some(check)) => check.detail.clone(),
                _ => dash(),
            };
            let name = match backend.backup {
                true => format!("{name} (backup)"),
                false => name.clone(),
            };
            vec![
                name,
                match backend.done {
                    true => Look::DONE.show(paint),
                    false => Look::of_word(&backend.state).show(paint),
                },
                backend.pid.map_or_else(dash, |pid| pid.to_string()),
                if runs {
                    uptime(backend.uptime_s)
                } else {
                    dash()
                },
                count(u64::from(backend.weight)),
                known(backend.requests),
                (backend.requests).map_or_else(dash, |requests| share(requests, all)),
                known(backend.in_flight),
                known(backend.failures),
                known(backend.errors),
                ms(backend.p50_ms),
                ms(backend.p99_ms),
                usage.map_or_else(dash, |backend| percent(backend.cpu_pct)),
                usage.map_or_else(dash, |backend| memory(backend.rss_bytes)),
                why,
            ]
        })
        .collect();
    let erred = status
        .backends
        .iter()
        .any(|backend| backend.errors > Some(0));
    let (mut columns, mut rows) = (columns.to_vec(), rows);
    // From the right, so that places stay true.
    for (place, says) in [(ERRORS_AT, erred), (WEIGHT_AT, weighed)] {
        if !says {
            columns = without(&columns, place);
            rows = rows.iter().map(|row| without(row, place)).collect();
        }
    }
    table(&columns, &rows, width)
}

/// Where the column of weights stands.
const WEIGHT_AT: usize = 4;
/// And that of answers with a status from 500 on.
const ERRORS_AT: usize = 9;

fn without<T: Clone>(all: &[T], place: usize) -> Vec<T> {
    let (before, after) = all.split_at(place);
    before.iter().chain(&after[1..]).cloned().collect()
}

const UNNOTICED: &str = "still gets requests: nobody has noticed yet";

/// It cannot answer, and is sent requests all the same, since only traffic or checks can tell.
fn is_unnoticed(status: &Status, backend: &BackendStatus) -> bool {
    let down = ["stopped", "backoff", "failed", "starting"].contains(&backend.state.as_str());
    backend.eligible && status.balancer.detect != "instant" && down
}

/// The same where the table has no room for it.
fn unnoticed(status: &Status, names: &[String]) -> Option<String> {
    let all = status.backends.iter().zip(names);
    let named: Vec<&str> = all
        .filter(|(backend, _)| is_unnoticed(status, backend))
        .map(|(_, name)| name.as_str())
        .collect();
    (!named.is_empty()).then(|| format!("{} {UNNOTICED}", named.join(", ")))
}

/// What `detect = "instant"` hides: the requests that would have met a dead backend.
fn spared(status: &Status, names: &[String]) -> Option<String> {
    let all = status.backends.iter().zip(names);
    let mut parts = all
        .filter_map(|(backend, name)| Some((backend.spared?, name)))
        .filter(|(number, _)| *number > 0);
    let (number, name) = parts.next()?;
    let requests = if number == 1 { "request" } else { "requests" };
    let mut text = format!("{} {requests} would have gone to {name}", count(number));
    for (number, name) in parts {
        text.push_str(&format!(", {} to {name}", count(number)));
    }
    Some(text)
}

fn share(part: u64, all: u64) -> String {
    if all == 0 {
        return "-".to_owned();
    }
    #[allow(clippy::cast_precision_loss)] // a percentage with one decimal
    let percent = part as f64 * 100.0 / all as f64;
    format!("{percent:.1}%")
}

/// Of one core: `3%`, `180%`.
fn percent(value: f64) -> String {
    format!("{value:.0}%")
}

/// The latest end of a process that still matters: of a backend that was killed, or fell over.
fn last(status: &Status, names: &[String], zone: &TimeZone) -> Option<String> {
    let ended = status.backends.iter().zip(names);
    let ended =
        ended.filter_map(|(backend, name)| Some((backend, name, backend.last_exit.as_ref()?)));
    let (backend, name, exit) = ended.max_by_key(|(_, _, exit)| exit.at)?;
    let how = match (&exit.signal, exit.code) {
        (Some(signal), _) => format!(" ({signal})"),
        (None, Some(code)) => format!(" with status {code}"),
        (None, None) => String::new(),
    };
    let what = match (exit.by.as_str(), exit.signal.as_deref()) {
        ("operator", Some("SIGKILL")) => format!("you killed {name}"),
        ("operator", _) => format!("you stopped {name}{how}"),
        ("outside", _) => format!("{name} was killed from outside{how}"),
        ("lbdev", _) => format!("lbdev stopped {name}{how}"),
        _ => format!("{name} ended by itself{how}"),
    };
    let mut text = format!("{} {what}", clock(exit.at, zone));
    // Counted since lbdev began.
    let Some(failures) = status.balancer.failures else {
        return Some(text);
    };
    let lost = format!("{} lost in all", count(failures));
    if let Some(went_on) = backend.retried_elsewhere.filter(|number| *number > 0) {
        let went_on = count(went_on);
        text.push_str(&format!(
            " · {went_on} of its requests went on to others, {lost}"
        ));
    } else if failures > 0 {
        text.push_str(&format!(" · {lost}"));
    }
    Some(text)
}

/// The next command worth typing.
fn next(status: &Status, names: &[String]) -> Option<String> {
    let named = |wanted: &[&str]| -> Vec<&str> {
        let all = status.backends.iter().zip(names);
        all.filter(|(backend, _)| {
            backend.kind == "managed" && wanted.contains(&backend.state.as_str())
        })
        .map(|(_, name)| name.as_str())
        .collect()
    };
    let failed = named(&["failed", "backoff"]);
    if let Some(first) = failed.first() {
        return Some(format!("lbdev logs {first}"));
    }
    let stopped = named(&["stopped"]);
    let managed = status
        .backends
        .iter()
        .filter(|b| b.kind == "managed")
        .count();
    if stopped.len() > 1 && stopped.len() == managed {
        return Some(format!(
            "lbdev start all   ({})",
            plural(managed, "backend", "backends")
        ));
    }
    if !stopped.is_empty() {
        return Some(format!("lbdev start {}", stopped.join(",")));
    }
    let frozen = named(&["frozen"]);
    if !frozen.is_empty() {
        return Some(format!("lbdev thaw {}", frozen.join(",")));
    }
    let drained = status.backends.iter().zip(names);
    let drained: Vec<&str> = drained
        .filter(|(backend, _)| backend.state == "draining" && !backend.enabled)
        .map(|(_, name)| name.as_str())
        .collect();
    if !drained.is_empty() {
        return Some(format!("lbdev undrain {}", drained.join(",")));
    }
    let up = named(&["up"]);
    (up.len() > 1).then(|| format!("lbdev kill {}", up[0]))
}

#[cfg(test)]
pub(super) mod tests;
