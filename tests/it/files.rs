//! The limit of open files: too low is said before anything starts, and what is there goes to lbdev, not to its backends.

use std::process::Command;

use crate::footprint::Footprint;
use crate::harness::{LBDEV, Lbdev, Output, Running};
use crate::http::Connection;
use crate::wait::{s, until};

/// `lbdev ARGS` in a shell that has set its limits first.
fn limited<S: AsRef<str>>(lbdev: &Lbdev, limits: &str, args: &[S]) -> Output {
    let plain = lbdev.command(args);
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", &format!("{limits} && exec \"$@\""), "sh", LBDEV])
        .args(plain.get_args())
        .current_dir(&lbdev.dir)
        .env_clear()
        .stdin(std::process::Stdio::null());
    for (name, value) in plain.get_envs() {
        command.env(name, value.expect("it is set"));
    }
    Running::spawn(command).output(s(90))
}

/// The soft and the hard limit of a process.
fn limits(pid: u64) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let mut numbers = line.unwrap().split_whitespace();
    let mut next = || numbers.next().unwrap().parse().unwrap();
    (next(), next())
}

#[cfg(target_os = "linux")]
#[test]
fn lbdev_takes_what_is_allowed_and_its_backends_get_what_they_had() {
    let lbdev = Lbdev::new();
    let args = lbdev.with_ports("demo", &["-d", "--wait", "-n", "2"]);
    limited(&lbdev, "ulimit -Sn 123 && ulimit -Hn 4000", &args)
        .ok()
        .says_not("note:");
    let status = lbdev.status();
    assert_eq!(limits(status["pid"].as_u64().unwrap()), (4000, 4000));
    for row in status["backends"].as_array().unwrap() {
        assert_eq!(limits(row["pid"].as_u64().unwrap()), (123, 4000));
    }
    // More clients than it was started with files.
    let port = lbdev.ports.listen();
    let mut clients: Vec<_> = (0..300).map(|_| Connection::open(port).unwrap()).collect();
    for client in &mut clients {
        assert_eq!(
            client.request("GET", "/health", &[], b"").unwrap().status,
            200
        );
    }
}

/// What is said to be enough is enough, and one less is refused.
#[test]
fn a_limit_that_is_too_low_is_said_before_the_start() {
    let lbdev = Lbdev::new();
    let args = lbdev.with_ports("demo", &["-d", "--wait", "-n", "8"]);
    let refused = limited(&lbdev, "ulimit -n 50", &args).fails(1, "LB008");
    let (_, rest) = refused
        .stderr
        .split_once("8 backends need ")
        .expect("it says so");
    let need: u64 = rest.split(' ').next().unwrap().parse().unwrap();
    for (limit, fit) in [(need - 1, "7"), (50, "0")] {
        let refused = limited(&lbdev, &format!("ulimit -n {limit}"), &args).fails(1, "LB008");
        let says = format!("8 backends need {need} open files, and the system allows {limit}");
        let hint = match fit {
            "0" => "hint: run `ulimit -n 1024` first, as root".to_owned(),
            fit => format!("-d --wait -n {fit}`, or as root `ulimit -n 1024` before it"),
        };
        refused.says(&says).says(&hint).says_not("starting");
        lbdev.assert_all_gone();
    }
    // In the foreground just so.
    let args = lbdev.with_ports("demo", &["-n", "8"]);
    limited(&lbdev, "ulimit -n 50", &args).fails(1, "LB008");
    lbdev.assert_all_gone();

    let args = lbdev.with_ports("demo", &["-d", "--wait", "-n", "8"]);
    let tight = limited(&lbdev, &format!("ulimit -n {need}"), &args).ok();
    tight.says(&format!(
        "note: room for 0 requests at once: the system allows {need} open files (`ulimit -Hn`)"
    ));
    assert_eq!(lbdev.status()["state"], "serving");
    for _ in 0..16 {
        assert_eq!(lbdev.get("/").status, 200);
    }
    lbdev.run(&["kill", "all"]).ok();
    lbdev.run(&["start", "all"]).ok();
    assert_eq!(lbdev.get("/").status, 200);
}

/// Clients do not get the last files: commands come through, and the rest of the clients when others have left.
#[cfg(target_os = "linux")]
#[test]
fn clients_leave_some_files() {
    let lbdev = Lbdev::new();
    let args = lbdev.with_ports("demo", &["-d", "--wait"]);
    limited(&lbdev, "ulimit -n 200", &args).ok();
    let port = lbdev.ports.listen();
    let clients: Vec<_> = (0..200).map(|_| Connection::open(port).unwrap()).collect();
    let mut last = Connection::open(port).unwrap();
    let itself = u32::try_from(lbdev.status()["pid"].as_u64().unwrap()).unwrap();
    until(s(30), "most files are taken", || {
        Footprint::of(itself).files >= 150
    });
    let first = lbdev.ports.first.to_string();
    lbdev.run(&["kill", &first]).ok();
    lbdev.run(&["start", &first]).ok();
    assert!(
        Footprint::of(itself).files < 180,
        "{}",
        Footprint::of(itself)
    );
    drop(clients);
    assert_eq!(
        last.request("GET", "/health", &[], b"").unwrap().status,
        200
    );
}

/// When requests have taken every file all the same, nothing can be looked up any more: a backend's children end with it.
#[cfg(target_os = "linux")]
#[test]
fn a_run_ends_whole_when_no_file_is_left() {
    use rustix::process::Signal;
    let lbdev = Lbdev::new();
    let script = format!("#!/bin/sh\nsleep 1000 &\nexec {LBDEV} __demo --port \"$1\"\n");
    let script = lbdev.script("family", &script);
    let command = format!("{} {{port}}", script.display());
    let args = lbdev.with_ports("up", &["-d", "--wait", "-c", &command]);
    limited(&lbdev, "ulimit -n 200", &args).ok();
    let pid = |row: &serde_json::Value| u32::try_from(row["pid"].as_u64().unwrap()).unwrap();
    let (itself, backend) = (pid(&lbdev.status()), pid(&lbdev.backend(lbdev.ports.first)));
    let children = || {
        let mut all = lbdev.backend_processes();
        all.retain(|process| process.parent == backend || process.pid == backend);
        all
    };
    let before = children();
    assert_eq!(before.len(), 2, "{before:#?}");

    // As many clients as there may be, and then each has one file more at its backend.
    let port = lbdev.ports.listen();
    let mut clients: Vec<_> = (0..150).map(|_| Connection::open(port).unwrap()).collect();
    until(s(30), "they are accepted", || {
        Footprint::of(itself).files >= 150
    });
    let slow = format!("GET /slow?ms=5000 HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
    for client in &mut clients {
        client.send_raw(slow.as_bytes()).unwrap();
    }
    until(s(30), "every file is taken", || {
        Footprint::of(itself).files >= 200
    });
    crate::harness::kill(backend, Signal::KILL);
    let gone = || {
        let all = lbdev.backend_processes();
        before
            .iter()
            .all(|old| all.iter().all(|process| process.pid != old.pid))
    };
    until(s(30), "its child has ended with it", gone);
    drop(clients);
    let first = lbdev.ports.first.to_string();
    until(s(60), "there were files to start it again", || {
        lbdev.run(&["start", &first]).code == Some(0)
    });
    until(s(60), "it serves as before", || {
        lbdev.get("/").status == 200
    });
}
