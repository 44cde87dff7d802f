//! Linux: `/proc`, `prctl`, pidfds.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rustix::process::{self, PidfdFlags};

use super::unix::{raw, to_pid};
use super::{Cost, Proc};
use crate::backend::Signal;

/// The file to execute for another process of this very binary. Unlike a path it stays right when the file on disk is
/// replaced while lbdev runs.
pub(in crate::process) fn own_executable() -> io::Result<PathBuf> {
    Ok(PathBuf::from("/proc/self/exe"))
}

/// Every process that can be seen.
pub(in crate::process) fn snapshot() -> Vec<Proc> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(row)
        .collect()
}

/// Everything below this process, zombies too, without reading the whole table; `None` where the kernel does not list
/// children (`CONFIG_PROC_CHILDREN`) or orphans go elsewhere, so that the answer would not be complete.
pub(in crate::process) fn descendants() -> Option<Vec<Proc>> {
    process::child_subreaper().ok()??;
    let mut queue = children(std::process::id())?;
    let mut found = Vec::new();
    while let Some(pid) = queue.pop() {
        if let Some(proc) = row(pid) {
            found.push(proc);
            queue.extend(children(pid).unwrap_or_default());
        }
    }
    Some(found)
}

/// The direct children of a process, of all its threads.
fn children(pid: u32) -> Option<Vec<u32>> {
    let mut all = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        match fs::read_to_string(task.path().join("children")) {
            Ok(list) => all.extend(
                list.split_ascii_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            ),
            // A thread may end meanwhile; a kernel without the file has it for no thread.
            Err(_) if task.path().exists() => return None,
            Err(_) => {}
        }
    }
    Some(all)
}

/// The session of this process; 0 if it was begun outside this pid namespace (which `getsid` of the crate cannot say).
pub(in crate::process) fn own_session() -> Option<u32> {
    Some(row(std::process::id())?.session)
}

/// One process, if it exists.
fn row(pid: u32) -> Option<Proc> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads `/proc/PID/stat` (proc_pid_stat(5)). The name stands in brackets and may itself hold brackets and spaces.
fn parse_stat(stat: &[u8]) -> Option<Proc> {
    let name_end = memchr::memrchr(b')', stat)?;
    let name_start = memchr::memchr(b'(', stat)?;
    let pid = std::str::from_utf8(&stat[..name_start]).ok()?.trim();
    let rest = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Proc {
        pid: pid.parse().ok()?,
        zombie: matches!(*fields.first()?, "Z" | "X" | "x"),
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// What these processes cost; those that have ended are left out.
pub(in crate::process) fn costs(pids: &[u32]) -> HashMap<u32, Cost> {
    let ticks = rustix::param::clock_ticks_per_second();
    let page = rustix::param::page_size() as u64;
    let all = pids.iter();
    all.filter_map(|&pid| {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, parse_cost(&stat, ticks, page)?))
    })
    .collect()
}

/// Reads `/proc/PID/stat` likewise. Times are in clock ticks, the memory in pages.
fn parse_cost(stat: &[u8], ticks: u64, page: u64) -> Option<Cost> {
    let name_end = memchr::memrchr(b')', stat)?;
    let rest = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    // utime, stime, and of children that were waited for: cutime, cstime.
    let spent = [number(11)?, number(12)?, number(13)?, number(14)?];
    let spent: u64 = spent.iter().fold(0, |all, time| all.saturating_add(*time));
    Some(Cost {
        cpu: Duration::from_millis(spent.saturating_mul(1000) / ticks.max(1)),
        threads: fields.get(17)?.parse().ok()?,
        resident: number(21)?.saturating_mul(page),
    })
}

/// The memory in bytes that a process shares with no other. The kernel goes through all its pages for that, which takes
/// some tenths of a millisecond. `None` where it may not be read.
pub(in crate::process) fn private(pid: u32) -> Option<u64> {
    parse_private(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?)
}

fn parse_private(rollup: &str) -> Option<u64> {
    let mut lines = rollup
        .lines()
        .filter(|line| line.starts_with("Private_"))
        .peekable();
    lines.peek()?;
    let mut total = 0u64;
    for line in lines {
        let kib = line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()?;
        total = total.saturating_add(kib.saturating_mul(1024));
    }
    Some(total)
}

/// Time since the boot, with the time for which the machine slept (clock_gettime(2), CLOCK_BOOTTIME).
pub(in crate::process) fn uptime() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).unwrap_or_default()
}

/// When a process started, in clock ticks since the boot; zombies have one too.
pub(in crate::process) fn start_of(pid: u32) -> Option<u64> {
    Some(row(pid)?.start)
}

/// The name of this boot of the machine (random(4)).
pub(in crate::process) fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// The name of the namespace that this process's pids are of (pid_namespaces(7)).
pub(in crate::process) fn pid_namespace() -> Option<String> {
    let link = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(link.to_string_lossy().into_owned())
}

/// The environment a process was started with: `NAME=value`, each ended by a zero byte. `None` where it may not be read.
pub(in crate::process) fn environ(pid: u32) -> Option<Vec<u8>> {
    fs::read(format!("/proc/{pid}/environ")).ok()
}

/// [`environ`] of many: those that may be read.
pub(in crate::process) fn environs(pids: &[u32]) -> HashMap<u32, Vec<u8>> {
    let all = pids.iter();
    all.filter_map(|&pid| Some((pid, environ(pid)?))).collect()
}

/// The working directory of a process, where it may be read.
pub(in crate::process) fn working_directory(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// When a process started, by the wall clock.
pub(in crate::process) fn started_at(pid: u32) -> Option<SystemTime> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = stat
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()?;
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let up = Duration::from_millis(row(pid)?.start.saturating_mul(1000) / ticks);
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(boot) + up)
}

/// Sends a signal to exactly this process: a pidfd is taken first and the row compared, so that a pid that was given to
/// somebody else since is never hit.
pub(in crate::process) fn send(to: &Proc, signal: Signal) {
    let Some(pid) = to_pid(to.pid) else {
        return;
    };
    let fd = process::pidfd_open(pid, PidfdFlags::empty());
    if row(to.pid).is_none_or(|now| now.start != to.start) {
        return;
    }
    let sent = match fd {
        Ok(fd) => process::pidfd_send_signal(fd, raw(signal)),
        // A kernel or a sandbox without pidfds.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {
            process::kill_process(pid, raw(signal))
        }
        Err(error) => Err(error),
    };
    // It has ended, or belongs to another user (`sudo` in a command): there is nothing to be done about either here.
    let _ = sent;
}

/// Asks the kernel to end this process with TERM when the thread that started it ends.
pub(in crate::process) fn die_with_parent() {
    // Only old kernels and odd sandboxes refuse; the guardian is there for those.
    let _ = process::set_parent_process_death_signal(Some(process::Signal::TERM));
}

/// Makes this process the parent of every orphan below it.
pub(in crate::process) fn become_subreaper() -> io::Result<()> {
    process::set_child_subreaper(Some(process::getpid()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_whatever_the_name() {
        let rest = "S 7 8 9 0 -1 4194560 0 0 0 0 1 2 3 4 20 0 1 0 12345 0 0 18446744073709551615";
        for name in ["python3", "a b", ") S 1 1 1", "((", ""] {
            let proc = parse_stat(format!("42 ({name}) {rest}\n").as_bytes()).expect(name);
            assert_eq!(
                proc,
                Proc {
                    pid: 42,
                    parent: 7,
                    group: 8,
                    session: 9,
                    start: 12345,
                    zombie: false
                }
            );
        }
        for bad in ["", "42", "42 (x", "42 (x) S 1", "x (y) S 1 2 3"] {
            assert_eq!(parse_stat(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn what_a_row_costs_is_read() {
        let row = |times: &str| {
            format!(
                "42 (a) b) S 7 8 9 0 -1 4194560 0 0 0 0 {times} 20 0 3 0 12345 999 25 18446744073709551615 1"
            )
        };
        for (times, millis) in [
            ("1 2 3 4", 100),
            ("0 0 0 0", 0),
            ("150 50 0 0", 2_000),
            ("18446744073709551615 1 1 1", u64::MAX / 100),
        ] {
            let cost = parse_cost(row(times).as_bytes(), 100, 4096).expect(times);
            assert_eq!(
                cost,
                Cost {
                    cpu: Duration::from_millis(millis),
                    resident: 25 * 4096,
                    threads: 3
                },
                "{times}"
            );
        }
        for bad in [
            "",
            "42 (x) S 1 2 3",
            &row("1 2 3 x"),
            &row("1 2 3 4").replace("25", "-1"),
        ] {
            assert_eq!(parse_cost(bad.as_bytes(), 100, 4096), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_private_is_added_up() {
        let rollup = "55d0-7ffe ---p 00000000 00:00 0 [rollup]\nRss:    9000 kB\nPss:    100 kB\n\
            Private_Clean:    4 kB\nPrivate_Dirty:   20 kB\nSwap: 7 kB\nPrivate_Hugetlb:  1 kB\n";
        assert_eq!(parse_private(rollup), Some(25 * 1024));
        for bad in [
            "",
            "Rss: 1 kB\n",
            "Private_Dirty: x kB\n",
            "Private_Dirty:\n",
        ] {
            assert_eq!(parse_private(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn this_process_costs_something() {
        let me = std::process::id();
        let costs = costs(&[me, u32::MAX]);
        let cost = costs.get(&me).copied().unwrap();
        assert!(costs.len() == 1 && cost.threads > 0, "{costs:?}");
        assert!(cost.resident > 100_000, "{costs:?}");
        // A sandbox may hide it.
        if let Some(private) = private(me) {
            assert!(private > 0 && private <= cost.resident * 2, "{private}");
        }
    }

    #[test]
    fn this_process_is_in_the_table() {
        let me = std::process::id();
        assert!(
            snapshot()
                .iter()
                .any(|proc| proc.pid == me && !proc.zombie && proc.start > 0)
        );
        assert!(environ(me).is_some_and(|env| !env.is_empty()));
        let age = started_at(me).and_then(|at| at.elapsed().ok());
        assert!(age.is_some_and(|age| age < Duration::from_secs(3600)));
    }
}
