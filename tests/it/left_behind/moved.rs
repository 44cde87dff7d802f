//! The project's folder is moved or removed while it runs.

use std::process::Command;

use crate::harness::{LBDEV, Lbdev, Running};
use crate::wait::s;

#[test]
fn a_moved_folder_is_still_the_project() {
    let mut lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    // Another project runs as well, so that it is not found for being the only one.
    let other = lbdev.root().join("other");
    std::fs::create_dir(&other).unwrap();
    let spare = lbdev.ports.spare().to_string();
    let extra = (lbdev.ports.first + 5).to_string();
    let command = format!("{LBDEV} __demo --port {{port}}");
    let words = [
        "-C", "../other", "up", "-d", "--wait", "-n", "1", "--ports", &extra, "--listen", &spare,
        "-c", &command,
    ];
    lbdev.run(&words).ok();

    let moved = lbdev.root().join("renamed");
    std::fs::rename(&lbdev.dir, &moved).unwrap();
    let old = std::mem::replace(&mut lbdev.dir, moved);
    let status = lbdev.status();
    assert_eq!(status["project"], "site");
    let ls = lbdev.run(&["ls"]).ok();
    assert!(ls.stdout.contains("site (moved or removed since)"), "{ls}");
    let list = lbdev.run(&["ls", "--json"]).ok().json();
    let projects = list["projects"].as_array().unwrap();
    let moved = |name: &str| {
        let found = projects.iter().find(|one| one["project"] == name);
        found.map(|one| one["moved"].clone())
    };
    assert_eq!(moved("site"), Some(true.into()), "{list:#}");
    assert_eq!(moved("other"), Some(false.into()), "{list:#}");
    // A second one is not started beside it.
    lbdev.run(&["up", "-d"]).fails(1, "LB003");
    // By its old path, too, and in a folder below.
    let by_old = old.display().to_string();
    lbdev.run(&["-C", &by_old, "status", "--json"]).ok();
    let first = lbdev.ports.first.to_string();
    lbdev.run(&["kill", &first]).ok();
    lbdev.until_state(lbdev.ports.first, "stopped", s(10));
    lbdev.run(&["down"]).ok().says("site stopped");
    lbdev.run(&["-C", ".", "status"]).fails(4, "LB005");
    lbdev.run(&["-C", "../other", "down"]).ok();
    lbdev.assert_all_gone();
}

#[test]
fn a_removed_folder_can_be_left_and_its_project_stopped() {
    // A shell that stands in the removed folder, and one that names it.
    for words in [&["down"][..], &["-C", "OLD", "down"], &["down", "--all"]] {
        let lbdev = Lbdev::new();
        lbdev.demo_file("", "");
        lbdev.run(&["up", "-d", "--wait"]).ok();
        let old = lbdev.dir.canonicalize().unwrap().display().to_string();
        let words: Vec<String> = words.iter().map(|word| word.replace("OLD", &old)).collect();
        let stands_in = words.len() == 1;
        let place = if stands_in {
            old.clone()
        } else {
            "/".to_owned()
        };
        let mut command = lbdev.command::<&str>(&[]);
        let envs: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        command = Command::new("sh");
        command
            .args([
                "-c",
                &format!(
                    "cd '{place}' && rm -rf '{old}' && exec {LBDEV} {}",
                    words.join(" ")
                ),
            ])
            .env_clear()
            .envs(envs);
        Running::spawn(command)
            .output(s(60))
            .ok()
            .says("site stopped");
        lbdev.assert_all_gone();
    }
}
