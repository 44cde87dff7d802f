//! What processes have cost.

/// Time that all threads of these processes have run, in nanoseconds: the first number of `/proc/PID/task/TID/schedstat`
/// (proc(5)). Threads that have ended are not in it.
pub(crate) fn spent(pids: &[u32]) -> u64 {
    let threads = pids
        .iter()
        .filter_map(|pid| std::fs::read_dir(format!("/proc/{pid}/task")).ok())
        .flatten()
        .flatten();
    threads
        .filter_map(|thread| {
            let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        })
        .sum()
}
