//! The labs: each holds, fails when its lesson is broken, and leaves nothing; and what teachers do with their results.

mod results;
mod typed;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::Value;

use crate::harness::Lbdev;
use crate::need;
use crate::wait::{is_long, s};

/// A lab takes no longer than this.
const LONGEST: u64 = 60;

/// A core that has nothing to spare, until it is dropped.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn core() -> Busy {
        let over = Arc::new(AtomicBool::new(false));
        let theirs = over.clone();
        std::thread::spawn(move || {
            while !theirs.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        Busy(over)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn record(lbdev: &Lbdev, args: &[&str]) -> (Option<i32>, Value) {
    let args = [&["lab", "--auto", "--json"], args].concat();
    let out = lbdev.start(&args).output(s(180));
    let value = serde_json::from_str(out.stdout.trim());
    let value = value.unwrap_or_else(|error| panic!("{error}: {out:?}"));
    (out.code, value)
}

/// It holds, once, or with `tests/run --long` ten times in a row beside a busy core and with another student's numbers each
/// time; and it does not hold where its lesson is broken.
fn does(name: &str) {
    let lbdev = Lbdev::new();
    let busy = is_long().then(Busy::core);
    for turn in 0..if is_long() { 10 } else { 1 } {
        let student = format!("s{turn}");
        let began = Instant::now();
        let (code, record) = record(&lbdev, &[name, "--student", &student]);
        let took = began.elapsed();
        let failed = |check: &&Value| check["held"] != true;
        let failed: Vec<&Value> = record["checks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(failed)
            .collect();
        assert!(
            code == Some(0) && failed.is_empty(),
            "{name}, turn {turn}: {failed:#?}"
        );
        assert_eq!(record["state"], "complete");
        assert!(took < s(LONGEST), "{name} took {took:?}");
        lbdev.assert_all_gone();
    }
    drop(busy);
    let (code, record) = record(&lbdev, &[name, "--broken"]);
    assert_eq!(
        code,
        Some(1),
        "{name} holds although its lesson is broken: {:#}",
        record["checks"]
    );
    let left = std::fs::read_dir(lbdev.root().join("state/lbdev/labs")).unwrap();
    let left: Vec<_> = left.flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["last.json"], "a lab has left its folder");
}

#[test]
fn fair() {
    does("fair");
}

#[test]
fn failover() {
    does("failover");
}

#[test]
fn detection() {
    does("detection");
}

#[test]
fn all_down() {
    does("all-down");
}

#[test]
fn slow_one() {
    does("slow-one");
}

#[test]
fn sqlite_lock() {
    if need::installed("python3", "python3 is not installed").is_some() {
        does("sqlite-lock");
    }
}

#[test]
fn sticky() {
    does("sticky");
}

#[test]
fn drain() {
    does("drain");
}

#[test]
fn rolling() {
    does("rolling");
}

#[test]
fn herd() {
    does("herd");
}

#[test]
fn retry_storm() {
    does("retry-storm");
}

#[test]
fn post_twice() {
    does("post-twice");
}

/// Somebody's own Django behind a lab, and an instance that runs meanwhile and is left alone.
#[test]
fn with_ones_own_project() -> anyhow::Result<()> {
    let Some(lbdev) = crate::up_django::django_site()? else {
        return Ok(());
    };
    lbdev.up(&[]);
    let before = lbdev.status();
    let (code, record) = record(&lbdev, &["failover", "--app", "."]);
    assert_eq!(code, Some(0), "{:#}", record["checks"]);
    assert_eq!(record["app"], true);
    let after = lbdev.status();
    assert_eq!(before["pid"], after["pid"]);
    assert_eq!(
        before["balancer"]["requests"], after["balancer"]["requests"],
        "the lab's requests went to the project's own balancer"
    );
    Ok(())
}
