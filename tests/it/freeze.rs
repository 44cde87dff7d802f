//! A backend that hangs: `freeze`, `thaw`, and whoever has to find out.

use crate::harness::{LBDEV, Lbdev};
use crate::http;
use crate::rotation::goes_round;
use crate::scan::Found;
use crate::wait::{holds_within, s, until};

/// The states of the processes of one backend, as the system has them: `T` is stopped.
fn stopped(lbdev: &Lbdev, port: u16) -> Vec<(u32, bool)> {
    let id = format!("web:{port}");
    let of_it = |found: &Found| found.backend.as_deref() == Some(id.as_str());
    let all = lbdev.backend_processes().into_iter().filter(of_it);
    all.map(|found| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", found.pid));
        (found.pid, stat.is_ok_and(|stat| stat.contains(") T ")))
    })
    .collect()
}

#[test]
fn the_whole_tree_hangs_and_goes_on() {
    let lbdev = Lbdev::new();
    lbdev.script(
        "serve.sh",
        &format!(
            "#!/bin/sh\nsetsid sleep 1000 &\nsleep 1000 &\n{LBDEV} __demo --port \"$1\" &\nwait\n"
        ),
    );
    lbdev.service_file("./serve.sh {port}", "", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let [first, second, ..] = lbdev.ports.four();
    let name = first.to_string();
    lbdev
        .run(&["freeze", &name])
        .ok()
        .says("frozen (pid")
        .says(&format!("lbdev thaw {name} lets it go on"));
    let row = lbdev.backend(first);
    assert_eq!(
        (&row["state"], &row["desired"]),
        (&"frozen".into(), &"up".into())
    );
    until(s(10), "all of its processes stand still", || {
        let all = stopped(&lbdev, first);
        all.len() == 4 && all.iter().all(|(_, stopped)| *stopped)
    });
    assert!(stopped(&lbdev, second).iter().all(|(_, stopped)| !stopped));
    // Its port accepts, and nobody answers.
    assert!(http::Connection::open(first).is_ok());
    lbdev
        .run(&["status"])
        .says("‖ frozen")
        .says(&format!("lbdev thaw {name}"));
    lbdev.run(&["pause", &name]).ok().says("is frozen already");
    lbdev.run(&["unpause", &name]).ok().says("goes on (pid");
    until(s(10), "all of them go on", || {
        stopped(&lbdev, first).iter().all(|(_, stopped)| !stopped)
    });
    assert_eq!(lbdev.backend(first)["state"], "up");
    lbdev.run(&["thaw", &name]).ok().says("is not frozen");
    assert!(goes_round_all(&lbdev));
    // By its signals it is the same.
    lbdev.run(&["kill", &name, "-s", "STOP"]).ok();
    assert_eq!(lbdev.backend(first)["state"], "frozen");
    lbdev.run(&["kill", &name, "-s", "18"]).ok();
    assert_eq!(lbdev.backend(first)["state"], "up");
    lbdev.run(&["down"]).ok();
    lbdev.assert_all_gone();
}

fn goes_round_all(lbdev: &Lbdev) -> bool {
    goes_round(&lbdev.next_ports(8), &lbdev.ports.four());
    true
}

/// Every verb that ends a process ends one that hangs, at once.
#[test]
fn what_hangs_ends_when_it_is_told_to() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "stop = { timeout = \"60s\" }");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let [a, b, c, d] = lbdev.ports.four().map(|port| port.to_string());
    lbdev.run(&["freeze", "all"]).ok();
    for (verb, port) in [("stop", &a), ("kill", &b), ("restart", &c)] {
        let done = lbdev.run(&[verb, port]).ok();
        assert!(done.took < s(20), "{done}");
    }
    lbdev.until_state(lbdev.ports.first, "stopped", s(10));
    lbdev.until_state(lbdev.ports.first + 1, "stopped", s(10));
    lbdev.until_state(lbdev.ports.first + 2, "up", s(30));
    // One that was frozen once is not frozen when it is started anew.
    lbdev.run(&["start", &a]).ok();
    lbdev.until_state(lbdev.ports.first, "up", s(30));
    // What is down cannot hang.
    lbdev
        .run(&["freeze", &b])
        .fails(1, "LB032")
        .says(&format!(
            "`web:{b}` is stopped, not up: there is nothing that could hang"
        ))
        .says(&format!("lbdev start {b}"));
    assert_eq!(
        lbdev.backend(lbdev.ports.first + 3)["state"],
        "frozen",
        "{d}"
    );
    let down = lbdev.run(&["down"]).ok();
    assert!(down.took < s(20), "{down}");
    lbdev.assert_all_gone();
}

/// Nobody is told of it: with checks it is checks that find out, and bring it back.
#[test]
fn active_checks_find_out() {
    let lbdev = Lbdev::new();
    lbdev.demo_file(
        "detect = \"active\"",
        "health = { path = \"/health\", interval = \"100ms\", timeout = \"1s\", rise = 1, fall = 2 }",
    );
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let [first, ..] = lbdev.ports.four();
    lbdev
        .run(&["freeze", &first.to_string()])
        .ok()
        .says("checks have to find out");
    let row = lbdev.backend(first);
    assert_eq!(
        (&row["state"], &row["eligible"]),
        (&"frozen".into(), &true.into())
    );
    until(s(30), "checks found out", || {
        lbdev.backend(first)["healthy"] == false
    });
    assert_eq!(lbdev.backend(first)["state"], "frozen");
    goes_round(&lbdev.next_ports(6), &lbdev.ports.four()[1..]);
    lbdev.run(&["thaw", &first.to_string()]).ok();
    until(s(30), "checks brought it back", || {
        lbdev.backend(first)["healthy"] == true
    });
    assert!(goes_round_all(&lbdev));
}

/// With `passive` only the requests that it does not answer do.
#[test]
fn passive_requests_find_out() {
    let lbdev = Lbdev::new();
    lbdev.demo_file(
        "detect = \"passive\"\npassive = { failures = 1, window = \"2s\" }\ntimeouts = { backend_head = \"1s\" }",
        "",
    );
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let [first, ..] = lbdev.ports.four();
    lbdev
        .run(&["freeze", &first.to_string()])
        .ok()
        .says("requests have to find out");
    // No check is believed, however long it takes.
    assert!(!holds_within(s(2), || lbdev.backend(first)["healthy"] == false));
    let mut met = 0;
    for _ in 0..4 {
        met += u32::from(lbdev.get("/").status == 504);
    }
    assert_eq!(met, 1, "one request met it, and took it out");
    assert_eq!(lbdev.backend(first)["healthy"], false);
    lbdev.run(&["thaw", &first.to_string()]).ok();
    until(s(30), "its fail time was over", || {
        lbdev.backend(first)["healthy"] == true
    });
    assert!(goes_round_all(&lbdev));
}
