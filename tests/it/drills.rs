//! Drills: whatever happens to the backends under load, no request is lost that could be saved, and no POST runs twice.
//!
//! Each runs for 5 s, with `tests/run --long` for 30 s, and says in one line what it saw.

mod ledger;
mod squad;

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Lbdev, kill};
use crate::wait::{at, s};
use squad::{Holds, Squad};

/// Far more than anything here takes on a busy machine.
const LIMIT: Duration = s(60);
/// Clients where somebody is there to answer all the time.
const FEW: usize = 16;
/// Clients where many wait: those who do leave others to go on at the same rate.
const CROWD: usize = 300;

#[test]
fn one_is_killed_by_a_command() {
    let mut squad = Squad::new("kill one", Holds::MayDie, FEW);
    squad.drill(|lbdev, port, load| {
        let name = port.to_string();
        lbdev.run(&["kill", &name]).ok();
        load.run_for(50, LIMIT);
        assert_eq!(lbdev.backend(port)["last_exit"]["signal"], "SIGKILL");
        lbdev.run(&["start", &name]).ok();
        lbdev.until_state(port, "up", LIMIT);
    });
    squad.ends();
}

/// Nobody announces it, and the policy brings the backend back.
#[test]
fn one_is_killed_from_outside() {
    let mut squad = Squad::new("kill one from outside", Holds::MayDie, FEW);
    squad.drill(|lbdev, port, _| {
        let old = squad::pid(lbdev, port);
        kill(old, Signal::KILL);
        squad::until_replaced(lbdev, &[(port, old)]);
    });
    squad.ends();
}

#[test]
fn all_are_killed_by_a_command_and_started() {
    let mut squad = Squad::new("kill all", Holds::MayDie, CROWD);
    squad.drill(|lbdev, _, _| {
        let before = squad::pids(lbdev);
        lbdev.run(&["kill", "all"]).ok();
        lbdev.run(&["start", "all"]).ok();
        squad::until_replaced(lbdev, &before);
    });
    let report = squad.ends();
    assert!(squad::waited(&report) > 0, "nobody was without a backend");
}

#[test]
fn all_are_killed_from_outside() {
    let mut squad = Squad::new("kill all from outside", Holds::MayDie, CROWD);
    squad.drill(|lbdev, _, _| {
        let before = squad::pids(lbdev);
        for (_, pid) in &before {
            kill(*pid, Signal::KILL);
        }
        squad::until_replaced(lbdev, &before);
    });
    let report = squad.ends();
    assert!(squad::waited(&report) > 0, "nobody was without a backend");
}

/// Its port goes on accepting: whatever was sent there waits, and is answered when it goes on.
#[test]
fn one_freezes() {
    let squad = Squad::new("freeze one", Holds::Lives, CROWD);
    freeze(squad, |_, _, frozen| at(frozen + s(2)));
}

/// Checks by HTTP find out, and it gets no more: those that it has wait on.
#[test]
fn one_freezes_until_checks_notice() {
    let health = "health = { path = \"/health\" }";
    let squad = Squad::with(
        "freeze one until checks notice",
        Holds::Lives,
        CROWD,
        health,
    );
    freeze(squad, |lbdev, port, _| {
        lbdev.until_state(port, "unhealthy", LIMIT)
    });
}

fn freeze(mut squad: Squad, until: impl Fn(&Lbdev, u16, Instant)) {
    squad.drill(|lbdev, port, load| {
        let pid = squad::pid(lbdev, port);
        kill(pid, Signal::STOP);
        let frozen = Instant::now();
        // The others go on at once.
        load.run_for(50, LIMIT);
        until(lbdev, port, frozen);
        kill(pid, Signal::CONT);
        lbdev.until_state(port, "up", LIMIT);
        assert_eq!(squad::pid(lbdev, port), pid, "it is the same process");
    });
    let report = squad.ends();
    assert!(squad::waited(&report) > 0, "nobody met the frozen one");
}

/// A stop waits for what is in flight.
#[test]
fn one_is_stopped_and_started() {
    let mut squad = Squad::new("stop one", Holds::Lives, FEW);
    squad.drill(|lbdev, port, load| {
        let name = port.to_string();
        lbdev.run(&["stop", &name]).ok();
        load.run_for(50, LIMIT);
        assert_eq!(lbdev.backend(port)["state"], "stopped");
        lbdev.run(&["start", &name]).ok();
        lbdev.until_state(port, "up", LIMIT);
    });
    squad.ends();
}

#[test]
fn one_is_restarted() {
    let mut squad = Squad::new("restart one", Holds::Lives, FEW);
    squad.drill(|lbdev, port, _| {
        let old = squad::pid(lbdev, port);
        lbdev.run(&["restart", &port.to_string()]).ok();
        squad::until_replaced(lbdev, &[(port, old)]);
    });
    squad.ends();
}

#[test]
fn all_are_restarted_one_after_the_other() {
    let mut squad = Squad::new("restart all --rolling", Holds::Lives, FEW);
    squad.drill(|lbdev, _, _| {
        let before = squad::pids(lbdev);
        lbdev.run(&["restart", "all", "--rolling"]).ok();
        squad::until_replaced(lbdev, &before);
    });
    squad.ends();
}

/// While none of the old ones takes requests any more and none of the new ones does yet, requests wait.
#[test]
fn all_are_restarted_at_once() {
    let mut squad = Squad::new("restart all", Holds::Lives, CROWD);
    squad.drill(|lbdev, _, _| {
        let before = squad::pids(lbdev);
        lbdev.run(&["restart", "all"]).ok();
        squad::until_replaced(lbdev, &before);
    });
    let report = squad.ends();
    assert!(squad::waited(&report) > 0, "nobody was without a backend");
}
