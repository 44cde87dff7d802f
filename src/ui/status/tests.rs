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
        requests: Some(1430),
        errors: Some(0),
        fault: None,
        failures: Some(0),
        failures_by: std::collections::BTreeMap::new(),
        retried_elsewhere: Some(0),
        spared: Some(0),
        in_flight: Some(0),
        p50_ms: up.then_some(11.2),
        p99_ms: up.then_some(44.0),
        cpu_pct: if up { 2.6 } else { 0.0 },
        rss_bytes: if up { 48 << 20 } else { 0 },
        threads: u32::from(up) * 3,
        children: 0,
        last_exit: None,
        last_check: up.then(|| LastCheck {
            ok: true,
            detail: "ok 0.2 ms".into(),
            at: jiff::Timestamp::UNIX_EPOCH,
        }),
        why: None,
        waiting: false,
        done: false,
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
        dashboard: None,
        balancer: BalancerStatus {
            url: "http://localhost:8080".into(),
            engine: "builtin".into(),
            algorithm: "round_robin".into(),
            hash_key: "path".into(),
            sequence: "pages".into(),
            sticky: "off".into(),
            detect: "instant".into(),
            retry_limit: 3,
            allow_hosts: Vec::new(),
            debugged: None,
            requests: Some(1700),
            retries: Some(7),
            failures: Some(0),
            waiting: Some(0),
        },
        backends,
    }
}

fn killed() -> Status {
    let mut dead = backend(8000, "stopped");
    dead.requests = Some(412);
    dead.retried_elsewhere = Some(7);
    dead.failures = Some(7);
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
    PORT  STATE       PID  UPTIME  REQUESTS  SHARE  NOW  FAILED   P50   P99  CPU  MEMORY  LAST CHECK
    8000  ✗ stopped     -       -       412  22.4%    0       7     -     -    -       -  killed by you (SIGKILL)
    8001  ● up       4302  12m04s     1,430  77.6%    0       0  11ms  44ms   3%   48 MB  ok 0.2 ms
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
    unnoticed.backends[1].spared = Some(1);
    insta::assert_snapshot!(screen(&unnoticed, None), @"
    mysite  DEGRADED  1 of 2 serving · up 12 m · round robin · http://mysite.localhost:8080/
    PORT  STATE       PID  UPTIME  WEIGHT  REQUESTS  SHARE  NOW  FAILED   P50   P99  CPU  MEMORY  LAST CHECK
    8000  ✗ stopped     -       -       1       412  22.4%    0       7     -     -    -       -  still gets requests: nobody has noticed yet
    8001  ● up       4302  12m04s       5     1,430  77.6%    0       0  11ms  44ms   3%   48 MB  ok 0.2 ms
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
    instant.backends[0].spared = Some(1204);
    instant.backends[1].spared = Some(3);
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
