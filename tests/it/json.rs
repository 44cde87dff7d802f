//! `--json`: what each verb prints, with something running and with nothing, is held to `json/schema.json`; and a reader that
//! leaves early is no error.

use std::io::Read;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::{Lbdev, Output};
use crate::wait::s;

/// Whether a document is one of a definition.
#[track_caller]
pub fn fits(document: &Value, definition: &str) {
    let text = include_str!("json/schema.json");
    let mut schema: Value = serde_json::from_str(text).unwrap();
    schema["$ref"] = json!(format!("#/$defs/{definition}"));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{definition}: {errors:#?}\n{document:#}");
}

/// Each line of a stream.
fn lines(output: &Output) -> Vec<Value> {
    let lines = output.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn each_verb_against_a_running_instance() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    let up = lbdev.run(&["up", "-d", "--wait", "--json"]).ok();
    fits(&up.json(), "status");
    lbdev.next_ports(4);
    let [a, b, ..] = lbdev.ports.four().map(|port| port.to_string());
    for (args, definition) in [
        (vec!["status"], "status"),
        (vec!["ls"], "ls"),
        (vec!["kill", &a], "acted"),
        (vec!["start", &a], "acted"),
        (vec!["stop", &a], "acted"),
        (vec!["start", "all"], "acted"),
        (vec!["restart", &a], "acted"),
        (vec!["restart", "web", "--rolling"], "acted"),
        (vec!["drain", &b], "acted"),
        (vec!["undrain", &b], "acted"),
        (vec!["freeze", &b], "acted"),
        (vec!["thaw", &b], "acted"),
        (vec!["fault", &b, "latency=1ms"], "acted"),
        (vec!["fault", "all", "off"], "acted"),
        (vec!["scale", "3"], "acted"),
        (vec!["scale", "4"], "acted"),
        (vec!["set", "retries=2"], "settings"),
        (vec!["set", &a, "weight=2"], "acted"),
        (vec!["reload"], "reloaded"),
        (vec!["config"], "config"),
        (vec!["doctor"], "doctor"),
        (vec!["doctor", &a], "doctor"),
        (vec!["explain"], "codes"),
        (vec!["explain", "LB001"], "explain"),
        (vec!["open", "--print"], "open"),
        (
            vec!["load", "--for", "500ms", "--at", "100ms", "drain web"],
            "load",
        ),
        (vec!["lab", "list"], "labs"),
        (
            vec!["lab", "post-twice", "--auto", "--student", "x"],
            "record",
        ),
        (vec!["lab", "grade", "lab-post-twice-x.json"], "grades"),
    ] {
        let mut args = args.clone();
        args.push("--json");
        let output = lbdev.run(&args);
        assert!(matches!(output.code, Some(0 | 1)), "{output}");
        fits(&output.json(), definition);
    }
    for (args, definition) in [
        (["events", "--json"], "event"),
        (["logs", "--json"], "logs"),
    ] {
        let output = lbdev.run(&args).ok();
        let all = lines(&output);
        assert!(!all.is_empty(), "{output}");
        all.iter().for_each(|line| fits(line, definition));
    }
    // What is refused is an object too, with the exit code that it has in words.
    for (args, code, exit) in [
        (vec!["kill", "9"], "LB030", 2),
        (vec!["set", "algoritm=hash"], "LB021", 2),
        (vec!["fault", &a, "latancy=1s"], "LB021", 2),
        (vec!["kil", &a], "LB021", 2),
        (vec!["top"], "LB021", 2),
        (vec!["load", "--at", "1s", "kil 8000"], "LB021", 2),
        (vec!["lab", "nothing-like-it"], "LB051", 2),
        (vec!["explain", "LB999"], "LB021", 2),
    ] {
        let mut args = args.clone();
        args.push("--json");
        let output = lbdev.run(&args);
        assert_eq!(output.code, Some(exit), "{output}");
        let problem = output.json();
        fits(&problem, "problem");
        assert_eq!(problem["error"]["code"], code, "{output}");
        assert_eq!(output.stderr, "", "{output}");
    }
    fits(&lbdev.run(&["down", "--json"]).ok().json(), "down");
}

#[test]
fn each_verb_against_none() {
    let lbdev = Lbdev::new();
    let cases: &[(&[&str], i32)] = &[
        (&["status"], 4),
        (&["kill", "8000"], 1),
        (&["start", "all"], 1),
        (&["stop", "8000"], 1),
        (&["restart", "8000"], 1),
        (&["restart", "all", "--rolling"], 1),
        (&["drain", "8000"], 1),
        (&["undrain", "8000"], 1),
        (&["freeze", "8000"], 1),
        (&["thaw", "8000"], 1),
        (&["fault", "8000", "reset"], 1),
        (&["scale", "4"], 1),
        (&["set", "retries=1"], 1),
        (&["reload"], 1),
        (&["events"], 1),
        (&["events", "-f"], 1),
        (&["open", "--print"], 1),
    ];
    for (args, exit) in cases {
        let output = lbdev.run(args).fails(*exit, "LB005");
        assert!(output.stderr.contains("lbdev up"), "{output}");
        let mut args = args.to_vec();
        args.push("--json");
        let output = lbdev.run(&args);
        assert_eq!(output.code, Some(*exit), "{output}");
        fits(&output.json(), "problem");
    }
    lbdev.run(&["top"]).fails(1, "LB005");
    fits(&lbdev.run(&["ls", "--json"]).ok().json(), "ls");
    fits(&lbdev.run(&["down", "--json"]).ok().json(), "down");
    fits(&lbdev.run(&["doctor", "--json"]).json(), "doctor");
    fits(&lbdev.run(&["config", "--json"]).json(), "problem");
    // A start that comes to nothing is told as one, too.
    lbdev.service_file("false", "", "");
    let failed = lbdev.run(&["up", "-d", "--wait", "--json"]);
    assert_eq!(failed.code, Some(1), "{failed}");
    let problem = failed.json();
    fits(&problem, "problem");
    assert_eq!(problem["error"]["code"], "LB010", "{failed}");
    std::fs::remove_file(lbdev.dir.join("lbdev.toml")).unwrap();
    fits(&lbdev.run(&["init", "--json"]).ok().json(), "init");
    for target in ["nginx", "compose", "kubernetes", "procfile"] {
        let exported = lbdev.run(&["export", target, "--json"]).ok().json();
        fits(&exported, "export");
    }
    lbdev.run(&["export", "nginx", "-o", "nginx.conf"]).ok();
    let imported = lbdev.run(&["import", "nginx.conf", "-o", "-", "--json"]);
    fits(&imported.ok().json(), "import");
    fits(&lbdev.run(&["export", "pdf", "--json"]).json(), "problem");
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let first = lbdev.ports.first.to_string();
    for args in [
        vec!["status"],
        vec!["status", "--json"],
        vec!["ls"],
        vec!["events"],
        vec!["events", "-f"],
        vec!["logs"],
        vec!["logs", "-f"],
        vec!["doctor"],
        vec!["explain"],
        vec!["--help"],
        vec!["man"],
        vec!["completions", "bash"],
        vec!["kill", &first, "--restart"],
    ] {
        let mut command = lbdev.command(&args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Nobody reads stdout from the beginning.
        drop(child.stdout.take());
        if args.contains(&"-f") {
            // What comes meets nobody.
            lbdev.run(&["restart", &first]).ok();
        }
        let mut said = String::new();
        let ended = crate::wait::holds_within(s(20), || child.try_wait().unwrap().is_some());
        if !ended {
            child.kill().unwrap();
        }
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert!(ended, "{args:?} goes on: {said}");
        assert_eq!(child.wait().unwrap().code(), Some(0), "{args:?}: {said}");
        assert!(
            !said.contains("panicked") && !said.contains("error"),
            "{args:?}: {said}"
        );
    }
}

/// Colours where they are asked for, and nowhere else.
#[test]
fn colours_come_as_they_are_asked_for() {
    let mut lbdev = Lbdev::new();
    lbdev.demo();
    let colored = |lbdev: &Lbdev, args: &[&str]| lbdev.run(args).stdout.contains('\u{1b}');
    for args in [&["status"][..], &["doctor"], &["events"], &["explain"]] {
        assert!(!colored(&lbdev, args), "{args:?} into a pipe");
        let always = [args, &["--color", "always"]].concat();
        assert!(colored(&lbdev, &always), "{args:?} --color always");
    }
    lbdev.unset("NO_COLOR");
    lbdev.set("CLICOLOR_FORCE", "1");
    assert!(colored(&lbdev, &["status"]));
    assert!(!colored(&lbdev, &["status", "--color", "never"]));
    assert!(!colored(&lbdev, &["status", "--json"]));
    lbdev.set("NO_COLOR", "1");
    assert!(!colored(&lbdev, &["status"]));
}
