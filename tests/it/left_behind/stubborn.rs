//! Backends that real projects have, and that do not end when they are told to.

use std::fmt::Write;
use std::time::Duration;

use super::{gone_after_death, slay, the_lbdev};
use crate::harness::{LBDEV, Lbdev};
use crate::wait::s;
use crate::{need, ports};

/// One way to be stubborn: its name, and the command in which `{port}` stands.
struct Kind {
    name: &'static str,
    command: String,
    /// TERM does not end it.
    waits_for_kill: bool,
}

/// Writes one service of each kind, with a port each. `None` where a tool is missing.
fn each_kind(lbdev: &mut Lbdev) -> Option<Vec<(Kind, u16)>> {
    let setsid = need::program("setsid")?;
    let setsid = setsid.display();
    let demo = format!("{LBDEV} __demo --port");
    let script = |name: &str, text: &str| {
        lbdev.script(name, &format!("#!/bin/sh\n{text}\n"));
        format!("./{name} {{port}}")
    };
    let mut kinds = vec![
        Kind {
            name: "deaf",
            command: script(
                "deaf.sh",
                &format!("trap '' TERM\n{demo} \"$1\" &\nwhile :; do sleep 1; done"),
            ),
            waits_for_kill: true,
        },
        // The first process goes at once; what listens is two levels below it and does not care.
        Kind {
            name: "grandchild",
            command: script(
                "grandchild.sh",
                &format!(
                    "sh -c \"trap '' TERM; (trap '' TERM; {demo} $1; sleep 1000) & wait; sleep 1000\" &\nwait"
                ),
            ),
            waits_for_kill: true,
        },
        Kind {
            name: "daemon",
            command: script(
                "daemon.sh",
                &format!("({setsid} {demo} \"$1\" >/dev/null 2>&1 &)\nsleep 1000"),
            ),
            waits_for_kill: false,
        },
        // Nothing says whose it is but the port that it holds.
        Kind {
            name: "nobodys",
            command: script(
                "nobodys.sh",
                &format!(
                    "({setsid} env -i PATH=/usr/bin:/bin {demo} \"$1\" >/dev/null 2>&1 &)\nsleep 1000"
                ),
            ),
            waits_for_kill: false,
        },
        Kind {
            name: "pipeholder",
            command: script(
                "pipeholder.sh",
                &format!("{setsid} sh -c 'sleep 1000 & exec sleep 1000' &\nexec {demo} \"$1\""),
            ),
            waits_for_kill: false,
        },
        Kind {
            name: "pipeline",
            command: format!("{demo} {{port}} 2>&1 | cat"),
            waits_for_kill: false,
        },
    ];
    if need::vite().is_some()
        && let (Some(npm), Some(_)) = (need::program("npm"), need::program("node"))
    {
        lbdev.write(
            "npm/package.json",
            "{\"name\": \"stubborn\", \"scripts\": {\"start\": \"node server.js\"}}",
        );
        lbdev.write(
            "npm/server.js",
            "const http = require('http');\n\
             http.createServer((_, answer) => answer.end('ok')).listen(process.env.PORT, '127.0.0.1');\n",
        );
        kinds.push(Kind {
            name: "npm",
            command: format!("{} --prefix npm start", npm.display()),
            waits_for_kill: false,
        });
    }
    if let Some(python) = need::django() {
        crate::up_django::copy_site(&lbdev.dir).unwrap();
        let venv = python.parent().and_then(std::path::Path::parent).unwrap();
        lbdev.set("VIRTUAL_ENV", venv);
        kinds.push(Kind {
            name: "reloader",
            command: "{python} manage.py runserver 127.0.0.1:{port}".into(),
            waits_for_kill: false,
        });
    }
    if need::gunicorn().is_some() {
        lbdev.write(
            "plain.py",
            "def app(environ, start):\n    start('200 OK', [('Content-Type', 'text/plain')])\n    return [b'ok']\n",
        );
        kinds.push(Kind {
            name: "gunicorn",
            command: "{python} -m gunicorn --workers 2 --bind 127.0.0.1:{port} plain:app".into(),
            waits_for_kill: false,
        });
    }
    let mut text = format!(
        "[balancer]\nlisten = \"localhost:{}\"\n\n",
        lbdev.ports.spare()
    );
    let mut placed = Vec::new();
    for (kind, port) in kinds.into_iter().zip(lbdev.ports.first..) {
        let Kind { name, command, .. } = &kind;
        let command = command.replace('"', "\\\"");
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "[services.{name}]\ncommand = \"{command}\"\nports = {port}\nroutes = [\"/{name}\"]\n\
             stop = {{ timeout = \"{}s\" }}\n\n",
            TIMEOUT.as_secs()
        );
        placed.push((kind, port));
    }
    lbdev.write("lbdev.toml", &text);
    Some(placed)
}

const TIMEOUT: Duration = s(2);

#[test]
fn down_frees_every_port_in_time_and_says_whom_it_waited_for() {
    let mut lbdev = Lbdev::new();
    let Some(kinds) = each_kind(&mut lbdev) else {
        return;
    };
    lbdev.run(&["up", "-d", "--wait"]).ok();
    for (kind, port) in &kinds {
        assert!(!ports::is_free(*port), "{} listens", kind.name);
    }
    let down = lbdev.run(&["down"]).ok();
    lbdev.assert_all_gone();
    assert!(down.took < TIMEOUT + s(1), "{down}");
    let waited: Vec<&str> = down
        .stderr
        .lines()
        .filter(|line| line.contains("still waiting for"))
        .collect();
    for (kind, port) in &kinds {
        let named = waited
            .iter()
            .any(|line| line.contains(&format!("`{}:{port}`", kind.name)));
        if kind.waits_for_kill {
            assert!(named, "{} is not named: {down}", kind.name);
        }
    }
}

/// Each of them alone, by every verb that ends a process.
#[test]
fn each_verb_ends_all_of_each() {
    let mut lbdev = Lbdev::new();
    let Some(kinds) = each_kind(&mut lbdev) else {
        return;
    };
    lbdev.run(&["up", "-d", "--wait"]).ok();
    for verb in ["kill", "stop"] {
        lbdev.run(&[verb, "all"]).ok();
        for (kind, port) in &kinds {
            lbdev.until_state(*port, "stopped", s(10));
            let id = format!("{}:{port}", kind.name);
            let mut left = lbdev.backend_processes();
            left.retain(|found| found.backend.as_deref() == Some(id.as_str()));
            assert!(left.is_empty(), "{id} after {verb}: {left:#?}");
            assert!(ports::is_free(*port), "{id} after {verb}");
        }
        lbdev.run(&["start", "all"]).ok();
    }
    lbdev.run(&["restart", "all"]).ok();
    lbdev.run(&["down"]).ok();
    lbdev.assert_all_gone();
}

#[test]
fn a_killed_lbdev_takes_all_of_them_along() {
    let mut lbdev = Lbdev::new();
    let Some(_) = each_kind(&mut lbdev) else {
        return;
    };
    // But the one that nobody but a living lbdev can know.
    let file = std::fs::read_to_string(lbdev.dir.join("lbdev.toml")).unwrap();
    let (before, rest) = file.split_once("[services.nobodys]").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    lbdev.write("lbdev.toml", &format!("{before}{after}"));
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let pid = the_lbdev(&lbdev).unwrap();
    let since = slay(pid);
    gone_after_death(&lbdev, since, "stubborn backends");
}
