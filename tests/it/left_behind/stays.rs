//! Places where a tool like this is started, and which are not a terminal that stays: a container's first process, `nohup`,
//! cron, a terminal that hangs up, a laptop that is shut.

use std::process::Command;
use std::time::Instant;

use rustix::process::Signal;

use super::foreground;
use crate::harness::{LBDEV, Lbdev, Running, kill};
use crate::pty::Pty;
use crate::wait::{at, holds_within, is_long, s, until};
use crate::{http, load, need};

/// `words` in place of `lbdev`, with this test's environment.
fn instead(lbdev: &Lbdev, words: &[&str]) -> Command {
    let like = lbdev.command::<&str>(&[]);
    let envs: Vec<_> = like
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .current_dir(&lbdev.dir)
        .env_clear()
        .envs(envs)
        .stdin(std::process::Stdio::null());
    command
}

/// The first process of a container has no parent to reap for it, and gets no signal that it does not handle.
#[test]
fn as_the_first_process_of_a_namespace() {
    let Some(unshare) = need::program("unshare").filter(|_| need::root()) else {
        return;
    };
    let lbdev = Lbdev::new();
    // Each leaves orphans, which become children of the first process.
    lbdev.script(
        "serve.sh",
        &format!(
            "#!/bin/sh\nfor n in 1 2 3; do (sleep 0.2 &); done\n(trap '' TERM; sleep 1000 &)\n\
             exec {LBDEV} __demo --port \"$1\"\n"
        ),
    );
    lbdev.service_file("./serve.sh {port}", "", "stop = { timeout = \"500ms\" }");
    let unshare = unshare.display().to_string();
    let words = [
        unshare.as_str(),
        "--fork",
        "--pid",
        "--mount-proc",
        "--kill-child",
        LBDEV,
        "up",
    ];
    let mut up = Running::spawn(instead(&lbdev, &words));
    up.wait_line("lbdev: ready http://", s(60));
    assert_eq!(lbdev.status()["pid"], 1);
    assert_eq!(lbdev.next_ports(4), lbdev.ports.four());
    let [first, second, ..] = lbdev.ports.four();
    lbdev.run(&["kill", &first.to_string()]).ok();
    lbdev.run(&["start", &first.to_string()]).ok();
    lbdev.run(&["restart", &second.to_string()]).ok();
    until(s(10), "no ended process waits to be reaped", || {
        zombies_below(up.pid) == 0
    });
    lbdev.run(&["down"]).ok();
    assert_eq!(
        up.wait_exit(s(20)).code(),
        Some(0),
        "{}",
        up.lines.transcript()
    );
    lbdev.assert_all_gone();
}

/// Ended processes anywhere below this one that nobody has reaped.
fn zombies_below(pid: u32) -> usize {
    let children = |pid: u32| -> Vec<u32> {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
        let tasks = tasks.into_iter().flatten().flatten();
        tasks
            .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
            .flat_map(|list| {
                let pids = list.split_whitespace().filter_map(|pid| pid.parse().ok());
                pids.collect::<Vec<u32>>()
            })
            .collect()
    };
    let mut queue = children(pid);
    let mut zombies = 0;
    while let Some(pid) = queue.pop() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        zombies += usize::from(stat.contains(") Z "));
        queue.extend(children(pid));
    }
    zombies
}

/// A signal that was ignored from the start stays ignored, and the others do their work.
#[test]
fn under_nohup() {
    let Some(nohup) = need::program("nohup") else {
        return;
    };
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    let nohup = nohup.display().to_string();
    let mut up = Running::spawn(instead(&lbdev, &[&nohup, LBDEV, "up"]));
    up.wait_line("lbdev: ready http://", s(60));
    up.signal_group(Signal::HUP);
    up.signal_group(Signal::HUP);
    // Its backends did not get it either, and lbdev goes on to do what it is asked.
    assert_eq!(lbdev.next_ports(4), lbdev.ports.four());
    assert_eq!(lbdev.status()["state"], "serving");
    up.signal(Signal::TERM);
    up.wait_exit(s(20));
    lbdev.assert_all_gone();
}

/// Cron gives neither a HOME nor a terminal, and a PATH of two folders; what it starts is found by whoever logs in.
#[test]
fn from_cron() {
    let Some(unshare) = need::program("unshare").filter(|_| need::root()) else {
        return;
    };
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    // The state goes to the home folder that the user database names: in a namespace, where that is a scratch one.
    let home = lbdev.root().join("home").display().to_string();
    let script = format!(
        "set -e\nreal=$(getent passwd \"$(id -u)\" | cut -d: -f6)\nmount --bind '{home}' \"$real\"\n\
         cd '{}'\nenv -i PATH=/usr/bin:/bin SHELL=/bin/sh LOGNAME=somebody {LBDEV} up -d --wait\n\
         ls \"$real/.local/state/lbdev\" > '{home}/found'\n\
         env -i PATH=/usr/bin:/bin {LBDEV} status > '{home}/status'\n\
         env -i PATH=/usr/bin:/bin HOME=\"$real\" {LBDEV} down",
        lbdev.dir.display()
    );
    let unshare = unshare.display().to_string();
    let command = instead(&lbdev, &[&unshare, "--mount", "sh", "-c", &script]);
    Running::spawn(command).output(s(90)).ok();
    let read = |name: &str| std::fs::read_to_string(format!("{home}/{name}")).unwrap();
    assert_eq!(read("found").lines().count(), 1);
    assert!(
        read("status").contains("4 of 4 serving"),
        "{}",
        read("status")
    );
    lbdev.assert_all_gone();
}

/// The window is closed: the kernel hangs up the terminal under lbdev and all that it has in the foreground.
#[test]
fn a_terminal_that_hangs_up() {
    let Some(setsid) = need::program("setsid") else {
        return;
    };
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    let pty = Pty::open();
    let setsid = setsid.display().to_string();
    let mut command = instead(&lbdev, &[&setsid, "--ctty", "--wait", LBDEV, "up"]);
    command
        .stdin(pty.inside())
        .stdout(pty.inside())
        .stderr(pty.inside());
    let mut child = command.spawn().unwrap();
    until(s(60), "it served", || {
        http::get(lbdev.ports.listen(), "/").is_ok_and(|answer| answer.status == 200)
    });
    drop(pty);
    let ended = holds_within(s(20), || {
        child.try_wait().is_ok_and(|status| status.is_some())
    });
    if !ended {
        kill(child.id(), Signal::KILL);
        let _ = child.wait();
    }
    assert!(ended, "lbdev did not end with its terminal");
    lbdev.assert_all_gone();
}

/// lbdev is stopped under load, and goes on: nobody is restarted, nobody is unhealthy, no request is lost.
#[test]
fn stopped_for_a_minute_under_load() {
    let lbdev = Lbdev::new();
    lbdev.demo_file(
        "",
        "health = { path = \"/\", interval = \"100ms\", timeout = \"300ms\", fall = 1 }",
    );
    let up = foreground(&lbdev);
    let before = lbdev.status();
    let load = load::Load::start(lbdev.ports.listen(), "/", 50, 8);
    load.run_for(50, s(30));
    let gap = if is_long() { s(60) } else { s(8) };
    up.signal(Signal::STOP);
    at(Instant::now() + gap);
    up.signal(Signal::CONT);
    up.wait_line("slept ", s(10));
    load.run_for(100, s(60));
    let report = load.finish();
    let lost: Vec<_> = report
        .records
        .iter()
        .filter(|one| one.result != Ok(200))
        .collect();
    assert!(lost.is_empty(), "{lost:#?}");
    let after = lbdev.status();
    for (old, new) in before["backends"]
        .as_array()
        .unwrap()
        .iter()
        .zip(after["backends"].as_array().unwrap())
    {
        assert_eq!(new["state"], "up", "{new:#}");
        assert_eq!(new["restarts"], 0, "{new:#}");
        assert_eq!(new["pid"], old["pid"]);
        assert_eq!(new["failures"], 0, "{new:#}");
    }
    let said = up.lines.transcript();
    assert!(
        !said.contains("unhealthy") && !said.contains("out of the rotation"),
        "{said}"
    );
}
