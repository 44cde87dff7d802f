//! Restart policies with processes that really end.

use rustix::process::Signal;

use crate::harness::{LBDEV, Lbdev, kill};
use crate::wait::{holds_within, s, until};

/// One backend whose server ends as the file `how` says when it is asked for `/crash…`; see the demo.
fn one(lbdev: &Lbdev, restart: &str) -> u16 {
    lbdev.write(
        "lbdev.toml",
        &format!(
            "[balancer]\nlisten = \"localhost:{}\"\n\n[services.web]\ncommand = \"./serve.sh {{port}}\"\nports = {}\n\
             restart = {restart}\n",
            lbdev.ports.listen(),
            lbdev.ports.first
        ),
    );
    // It ends with the status that the file `status` holds as soon as that is there, and says why.
    lbdev.script(
        "serve.sh",
        &format!(
            "#!/bin/sh\n{LBDEV} __demo --port \"$1\" &\nserver=$!\n\
             while [ ! -s status ]; do kill -0 $server 2>/dev/null || exit 99; sleep 0.02; done\n\
             echo \"the last thing that it said\"\nkill $server\nwait $server\nexit \"$(cat status)\"\n"
        ),
    );
    lbdev.ports.first
}

fn ends_with(lbdev: &Lbdev, status: &str) {
    // Whole or not there: it is looked for all the time.
    std::fs::write(lbdev.dir.join("status.new"), status).unwrap();
    std::fs::rename(lbdev.dir.join("status.new"), lbdev.dir.join("status")).unwrap();
}

#[test]
fn each_policy_with_each_end() {
    for (policy, status, comes_back) in [
        ("never", "0", false),
        ("never", "3", false),
        ("on_failure", "0", false),
        ("on_failure", "3", true),
        ("always", "0", true),
        ("always", "3", true),
    ] {
        let lbdev = Lbdev::new();
        let restart = format!("{{ policy = \"{policy}\", backoff = \"20ms..50ms\", max = 1000 }}");
        let port = one(&lbdev, &restart);
        lbdev.run(&["up", "-d", "--wait"]).ok();
        let pid = lbdev.backend(port)["pid"].clone();
        ends_with(&lbdev, status);
        if comes_back {
            until(s(30), "it ended", || lbdev.backend(port)["restarts"] != 0);
            std::fs::remove_file(lbdev.dir.join("status")).unwrap();
            lbdev.until_state(port, "up", s(30));
            assert_ne!(lbdev.backend(port)["pid"], pid);
        } else {
            let state = if status == "0" { "stopped" } else { "failed" };
            lbdev.until_state(port, state, s(30));
            assert!(!holds_within(s(1), || lbdev.backend(port)["state"] != state));
            assert_eq!(lbdev.backend(port)["last_exit"]["code"].to_string(), status);
            std::fs::remove_file(lbdev.dir.join("status")).unwrap();
            // By hand it always comes back.
            lbdev.run(&["start", &port.to_string()]).ok();
        }
        // `kill` stays down whatever the policy; with --restart the policy decides.
        lbdev.run(&["kill", &port.to_string()]).ok();
        lbdev.until_state(port, "stopped", s(10));
        lbdev.run(&["start", &port.to_string()]).ok();
        let pid = lbdev.backend(port)["pid"].clone();
        lbdev.run(&["kill", &port.to_string(), "--restart"]).ok();
        match policy {
            "never" => lbdev.until_state(port, "failed", s(10)),
            _ => until(s(30), "the policy brought it back", || {
                let row = lbdev.backend(port);
                row["state"] == "up" && row["pid"] != pid
            }),
        }
    }
}

#[test]
fn after_so_many_it_has_failed_and_its_last_words_are_told() {
    let lbdev = Lbdev::new();
    let port = one(
        &lbdev,
        "{ policy = \"on_failure\", backoff = \"10ms..20ms\", max = 2 }",
    );
    let up = lbdev.start(&["up"]);
    up.wait_line("lbdev: ready http://", s(60));
    ends_with(&lbdev, "7");
    lbdev.until_state(port, "failed", s(60));
    let row = lbdev.backend(port);
    assert_eq!(row["restarts"], 2, "{row:#}");
    assert_eq!(row["why"], "exited with status 7, 3 times in a row");
    up.wait_line(
        &format!("error[LB014]: backend `web:{port}` exited with status 7, 3 times in a row: it is not started again"),
        s(10),
    );
    up.wait_line("its last line", s(10));
    up.wait_line("  the last thing that it said", s(10));
    up.wait_line(&format!("then run `lbdev start {port}`"), s(10));
    std::fs::remove_file(lbdev.dir.join("status")).unwrap();
    lbdev.run(&["start", &port.to_string()]).ok();
    lbdev.until_state(port, "up", s(30));
}

/// In the background it is in the log of the background.
#[test]
fn in_the_background_too() {
    let lbdev = Lbdev::new();
    let port = one(
        &lbdev,
        "{ policy = \"on_failure\", backoff = \"10ms..20ms\", max = 0 }",
    );
    lbdev.run(&["up", "-d", "--wait"]).ok();
    ends_with(&lbdev, "7");
    lbdev.until_state(port, "failed", s(60));
    until(s(10), "it is told", || {
        let folders = std::fs::read_dir(lbdev.root().join("state/lbdev")).unwrap();
        folders.flatten().any(|folder| {
            std::fs::read_to_string(folder.path().join("lbdev.log")).is_ok_and(|log| {
                log.contains("error[LB014]") && log.contains("the last thing that it said")
            })
        })
    });
}

/// Killed from outside it is a failure, and told as one.
#[test]
fn killed_from_outside() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "restart = { backoff = \"10ms..20ms\" }");
    let up = lbdev.start(&["up"]);
    up.wait_line("lbdev: ready http://", s(60));
    let row = lbdev.backend(lbdev.ports.first);
    kill(
        u32::try_from(row["pid"].as_u64().unwrap()).unwrap(),
        Signal::KILL,
    );
    until(s(30), "it was back", || {
        let now = lbdev.backend(lbdev.ports.first);
        now["state"] == "up" && now["pid"] != row["pid"]
    });
    up.wait_line("was killed from outside (SIGKILL)", s(10));
    assert_eq!(
        lbdev.backend(lbdev.ports.first)["last_exit"]["by"],
        "outside"
    );
}

/// Signals that are messages reach the program, by name and by number; one that is none is refused.
#[test]
fn any_signal() {
    let lbdev = Lbdev::new();
    lbdev.script(
        "serve.sh",
        &format!(
            "#!/bin/sh\nfor signal in HUP USR1 USR2 WINCH TTIN ALRM; do trap \"echo got $signal\" $signal; done\n\
             {LBDEV} __demo --port \"$1\" &\nwhile :; do wait; done\n"
        ),
    );
    lbdev.service_file("./serve.sh {port}", "", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let port = lbdev.ports.first.to_string();
    // Only the shell handles it: the server that it has started would end.
    let logs = || lbdev.run(&["logs", &port]).ok().stdout;
    for (typed, name) in [("WINCH", "WINCH"), ("sigwinch", "WINCH"), ("28", "WINCH")] {
        let before = logs().matches(&format!("got {name}")).count();
        lbdev
            .run(&["kill", &port, "-s", typed])
            .ok()
            .says(&format!("got SIG{name}"));
        until(s(10), "it got it", || {
            logs().matches(&format!("got {name}")).count() > before
        });
    }
    assert_eq!(lbdev.backend(lbdev.ports.first)["state"], "up");
    // A crash that was wanted is no crash: it stays down.
    lbdev.run(&["kill", &port, "-s", "SEGV"]).ok();
    lbdev.until_state(lbdev.ports.first, "stopped", s(10));
    assert_eq!(
        lbdev.backend(lbdev.ports.first)["last_exit"]["by"],
        "operator"
    );
    for (typed, says) in [
        ("TREM", "did you mean `TERM`?"),
        ("SIGUSR", "did you mean `USR1`?"),
        ("99", "want one of TERM, INT"),
        ("nonsense", "want one of TERM, INT"),
    ] {
        let out = lbdev.run(&["kill", &port, "-s", typed]);
        assert_eq!(out.code, Some(2), "{out}");
        out.says(says);
    }
}
