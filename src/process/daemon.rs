//! Running this binary in the background: `up -d`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::ExitStatus;

use super::{exec, os, own};

/// A process of this binary in the background. Dropping it leaves the process alone.
#[derive(Debug)]
pub struct Daemon {
    handle: duct::Handle,
    pid: u32,
}

impl Daemon {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, or `None` while it runs.
    ///
    /// # Errors
    /// When its status cannot be had.
    pub fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        Ok(self.handle.try_wait()?.map(|output| output.status))
    }
}

/// Runs this binary with `args` in the background: in a session of its own, reading nothing, writing errors to the
/// (emptied) file `stderr_to`, and with none of the caller's streams or other open files.
///
/// # Errors
/// When the file cannot be written or the process cannot be started.
pub fn spawn_detached<A: AsRef<OsStr>>(
    args: impl IntoIterator<Item = A>,
    stderr_to: &Path,
) -> io::Result<Daemon> {
    let stderr = os::private_file()
        .create(true)
        .write(true)
        .truncate(true)
        .open(stderr_to)?;
    let mut words: Vec<OsString> = exec::DETACH.into_iter().map(Into::into).collect();
    words.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
    let expression = duct::cmd(std::env::current_exe()?, words)
        .stdin_null()
        .stdout_null()
        .stderr_file(stderr)
        .unchecked();
    let (handle, pid) = own::start(&expression)?;
    Ok(Daemon { handle, pid })
}
