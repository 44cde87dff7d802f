//! What the backends committed, as their own logs say: each line is appended to a file in one write, before the answer, so
//! that a SIGKILL a moment later takes nothing of it away.

use std::collections::BTreeMap;

use crate::harness::{LBDEV, Lbdev};

/// Writes the script that runs a demo backend with its log in a file of its own, as a service's command. It takes its time
/// to start, as real servers do.
pub fn command(lbdev: &Lbdev) -> String {
    // A replaced process goes on in the same file, and `exec` leaves no shell in between that a signal could meet.
    let script =
        format!("#!/bin/sh\nsleep 0.3\nexec {LBDEV} __demo --port \"$1\" >>\"commits.$1\"\n");
    let script = lbdev.script("backend", &script);
    format!("{} {{port}}", script.display())
}

/// By the name of a request: the port of each commit of it.
pub fn read(lbdev: &Lbdev) -> BTreeMap<String, Vec<u16>> {
    let mut commits = BTreeMap::<String, Vec<u16>>::new();
    for port in lbdev.ports.four() {
        let log = std::fs::read_to_string(lbdev.dir.join(format!("commits.{port}")));
        for line in log.expect("every backend has run").lines() {
            let mut words = line.split(' ').skip_while(|word| *word != "request");
            if let Some(name) = words.nth(1) {
                commits.entry(name.to_owned()).or_default().push(port);
            }
        }
    }
    commits
}
