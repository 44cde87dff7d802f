//! What Linux and macOS have in common: signals, groups, children to be waited for, modes of files.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::process;

use rustix::process::{Pid, Signal as Raw, WaitId, WaitIdOptions, WaitOptions};

use crate::backend::{ExitStatus, Signal};

/// The system's number of a process; `None` for what cannot be one.
pub(super) fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// The system's signal.
pub(super) fn raw(signal: Signal) -> Raw {
    Raw::from_named_raw(signal.number())
        .expect("the system has every signal that can be named here")
}

/// Signals the whole group of a leader with one system call. Before the leader has made its own group (the first
/// milliseconds) it is alone, and gets the signal as a process.
pub(in crate::process) fn to_group(leader: u32, signal: Signal) {
    use rustix::process::{kill_process, kill_process_group};
    if let Some(pid) = to_pid(leader)
        && kill_process_group(pid, raw(signal)).is_err()
    {
        // It may have ended as well: then there is nobody to tell.
        let _ = kill_process(pid, raw(signal));
    }
}

/// Waits until a child has ended, and leaves it to be reaped.
pub(in crate::process) fn wait_unreaped(_: &duct::Handle, pid: u32) {
    let Some(pid) = to_pid(pid) else {
        return;
    };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(WaitId::Pid(pid), options) {}
}

/// Reaps an orphan that has ended.
pub(in crate::process) fn reap(pid: u32) {
    if let Some(pid) = to_pid(pid) {
        // It is a zombie, so this does not block; if it cannot be reaped now, it can be later.
        let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

/// How a process ended.
pub(in crate::process) fn exit_status(status: process::ExitStatus) -> ExitStatus {
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, Some(signal)) => ExitStatus::Signal(signal),
        (None, None) => ExitStatus::Code(-1),
    }
}

/// A child of lbdev's own is apart from its terminal by a session, which the child makes itself.
pub(in crate::process) fn apart(expression: &duct::Expression) -> duct::Expression {
    expression.clone()
}

/// What holds a backend's first process to lbdev: nothing here, as it can be signalled by its number.
#[derive(Debug)]
pub(in crate::process) struct Tie;

/// A backend's first process reads nothing.
pub(in crate::process) fn tie(
    expression: &duct::Expression,
) -> io::Result<(duct::Expression, Tie)> {
    Ok((expression.stdin_null(), Tie))
}

impl Tie {
    /// It holds this process now.
    pub(in crate::process) fn holds(self, _leader: u32) {}
}

/// This process has ended, and its number is about to be free.
pub(in crate::process) fn untie(_leader: u32) {}

/// How a new file is opened that only this user may read.
pub(in crate::process) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Tells a file from another one of the same name.
pub(in crate::process) fn file_number(_: &File, facts: &Metadata) -> io::Result<u64> {
    Ok(facts.ino())
}

/// The name of a variable, of which there is one for each way to write it.
pub(in crate::process) fn variable(name: &OsStr) -> OsString {
    name.to_owned()
}

/// Whether the machine does not know the address family at all: one without IPv6.
pub(in crate::process) fn is_no_address_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

/// The command that ends a stranger's process.
pub(in crate::process) fn end_command(pid: u32) -> String {
    format!("kill {pid}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_is_one_of_the_systems() {
        for signal in Signal::all() {
            assert_eq!(raw(signal).as_raw(), signal.number());
        }
    }
}
