//! `lbdev load`: what it sends, what it measures, and what it says of it.

use anyhow::Result;
use rustix::process::Signal;
use serde_json::Value;

use crate::browser::Browser;
use crate::harness::Lbdev;
use crate::need;
use crate::wait::s;

fn report(lbdev: &Lbdev, args: &[&str]) -> Value {
    let all: Vec<&str> = ["load", "--json"].iter().chain(args).copied().collect();
    lbdev.run(&all).ok().json()
}

fn number(of: &Value) -> f64 {
    of.as_f64().unwrap_or_else(|| panic!("no number: {of}"))
}

#[test]
fn who_answers_and_what_a_failover_costs() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let a = lbdev.ports.first;
    let kill = format!("kill {a}");
    let start = format!("start {a}");
    let args = [
        "--rps", "100", "--for", "4s", "--at", "1s", &kill, "--at", "2.5s", &start,
    ];
    let report = report(&lbdev, &args);
    assert_eq!(report["requests"], 400);
    assert_eq!((&report["ok"], &report["failed"]), (&400.into(), &0.into()));
    assert_eq!(report["mode"], "open");
    let sum = |values: &Value| -> u64 {
        let values = values.as_array().unwrap();
        values.iter().map(|n| n.as_u64().unwrap()).sum()
    };
    let time = &report["timeline"];
    assert_eq!(sum(&time["requests"]), 400);
    let backends = report["backends"].as_array().unwrap();
    assert_eq!(backends.len(), 4);
    for (place, backend) in backends.iter().enumerate() {
        assert_eq!(
            sum(&time["backends"][place]),
            backend["requests"].as_u64().unwrap()
        );
    }
    assert!(backends[0]["requests"].as_u64() < backends[1]["requests"].as_u64());
    let actions = report["actions"].as_array().unwrap();
    assert_eq!(actions.len(), 2);
    assert!(actions.iter().all(|one| one["exit"] == 0), "{actions:?}");
    assert!((number(&actions[0]["at_s"]) - 1.0).abs() < 0.3);
    let failover = &report["failovers"][0];
    assert_eq!(failover["backend"], format!("web:{a}"));
    assert_eq!(failover["by"], "operator");
    assert_eq!(failover["answered_while_out"], 0);
    assert!(number(&failover["noticed_ms"]) < 100.0, "{failover}");
    assert!(
        number(&failover["ready_ms"]) >= number(&failover["restarted_ms"]),
        "{failover}"
    );
    assert!(number(&failover["first_request_ms"]) < 1000.0, "{failover}");
    let even = &report["evenness"];
    assert!(
        number(&even["least_pct"]) > 23.0 && number(&even["most_pct"]) < 27.0,
        "{even}"
    );
}

/// Coordinated omission: a server that stands still for a second is seen by all who would have come meanwhile. Whoever waits for
/// one answer before the next request sees it once.
#[test]
fn a_stall_of_a_second_is_not_hidden() {
    let lbdev = Lbdev::new();
    lbdev
        .run(&lbdev.with_ports("demo", &["-d", "--wait", "-n", "1"]))
        .ok();
    let stall = ["--at", "1s", "freeze all", "--at", "2s", "thaw all"];
    let open = [&["--rps", "200", "--for", "4s"], &stall[..]].concat();
    let open = report(&lbdev, &open);
    assert_eq!(open["requests"], 800);
    let p = |report: &Value, key: &str| number(&report["latency_ms"][key]);
    assert!(p(&open, "p999") > 850.0, "{}", open["latency_ms"]);
    assert!(
        p(&open, "p90") > 100.0,
        "a fifth of them waited: {}",
        open["latency_ms"]
    );
    let closed = [&["--connections", "1", "--for", "4s"], &stall[..]].concat();
    let closed = report(&lbdev, &closed);
    assert_eq!(closed["mode"], "closed");
    assert!(
        p(&closed, "max") > 850.0 && p(&closed, "p90") < 100.0,
        "{}",
        closed["latency_ms"]
    );
}

#[test]
fn users_keep_cookies_and_requests_are_numbered() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("sticky = \"cookie\"", "");
    lbdev.up(&[]);
    let one = report(&lbdev, &["--users", "1", "--rps", "50", "--for", "1s"]);
    assert_eq!(one["backends"].as_array().unwrap().len(), 1, "{one}");
    let none = report(&lbdev, &["--rps", "50", "--for", "1s"]);
    assert_eq!(none["backends"].as_array().unwrap().len(), 4);
    let args = [
        "/echo",
        "-d",
        "order={n}",
        "-H",
        "X-Order: {n}",
        "--connections",
        "2",
        "--for",
        "1s",
    ];
    let posts = report(&lbdev, &args);
    assert_eq!(posts["failed"], 0, "{posts}");
}

#[test]
fn limits_decide_the_exit_code() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let args = [
        "load",
        "/status/500",
        "/",
        "--for",
        "1s",
        "--max-errors",
        "10%",
    ];
    let out = lbdev.run(&args);
    assert_eq!(out.code, Some(1), "{out:?}");
    out.says("50 × status 500")
        .says("✗ max errors 10% is broken: 50.00%");
    lbdev
        .run(&[
            "load",
            "/status/500",
            "/",
            "--for",
            "1s",
            "--max-errors",
            "60%",
            "--max-p99",
            "10s",
        ])
        .ok()
        .says("✓ max errors 60% holds: 50.00%")
        .says("✓ max p99 10000 ms holds");
    lbdev
        .run(&[
            "load",
            "--for",
            "1s",
            "--max-p99",
            "1ms",
            "--at",
            "0s",
            "fault all latency=50ms",
        ])
        .says("✗ max p99 1 ms is broken");
    assert!(
        lbdev.backend(lbdev.ports.first)["fault"].is_null(),
        "it ends with the load"
    );
    // Nothing at all was answered.
    assert_eq!(
        lbdev.run(&["load", "/status/500", "--for", "500ms"]).code,
        Some(1)
    );
}

#[test]
fn what_cannot_be_loaded_is_said_before_anything_is_sent() {
    let lbdev = Lbdev::new();
    lbdev.run(&["load"]).fails(1, "LB005");
    let nobody = format!("http://localhost:{}/", lbdev.ports.first);
    lbdev.run(&["load", &nobody]).fails(1, "LB050");
    lbdev.run(&["load", "https://localhost/"]).fails(2, "LB021");
    lbdev.demo();
    for args in [
        &["load", "--rps", "0"][..],
        &["load", "--rps", "many"],
        &["load", "--for", "0s"],
        &["load", "--max-errors", "few"],
        &["load", "--at", "1s", "kil 8000"],
        &["load", "--at", "20s", "kill 8000"],
        &["load", "--at", "1s", "top"],
        &["load", "-H", "nonsense"],
        &["load", "-X", "CONNECT"],
        &["load", "-d", "@/nowhere"],
        &["load", "http://a b/"],
        &["load", "/", "http://localhost:1/"],
    ] {
        lbdev.run(args).fails(2, "LB021");
    }
    lbdev
        .run(&["load", "--html", "/nowhere/report.html"])
        .fails(1, "LB007");
    assert_eq!(
        lbdev.status()["balancer"]["requests"],
        0,
        "nothing was sent"
    );
    // A verb that fails in the middle is seen in the report and in the exit code.
    let out = lbdev.run(&["load", "--for", "1s", "--at", "100ms", "kill 1"]);
    assert_eq!(out.code, Some(1));
    out.says("✗ 0.1 s  kill 1");
}

/// What was measured so far is told, and a fault that was put in for the load is taken out.
#[test]
fn ctrl_c_in_the_middle() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let args = [
        "load",
        "--for",
        "60s",
        "--at",
        "100ms",
        "fault all latency=20ms",
    ];
    let load = lbdev.start(&args);
    load.wait_line("0.1 s fault all latency=20ms", s(20));
    load.signal(Signal::INT);
    let out = load.output(s(20));
    assert_eq!(out.code, Some(130), "{out:?}");
    out.says("stopped before its 60 s were over").says("p50");
    for port in lbdev.ports.four() {
        assert!(lbdev.backend(port)["fault"].is_null());
    }
}

#[test]
fn the_page_in_a_browser() -> Result<()> {
    let Some(chromium) = need::chromium() else {
        return Ok(());
    };
    let lbdev = Lbdev::new();
    lbdev.demo();
    let file = lbdev.dir.join("report.html");
    let kill = format!("kill {}", lbdev.ports.first);
    let args = [
        "load",
        "/status/500",
        "/",
        "--for",
        "2s",
        "--at",
        "1s",
        &kill,
        "--html",
    ];
    let args: Vec<&str> = args.into_iter().chain([file.to_str().unwrap()]).collect();
    lbdev.run(&args).ok();
    let browser = Browser::start(&chromium)?;
    browser.open(&format!("file://{}", file.display()))?;
    browser.wait_text("Who answered")?;
    let text = browser.text()?;
    for wanted in [
        "200 requests in 2.0 s",
        "100 × status 500",
        &kill,
        "noticed after",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is missing: {text}");
    }
    // What is drawn is drawn within the picture.
    let boxes = browser.script(
        "return [...document.querySelectorAll('svg path')].map(p => { const b = p.getBBox(); return [b.x, b.y, b.x + b.width, b.y + b.height] })",
    )?;
    let boxes = boxes.as_array().unwrap().clone();
    assert!(boxes.len() >= 6, "{boxes:?}");
    for one in boxes {
        let [left, top, right, bottom] = [0, 1, 2, 3].map(|n| one[n].as_f64().unwrap());
        assert!(
            left >= -1.0 && top >= -1.0 && right <= 961.0 && bottom <= 161.0,
            "{one}"
        );
    }
    assert_eq!(
        browser.script("return performance.getEntriesByType('resource').length")?,
        0
    );
    Ok(())
}

/// A rate that a machine cannot hold is said to be one.
#[test]
fn a_busy_generator_says_so() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let out = lbdev.run(&[
        "load",
        "--json",
        "--rps",
        "1000000",
        "--for",
        "500ms",
        "--connections",
        "2",
        "--timeout",
        "1s",
    ]);
    let report = out.json();
    let unsent = report["failures"]["unsent"].as_u64().unwrap_or(0);
    assert_eq!(report["requests"], 500_000);
    assert!(unsent > 0, "{}", report["failures"]);
    assert_eq!(
        report["ok"].as_u64().unwrap() + report["failed"].as_u64().unwrap(),
        500_000
    );
}
