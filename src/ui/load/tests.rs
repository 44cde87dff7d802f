use super::*;
use crate::wire::{LoadAction, LoadBackend, LoadEvenness, LoadLimit, LoadReport, LoadTimeline};

fn latency(factor: f64) -> LoadLatency {
    LoadLatency {
        mean: 12.0 * factor,
        p50: 11.0 * factor,
        p90: 19.0 * factor,
        p99: 48.0 * factor,
        p999: 60.0 * factor,
        max: 212.0 * factor,
    }
}

/// 30 s, one backend away from 10 s to 20 s.
pub(in crate::ui) fn some() -> LoadReport {
    let away = |part: usize| (40..80).contains(&part);
    let of_first: Vec<u64> = (0..120)
        .map(|part| if away(part) { 0 } else { 25 })
        .collect();
    let of_second: Vec<u64> = (0..120)
        .map(|part| if away(part) { 50 } else { 25 })
        .collect();
    let action = |at_s: f64, command: &str, said: &str| LoadAction {
        at_s,
        command: command.to_owned(),
        exit: Some(0),
        took_ms: 10.0,
        output: vec![said.to_owned()],
    };
    LoadReport {
        version: 1,
        url: "http://localhost:8080/".to_owned(),
        began: jiff::Timestamp::UNIX_EPOCH,
        mode: "open".to_owned(),
        rps: Some(200.0),
        rate: 200.0,
        connections: 3,
        users: 0,
        planned_s: 30.0,
        lasted_s: 30.0,
        stopped: false,
        requests: 6000,
        ok: 5998,
        failed: 2,
        failed_pct: 100.0 / 3000.0,
        failures: [("status_503".to_owned(), 1), ("timeout".to_owned(), 1)].into(),
        statuses: [("200".to_owned(), 5998), ("503".to_owned(), 1)].into(),
        elsewhere: 3,
        bytes: 60_000,
        latency_ms: Some(latency(1.0)),
        service_ms: Some(latency(0.9)),
        behind_ms: Some(latency(0.01)),
        backends: [
            ("web:8000", 2000, &of_first),
            ("web:8001", 3998, &of_second),
        ]
        .map(|(id, requests, _)| LoadBackend {
            id: id.to_owned(),
            requests,
            #[allow(clippy::cast_precision_loss)]
            share_pct: requests as f64 / 59.98,
            p50_ms: 11.0,
            p99_ms: 48.0,
        })
        .to_vec(),
        evenness: Some(LoadEvenness {
            until_s: 10.0,
            least_pct: 49.9,
            most_pct: 50.1,
        }),
        timeline: LoadTimeline {
            width_s: 0.25,
            requests: vec![50; 120],
            failed: (0..120).map(|part| u64::from(part == 40) * 2).collect(),
            p50_ms: vec![Some(11.0); 120],
            p99_ms: (0..120)
                .map(|part| Some(if part == 41 { 212.0 } else { 40.0 }))
                .collect(),
            backends: vec![of_first, of_second],
        },
        actions: vec![
            action(10.0, "kill 8000", "✗ 8000 killed (SIGKILL, pid 4301)"),
            action(19.4, "start 8000", "● 8000 up after 0.6 s"),
        ],
        failovers: vec![LoadFailover {
            backend: "web:8000".to_owned(),
            at_s: 10.0,
            what: "killed by you".to_owned(),
            by: "operator".to_owned(),
            noticed_ms: Some(0.4),
            restarted_ms: Some(9_400.0),
            ready_ms: Some(10_000.0),
            back_ms: Some(10_000.0),
            first_request_ms: Some(2.0),
            answered_while_out: Some(0),
        }],
        limits: vec![
            LoadLimit {
                name: "max_errors".to_owned(),
                limit: "0.1%".to_owned(),
                measured: "0.03%".to_owned(),
                held: true,
            },
            LoadLimit {
                name: "max_p99".to_owned(),
                limit: "20 ms".to_owned(),
                measured: "48.0 ms".to_owned(),
                held: false,
            },
        ],
    }
}

#[test]
fn as_it_is_read() {
    insta::assert_snapshot!(text(&some(), Some(80), Paint::new(false)), @"
    6,000 requests in 30.0 s · open loop (latency from the scheduled send)
      ok 5,998   failed 2 (0.03 %)   answered by another backend 3
        1 × status 503
        1 × no answer in time
      p50 11 ms   p90 19 ms   p99 48 ms   p99.9 60 ms   max 212 ms
              0 s            7.5 s          15 s           22.5 s     30 s
                                  ▼                 ▼
      8000    ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄····················▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄     2,000
      8001    ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄████████████████████▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄     3,998
      failed  ····················█·······································         2
      p99     ▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂█▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂  ≤ 212 ms
      ▼ 10.0 s  kill 8000  ✗ 8000 killed (SIGKILL, pid 4301)
      ▼ 19.4 s  start 8000  ● 8000 up after 0.6 s
    failover  8000 at 10.0 s · noticed after 0.4 ms · started after 9.40 s · ready 600 ms later · back in the rotation after 10.0 s · first answer 2.0 ms later
    evenness  each backend had 49.9 to 50.1 % of the requests, until 10.0 s
    ✓ max errors 0.1% holds: 0.03%
    ✗ max p99 20 ms is broken: 48.0 ms
    ");
}

#[test]
fn narrow_and_without_any_answer() {
    let mut report = some();
    report.backends.clear();
    report.timeline.backends.clear();
    report.failovers.clear();
    report.actions.clear();
    report.limits.clear();
    report.evenness = None;
    report.latency_ms = None;
    report.stopped = true;
    report.lasted_s = 7.25;
    insta::assert_snapshot!(text(&report, Some(40), Paint::new(false)), @"
    6,000 requests in 7.2 s · open loop (latency from the scheduled send) · stopped before its 30 s were over
      ok 5,998   failed 2 (0.03 %)   answered by another backend 3
        1 × status 503
        1 × no answer in time
              0 s             30 s
      all     ████████████████████     6,000
      failed  ······█·············         2
      p99     ▂▂▂▂▂▂█▂▂▂▂▂▂▂▂▂▂▂▂▂  ≤ 212 ms
    ");
    report.timeline.requests.clear();
    let lines = text(&report, Some(1), Paint::new(false));
    assert!(!lines.contains("p99"), "there is nothing to plot: {lines}");
}

#[test]
fn the_line_while_it_runs() {
    let live = Live {
        elapsed: Duration::from_millis(3200),
        done: 1640,
        failed: 2,
        open: 1,
        p50: Duration::from_millis(11),
        p99: Duration::from_millis(48),
        recent: vec![("web:8000".to_owned(), 50), ("web:8001".to_owned(), 51)],
    };
    insta::assert_snapshot!(now(&live, Paint::new(false)), @"3.2 s · 1,640 done · 2 failed · p50 11 ms · p99 48 ms · a second: 8000 50 8001 51");
    insta::assert_snapshot!(now(&Live::default(), Paint::new(false)), @"0.0 s · 0 done · 0 failed");
}

#[test]
fn spans() {
    for (micros, expected) in [
        (400, "0.4 ms"),
        (61_000, "61 ms"),
        (212_400, "212 ms"),
        (1_512_000, "1.51 s"),
        (12_500_000, "12.5 s"),
    ] {
        assert_eq!(span(Duration::from_micros(micros)), expected);
    }
}

#[test]
fn numbers() {
    for (value, expected) in [
        (0.0, "0"),
        (0.25, "0.25"),
        (7.5, "7.5"),
        (30.0, "30"),
        (199.96, "200"),
        (20_000.0, "20000"),
    ] {
        assert_eq!(number(value), expected);
    }
}

#[test]
fn heights() {
    assert_eq!(bars(&[0.0, 0.1, 4.0, 8.0], 8.0), "·▁▄█");
    assert_eq!(bars(&[0.0], 0.0), "·");
    assert_eq!(means(&[1, 3, 5, 7], 2), [2.0, 6.0]);
    assert_eq!(means(&[1, 2, 3], 2), [1.0, 2.5]);
}
