//! SIGKILL of lbdev, of its guardian, of both.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{foreground, gone_after_death, guardian, slay, the_lbdev, times, with_companions};
use crate::harness::{LBDEV, Lbdev, kill};
use crate::scan::Found;
use crate::wait::{at, holds_within, s, until};

/// Where in its life lbdev is killed.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Starting,
    Serving,
    Rolling,
    Stopping,
}

fn die(stage: Stage, background: bool, turn: usize) {
    let lbdev = Lbdev::new();
    with_companions(&lbdev);
    let args: &[&str] = if background { &["up", "-d"] } else { &["up"] };
    let up = lbdev.start(args);
    let mut verb = None;
    match stage {
        Stage::Starting => {
            // From the first process on: a little later each time.
            until(s(30), "lbdev began", || the_lbdev(&lbdev).is_some());
            until(s(30), "it launched something", || {
                !lbdev.backend_processes().is_empty()
            });
            at(Instant::now() + Duration::from_millis(turn as u64 % 25 * 4));
        }
        Stage::Serving | Stage::Rolling | Stage::Stopping => {
            until(s(60), "all were up", || {
                lbdev.run(&["status", "--json"]).code == Some(0)
            });
        }
    }
    match stage {
        Stage::Starting | Stage::Serving => {}
        Stage::Rolling => {
            let pid = lbdev.backend(lbdev.ports.first)["pid"].clone();
            verb = Some(lbdev.start(&["restart", "all", "--rolling"]));
            until(s(30), "the first one was restarted", || {
                lbdev.backend(lbdev.ports.first)["pid"] != pid
            });
        }
        Stage::Stopping => {
            verb = Some(lbdev.start(&["down"]));
            until(s(30), "it is stopping", || {
                lbdev
                    .run(&["status", "--json"])
                    .stdout
                    .contains("\"stopping\"")
            });
        }
    }
    let pid = the_lbdev(&lbdev).expect("lbdev runs");
    let since = slay(pid);
    // Whoever waits for it sees that it has gone; none of them is what this is about.
    drop((up, verb));
    gone_after_death(
        &lbdev,
        since,
        &format!("{stage:?}, background {background}"),
    );
}

fn at_each(stage: Stage) {
    for turn in 0..times() {
        die(stage, turn % 2 == 1, turn);
        die(stage, turn % 2 == 0, turn);
    }
}

#[test]
fn lbdev_while_it_starts() {
    at_each(Stage::Starting);
}

#[test]
fn lbdev_while_it_serves() {
    at_each(Stage::Serving);
}

#[test]
fn lbdev_while_it_rolls() {
    at_each(Stage::Rolling);
}

#[test]
fn lbdev_while_it_stops() {
    at_each(Stage::Stopping);
}

/// Another guardian takes its place, and does what it is for.
#[test]
fn the_guardian() {
    for turn in 0..times() {
        let lbdev = Lbdev::new();
        with_companions(&lbdev);
        let background = turn % 2 == 1;
        let mut up = None;
        if background {
            lbdev.run(&["up", "-d", "--wait"]).ok();
        } else {
            up = Some(foreground(&lbdev));
        }
        let mut last = guardian(&lbdev).expect("a guardian runs");
        for _ in 0..3 {
            slay(last);
            until(s(10), "another one was there", || {
                guardian(&lbdev).is_some_and(|now| now != last)
            });
            let now = guardian(&lbdev).unwrap();
            let said = format!("(pid {last}); another one (pid {now}) has taken its place");
            if let Some(up) = &up {
                let line = up.wait_line("has taken its place", s(5));
                assert!(line.contains("error[LB009]: the guardian"), "{line}");
                up.wait_line(&said, s(5));
            }
            last = now;
        }
        assert_eq!(lbdev.run(&["status", "--json"]).code, Some(0));
        assert_eq!(lbdev.next_ports(4).len(), 4);
        let pid = the_lbdev(&lbdev).unwrap();
        let since = slay(pid);
        drop(up);
        gone_after_death(&lbdev, since, "after three guardians");
    }
}

/// A last guardian that is killed in the way of an orderly end is no trouble.
#[test]
fn the_guardian_while_lbdev_ends() {
    let lbdev = Lbdev::new();
    with_companions(&lbdev);
    let mut up = foreground(&lbdev);
    up.signal(Signal::INT);
    let last = guardian(&lbdev).expect("a guardian runs");
    slay(last);
    assert_eq!(up.wait_exit(s(20)).code(), Some(0));
    lbdev.assert_all_gone();
}

/// Both at once, so that nobody can start another guardian: what is left is told of and ended by the next `up` or `down`.
#[test]
fn lbdev_and_its_guardian() {
    for turn in 0..times() * 2 {
        let lbdev = Lbdev::new();
        with_companions(&lbdev);
        lbdev.run(&["up", "-d", "--wait"]).ok();
        let (own, guard) = (the_lbdev(&lbdev).unwrap(), guardian(&lbdev).unwrap());
        kill(own, Signal::STOP);
        slay(guard);
        slay(own);
        // The kernel tells the servers, and their companions do not listen.
        until(s(10), "the servers had ended", || {
            let left = lbdev.backend_processes();
            left.iter().all(|found| !found.command.contains("__demo"))
        });
        let left = lbdev.backend_processes();
        assert!(!left.is_empty(), "nothing was left to be cleaned up");
        if turn % 2 == 0 {
            lbdev
                .run(&["up", "-d", "--wait"])
                .ok()
                .says("an earlier lbdev here was killed and left");
            let now = lbdev.backend_processes();
            let stays = |old: &&Found| now.iter().any(|found| found.pid == old.pid);
            assert_eq!(left.iter().filter(stays).count(), 0, "{left:#?}\n{now:#?}");
            assert_eq!(lbdev.next_ports(4).len(), 4);
            lbdev.run(&["down"]).ok().says_not("an earlier lbdev");
        } else {
            // It may find the one that has just died, or nobody.
            lbdev
                .run(&["down"])
                .ok()
                .says("an earlier lbdev here was killed and left");
        }
        lbdev.assert_all_gone();
    }
}

/// A program that clears its environment is known by its session, as long as the numbers are still its own.
#[test]
fn what_has_no_environment_is_known_by_its_session() {
    let check = |tamper: &dyn Fn(&mut serde_json::Value), found: bool| {
        let lbdev = Lbdev::new();
        let stray = lbdev.script(
            "stray.sh",
            "#!/bin/sh\ntrap '' TERM INT HUP\nwhile :; do sleep 1; done\n",
        );
        lbdev.write(
            "lbdev.toml",
            &format!(
                "[balancer]\nlisten = \"localhost:{}\"\n\n[services.web]\ncommand = \"{LBDEV} __demo --port {{port}}\"\n\
                 ports = \"{}\"\n\n[services.stray]\ncommand = \"env -i PATH=/usr/bin:/bin {}\"\n",
                lbdev.ports.listen(),
                lbdev.ports.first,
                stray.display()
            ),
        );
        lbdev.run(&["up", "-d", "--wait"]).ok();
        let status = lbdev.status();
        let rows = status["backends"].as_array().unwrap();
        let row = rows.iter().find(|row| row["id"] == "stray.1").unwrap();
        let pid = u32::try_from(row["pid"].as_u64().unwrap()).unwrap();
        let runs = || lives(pid);
        until(s(10), "its environment was cleared", || {
            std::fs::read_to_string(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| !environ.contains("LBDEV") && environ.contains("PATH"))
        });
        let file = sessions_file(&lbdev);
        until(s(10), "it was written down", || {
            std::fs::read_to_string(&file).is_ok_and(|text| text.contains("stray.1"))
        });
        let (own, guard) = (the_lbdev(&lbdev).unwrap(), guardian(&lbdev).unwrap());
        kill(own, Signal::STOP);
        slay(guard);
        slay(own);
        let text = std::fs::read_to_string(&file).unwrap();
        let mut sessions = serde_json::from_str(&text).unwrap();
        tamper(&mut sessions);
        std::fs::write(&file, sessions.to_string()).unwrap();
        lbdev.run(&["down"]).ok();
        if found {
            assert!(holds_within(s(1), || !runs()), "it was left");
        } else {
            assert!(runs(), "a process that nobody vouches for was ended");
            slay(pid);
            until(s(5), "it was gone", || !runs());
        }
    };
    check(&|_| {}, true);
    check(
        &|sessions| {
            for backend in sessions["backends"].as_array_mut().unwrap() {
                let start = backend["start"].as_u64().unwrap();
                backend["start"] = (start - 1).into();
            }
        },
        false,
    );
    check(&|sessions| sessions["boot_id"] = "another".into(), false);
    check(&|sessions| sessions["instance"] = "another".into(), false);
}

/// With lbdev's guardian alive, it does the same.
#[test]
fn the_guardian_knows_sessions_too() {
    let lbdev = Lbdev::new();
    let stray = lbdev.script(
        "stray.sh",
        "#!/bin/sh\ntrap '' TERM INT HUP\necho $$ > pid\nwhile :; do sleep 1; done\n",
    );
    lbdev.service_file(
        &format!("env -i PATH=/usr/bin:/bin {}", stray.display()),
        "",
        "",
    );
    let mut up = lbdev.start(&["up", "--ports", &lbdev.ports.first.to_string()]);
    let file = sessions_file(&lbdev);
    let mut pid = 0;
    until(s(30), "it ran and was written down", || {
        let text = std::fs::read_to_string(lbdev.dir.join("pid")).unwrap_or_default();
        pid = text.trim().parse().unwrap_or_default();
        let known = std::fs::read_to_string(&file).unwrap_or_default();
        pid != 0 && known.contains(&format!("\"pid\":{pid}"))
    });
    slay(up.pid);
    up.wait_exit(s(5));
    assert!(holds_within(s(2), || !lives(pid)), "the guardian left it");
    lbdev.assert_all_gone();
}

/// Whoever reaps it may take its time.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn sessions_file(lbdev: &Lbdev) -> std::path::PathBuf {
    let mut found = None;
    until(s(30), "there was a list of processes", || {
        let folders = std::fs::read_dir(lbdev.root().join("state/lbdev"));
        let files = folders.into_iter().flatten().flatten();
        found = files
            .map(|entry| entry.path().join("sessions.json"))
            .find(|file| file.is_file());
        found.is_some()
    });
    found.unwrap()
}
