//! Commands that meet: a second `up`, an `up` while it stops, a `down` while it starts, and an instance that dies or hangs
//! under the eyes of the `up` that waits for it.

use rustix::process::Signal;

use crate::harness::{LBDEV, Lbdev, Running, kill};
use crate::http;
use crate::wait::{s, until};

/// Backends that run and never listen.
fn silent(lbdev: &Lbdev) {
    let (listen, range) = (lbdev.ports.listen(), lbdev.ports.range());
    lbdev.write(
        "lbdev.toml",
        &format!(
            "[balancer]\nlisten = \"localhost:{listen}\"\n\n[services.web]\ncommand = \"sleep 1000\"\nports = \"{range}\"\n"
        ),
    );
}

fn ready(lbdev: &Lbdev) -> Running {
    let up = lbdev.start(&["up"]);
    up.wait_line("lbdev: ready http://", s(60));
    up
}

/// `up -d --wait` and more, while it waits; and the pid of the lbdev that it has started.
fn waiting(lbdev: &Lbdev, more: &[&str]) -> (Running, u32) {
    let mut args = vec!["up", "-d", "--wait"];
    args.extend(more);
    let up = lbdev.start(&args);
    until(s(30), "the backends run", || {
        lbdev.backend_processes().len() >= 4
    });
    let pid = lbdev.status()["pid"].as_u64().unwrap();
    (up, u32::try_from(pid).unwrap())
}

fn dies(lbdev: &Lbdev, port: u16) {
    let pid = lbdev.backend(port)["pid"].as_u64().unwrap();
    kill(u32::try_from(pid).unwrap(), Signal::KILL);
}

/// Graceful is graceful, also when nothing is left that runs.
#[test]
fn ctrl_c_after_a_kill_is_still_graceful() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    let mut up = ready(&lbdev);
    lbdev.run(&["kill", "all"]).ok();
    up.signal_group(Signal::INT);
    let status = up.wait_exit(s(15));
    assert_eq!(status.code(), Some(0), "{}", up.lines.transcript());
}

/// A terminal that closes sends HUP, and so does the shell in it.
#[test]
fn two_hang_ups_are_no_hurry() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    let mut up = ready(&lbdev);
    let port = lbdev.ports.listen();
    let slow = std::thread::spawn(move || http::get(port, "/slow?ms=1000"));
    let first = lbdev.ports.first;
    until(s(10), "it is in flight", || {
        (first..first + 4).any(|port| lbdev.backend(port)["in_flight"] == 1)
    });
    up.signal(Signal::HUP);
    until(s(10), "it stops", || lbdev.status()["state"] == "stopping");
    up.signal(Signal::HUP);
    assert_eq!(slow.join().unwrap().expect("it was answered").status, 200);
    assert_eq!(up.wait_exit(s(15)).code(), Some(0));
}

/// Its checks say something every moment; the note comes all the same.
#[test]
fn a_wrong_port_is_noted_beside_backends_that_are_well() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "health = { interval = \"100ms\" }");
    let (mine, other) = (lbdev.ports.first, lbdev.ports.spare());
    let file = std::fs::read_to_string(lbdev.dir.join("lbdev.toml")).unwrap();
    // Three that are well, and one whose command names a port that is not its own.
    let file = file.replace(&lbdev.ports.range(), &format!("{}-{}", mine + 1, mine + 3));
    lbdev.write(
        "lbdev.toml",
        &format!(
            "{file}\n[services.api]\nroutes = [\"/api\"]\ncommand = \"{LBDEV} __demo --port {other}\"\nports = \"{mine}\"\n"
        ),
    );
    let up = lbdev.start(&["up"]);
    up.wait_line("LB012", s(20));
}

#[test]
fn up_again_where_one_has_died_for_good() {
    let lbdev = Lbdev::new();
    let port = lbdev.ports.first;
    lbdev.demo_file("", "restart = { policy = \"never\" }");
    let file = std::fs::read_to_string(lbdev.dir.join("lbdev.toml")).unwrap();
    lbdev.write(
        "lbdev.toml",
        &file.replace(&lbdev.ports.range(), &port.to_string()),
    );
    lbdev.run(&["up", "-d", "--wait"]).ok();
    dies(&lbdev, port);
    lbdev.until_state(port, "failed", s(10));
    lbdev.run(&["up", "-d"]).ok().says("already running");
    let waited = lbdev.run(&["up", "-d", "--wait"]);
    assert_eq!(waited.code, Some(1), "{waited}");
}

#[test]
fn up_says_what_became_of_the_one_it_waited_for() {
    let lbdev = Lbdev::new();
    silent(&lbdev);
    let (up, pid) = waiting(&lbdev, &[]);
    kill(pid, Signal::KILL);
    up.output(s(30))
        .fails(1, "LB006")
        .says("ended without a word");

    let (up, _) = waiting(&lbdev, &[]);
    lbdev.run(&["down"]).ok();
    up.output(s(30)).fails(1, "LB006").says("was told to stop");

    let (up, pid) = waiting(&lbdev, &["--wait-timeout", "1s"]);
    kill(pid, Signal::STOP);
    let output = up.output(s(9)).fails(1, "LB006").says("does not answer");
    kill(pid, Signal::CONT);
    drop(output);
    lbdev.run(&["down"]).ok();
    lbdev.assert_all_gone();
}

/// Who loses patience ends what it has started, not what somebody else has.
#[test]
fn an_impatient_up_leaves_the_others_alone() {
    let lbdev = Lbdev::new();
    silent(&lbdev);
    let mut first = lbdev.start(&["up"]);
    until(s(30), "the backends run", || {
        lbdev.backend_processes().len() >= 4
    });
    lbdev
        .run(&["up", "-d", "--wait", "--wait-timeout", "100ms"])
        .fails(1, "LB011");
    assert_ne!(lbdev.status()["state"], "stopping");
    assert!(first.runs());
}

#[test]
fn up_while_it_stops_starts_anew() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    let mut up = ready(&lbdev);
    let port = lbdev.ports.listen();
    let slow = std::thread::spawn(move || http::get(port, "/slow?ms=1500"));
    let first = lbdev.ports.first;
    until(s(10), "it is in flight", || {
        (first..first + 4).any(|port| lbdev.backend(port)["in_flight"] == 1)
    });
    up.signal_group(Signal::INT);
    until(s(10), "it stops", || lbdev.status()["state"] == "stopping");
    lbdev
        .run(&["up", "-d", "--wait"])
        .ok()
        .says("still stopping")
        .says("lbdev: ready");
    assert_eq!(slow.join().unwrap().expect("it was answered").status, 200);
    assert_eq!(up.wait_exit(s(15)).code(), Some(0));
    assert_eq!(lbdev.status()["state"], "serving");
}

/// What an earlier one said in the background is not the reason of this one.
#[test]
fn reasons_are_those_of_the_one_that_runs() {
    let lbdev = Lbdev::new();
    let first = lbdev.ports.first;
    // The last one ends at once, the others are well.
    lbdev.script(
        "but-last.sh",
        &format!(
            "#!/bin/sh\n[ \"$1\" = {} ] && exit 3\nexec {LBDEV} __demo --port \"$1\"\n",
            first + 3
        ),
    );
    lbdev.demo_file("", "");
    let file = std::fs::read_to_string(lbdev.dir.join("lbdev.toml")).unwrap();
    let broken = file.replace(&format!("{LBDEV} __demo --port"), "./but-last.sh");
    lbdev.write("lbdev.toml", &broken);
    lbdev.run(&["up", "-d"]).says_not("panicked");
    lbdev.until_state(first + 3, "failed", s(20));
    lbdev.run(&["up", "-d"]).ok().says("LB010");
    lbdev.run(&["down"]).ok();

    lbdev.write("lbdev.toml", &file);
    let _up = ready(&lbdev);
    lbdev.run(&["kill", &(first + 3).to_string()]).ok();
    lbdev.run(&["up", "-d"]).ok().says_not("LB010");
}

/// The demo belongs to no folder, and a folder has one name.
#[test]
fn the_same_set_up_from_elsewhere() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    lbdev.write("below/lbdev.toml", "");
    let mut args = lbdev.with_ports("demo", &[]);
    args.extend(["-C".to_owned(), "below".to_owned()]);
    let mut second = lbdev.start(&args);
    second.wait_line("following its logs", s(20));
    let first = lbdev.ports.first;
    until(s(20), "a line of the demo's is shown", || {
        crate::http::send(first, "POST", "/counter", &[], b"").unwrap();
        second
            .lines
            .of("stdout")
            .contains(&format!("{first} │ commit "))
    });
    second.signal_group(Signal::INT);
    let status = second.wait_exit(s(10));
    assert_eq!(status.code(), Some(0), "Ctrl-C only lets go");
    assert_eq!(lbdev.status()["state"], "serving");
    lbdev.run(&["down", "--project", "demo"]).ok();

    lbdev.demo_file("", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    lbdev
        .run(&["up", "-d", "-f", "below/../lbdev.toml"])
        .ok()
        .says("already running");
}

/// It cannot be told anything yet: it is still ending what an earlier one has left.
#[test]
fn down_waits_for_one_that_starts() {
    let lbdev = Lbdev::new();
    lbdev.script(
        "stubborn.sh",
        &format!(
            "#!/bin/sh\ntrap '' TERM\n{LBDEV} __demo --port \"$1\" &\nwhile :; do sleep 1; done\n"
        ),
    );
    lbdev.demo_file("", "");
    let file = std::fs::read_to_string(lbdev.dir.join("lbdev.toml")).unwrap();
    let stubborn = file.replace(&format!("{LBDEV} __demo --port"), "./stubborn.sh");
    lbdev.write("lbdev.toml", &stubborn);
    let mut first = ready(&lbdev);
    for process in lbdev.processes() {
        if process.command.contains("__guardian") {
            kill(process.pid, Signal::KILL);
        }
    }
    first.signal(Signal::KILL);
    first.wait_exit(s(5));

    let mut second = lbdev.start(&["up"]);
    let folder = std::fs::read_dir(lbdev.root().join("state/lbdev"))
        .unwrap()
        .next();
    let lock = std::fs::File::open(folder.unwrap().unwrap().path().join("lock")).unwrap();
    until(s(10), "the second one has the lock", || {
        let locked = lock.try_lock_shared().is_err();
        if !locked {
            lock.unlock().unwrap();
        }
        locked
    });
    lbdev.run(&["down"]).ok().says_not("nothing is running");
    second.wait_exit(s(20));
    lbdev.assert_all_gone();
}
