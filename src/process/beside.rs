//! A command that has lbdev's own streams and terminal: `lbdev run -- CMD`.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;

use super::{os, own};
use crate::backend::{ExitStatus as Ended, Signal};

/// A command that runs beside the backends. Dropping it leaves it alone.
#[derive(Debug, Clone)]
pub struct Beside {
    handle: Arc<duct::Handle>,
    pid: u32,
}

impl Beside {
    /// Starts `words`, a program and its arguments, in `dir`, with this variable added to lbdev's own.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(words: &[OsString], dir: &Path, variable: (&str, &str)) -> io::Result<Self> {
        let (program, args) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let expression = duct::cmd(program, args)
            .dir(dir)
            .env(variable.0, variable.1)
            .unchecked();
        let (handle, pid) = own::start_beside(&expression)?;
        Ok(Self {
            handle: Arc::new(handle),
            pid,
        })
    }

    /// Waits for its end, on a thread of one's own.
    ///
    /// # Errors
    /// When its status cannot be had.
    pub fn wait(&self) -> io::Result<Ended> {
        os::wait_unreaped(&self.handle, self.pid);
        let status: ExitStatus = own::reap_ended(&self.handle, self.pid)?;
        Ok(os::exit_status(status))
    }

    /// Asks it to end, or with `KILL` ends it. It leads no group: what it has started is its own to end.
    pub fn signal(&self, signal: Signal) {
        match signal {
            // One that has ended meanwhile needs no signal.
            Signal::Kill => {
                let _ = self.handle.kill();
            }
            _ => os::to_group(self.pid, signal),
        }
    }
}
