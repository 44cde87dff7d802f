//! What a process has of the machine, as Linux shows it.

use std::fs;

/// It at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Footprint {
    /// Resident memory in bytes.
    pub memory: u64,
    /// The most it has been.
    pub most_memory: u64,
    /// Open files.
    pub files: usize,
    pub threads: usize,
    /// Its children, those too that have ended and were not waited for.
    pub children: usize,
}

impl Footprint {
    /// That of this process, which lives.
    pub fn of(pid: u32) -> Footprint {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            number
                .and_then(|n| n.parse::<u64>().ok())
                .expect("a number")
        };
        let entries =
            |folder: &str| fs::read_dir(format!("/proc/{pid}/{folder}")).expect("it lives");
        let children = |task: fs::DirEntry| {
            // A thread may just have ended.
            let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            list.split_whitespace().count()
        };
        Footprint {
            memory: number("VmRSS:") * 1024,
            most_memory: number("VmHWM:") * 1024,
            files: entries("fd").count(),
            threads: usize::try_from(number("Threads:")).expect("not so many"),
            children: entries("task").flatten().map(children).sum(),
        }
    }
}

impl std::fmt::Display for Footprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.1} MiB, {} open files, {} threads, {} children",
            self.memory as f64 / f64::from(1 << 20),
            self.files,
            self.threads,
            self.children
        )
    }
}
