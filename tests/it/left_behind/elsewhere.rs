//! What an earlier run, or the machine, has left in the state folder.

use std::os::unix::net::UnixListener;

use super::{guardian, slay, the_lbdev};
use crate::harness::{Lbdev, kill};
use crate::small_disk::SmallDisk;
use crate::wait::{s, until};
use rustix::process::Signal;

/// A lock that nobody holds, a socket that nobody serves, files of no sense: each start works.
#[test]
fn stale_files_are_in_nobodys_way() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let states = lbdev.root().join("state/lbdev");
    let mut folders = std::fs::read_dir(&states).unwrap();
    let folder = folders.next().unwrap().unwrap().path();
    let instance = std::fs::read(folder.join("instance.json")).unwrap();
    let sessions = std::fs::read(folder.join("sessions.json")).unwrap();
    lbdev.run(&["down"]).ok();
    assert!(!folder.join("instance.json").exists());
    assert!(!folder.join("sessions.json").exists());
    let socket = folder.join("control.sock");

    // As after a crash long ago: the numbers are somebody else's by now.
    let mut stranger = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    let mut recycled: serde_json::Value = serde_json::from_slice(&sessions).unwrap();
    for backend in recycled["backends"].as_array_mut().unwrap() {
        backend["pid"] = stranger.id().into();
    }
    for (what, instance, sessions) in [
        ("a crash", instance.clone(), sessions.clone()),
        (
            "recycled numbers",
            instance.clone(),
            recycled.to_string().into_bytes(),
        ),
        (
            "half a file",
            instance[..20].to_vec(),
            sessions[..20].to_vec(),
        ),
        ("zero bytes", Vec::new(), Vec::new()),
        ("nonsense", b"[1,2]".to_vec(), b"\xff\x00".to_vec()),
    ] {
        std::fs::write(folder.join("instance.json"), instance).unwrap();
        std::fs::write(folder.join("sessions.json"), sessions).unwrap();
        std::fs::write(folder.join("lock"), "4711\n").unwrap();
        drop(UnixListener::bind(&socket).unwrap());
        lbdev.run(&["status"]).fails(4, "LB005");
        lbdev.run(&["up", "-d", "--wait"]).ok();
        assert_eq!(lbdev.next_ports(4), lbdev.ports.four(), "{what}");
        lbdev.run(&["down"]).ok();
        assert!(matches!(stranger.try_wait(), Ok(None)), "{what}");
    }
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    lbdev.assert_all_gone();
}

/// Where state cannot be kept nothing is started, and it is said which file it is about.
#[test]
fn a_state_folder_that_cannot_be_used() {
    let mut lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    let file = lbdev.root().join("state/file");
    std::fs::write(&file, "").unwrap();
    lbdev.set("XDG_STATE_HOME", &file);
    for args in [&["up"][..], &["up", "-d", "--wait"]] {
        let out = lbdev.run(args).fails(1, "LB007");
        assert!(out.stderr.contains("state/file/lbdev"), "{out}");
        assert!(out.stderr.contains("hint: "), "{out}");
        lbdev.assert_all_gone();
    }
}

/// On a full disk: the start says so, and what runs already goes on.
#[test]
fn a_full_disk() {
    let mut lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    let disk = lbdev.root().join("state/small");
    std::fs::create_dir(&disk).unwrap();
    let Some(_disk) = SmallDisk::over(&disk) else {
        return;
    };
    lbdev.set("XDG_STATE_HOME", &disk);
    lbdev.run(&["up", "-d", "--wait"]).ok();
    fill(&disk);
    // The list of processes cannot be written any more; serving, killing and starting go on.
    let first = lbdev.ports.first;
    lbdev.run(&["kill", &first.to_string()]).ok();
    lbdev.run(&["start", &first.to_string()]).ok();
    lbdev.run(&["restart", "all", "--rolling"]).ok();
    assert_eq!(lbdev.next_ports(4).len(), 4);
    let (own, guard) = (the_lbdev(&lbdev).unwrap(), guardian(&lbdev).unwrap());
    lbdev.run(&["down"]).ok();
    lbdev.assert_all_gone();

    let out = lbdev.run(&["up", "-d", "--wait"]);
    if out.code != Some(0) {
        let out = out.fails(1, "LB007");
        assert!(out.stderr.contains("state/small"), "{out}");
    }
    lbdev.run(&["down"]).ok();
    lbdev.assert_all_gone();

    // And where it was killed with a full disk, all is found by the processes' own marks.
    std::fs::remove_file(disk.join("filler")).unwrap();
    lbdev.run(&["up", "-d", "--wait"]).ok();
    fill(&disk);
    let (new_own, new_guard) = (the_lbdev(&lbdev).unwrap(), guardian(&lbdev).unwrap());
    assert!(new_own != own && new_guard != guard);
    kill(new_own, Signal::STOP);
    slay(new_guard);
    slay(new_own);
    lbdev.run(&["down"]).ok();
    until(s(5), "all had gone", || lbdev.processes().is_empty());
}

/// Writes until nothing more fits.
fn fill(disk: &std::path::Path) {
    use std::io::Write;
    let mut filler = std::fs::File::create(disk.join("filler")).unwrap();
    while filler.write_all(&[0; 512]).is_ok() {}
}
