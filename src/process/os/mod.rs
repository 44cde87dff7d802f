//! What differs between operating systems: the process table, signals, orphans, who may read a file. One file each, the
//! same functions; `unix` has what Linux and macOS share.

use std::time::Duration;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(super) use unix::*;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(super) use linux::*;

#[cfg(all(unix, not(target_os = "linux")))]
mod other;
#[cfg(all(unix, not(target_os = "linux")))]
pub(super) use other::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(super) use windows::*;

#[cfg(any(all(unix, not(target_os = "linux")), test))]
mod ps;

/// What one process has cost, and costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    /// The processor time of all its threads, and of those children that have ended and been waited for.
    pub(super) cpu: Duration,
    /// Its memory in bytes, whoever it shares that with.
    pub(super) resident: u64,
    /// Its threads; 0 where the system does not say.
    pub(super) threads: u32,
}

/// One row of the process table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Proc {
    pub(super) pid: u32,
    pub(super) parent: u32,
    /// 0 where there are no groups.
    pub(super) group: u32,
    /// 0 where there are no sessions.
    pub(super) session: u32,
    /// When it started, in whatever unit the system counts; with the pid it names one process for ever. 0 if unknown.
    pub(super) start: u64,
    /// It has ended and only waits to be reaped: it holds no port, no file and runs no code.
    pub(super) zombie: bool,
}
