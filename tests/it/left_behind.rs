//! Nothing is ever left behind: lbdev, its guardian or both are ended with SIGKILL at every stage, and backends do what real
//! programs do to outlive their end.

mod elsewhere;
mod killed;
mod moved;
mod stays;
mod stubborn;

use std::time::Instant;

use rustix::process::Signal;

use crate::harness::{LBDEV, Lbdev, Running, kill};
use crate::scan::Found;
use crate::wait::{holds_within, is_long, s};

/// How often each way to die is tried: once, or with `tests/run --long` fifty times.
fn times() -> usize {
    if is_long() { 50 } else { 1 }
}

/// lbdev itself, as it runs in the foreground or the background.
pub fn the_lbdev(lbdev: &Lbdev) -> Option<u32> {
    let is = |found: &Found| {
        let words: Vec<&str> = found.command.split_whitespace().collect();
        found.backend.is_none() && matches!(words.get(1), Some(&("up" | "__background" | "demo")))
    };
    let mut all = lbdev.processes();
    // `up -d` waits beside the one that it has started.
    all.sort_by_key(|found| !found.command.contains("__background"));
    all.into_iter().find(is).map(|found| found.pid)
}

pub fn guardian(lbdev: &Lbdev) -> Option<u32> {
    let mut all = lbdev.processes().into_iter();
    let found =
        all.find(|found| found.backend.is_none() && found.command.contains("__guardian"))?;
    Some(found.pid)
}

/// After lbdev's death at `since` its guardian has 2 s to end all.
#[track_caller]
fn gone_after_death(lbdev: &Lbdev, since: Instant, what: &str) {
    let gone = holds_within(s(2).saturating_sub(since.elapsed()), || {
        lbdev.processes().is_empty()
    });
    assert!(
        gone,
        "{what}: after {:?} still there: {:#?}",
        since.elapsed(),
        lbdev.processes()
    );
    lbdev.assert_all_gone();
}

/// SIGKILL, and the time of it.
fn slay(pid: u32) -> Instant {
    kill(pid, Signal::KILL);
    Instant::now()
}

/// Demo backends whose command also leaves a process that ignores TERM, so that a kind request is not enough.
fn with_companions(lbdev: &Lbdev) {
    lbdev.script(
        "serve.sh",
        &format!(
            "#!/bin/sh\n(trap '' TERM INT HUP; sleep 1000 & wait; sleep 1000) &\nexec {LBDEV} __demo --port \"$1\"\n"
        ),
    );
    lbdev.service_file("./serve.sh {port}", "", "stop = { timeout = \"500ms\" }");
}

/// In the foreground, ready.
fn foreground(lbdev: &Lbdev) -> Running {
    let up = lbdev.start(&["up"]);
    up.wait_line("lbdev: ready http://", s(60));
    up
}
