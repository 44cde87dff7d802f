//! A lab as a person does it, and what can be wrong with it.

use rustix::process::Signal;

use crate::harness::{Lbdev, kill};
use crate::tmux::Window;
use crate::wait::{s, until};

const OWN: &str = r#"
title = "My own"
lesson = "three of them"
about = "{{ ports | length }} ports, {{ rate }} requests a second."
question = "How many fail?"
choices = ["none", "all"]
answer = 1
explanation = "{{ calm.failed }} failed."

[vary]
rate = [20]

[setups]
main = """
[balancer]
listen = "{{ listen }}"
[services.web]
{{ server }}
ports = "{{ ports[0] }}-{{ ports[2] }}"
"""

[[steps]]
setup = "main"

[[steps]]
say = "Look:"
load = "calm"
rps = "{{ rate }}"
for = "1s"

[[checks]]
that = "none failed"
holds = "calm.failed == 0 and calm.requests == 20"
shows = "{{ calm.failed }} failed"
"#;

#[test]
fn in_a_terminal() {
    let lbdev = Lbdev::new();
    let Some(window) = Window::open(&lbdev, 80, 50) else {
        return;
    };
    window.runs("lbdev lab sticky");
    window.wait("What do you predict? 1 to 3, h for a hint, q to stop");
    window.runs("h");
    window.wait("Which copy knows the session");
    window.runs("7");
    window.wait("`7` is none of them");
    window.runs("1");
    window.wait("next  lbdev lab drain");
    let screen = window.all();
    for wanted in [
        "Lab sticky: a login that comes and goes",
        "✓ with sticky cookies all are: 100 % at 1 of 4 copies",
        "passed: 4 checks held",
        "You predicted 1; it is 2.",
    ] {
        assert!(screen.contains(wanted), "{wanted:?} is missing: {screen}");
    }
    window.runs("lbdev lab hint");
    window.wait("hint 1 of 2 (sticky)");
    window.runs("lbdev lab failover");
    window.wait("What do you predict?");
    window.runs("q");
    window.wait("$");
}

#[test]
fn ones_own_lab_and_its_errors() {
    let lbdev = Lbdev::new();
    lbdev.write("labs/own.toml", OWN);
    lbdev
        .run(&["lab", "list"])
        .ok()
        .says("own")
        .says("three of them");
    lbdev
        .run(&["lab", "own", "--auto"])
        .ok()
        .says("4 ports, 20 requests a second.")
        .says("✓ none failed: 0 failed");
    lbdev
        .run(&["lab", "show", "own"])
        .ok()
        .says("title = \"My own\"");
    lbdev.write(
        "labs/own.toml",
        &OWN.replace("calm.failed ==", "clam.failed ==")
            .replace("rps =", "rsp ="),
    );
    lbdev
        .run(&["lab", "own", "--auto"])
        .fails(2, "LB051")
        .says("labs/own.toml:28:1: unknown key `rsp`")
        .says("did you mean `calm`?");
    // What can only be seen while it runs.
    lbdev.write(
        "labs/own.toml",
        &OWN.replace("\"{{ rate }}\"", "\"{{ rate }}x\""),
    );
    lbdev
        .run(&["lab", "own", "--auto"])
        .fails(1, "LB051")
        .says("`20x` is no rate");
    lbdev.write(
        "labs/own.toml",
        &OWN.replace(
            "say = \"Look:\"\nload = \"calm\"",
            "load = \"calm\"\nat = [\"100ms kill 1\"]",
        ),
    );
    lbdev
        .run(&["lab", "own", "--auto"])
        .fails(1, "LB051")
        .says("`lbdev kill 1` failed");
    lbdev.write("labs/own.toml", &OWN.replace("listen = ", "listne = "));
    lbdev
        .run(&["lab", "own", "--auto"])
        .fails(1, "LB010")
        .says("listne");
    // A setup that is one's own takes the place of one that lbdev brings.
    lbdev.write("labs/fair.toml", OWN);
    lbdev
        .run(&["lab", "fair", "--auto"])
        .ok()
        .says("Lab fair: My own");
}

#[test]
fn what_cannot_be_done() {
    let lbdev = Lbdev::new();
    lbdev
        .run(&["lab", "failver"])
        .fails(2, "LB051")
        .says("did you mean `lbdev lab failover`?");
    lbdev
        .run(&["lab", "fair", "nothing", "--auto"])
        .fails(2, "LB051");
    lbdev.run(&["lab"]).fails(2, "LB021");
    lbdev.run(&["lab", "list", "more"]).fails(2, "LB021");
    lbdev.run(&["lab", "show"]).fails(2, "LB021");
    lbdev.run(&["lab", "hint"]).fails(1, "LB051");
    lbdev
        .run(&["lab", "sticky", "--auto", "--app", "."])
        .fails(2, "LB051");
    lbdev
        .run(&["lab", "fair", "--auto", "--app", "."])
        .fails(2, "LB002");
    let json = lbdev.run(&["lab", "fair", "--json"]);
    assert_eq!(
        json.json()["error"]["code"],
        "LB021",
        "nobody can be asked in JSON"
    );
    // Nobody is there to be asked.
    lbdev
        .run(&["lab", "fair"])
        .fails(2, "LB021")
        .says("lbdev lab fair --auto");
    lbdev
        .run(&["lab", "fair", "--auto", "--student", " "])
        .fails(2, "LB021");
}

/// What is not installed is no failure.
#[test]
fn what_a_lab_needs_is_not_there() {
    let lbdev = Lbdev::new();
    lbdev.write(
        "labs/own.toml",
        &OWN.replace("answer = 1", "answer = 1\nneeds = [\"no-such-program\"]"),
    );
    lbdev
        .run(&["lab", "own", "--auto"])
        .ok()
        .says("skipped own: it needs `no-such-program`, which is not installed here");
    lbdev
        .run(&["lab", "list"])
        .ok()
        .says("no-such-program (not installed)");
}

#[test]
fn ctrl_c_in_the_middle() {
    let lbdev = Lbdev::new();
    let lab = lbdev.start(&["lab", "failover", "--auto", "--student", "s1"]);
    lab.wait_line("kill ", s(60));
    lab.signal(Signal::INT);
    let out = lab.output(s(30));
    assert_eq!(out.code, Some(130), "{out:?}");
    lbdev.assert_all_gone();
    let file = lbdev.dir.join("lab-failover-s1.json");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("\"state\": \"interrupted\""), "{text}");
}

/// Its own lbdev, and what that has started, ends with it, whatever ends it.
#[test]
fn killed_in_the_middle() {
    let lbdev = Lbdev::new();
    let mut lab = lbdev.start(&["lab", "failover", "--auto", "--student", "s1"]);
    lab.wait_line("kill ", s(60));
    let is_lab = |found: &crate::scan::Found| {
        found.backend.is_none() && found.command.split_whitespace().nth(1) == Some("lab")
    };
    let pid = lbdev.processes().into_iter().find(is_lab).unwrap().pid;
    kill(pid, Signal::KILL);
    lab.wait_exit(s(10));
    until(s(10), "everything has ended", || {
        lbdev.processes().is_empty()
    });
    lbdev
        .run(&["lab", "grade", "lab-failover-s1.json"])
        .says("interrupted");
}
