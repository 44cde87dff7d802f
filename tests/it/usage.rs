//! What `status` says of the processor, the memory, the threads and the children of each backend.

use serde_json::Value;

use crate::harness::{LBDEV, Lbdev};
use crate::need;
use crate::wait::{holds_within, s};

const MIB: u64 = 1 << 20;

/// Services without a port, each with one of these commands, all of them running.
fn with(commands: &[(&str, &str)]) -> Lbdev {
    let lbdev = Lbdev::new();
    let listen = lbdev.ports.listen();
    let range = lbdev.ports.range();
    let mut file = format!(
        "[balancer]\nlisten = \"localhost:{listen}\"\n\n\
         [services.web]\ncommand = \"{LBDEV} __demo --port {{port}}\"\nports = \"{range}\"\n"
    );
    for (name, text) in commands {
        let script = lbdev.script(&format!("{name}.sh"), text);
        let script = script.display();
        file += &format!(
            "\n[services.{name}]\ncommand = \"{script}\"\nstop = {{ timeout = \"1s\" }}\n"
        );
    }
    lbdev.write("lbdev.toml", &file);
    lbdev.run(&["up", "-d", "--wait"]).ok();
    lbdev
}

fn row(lbdev: &Lbdev, id: &str) -> Value {
    let status = lbdev.status();
    let rows = status["backends"].as_array().expect("backends is a list");
    let row = rows.iter().find(|row| row["id"] == id);
    row.unwrap_or_else(|| panic!("no {id} in {status:#}"))
        .clone()
}

fn number(row: &Value, field: &str) -> u64 {
    let number = row[field].as_u64();
    number.unwrap_or_else(|| panic!("`{field}` is no whole number in {row:#}"))
}

fn percent(row: &Value) -> f64 {
    let number = row["cpu_pct"].as_f64();
    number.unwrap_or_else(|| panic!("`cpu_pct` is no number in {row:#}"))
}

/// Waits until the row of a backend is as it should be.
#[track_caller]
fn until_row(lbdev: &Lbdev, id: &str, what: &str, mut holds: impl FnMut(&Value) -> bool) {
    let mut last = Value::Null;
    let held = holds_within(s(60), || {
        last = row(lbdev, id);
        holds(&last)
    });
    assert!(held, "not so after a minute: {what}: {last:#}");
}

#[test]
fn a_busy_backend_is_told_from_an_idle_one() {
    let lbdev = with(&[
        ("burns", "#!/bin/sh\nwhile :; do :; done\n"),
        ("sleeps", "#!/bin/sh\nexec sleep 1000\n"),
    ]);
    // It shares the cores with whatever else runs here.
    until_row(&lbdev, "burns.1", "it uses most of a core", |row| {
        let used = percent(row);
        assert!(used < 115.0, "one thread uses one core: {row:#}");
        used > 30.0
    });
    let idle = row(&lbdev, "sleeps.1");
    assert!(percent(&idle) < 10.0, "{idle:#}");
    // Of the last seconds, not of its life: what is frozen uses nothing soon.
    lbdev.run(&["kill", "burns", "-s", "STOP"]).ok();
    until_row(&lbdev, "burns.1", "it is idle once it is frozen", |row| {
        percent(row) < 1.0
    });
    lbdev.run(&["kill", "burns", "-s", "CONT"]).ok();

    let table = lbdev.run(&["status"]).stdout;
    let head = table.lines().nth(1).unwrap_or_default();
    assert!(head.contains("  CPU  MEMORY  "), "{table}");
    let of = |id: &str| {
        table
            .lines()
            .find(|line| line.starts_with(id))
            .unwrap_or_default()
    };
    assert!(of("burns.1").contains(" MB"), "{table}");

    lbdev.run(&["kill", "burns"]).ok();
    let stopped = row(&lbdev, "burns.1");
    assert_eq!(percent(&stopped), 0.0, "{stopped:#}");
    for field in ["rss_bytes", "threads", "children"] {
        assert_eq!(stopped[field], 0, "{stopped:#}");
    }
    let table = lbdev.run(&["status"]).stdout;
    let line = table.lines().find(|line| line.starts_with("burns.1"));
    let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    assert!(!words.contains(&"0%") && !words.contains(&"MB"), "{table}");
}

/// A first look is one of the life until then, and of all that a stop would end.
#[test]
fn every_process_of_a_backend_counts() {
    let lbdev = with(&[(
        "family",
        // A child, a grandchild in a session of its own, and a daemon that only its environment gives away.
        "#!/bin/sh\nsleep 1000 &\nsh -c 'setsid sleep 1000; :' &\nsetsid -f sleep 1000\nexec sleep 1000\n",
    )]);
    until_row(&lbdev, "family.1", "it has four children", |row| {
        number(row, "children") == 4
    });
    let family = row(&lbdev, "family.1");
    if cfg!(target_os = "linux") {
        assert_eq!(family["threads"], 5, "{family:#}");
    }
    let alone = lbdev.backend(lbdev.ports.first);
    assert_eq!(alone["children"], 0, "{alone:#}");
    assert!(number(&alone, "rss_bytes") > MIB, "{alone:#}");
}

#[cfg(target_os = "linux")]
#[test]
fn threads_and_memory_are_those_of_the_processes() {
    let Some(python) = need::python() else {
        return;
    };
    let python = python.display();
    let script = |text: &str| format!("#!/bin/sh\nexec {python} -c '{text}'\n");
    let threads = script(
        "import threading, time\nfor n in range(6): threading.Thread(target=time.sleep, args=(1000,)).start()",
    );
    let forks = script(
        "import os, time\nheld = bytearray(b\"x\") * (100 << 20)\n\
         if os.fork() and os.fork() and os.fork(): pass\ntime.sleep(1000)",
    );
    let lbdev = with(&[("threads", &threads), ("forks", &forks)]);
    until_row(&lbdev, "threads.1", "it has seven threads", |row| {
        number(row, "threads") == 7
    });
    assert_eq!(row(&lbdev, "threads.1")["children"], 0);

    until_row(&lbdev, "forks.1", "it has three children", |row| {
        number(row, "children") == 3 && number(row, "rss_bytes") > 100 * MIB
    });
    let forks = row(&lbdev, "forks.1");
    assert!(
        number(&forks, "rss_bytes") < 160 * MIB,
        "what four processes share counts once: {forks:#}"
    );
}
