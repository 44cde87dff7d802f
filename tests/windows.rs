//! The real `lbdev.exe`, on Windows or under Wine: what is different there, from end to end.

#![cfg(windows)]
#![allow(clippy::unwrap_used, unreachable_pub, missing_docs, dead_code)]

#[path = "it/wait.rs"]
mod wait;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use wait::{s, until};

/// A folder, a home for lbdev's own files, and ports that were free a moment ago.
struct Bench {
    dir: TempDir,
    state: TempDir,
    ports: [u16; 2],
    listen: u16,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.command(&["down", "--all"]).output();
    }
}

impl Bench {
    fn new() -> Self {
        let held: Vec<TcpListener> = (0..3)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let port = |place: usize| held[place].local_addr().unwrap().port();
        Self {
            dir: tempfile::tempdir().unwrap(),
            state: tempfile::tempdir().unwrap(),
            ports: [port(0), port(1)],
            listen: port(2),
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lbdev"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("XDG_STATE_HOME", self.state.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts two backends by `command` in the background. Its output goes to a file: Wine gives the standard error of a
    /// process to all that it starts, and would keep a pipe open.
    fn up(&self, command: &str) {
        let errors = std::fs::File::create(self.dir.path().join("errors")).unwrap();
        let [first, second] = self.ports;
        let status = self
            .command(&["up", "-d", "--wait", "-c", command])
            .args(["--ports", &format!("{first},{second}")])
            .args(["--listen", &self.listen.to_string()])
            .stdout(Stdio::null())
            .stderr(errors)
            .status()
            .unwrap();
        let said = std::fs::read_to_string(self.dir.path().join("errors")).unwrap();
        assert!(status.success(), "{said}");
    }

    fn status(&self) -> Value {
        serde_json::from_slice(&self.run(&["status", "--json"]).stdout).unwrap()
    }

    fn backend(&self, place: usize) -> Value {
        self.status()["backends"][place].clone()
    }

    /// The status line of an answer from the balancer.
    fn ask(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.listen)).unwrap();
        stream.set_read_timeout(Some(s(10))).unwrap();
        let request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }
}

fn is_open(port: u16) -> bool {
    let address = ([127, 0, 0, 1], port).into();
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
}

const DEMO: &str = "{lbdev} __demo --port {port}";

#[test]
fn a_backend_is_killed_started_stopped_and_nothing_is_left_after_down() {
    let bench = Bench::new();
    bench.up(DEMO);
    let [first, second] = bench.ports.map(|port| port.to_string());
    assert_eq!(bench.ask(), "HTTP/1.1 200 OK");

    bench.done(&["kill", &first]);
    assert!(!is_open(bench.ports[0]));
    assert_eq!(bench.backend(0)["state"], "stopped");
    for _ in 0..20 {
        assert_eq!(bench.ask(), "HTTP/1.1 200 OK");
    }
    bench.done(&["start", &first]);
    assert_eq!(bench.backend(0)["state"], "up");

    // Asked by CTRL_BREAK (or CTRL_C), it ends by itself: nobody has to kill it.
    for verb in [
        &["stop", &second][..],
        &["kill", &second, "--signal", "INT"],
    ] {
        bench.done(verb);
        until(s(10), "it has ended", || {
            bench.backend(1)["state"] == "stopped"
        });
        let exit = bench.backend(1)["last_exit"].to_string();
        assert!(!exit.contains("SIGKILL"), "{verb:?}: {exit}");
        bench.done(&["start", &second]);
    }

    bench.done(&["down"]);
    assert_eq!(bench.run(&["status"]).status.code(), Some(4));
    assert!(!bench.ports.into_iter().chain([bench.listen]).any(is_open));
}

#[test]
fn what_a_command_starts_ends_with_it() {
    let bench = Bench::new();
    bench.up("cmd /C {lbdev} __demo --port {port}");
    let [first, second] = bench.ports.map(|port| port.to_string());
    bench.done(&["kill", &first]);
    assert!(!is_open(bench.ports[0]));
    bench.done(&["stop", &second]);
    assert!(!is_open(bench.ports[1]));
}

#[test]
fn a_killed_lbdev_takes_everything_with_it() {
    let bench = Bench::new();
    bench.up(DEMO);
    let pid = bench.status()["pid"].to_string();
    let killed = Command::new("taskkill").args(["/F", "/PID", &pid]).output();
    assert!(killed.unwrap().status.success());
    until(s(10), "nobody listens any more", || {
        !bench.ports.into_iter().chain([bench.listen]).any(is_open)
    });
    // What it left is no hindrance.
    bench.up(DEMO);
    assert_eq!(bench.ask(), "HTTP/1.1 200 OK");
}

#[test]
fn what_windows_cannot_send_is_refused() {
    let bench = Bench::new();
    bench.up(DEMO);
    for words in [
        &["freeze", "all"][..],
        &["thaw", "all"],
        &["kill", "all", "--signal", "HUP"],
    ] {
        let output = bench.run(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains("is not possible on Windows"), "{said}");
    }
    assert_eq!(bench.backend(0)["state"], "up");
}

#[test]
fn a_pipe_of_up_in_the_background_ends_with_it() {
    let bench = Bench::new();
    let [first, second] = bench.ports;
    let errors = std::fs::File::create(bench.dir.path().join("errors")).unwrap();
    let mut up = bench
        .command(&["up", "-d", "--wait", "-c", DEMO])
        .args(["--ports", &format!("{first},{second}")])
        .args(["--listen", &bench.listen.to_string()])
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .unwrap();
    // A pipe that a background process had inherited would not end before it.
    let mut said = String::new();
    up.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(up.wait().unwrap().success(), "{said}");
    assert!(is_open(bench.listen));
}
