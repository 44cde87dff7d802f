//! Unix without `/proc`, which is macOS: the table is what `ps` says.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::unix::{raw, to_pid};
use super::{Cost, Proc};
use crate::backend::Signal;

/// The file to execute for another process of this very binary.
pub(in crate::process) fn own_executable() -> io::Result<PathBuf> {
    std::env::current_exe()
}

fn ps(args: &[&str]) -> Option<String> {
    let output = duct::cmd("ps", args)
        .stdin_null()
        .stderr_null()
        .stdout_capture()
        .unchecked()
        .run()
        .ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Every process that can be seen.
pub(in crate::process) fn snapshot() -> Vec<Proc> {
    ps(&["-axo", "pid=,ppid=,pgid=,stat="])
        .unwrap_or_default()
        .lines()
        .filter_map(parse_line)
        .collect()
}

fn parse_line(line: &str) -> Option<Proc> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let pid = fields.first()?.parse().ok()?;
    Some(Proc {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        // 0 would stand for this process.
        session: if pid == 0 { 0 } else { session_of(pid) },
        start: 0,
        zombie: fields.get(3)?.starts_with('Z'),
    })
}

/// The session's number, which `ps` does not show here; 0 where there is none to be seen. (nix, because rustix has no
/// answer for a session that was begun outside a container.)
fn session_of(pid: u32) -> u32 {
    i32::try_from(pid)
        .ok()
        .and_then(|pid| nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid))).ok())
        .and_then(|session| u32::try_from(session.as_raw()).ok())
        .unwrap_or(0)
}

/// The session of this process.
pub(in crate::process) fn own_session() -> Option<u32> {
    Some(session_of(std::process::id()))
}

/// Orphans go to the first process here, so what is below this one is never all.
pub(in crate::process) fn descendants() -> Option<Vec<Proc>> {
    None
}

/// The wall clock's time: it goes on while the machine sleeps, and somebody may set it.
pub(in crate::process) fn uptime() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

/// Not known here.
pub(in crate::process) fn start_of(_pid: u32) -> Option<u64> {
    None
}

/// Not known here: without start times it would be of no use.
pub(in crate::process) fn boot_id() -> Option<String> {
    None
}

/// There are none here.
pub(in crate::process) fn pid_namespace() -> Option<String> {
    None
}

/// The command line and the environment a process was started with, as `ps` shows them to their owner; the words end
/// with a zero byte as on Linux.
pub(in crate::process) fn environ(pid: u32) -> Option<Vec<u8>> {
    let text = ps(&["-E", "-ww", "-o", "command=", "-p", &pid.to_string()])?;
    Some(text.replace(' ', "\0").into_bytes())
}

/// [`environ`] of many: those that may be read. One `ps` shows them all.
pub(in crate::process) fn environs(pids: &[u32]) -> HashMap<u32, Vec<u8>> {
    let text = of_these(&["-E", "-ww", "-o", "pid=,command="], pids);
    text.lines().filter_map(super::ps::parse_environ).collect()
}

/// What these processes cost; those that have ended are left out.
pub(in crate::process) fn costs(pids: &[u32]) -> HashMap<u32, Cost> {
    let text = of_these(&["-o", "pid=,time=,rss="], pids);
    text.lines().filter_map(super::ps::parse_cost).collect()
}

/// Not known here.
pub(in crate::process) fn private(_pid: u32) -> Option<u64> {
    None
}

/// What `ps` says of these processes.
fn of_these(args: &[&str], pids: &[u32]) -> String {
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    let list = pids.join(",");
    let mut all = args.to_vec();
    all.extend(["-p", &list]);
    // Without any it would show everything.
    match pids.is_empty() {
        true => String::new(),
        false => ps(&all).unwrap_or_default(),
    }
}

/// Not known here.
pub(in crate::process) fn working_directory(_pid: u32) -> Option<PathBuf> {
    None
}

/// Not known here.
pub(in crate::process) fn started_at(_pid: u32) -> Option<SystemTime> {
    None
}

/// Sends a signal to a process; one that has ended meanwhile is left alone.
pub(in crate::process) fn send(to: &Proc, signal: Signal) {
    if let Some(pid) = to_pid(to.pid) {
        let _ = rustix::process::kill_process(pid, raw(signal));
    }
}

/// There is no death signal here: the guardian does it.
pub(in crate::process) fn die_with_parent() {}

/// There are no subreapers here.
pub(in crate::process) fn become_subreaper() -> io::Result<()> {
    Ok(())
}
