//! Strays: processes below lbdev that no run accounts for, because their program has cleared its environment, left its
//! session and lost its parents. The kernel has given them to us, so they are a backend's, even where nobody can say whose.

use std::collections::HashSet;

use super::find::Scope;
use super::os::{self, Proc};
use super::{own, ports, signals};

/// Ends those that listen on `port`, TERM first: the run that the port belongs to has ended. Whoever else listens there is
/// a stranger and left alone.
pub(super) fn end_listening_on(port: u16) {
    let strays = strays();
    if strays.is_empty() {
        return;
    }
    let listening = ports::pids_listening_on(port);
    let found: Vec<Proc> = strays
        .into_iter()
        .filter(|stray| listening.contains(&stray.pid))
        .collect();
    end(found);
}

/// Ends all that are left, TERM first, when no run is left. Returns their pids.
pub fn end_strays() -> Vec<u32> {
    end(strays())
}

fn end(found: Vec<Proc>) -> Vec<u32> {
    let nobody = Scope::Instance {
        instance: String::new(),
        known: Vec::new(),
    };
    let scope = nobody.keeping(&found);
    signals::end(&scope, found, false)
        .iter()
        .map(|proc| proc.pid)
        .collect()
}

/// Orphans that came to us and carry no mark of ours, with what they have started.
fn strays() -> Vec<Proc> {
    let me = std::process::id();
    // The first process of a container gets the orphans of everybody.
    if me == 1 {
        return Vec::new();
    }
    let (table, own) = own::quietly(|own| (os::descendants(), own.clone()));
    let (Some(table), Some(here)) = (table, os::own_session()) else {
        return Vec::new();
    };
    let mut found: HashSet<u32> = HashSet::new();
    for proc in &table {
        let adopted = proc.parent == me
            && proc.session != here
            && !own.contains(&proc.pid)
            && !own::was_there_before(proc)
            && os::environ(proc.pid).is_none_or(|environ| !is_marked(&environ));
        if adopted {
            found.insert(proc.pid);
        }
    }
    // The table lists parents before their children.
    for proc in &table {
        if found.contains(&proc.parent) {
            found.insert(proc.pid);
        }
    }
    table
        .into_iter()
        .filter(|proc| !proc.zombie && found.contains(&proc.pid))
        .collect()
}

fn is_marked(environ: &[u8]) -> bool {
    environ
        .split(|byte| *byte == 0)
        .any(|variable| variable.starts_with(b"LBDEV_INSTANCE="))
}
