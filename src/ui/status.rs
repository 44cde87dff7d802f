//! `lbdev status`, for eyes.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::banner::app_url;
use super::table::{Column, KEEP, render as table};
use super::units::{clock, count, latency, plural, took, uptime};
use super::{Look, Paint};
use crate::wire::{BackendStatus, Status};

/// The whole screen: a headline, a row a backend, what happened last, what to type next.
pub fn render(status: &Status, paint: Paint, width: Option<usize>, zone: &TimeZone) -> String {
    let mut text = headline(status, paint);
    text.push('\n');
    let named = names(&status.backends);
    text.push_str(&rows(status, &named, paint, width));
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
    let serving = status.backends.iter().filter(|b| serves(b)).count();
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
        status.backends.len(),
        took(up),
        status.balancer.algorithm.replace('_', " "),
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
        Column::right("FAILED", 30),
        Column::right("P50", 25),
        Column::right("P99", 20),
        Column::left("LAST CHECK", 10),
    ];
    let all: u64 = status.backends.iter().map(|b| b.requests).sum();
    let dash = || "-".to_owned();
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
                Look::of_word(&backend.state).show(paint),
                backend.pid.map_or_else(dash, |pid| pid.to_string()),
                if runs {
                    uptime(backend.uptime_s)
                } else {
                    dash()
                },
                count(u64::from(backend.weight)),
                count(backend.requests),
                share(backend.requests, all),
                count(backend.in_flight),
                count(backend.failures),
                ms(backend.p50_ms),
                ms(backend.p99_ms),
                why,
            ]
        })
        .collect();
    if weighed {
        return table(&columns, &rows, width);
    }
    let columns: Vec<Column> = without(&columns, WEIGHT_AT);
    let rows: Vec<Vec<String>> = rows.iter().map(|row| without(row, WEIGHT_AT)).collect();
    table(&columns, &rows, width)
}

/// Where the column of weights stands.
const WEIGHT_AT: usize = 4;

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
        .filter(|(backend, _)| backend.spared > 0)
        .map(|(backend, name)| (backend.spared, name));
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
    if backend.retried_elsewhere > 0 {
        text.push_str(&format!(
            " · {} of its requests went on to others, {} lost in all",
            count(backend.retried_elsewhere),
            count(status.balancer.failures)
        ));
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
pub(super) mod tests {
    use super::*;
    use crate::wire::{BalancerStatus, LastCheck, LastExit, VERSION};

    pub(in crate::ui) fn backend(port: u16, state: &str) -> BackendStatus {
        let up = state == "up";
        BackendStatus {
            id: format!("web:{port}"),
            service: "web".into(),
            index: u32::from(port) - 7999,
            kind: "managed".into(),
            address: Some(format!("127.0.0.1:{port}")),
            port: Some(port),
            pid: up.then_some(u32::from(port) - 3699),
            state: state.into(),
            desired: if up { "up" } else { "stopped" }.into(),
            enabled: true,
            healthy: up,
            weight: 1,
            backup: false,
            eligible: up,
            share: 1,
            max_connections: 0,
            uptime_s: if up { 724.2 } else { 0.0 },
            restarts: 0,
            requests: 1430,
            failures: 0,
            failures_by: std::collections::BTreeMap::new(),
            retried_elsewhere: 0,
            spared: 0,
            in_flight: 0,
            p50_ms: up.then_some(11.2),
            p99_ms: up.then_some(44.0),
            last_exit: None,
            last_check: up.then(|| LastCheck {
                ok: true,
                detail: "ok 0.2 ms".into(),
                at: jiff::Timestamp::UNIX_EPOCH,
            }),
            why: None,
        }
    }

    pub(in crate::ui) fn status(backends: Vec<BackendStatus>) -> Status {
        Status {
            version: VERSION,
            project: "mysite".into(),
            dir: "/home/ada/mysite".into(),
            pid: 4300,
            state: "serving".into(),
            uptime_s: 724.2,
            balancer: BalancerStatus {
                url: "http://localhost:8080".into(),
                engine: "builtin".into(),
                algorithm: "round_robin".into(),
                hash_key: "path".into(),
                sequence: "pages".into(),
                sticky: "off".into(),
                detect: "instant".into(),
                retry_limit: 3,
                requests: 1700,
                retries: 7,
                failures: 0,
                waiting: 0,
            },
            backends,
        }
    }

    fn killed() -> Status {
        let mut dead = backend(8000, "stopped");
        dead.requests = 412;
        dead.retried_elsewhere = 7;
        dead.failures = 7;
        dead.why = Some("killed by you (SIGKILL)".into());
        dead.last_exit = Some(LastExit {
            signal: Some("SIGKILL".into()),
            code: None,
            at: "2026-11-22T14:13:41.123Z".parse().unwrap(),
            by: "operator".into(),
        });
        let mut status = status(vec![dead, backend(8001, "up")]);
        status.state = "degraded".into();
        status
    }

    fn screen(status: &Status, width: Option<usize>) -> String {
        render(status, Paint::new(false), width, &TimeZone::UTC)
    }

    #[test]
    fn one_killed() {
        insta::assert_snapshot!(screen(&killed(), None), @"
        mysite  DEGRADED  1 of 2 serving · up 12 m · round robin · http://mysite.localhost:8080/
        PORT  STATE       PID  UPTIME  REQUESTS  SHARE  NOW  FAILED   P50   P99  LAST CHECK
        8000  ✗ stopped     -       -       412  22.4%    0       7     -     -  killed by you (SIGKILL)
        8001  ● up       4302  12m04s     1,430  77.6%    0       0  11ms  44ms  ok 0.2 ms
        last  14:13:41 you killed 8000 · 7 of its requests went on to others, 0 lost in all
        next  lbdev start 8000
        ");
    }

    /// A death that only traffic can tell, weights, and what an instant notice has spared.
    #[test]
    fn what_a_learner_looks_for() {
        let mut unnoticed = killed();
        unnoticed.balancer.detect = "passive".into();
        unnoticed.backends[0].eligible = true;
        unnoticed.backends[1].weight = 5;
        unnoticed.backends[1].spared = 1;
        insta::assert_snapshot!(screen(&unnoticed, None), @"
        mysite  DEGRADED  1 of 2 serving · up 12 m · round robin · http://mysite.localhost:8080/
        PORT  STATE       PID  UPTIME  WEIGHT  REQUESTS  SHARE  NOW  FAILED   P50   P99  LAST CHECK
        8000  ✗ stopped     -       -       1       412  22.4%    0       7     -     -  still gets requests: nobody has noticed yet
        8001  ● up       4302  12m04s       5     1,430  77.6%    0       0  11ms  44ms  ok 0.2 ms
        note  1 request would have gone to 8001
        last  14:13:41 you killed 8000 · 7 of its requests went on to others, 0 lost in all
        next  lbdev start 8000
        ");
        insta::assert_snapshot!(screen(&unnoticed, Some(80)), @"
        mysite  DEGRADED  1 of 2 serving · up 12 m · round robin · http://mysite.localhost:8080/
        PORT  STATE       PID  UPTIME  WEIGHT  REQUESTS  SHARE  NOW  FAILED   P50   P99
        8000  ✗ stopped     -       -       1       412  22.4%    0       7     -     -
        8001  ● up       4302  12m04s       5     1,430  77.6%    0       0  11ms  44ms
        note  8000 still gets requests: nobody has noticed yet
        note  1 request would have gone to 8001
        last  14:13:41 you killed 8000 · 7 of its requests went on to others, 0 lost in all
        next  lbdev start 8000
        ");
        let text = screen(&unnoticed, Some(80));
        for line in text
            .lines()
            .skip(1)
            .filter(|line| !line.starts_with("last"))
        {
            assert!(console::measure_text_width(line) <= 80, "{line}");
        }
        let mut instant = killed();
        instant.backends[0].eligible = true;
        instant.backends[0].spared = 1204;
        instant.backends[1].spared = 3;
        let text = screen(&instant, Some(80));
        assert!(!text.contains("noticed"), "{text}");
        assert!(
            text.contains("note  1,204 requests would have gone to 8000, 3 to 8001\n"),
            "{text}"
        );
    }

    #[test]
    fn narrow() {
        insta::assert_snapshot!(screen(&killed(), Some(40)), @"
        mysite  DEGRADED  1 of 2 serving · up 12 m · round robin · http://mysite.localhost:8080/
        PORT  STATE       PID  UPTIME  REQUESTS
        8000  ✗ stopped     -       -       412
        8001  ● up       4302  12m04s     1,430
        last  14:13:41 you killed 8000 · 7 of its requests went on to others, 0 lost in all
        next  lbdev start 8000
        ");
    }

    #[test]
    fn no_line_of_the_table_is_wider_than_the_terminal() {
        for width in 20..120 {
            let text = screen(&killed(), Some(width));
            let table = text.lines().skip(1).take(3);
            for line in table {
                assert!(
                    console::measure_text_width(line) <= width,
                    "{width}: {line}"
                );
            }
        }
    }

    #[test]
    fn what_to_type_next() {
        let next = |backends: &[(u16, &str)]| {
            let status = status(backends.iter().map(|(p, s)| backend(*p, s)).collect());
            next(&status, &names(&status.backends)).unwrap_or_default()
        };
        for (backends, expected) in [
            (&[(8000, "up"), (8001, "up")][..], "lbdev kill 8000"),
            (&[(8000, "up")], ""),
            (&[(8000, "up"), (8001, "stopped")], "lbdev start 8001"),
            (&[(8000, "stopped"), (8001, "failed")], "lbdev logs 8001"),
            (
                &[(8000, "stopped"), (8001, "stopped")],
                "lbdev start all   (2 backends)",
            ),
            (&[(8000, "draining"), (8001, "up")], ""),
            (&[], ""),
        ] {
            assert_eq!(next(backends), expected);
        }
        let drained = |port| BackendStatus {
            enabled: false,
            ..backend(port, "draining")
        };
        let status = status(vec![drained(8000), drained(8001), backend(8002, "up")]);
        let next = super::next(&status, &names(&status.backends));
        assert_eq!(next.as_deref(), Some("lbdev undrain 8000,8001"));
    }

    #[test]
    fn two_services_are_told_apart() {
        let mut worker = backend(9000, "up");
        worker.id = "worker.1".into();
        worker.service = "worker".into();
        worker.port = None;
        let text = screen(&status(vec![backend(8000, "up"), worker]), None);
        assert!(text.contains("BACKEND") && text.contains("web:8000") && text.contains("worker.1"));
    }
}
