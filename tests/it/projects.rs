//! What a project is made of: services that need each other, what runs before and after them, ways to be ready, Procfiles,
//! and `run`.

use std::time::Duration;

use crate::harness::{LBDEV, Lbdev};
use crate::http;
use crate::need;
use crate::ports::is_free;
use crate::wait::{s, until};

const LIMIT: Duration = s(60);

fn read(lbdev: &Lbdev, name: &str) -> String {
    std::fs::read_to_string(lbdev.dir.join(name)).unwrap_or_default()
}

#[test]
fn before_runs_once_and_after_at_the_end() {
    let lbdev = Lbdev::new();
    let hooks = "before = [\"sh -c 'echo migrated >> log; echo told by before'\", \"sh -c 'echo $LBDEV_BACKEND >> log'\"]\n\
                 after = \"sh -c 'echo cleaned >> log; echo told by after'\"";
    lbdev.demo_file("", hooks);
    let mut running = lbdev.start(&["up"]);
    running.wait_line("web.before", LIMIT);
    running.wait_line("lbdev: ready", LIMIT);
    // Once for all four, in order, and before any of them.
    assert_eq!(read(&lbdev, "log"), "migrated\nweb.before\n");
    lbdev.run(&["restart", "all"]).ok();
    assert_eq!(read(&lbdev, "log"), "migrated\nweb.before\n");
    running.signal(rustix::process::Signal::INT);
    running.wait_line("told by after", LIMIT);
    assert!(running.wait_exit(LIMIT).success());
    assert_eq!(read(&lbdev, "log"), "migrated\nweb.before\ncleaned\n");
    assert!(running.lines.transcript().contains("told by before"));
    lbdev.assert_all_gone();
}

#[test]
fn a_before_that_fails_starts_nothing() {
    let lbdev = Lbdev::new();
    lbdev.demo_file(
        "",
        "before = [\"sh -c 'echo no database >&2; exit 4'\", \"touch second\"]",
    );
    for args in [&["up"][..], &["up", "-d", "--wait"], &["up", "-d"]] {
        let said = lbdev.run(args);
        let said = said.fails(1, "LB016").says("exited with status 4");
        said.says("no database").says("no backend was started");
        until(LIMIT, "it has ended", || lbdev.processes().is_empty());
        assert!(!lbdev.dir.join("second").exists());
        assert!(lbdev.ports.four().into_iter().all(is_free));
    }
    lbdev.demo_file("", "before = \"no-such-program\"");
    lbdev.run(&["up"]).fails(1, "LB016").says("no-such-program");
}

/// Ctrl-C while it runs ends it too.
#[test]
fn what_runs_before_is_ended_with_everything() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "before = \"sh -c 'echo begun; sleep 1000'\"");
    let mut running = lbdev.start(&["up"]);
    running.wait_line("begun", LIMIT);
    running.signal(rustix::process::Signal::INT);
    assert_eq!(running.wait_exit(LIMIT).code(), Some(130));
    lbdev.assert_all_gone();
    // And where lbdev is killed.
    let mut running = lbdev.start(&["up"]);
    running.wait_line("begun", LIMIT);
    running.signal(rustix::process::Signal::KILL);
    running.wait_exit(LIMIT);
    until(LIMIT, "nothing is left", || lbdev.processes().is_empty());
}

#[test]
fn services_start_in_the_order_of_their_needs() {
    let lbdev = Lbdev::new();
    let listen = lbdev.ports.listen();
    let first = lbdev.ports.first;
    let text = format!(
        "[balancer]\nlisten = {listen}\n\
         [services.web]\ncommand = \"{LBDEV} __demo --port {{port}}\"\nports = {first}\nneeds = [\"cache\", \"seed\"]\n\
         [services.cache]\ncommand = \"sh -c 'sleep 0.3; echo warm now; sleep 1000'\"\nready = \"log:warm\"\n\
         [services.seed]\ncommand = \"sh -c 'sleep 0.2; echo seeded >> log'\"\nready = \"exit\"\nneeds = [\"cache\"]\n"
    );
    lbdev.write("lbdev.toml", &text);
    let running = lbdev.start(&["up"]);
    running.wait_line("lbdev: ready", LIMIT);
    assert!(running.lines.transcript().contains("seed.1 done"));
    assert_eq!(read(&lbdev, "log"), "seeded\n");
    let status = lbdev.status();
    assert_eq!(status["state"], "serving", "{status:#}");
    let rows = status["backends"].as_array().unwrap();
    let states: Vec<(&str, &str, bool)> = (rows.iter())
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap();
            (text("id"), text("state"), row["done"] == true)
        })
        .collect();
    let web = format!("web:{first}");
    assert_eq!(
        states,
        [
            (&*web, "up", false),
            ("cache.1", "up", false),
            ("seed.1", "stopped", true)
        ]
    );
    lbdev.run(&["status"]).ok();
    lbdev.run(&["down"]).ok();
    // Only one service: it brings what it needs.
    lbdev.run(&["up", "-d", "--wait", "web"]).ok();
    assert_eq!(lbdev.status()["backends"].as_array().unwrap().len(), 3);
    lbdev.run(&["down"]).ok();
    // A job that fails ends the start.
    lbdev.write("lbdev.toml", &text.replace("echo seeded >> log", "exit 5"));
    lbdev
        .run(&["up"])
        .fails(1, "LB010")
        .says("seed.1")
        .says("exited with status 5");
}

#[test]
fn something_else_is_waited_for_and_named() {
    let lbdev = Lbdev::new();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    drop(other);
    lbdev.demo_file("", &format!("needs = [\"tcp:localhost:{port}\"]"));
    let running = lbdev.start(&["up"]);
    until(LIMIT, "it waits", || {
        let output = lbdev.run(&["status", "--json"]);
        output.code.is_some_and(|code| code != 1) && output.stdout.contains("waits for")
    });
    lbdev
        .run(&["status"])
        .says(&format!("tcp:localhost:{port}"));
    running.wait_line(&format!("`web` waits for `tcp:localhost:{port}`"), LIMIT);
    assert!(
        lbdev.ports.four().into_iter().all(is_free),
        "nothing is started yet"
    );
    let _other = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    running.wait_line("lbdev: ready", LIMIT);
    lbdev.run(&["down"]).ok();
}

/// A server that answers no HTTP is ready when its port accepts.
#[test]
fn a_port_is_enough_where_that_is_said() {
    let Some(python) = need::python() else { return };
    let lbdev = Lbdev::new();
    lbdev.write(
        "server.py",
        "import socket, sys\ns = socket.create_server(('127.0.0.1', int(sys.argv[1])))\nprint('listening', flush=True)\nkept = []\nwhile True: kept.append(s.accept())\n",
    );
    let command = format!("{} server.py {{port}}", python.display());
    lbdev.service_file(&command, "", "ready = \"tcp\"");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    lbdev.run(&["down"]).ok();
    lbdev.service_file(&command, "", "ready = \"log:listening\"");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    lbdev.run(&["down"]).ok();
    lbdev.service_file(&command, "", "");
    lbdev
        .run(&["up", "-d", "--wait", "--wait-timeout", "2s"])
        .fails(1, "LB011");
}

#[test]
fn a_procfile_is_a_project() {
    let lbdev = Lbdev::new();
    lbdev.write(
        "Procfile",
        &format!("release: touch released\nweb: {LBDEV} __demo --port $PORT\nworker: sleep 1000\n"),
    );
    let said = lbdev.run(&lbdev.with_ports("up", &["-d", "--wait"])).ok();
    said.says("Procfile")
        .says("`release` of Procfile is never started by itself");
    let ids: Vec<String> = (lbdev.status()["backends"].as_array().unwrap().iter())
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 5);
    assert_eq!(ids[4], "worker.1");
    assert!(!lbdev.dir.join("released").exists());
    assert_eq!(lbdev.next_ports(4).len(), 4);
    lbdev.run(&["down"]).ok();
    // The one for development is first; `--from` takes the other.
    lbdev.write("Procfile.dev", "web: no-such-server --port 5000\n");
    let said = lbdev.run(&["config"]).fails(2, "LB020");
    said.says("Procfile.dev:1")
        .says("has no `$PORT`")
        .says("no-such-server");
    lbdev
        .run(&["config", "--from", "procfile"])
        .ok()
        .says("worker");
}

#[test]
fn run_ends_as_its_command_does() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    let curl = "test \"$(echo $LBDEV_URL)\" = http://localhost:PORT && echo the address is there";
    let curl = curl.replace("PORT", &lbdev.ports.listen().to_string());
    let said = lbdev.run(&["run", "--", "sh", "-c", &format!("{curl}; exit 7")]);
    assert_eq!(said.code, Some(7), "{said}");
    let said = said.says("the address is there");
    said.says("lbdev: ready http://localhost:")
        .says_not("GET /");
    lbdev.assert_all_gone();
    lbdev.run(&["run", "--", "true"]).ok();
    lbdev
        .run(&["run", "--", "no-such-program"])
        .fails(1, "LB013");
    assert_eq!(lbdev.run(&["run"]).code, Some(2));
    lbdev.assert_all_gone();
    // What is running already is used, and left running.
    lbdev.run(&["up", "-d", "--wait"]).ok();
    lbdev
        .run(&["run", "--", "true"])
        .ok()
        .says("it is left running");
    assert_eq!(http::get(lbdev.ports.listen(), "/").unwrap().status, 200);
    lbdev.run(&["down"]).ok();
    // A server that does not start is told, and the command is not run.
    lbdev.service_file("sh -c 'exit 3'", "", "");
    lbdev.run(&["run", "--", "touch", "ran"]).fails(1, "LB010");
    assert!(!lbdev.dir.join("ran").exists());
    lbdev.assert_all_gone();
}

#[test]
fn run_is_cut_short_as_a_whole() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    let mut running = lbdev.start(&["run", "--", "sh", "-c", "echo begun; exec sleep 1000"]);
    running.wait_line("begun", LIMIT);
    running.signal_group(rustix::process::Signal::INT);
    assert_eq!(running.wait_exit(LIMIT).code(), Some(130));
    lbdev.assert_all_gone();
}

/// A server on ::1 only is as good as any.
#[test]
fn an_external_server_on_ipv6_alone() {
    let Some(python) = need::python() else { return };
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let lbdev = Lbdev::new();
    let port = lbdev.ports.first;
    let mut server = std::process::Command::new(python);
    server.args(["-m", "http.server", &port.to_string(), "--bind", "::1"]);
    server
        .current_dir(&lbdev.dir)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let mut server = server.spawn().unwrap();
    let listen = lbdev.ports.listen().to_string();
    let args = [
        "up",
        "-d",
        "--wait",
        "--external",
        &format!("[::1]:{port}"),
        "--listen",
        &listen,
    ];
    let said = lbdev.run(&args);
    let answer = http::get(lbdev.ports.listen(), "/").map(|answer| answer.status);
    let _ = server.kill();
    let _ = server.wait();
    said.ok();
    assert_eq!(answer.unwrap(), 200);
    lbdev.run(&["down"]).ok();
}
