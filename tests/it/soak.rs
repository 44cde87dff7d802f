//! Much and long: a hundred backends at once, and backends that crash again and again. What lbdev had before, it has after.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use crate::footprint::Footprint;
use crate::harness::{LBDEV, Lbdev};
use crate::load::Load;
use crate::numbers::tell;
use crate::ports::Row;
use crate::wait::{at, holds_within, is_long, s, until};

/// Backends that are to start and stop fast, and in how little memory.
const MANY: u16 = 100;
const START: Duration = s(5);
const STOP: Duration = s(3);
const MEMORY: u64 = 60 << 20;
/// For what is promised of a machine that has nothing else to do.
const BUSY: u32 = 4;

const MIB: u64 = 1 << 20;

fn pid(lbdev: &Lbdev) -> u32 {
    let pid = lbdev.status()["pid"].as_u64();
    u32::try_from(pid.expect("a pid")).expect("a pid")
}

#[test]
fn a_hundred_backends_start_and_stop_in_seconds() {
    let lbdev = Lbdev::new();
    let row = Row::take(MANY);
    let (count, ports, listen) = (
        MANY.to_string(),
        row.range(),
        lbdev.ports.listen().to_string(),
    );
    let up = [
        "demo", "-d", "--wait", "-n", &count, "--ports", &ports, "--listen", &listen,
    ];
    let mut best = (Duration::MAX, Duration::MAX);
    // Other tests run beside this one: of a few tries the best says what it takes.
    for _ in 0..BUSY {
        let started = lbdev.run(&up).ok().took;
        let status = lbdev.status();
        let backends = status["backends"].as_array().unwrap();
        assert!(
            backends.len() == usize::from(MANY) && backends.iter().all(|row| row["state"] == "up")
        );
        let serving = Footprint::of(pid(&lbdev));
        for _ in 0..MANY {
            assert_eq!(lbdev.get("/health").status, 200);
        }
        let stopped = lbdev.run(&["down"]).ok().took;
        assert!(
            row.is_free() && lbdev.processes().is_empty(),
            "{:#?}",
            lbdev.processes()
        );
        let line = format!(
            "{MANY} backends: started in {:.2} s, stopped in {:.2} s; {serving} ({:.1} MiB at most)",
            started.as_secs_f64(),
            stopped.as_secs_f64(),
            serving.most_memory as f64 / MIB as f64
        );
        println!("{line}");
        assert!(serving.most_memory < MEMORY, "{serving}");
        best = (best.0.min(started), best.1.min(stopped));
        if best.0 < START && best.1 < STOP {
            tell(&line);
            return;
        }
    }
    panic!("not within {START:?} and {STOP:?}: {best:?} at best");
}

/// What crashes while it serves, each in its own way: by itself, killed, in the middle of much output, leaving a daemon
/// behind that holds its output.
const CRASHES: &str = r#"#!/bin/sh
case $LBDEV_INDEX in
1) (sleep 0.1; kill -SEGV $$) & ;;
2) (sleep 0.2; kill -KILL $$) & ;;
3) seq 1 500; (sleep 0.15; seq 1 500; kill -TERM $$) & ;;
4) setsid -f sleep 1000; (sleep 0.3; kill -KILL $$) & ;;
esac
"#;

#[test]
fn crash_loops_leave_nothing() {
    let lbdev = Lbdev::new();
    let script = lbdev.script(
        "crashes",
        &format!("{CRASHES}exec {LBDEV} __demo --port \"$1\"\n"),
    );
    let restart = "restart = { policy = \"always\", backoff = \"20ms..20ms\", max = 1000000 }";
    lbdev.write(
        "lbdev.toml",
        &format!(
            "[balancer]\nlisten = \"localhost:{}\"\n\n\
             [services.web]\ncommand = \"{} {{port}}\"\nports = \"{}\"\n{restart}\n\n\
             [services.gone]\ncommand = \"false\"\nreplicas = 2\n{restart}\n",
            lbdev.ports.listen(),
            script.display(),
            lbdev.ports.range()
        ),
    );
    lbdev.run(&["up", "-d"]).ok();
    let lbdev_pid = pid(&lbdev);
    let round = |length: Duration| {
        let load = Load::start(lbdev.ports.listen(), "/slow?ms=5", 200, 16);
        at(Instant::now() + length);
        let report = load.finish();
        lbdev.run(&["stop", "all"]).ok();
        let served = report.only(|record| record.result == Ok(200)).records.len();
        assert!(
            served * 2 > report.records.len(),
            "of {} requests only {served} were answered",
            report.records.len()
        );
        served
    };
    // What is made once is made by then: pools, buffers, the allocator's arenas.
    round(s(6));
    let restarts = || -> u64 {
        let status = lbdev.status();
        let rows = status["backends"].as_array().unwrap().iter();
        rows.map(|row| row["restarts"].as_u64().unwrap()).sum()
    };
    // What is about to go has gone when nothing has for a while; a thread that waits for work does so for 10 s.
    let before = {
        let mut least = Footprint::of(lbdev_pid);
        let mut since = Instant::now();
        until(s(60), "nothing more went", || {
            let now = Footprint::of(lbdev_pid);
            if now.files < least.files
                || now.threads < least.threads
                || now.children < least.children
            {
                (least, since) = (now, Instant::now());
            }
            since.elapsed() > s(3)
        });
        least
    };
    let (crashed, mut served) = (restarts(), 0);
    let length = if is_long() { s(600) } else { s(20) };
    let end = Instant::now() + length;
    while Instant::now() < end {
        lbdev.run(&["start", "all"]);
        served += round(s(10).min(end - Instant::now()));
    }
    let crashed = restarts() - crashed;
    let mut after = before;
    holds_within(s(30), || {
        after = Footprint::of(lbdev_pid);
        after.files <= before.files
            && after.threads <= before.threads
            && after.children <= before.children
    });
    let line = format!(
        "crash loops: {crashed} crashes, {served} requests answered; before: {before}; after: {after}"
    );
    println!("{line}");
    tell(&line);
    assert!(crashed > 300, "{crashed}");
    assert!(after.files <= before.files, "{before} → {after}");
    assert!(after.threads <= before.threads, "{before} → {after}");
    assert!(after.children <= before.children, "{before} → {after}");
    // The allocator gives threads that work at the same time pools of their own, about a MiB each: how many that have been
    // once says the machine.
    assert!(after.memory < before.memory + 6 * MIB, "{before} → {after}");
    until(s(20), "it serves as before", || {
        lbdev.run(&["start", "all"]);
        lbdev.get("/health").status == 200
    });
}
