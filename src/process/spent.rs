//! The processor time of somebody else's processes, to the nanosecond where the system tells it.

use std::time::Duration;

/// What a process has used of the processor so far, with its descendants where `all` says so. `None` where the system does
/// not tell finely enough (only Linux does: `/proc/PID/task/TID/schedstat`), or there is no such process.
pub fn spent(pid: u32, all: bool) -> Option<Duration> {
    #[cfg(target_os = "linux")]
    return linux::spent(pid, all);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (pid, all);
        None
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::time::Duration;

    pub(super) fn spent(pid: u32, all: bool) -> Option<Duration> {
        let mut sum = of_one(pid)?;
        if all {
            for child in descendants(pid) {
                // One that has ended meanwhile counts no more.
                sum += of_one(child).unwrap_or_default();
            }
        }
        Some(sum)
    }

    fn of_one(pid: u32) -> Option<Duration> {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        let nanos = tasks.flatten().filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_ascii_whitespace().next()?.parse::<u64>().ok()
        });
        Some(Duration::from_nanos(nanos.sum()))
    }

    fn descendants(pid: u32) -> Vec<u32> {
        let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let child: u32 = entry.file_name().to_str()?.parse().ok()?;
                let stat = fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
                let (_, rest) = stat.rsplit_once(')')?;
                let parent = rest.split_ascii_whitespace().nth(1)?.parse().ok()?;
                Some((child, parent))
            })
            .collect();
        let mut found = vec![pid];
        let mut next = 0;
        while let Some(&parent) = found.get(next) {
            let children = parents.iter().filter(|(_, of)| *of == parent);
            found.extend(children.map(|(child, _)| *child));
            next += 1;
        }
        found.split_off(1)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_some_and_uses_more() {
        let before = spent(std::process::id(), true).unwrap();
        let mut sum = 0_u64;
        for n in 0..5_000_000_u64 {
            sum = std::hint::black_box(sum.wrapping_add(n));
        }
        let after = spent(std::process::id(), true).unwrap();
        assert!(after > before && before > Duration::ZERO);
        assert_eq!(spent(0, false), None);
    }
}
