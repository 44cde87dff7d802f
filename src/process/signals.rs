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
/// Between two looks at what is left: the first, and the longest. A look costs some milliseconds.
const FIRST_LOOK: Duration = Duration::from_millis(2);
const LONGEST_LOOK: Duration = Duration::from_millis(20);
/// No process outlives KILL longer than this, unless the kernel holds it (a hung disk): then it is given up.
const GIVE_UP: Duration = Duration::from_secs(5);
/// Against a program that forks faster than it can be killed.
const ROUNDS: usize = 50;

/// Signals what [`os::to_group`] does not reach: members of a run in other groups. KILL is repeated until nobody is left who
/// has not got it, as a process may fork between our look and our signal.
pub(super) fn to_rest(scope: &Scope, leader: u32, signal: Signal) {
    if signal == Signal::Kill {
        kill_all(scope);
        return;
    }
    for proc in find::everywhere(scope) {
        if proc.group != leader {
            os::send(&proc, signal);
        }
    }
}

/// KILL to everything in `scope`. Who has got it cannot fork any more, so a look that finds nobody new is the last one.
fn kill_all(scope: &Scope) {
    let mut done: HashSet<(u32, u64)> = HashSet::new();
    for _ in 0..ROUNDS {
        let fresh: Vec<Proc> = find::everywhere(scope)
            .into_iter()
            .filter(|proc| done.insert((proc.pid, proc.start)))
            .collect();
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
            kill_all(scope);
            if gone_within(scope, LONGEST_LOOK) || Instant::now() >= until {
                break;
            }
        }
    }
    first
}

fn gone_within(scope: &Scope, time: Duration) -> bool {
    let until = Instant::now() + time;
    let mut pause = FIRST_LOOK;
    loop {
        if find::everywhere(scope).is_empty() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(pause);
        pause = LONGEST_LOOK.min(pause * 2);
    }
}
