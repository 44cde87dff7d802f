//! Finding processes by a mark in their environment. It passes to every child, also to one that left its session and its
//! parent, so that nothing can hide from a test.

use std::path::Path;

/// A process that carries a mark.
#[derive(Debug, Clone)]
pub struct Found {
    pub pid: u32,
    pub parent: u32,
    pub command: String,
    /// `web:8000`, where it belongs to a backend.
    pub backend: Option<String>,
}

/// Every process, zombies apart, whose environment holds `mark`. Empty where there is no `/proc`.
pub fn carrying(mark: &str) -> Vec<Found> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| look(pid, mark)).collect()
}

fn look(pid: u32, mark: &str) -> Option<Found> {
    if pid == std::process::id() {
        return None;
    }
    let dir = Path::new("/proc").join(pid.to_string());
    let environ = std::fs::read(dir.join("environ")).ok()?;
    let environ = String::from_utf8_lossy(&environ);
    if !environ.contains(mark) {
        return None;
    }
    // "pid (name) state ppid …"; the name may hold anything, so the fields are counted after its bracket.
    let stat = std::fs::read_to_string(dir.join("stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ');
    let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
    if matches!(state, "Z" | "X") {
        return None;
    }
    let command = std::fs::read(dir.join("cmdline")).unwrap_or_default();
    let backend = environ
        .split('\0')
        .find_map(|entry| entry.strip_prefix("LBDEV_BACKEND="));
    Some(Found {
        pid,
        parent,
        command: String::from_utf8_lossy(&command).replace('\0', " "),
        backend: backend.map(str::to_owned),
    })
}
