//! Signals: to all of one run, and the escalation that leaves nothing behind.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use super::find::{self, Scope};
use super::os::{self, Proc};
use crate::backend::Signal;

/// What remains after its leader, or after lbdev itself, has this long after TERM.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// What was asked to end before its leader went (`sh -c` goes at once, its server finishes its requests) has this long,
/// or until it is killed because its own stop timeout has passed.
pub(super) const GRACE_ASKED: Duration = Duration::from_secs(600);
/// Between two looks at what is left: the first time, and the longest. A look costs some milliseconds, so that they become
/// rarer the longer it takes.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// A pause is this part of what was waited before it.
const PAUSE_PART: u32 = 8;
/// Between two KILLs of the same run.
const AFTER_KILL: Duration = Duration::from_millis(20);
/// No process outlives KILL longer than this, unless the kernel holds it (a hung disk): then it is given up.
const GIVE_UP: Duration = Duration::from_secs(5);
/// Against a program that forks faster than it can be killed.
const ROUNDS: usize = 50;

/// Signals what [`os::to_group`] does not reach: members of a run in other groups than that of its leader, each run with its own
/// signal. One look at the table does for all of them.
pub(super) fn to_rest(runs: &[(Scope, u32, Signal)]) {
    if runs.is_empty() {
        return;
    }
    let table = find::whole();
    for (scope, leader, signal) in runs {
        for proc in find::members(scope, &table) {
            if proc.group != *leader {
                os::send(&proc, *signal);
            }
        }
    }
}

/// KILL to everything in `scopes`, which are asked for before each look: the number of a leader that has been reaped may be
/// another's. It is repeated until nobody is left who has not got it, as a process may fork between our look and our signal;
/// who has got it cannot fork any more, so a look that finds nobody new is the last one.
pub(super) fn kill_all(scopes: impl Fn() -> Vec<Scope>) {
    let mut done: HashSet<(u32, u64)> = HashSet::new();
    for _ in 0..ROUNDS {
        let scopes = scopes();
        if scopes.is_empty() {
            return;
        }
        let table = find::whole();
        let mut fresh: Vec<Proc> = Vec::new();
        for scope in &scopes {
            let members = find::members(scope, &table).into_iter();
            fresh.extend(members.filter(|proc| done.insert((proc.pid, proc.start))));
        }
        if fresh.is_empty() {
            return;
        }
        for proc in fresh {
            os::send(&proc, Signal::Kill);
        }
    }
}

/// Ends everything in `scope`: TERM and [`GRACE`], or only [`GRACE_ASKED`] if it was `asked` before; KILL. Returns what it found at first, and
/// only when nothing is left, or what is left cannot be killed.
pub(super) fn end(scope: &Scope, first: Vec<Proc>, asked: bool) -> Vec<Proc> {
    if first.is_empty() {
        return first;
    }
    let scope = &scope.keeping(&first);
    for proc in &first {
        if !asked {
            os::send(proc, Signal::Term);
        }
        // A frozen process gets its TERM only when it goes on.
        os::send(proc, Signal::Cont);
    }
    if !gone_within(scope, if asked { GRACE_ASKED } else { GRACE }) {
        let until = Instant::now() + GIVE_UP;
        loop {
            kill_all(|| vec![scope.clone()]);
            if gone_within(scope, AFTER_KILL) || Instant::now() >= until {
                break;
            }
        }
    }
    first
}

fn gone_within(scope: &Scope, time: Duration) -> bool {
    let began = Instant::now();
    loop {
        if find::everywhere(scope).is_empty() {
            return true;
        }
        let waited = began.elapsed();
        if waited >= time {
            return false;
        }
        thread::sleep((waited / PAUSE_PART).clamp(FIRST_PAUSE, LONGEST_PAUSE));
    }
}
