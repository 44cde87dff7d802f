//! However it ends, nothing of it stays.

use rustix::process::Signal;

use crate::harness::{LBDEV, Lbdev, Running, kill};
use crate::wait::{holds_within, s, until};
use crate::{http, need, ports};

/// A backend as stubborn as they come: its processes ignore TERM, INT and HUP, a child serves, another has left the
/// session and the tree.
fn stubborn(lbdev: &Lbdev, stop_timeout: &str) {
    let setsid = need::program("setsid").map_or(String::new(), |path| {
        format!(
            "{} sh -c 'sleep 1000 & exec sleep 1000' >/dev/null 2>&1 &\n",
            path.display()
        )
    });
    lbdev.script(
        "stubborn.sh",
        &format!(
            "#!/bin/sh\ntrap '' TERM INT HUP\n{setsid}{LBDEV} __demo --port \"$1\" &\n\
             while :; do sleep 1; done\n"
        ),
    );
    let (listen, range) = (lbdev.ports.listen(), lbdev.ports.range());
    lbdev.write(
        "lbdev.toml",
        &format!(
            "[balancer]\nlisten = \"localhost:{listen}\"\n\n[services.web]\ncommand = \"./stubborn.sh {{port}}\"\n\
             ports = \"{range}\"\nstop = {{ timeout = \"{stop_timeout}\" }}\n"
        ),
    );
}

/// In the foreground, until it is ready.
fn foreground(lbdev: &Lbdev, args: &[&str]) -> Running {
    let running = lbdev.start(args);
    running.wait_line("lbdev: ready http://", s(60));
    running
}

fn demo_in_foreground(lbdev: &Lbdev) -> Running {
    let args = lbdev.with_ports("demo", &[]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    foreground(lbdev, &args)
}

#[test]
fn down_leaves_nothing() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    assert_eq!(
        lbdev.backend_processes().len(),
        4,
        "{:#?}",
        lbdev.backend_processes()
    );
    let down = lbdev.run(&["down"]).ok();
    lbdev.assert_all_gone();
    assert!(down.took < s(10), "{down}");
    // Twice is fine.
    lbdev.run(&["down"]).ok();
    lbdev.run(&["status"]).fails(4, "LB005");
}

#[test]
fn down_leaves_nothing_of_stubborn_backends() {
    let lbdev = Lbdev::new();
    stubborn(&lbdev, "500ms");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    assert!(
        lbdev.backend_processes().len() >= 12,
        "{:#?}",
        lbdev.backend_processes()
    );
    let down = lbdev.run(&["down"]).ok();
    lbdev.assert_all_gone();
    assert!(down.took < s(10), "{down}");
}

/// Ctrl-C in a terminal goes to the whole process group; TERM and HUP come from elsewhere, to lbdev alone.
#[test]
fn signals_end_it_gracefully() {
    let check = |signal: Signal, to_group: bool, codes: &[i32]| {
        let lbdev = Lbdev::new();
        let mut up = demo_in_foreground(&lbdev);
        if to_group {
            up.signal_group(signal);
        } else {
            up.signal(signal);
        }
        let status = up.wait_exit(s(15));
        let code = status.code().unwrap_or(-1);
        assert!(
            codes.contains(&code),
            "{signal:?}: {status:?}\n{}",
            up.lines.transcript()
        );
        lbdev.assert_all_gone();
    };
    check(Signal::INT, true, &[0]);
    check(Signal::INT, false, &[0]);
    check(Signal::TERM, false, &[0, 143]);
    if hup_is_ignored() {
        // These tests run under nohup: what was ignored from the start stays ignored.
        let lbdev = Lbdev::new();
        let mut up = demo_in_foreground(&lbdev);
        up.signal(Signal::HUP);
        assert!(holds_within(s(1), || up.runs()) && !holds_within(s(1), || !up.runs()));
        lbdev.run(&["down"]).ok();
        lbdev.assert_all_gone();
    } else {
        check(Signal::HUP, false, &[0, 129]);
    }
}

/// Whether this process, and so whatever it starts, ignores HUP.
fn hup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 1 == 1))
}

/// A request in flight ends well before lbdev does.
#[test]
fn requests_in_flight_finish() {
    let lbdev = Lbdev::new();
    let mut up = demo_in_foreground(&lbdev);
    let port = lbdev.ports.listen();
    let slow = std::thread::spawn(move || http::get(port, "/slow?ms=1000"));
    until(s(10), "it was in flight", || {
        let status = lbdev.status();
        let rows = status["backends"].as_array().unwrap().clone();
        rows.iter().any(|row| row["in_flight"] == 1)
    });
    up.signal_group(Signal::INT);
    let answer = slow.join().unwrap();
    assert_eq!(answer.expect("it was answered").status, 200);
    assert_eq!(
        up.wait_exit(s(15)).code(),
        Some(0),
        "{}",
        up.lines.transcript()
    );
    lbdev.assert_all_gone();
}

/// While lbdev still starts, too.
#[test]
fn ctrl_c_before_anything_is_ready() {
    let lbdev = Lbdev::new();
    let args = lbdev.with_ports("up", &["-c", "sleep 1000 {port}"]);
    let mut up = lbdev.start(&args);
    until(s(30), "the backends were launched", || {
        lbdev.backend_processes().len() >= 4
    });
    up.signal_group(Signal::INT);
    up.wait_exit(s(15));
    lbdev.assert_all_gone();
}

#[test]
fn a_second_ctrl_c_forces() {
    let lbdev = Lbdev::new();
    stubborn(&lbdev, "60s");
    let mut up = foreground(&lbdev, &["up"]);
    up.signal_group(Signal::INT);
    // The first one says that a second forces.
    up.wait_line("Ctrl-C", s(10));
    assert!(!holds_within(s(1), || !up.runs()), "nothing held it up");
    up.signal_group(Signal::INT);
    assert_eq!(
        up.wait_exit(s(10)).code(),
        Some(130),
        "{}",
        up.lines.transcript()
    );
    lbdev.assert_all_gone();
}

/// SIGKILL gives lbdev no chance: its guardian ends the backends.
#[test]
fn a_killed_lbdev_leaves_nothing() {
    let check = |stubborn_ones: bool| {
        let lbdev = Lbdev::new();
        if stubborn_ones {
            stubborn(&lbdev, "60s");
        } else {
            lbdev.demo_file("", "");
        }
        let mut up = foreground(&lbdev, &["up"]);
        up.signal(Signal::KILL);
        up.wait_exit(s(5));
        until(s(5), "the guardian had ended all", || {
            lbdev.processes().is_empty()
        });
        lbdev.assert_all_gone();
        // Its stale files are in nobody's way.
        lbdev.run(&["status"]).fails(4, "LB005");
        lbdev.demo_file("", "");
        lbdev.run(&["up", "-d", "--wait"]).ok();
        // Not by their own will, which would take a minute.
        lbdev.run(&["kill", "all"]).ok();
        lbdev.run(&["down"]).ok();
        lbdev.assert_all_gone();
    };
    check(false);
    check(true);
}

/// The terminal window is closed: HUP to the group, and nobody reads the output any more.
#[test]
fn a_closed_terminal_leaves_nothing() {
    let lbdev = Lbdev::new();
    let mut command = lbdev.command(&lbdev.with_ports("demo", &[]));
    use std::os::unix::process::CommandExt;
    let mut child = command
        .process_group(0)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    until(s(60), "it answered", || {
        http::get(lbdev.ports.listen(), "/").is_ok_and(|r| r.status == 200)
    });
    drop((child.stdout.take(), child.stderr.take()));
    // Something to write into the closed streams.
    for _ in 0..5 {
        let _ = http::get(lbdev.ports.listen(), "/");
    }
    let pid = child.id();
    kill(pid, Signal::HUP);
    let ended = holds_within(s(15), || {
        child.try_wait().is_ok_and(|status| status.is_some())
    });
    if !ended {
        kill(pid, Signal::KILL);
        let _ = child.wait();
    }
    assert!(ended, "lbdev did not end after HUP");
    lbdev.assert_all_gone();
}

/// One backend killed, stopped, started: always exactly the processes there should be.
#[test]
fn kill_and_stop_take_the_whole_tree() {
    let lbdev = Lbdev::new();
    stubborn(&lbdev, "500ms");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let [first, second, ..] = lbdev.ports.four();
    let of = |port: u16| {
        let mut all = lbdev.backend_processes();
        all.retain(|process| process.backend.as_deref() == Some(&format!("web:{port}")));
        all
    };
    for (verb, port) in [("kill", first), ("stop", second)] {
        lbdev.run(&[verb, &port.to_string()]).ok();
        lbdev.until_state(port, "stopped", s(10));
        assert!(of(port).is_empty(), "after {verb}: {:#?}", of(port));
        assert!(ports::is_free(port));
        lbdev.run(&["start", &port.to_string()]).ok();
        lbdev.until_state(port, "up", s(30));
        lbdev.run(&["restart", &port.to_string()]).ok();
        lbdev.until_state(port, "up", s(30));
        // One script, its server, the stray with its child, and one passing `sleep`.
        assert!((2..=6).contains(&of(port).len()), "{:#?}", of(port));
    }
    lbdev.run(&["down"]).ok();
    lbdev.assert_all_gone();
}
