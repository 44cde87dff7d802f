//! Completions: a real bash asks for words, also for the ports of what runs; and the manual page.

use std::process::{Command, Stdio};

use crate::harness::{LBDEV, Lbdev};
use crate::need;

/// The words that bash offers behind `lbdev WORDS`, the last of which is being typed.
fn offered(lbdev: &Lbdev, bash: &std::path::Path, words: &[&str]) -> Vec<String> {
    let all: Vec<String> = ["lbdev"]
        .iter()
        .chain(words)
        .map(|word| format!("'{word}'"))
        .collect();
    let (line, last) = (all.join(" "), words.len());
    let script = format!(
        "PATH=\"{}:$PATH\"; source <(lbdev completions bash); COMP_WORDS=({line}); COMP_CWORD={last}; \
         COMP_LINE=\"${{COMP_WORDS[*]}}\"; COMP_POINT=${{#COMP_LINE}}; COMP_TYPE=9; \
         f=$(complete -p lbdev | sed 's/.*-F \\([^ ]*\\).*/\\1/'); $f lbdev \"${{COMP_WORDS[$COMP_CWORD]}}\" x; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        std::path::Path::new(LBDEV).parent().unwrap().display()
    );
    let mut bash = Command::new(bash);
    let like = lbdev.command(&[""]);
    bash.env_clear();
    for (name, value) in like.get_envs() {
        if let Some(value) = value {
            bash.env(name, value);
        }
    }
    let output = bash
        .args(["--norc", "-c", &script])
        .current_dir(&lbdev.dir)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("rror"), "{said}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

#[test]
fn bash_completes_verbs_options_and_what_runs() {
    let Some(bash) = need::program("bash") else {
        return;
    };
    let lbdev = Lbdev::new();
    let none = offered(&lbdev, &bash, &["kill", ""]);
    assert!(
        !none
            .iter()
            .any(|word| word.starts_with(|c: char| c.is_ascii_digit())),
        "{none:?}"
    );
    lbdev.demo();
    let [a, b, ..] = lbdev.ports.four().map(|port| port.to_string());
    let verbs = offered(&lbdev, &bash, &["sta"]);
    let sorted: std::collections::BTreeSet<&str> = verbs.iter().map(String::as_str).collect();
    assert_eq!(sorted, ["start", "status"].into());
    let targets = offered(&lbdev, &bash, &["kill", ""]);
    assert!(
        targets.contains(&a) && targets.contains(&"all".to_owned()),
        "{targets:?}"
    );
    let second = offered(&lbdev, &bash, &["kill", &format!("{a},")]);
    assert!(second.iter().any(|word| word.ends_with(&b)), "{second:?}");
    assert_eq!(offered(&lbdev, &bash, &["fault", &a, "late"]), ["latency="]);
    let options = offered(&lbdev, &bash, &["restart", "--ro"]);
    assert_eq!(options, ["--rolling"]);
    let codes = offered(&lbdev, &bash, &["explain", "LB03"]);
    assert!(codes.contains(&"LB030".to_owned()), "{codes:?}");
}

#[test]
fn every_shell_has_its_script_and_man_its_page() {
    let lbdev = Lbdev::new();
    for (shell, says) in [
        ("bash", "complete "),
        ("zsh", "#compdef lbdev"),
        ("fish", "complete "),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        lbdev
            .run(&["completions", shell])
            .ok()
            .says(says)
            .says("LBDEV_COMPLETE");
    }
    let page = lbdev.run(&["man"]).ok();
    assert!(page.stdout.contains(".TH lbdev 1"), "{page}");
    for verb in ["up", "kill", "fault", "top", "doctor"] {
        assert!(page.stdout.contains(&format!(".SS {verb}\n")), "{verb}");
    }
}
