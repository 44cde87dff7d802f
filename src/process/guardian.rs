//! The guardian: a second process of this binary that outlives lbdev for a second.
//!
//! It holds the reading end of a pipe whose writing end only lbdev has. When lbdev ends, whatever the cause, the kernel
//! closes that end; the guardian then ends every process of the instance.

use std::io::{self, PipeWriter, Read};
use std::path::Path;
use std::process::ExitCode;

use super::find::{self, Scope};
use super::{exec, own, signals};

/// The guardian of this lbdev. Dropping it is like ending lbdev: the guardian ends what the instance still runs.
#[derive(Debug)]
pub struct Guardian {
    pipe: Option<PipeWriter>,
    handle: duct::Handle,
    pid: u32,
}

/// Starts the guardian of `instance`, in a session of its own, with none of lbdev's streams.
///
/// # Errors
/// When the system cannot start one more process.
pub fn start(instance: &str) -> io::Result<Guardian> {
    start_program(&std::env::current_exe()?, instance)
}

/// [`start`] with another binary than this one, for tests.
///
/// # Errors
/// When the system cannot start one more process.
#[doc(hidden)]
pub fn start_program(program: &Path, instance: &str) -> io::Result<Guardian> {
    let (reader, writer) = io::pipe()?;
    let expression = duct::cmd(program, [exec::GUARDIAN, instance])
        .dir("/")
        .stdin_file(reader)
        .stdout_null()
        .stderr_null()
        .unchecked();
    let (handle, pid) = own::start(&expression)?;
    Ok(Guardian {
        pipe: Some(writer),
        handle,
        pid,
    })
}

impl Guardian {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets it go, at an orderly end: with nothing left to end, it is gone in a few milliseconds, and this waits for it.
    /// If something is left after all, it is ended now.
    pub fn dismiss(mut self) {
        self.pipe = None;
        // Its status says nothing that could be acted on.
        let _ = own::reap(&self.handle, self.pid);
    }
}

/// What the hidden subcommand does.
pub(super) fn run(instance: &str) -> ExitCode {
    exec::lead_session();
    exec::close_inherited();
    let mut stdin = io::stdin().lock();
    let mut bytes = [0; 64];
    loop {
        match stdin.read(&mut bytes) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    end_instance(instance);
    ExitCode::SUCCESS
}

/// Ends every process that the instance `instance` of lbdev launched and that still runs: TERM, 1 s, KILL. Returns the
/// pids it found. A process is the instance's by the unique `LBDEV_INSTANCE` in its environment (or descends from such
/// a one), so a pid that was given to somebody else since is never hit.
pub fn end_instance(instance: &str) -> Vec<u32> {
    if instance.is_empty() {
        return Vec::new();
    }
    let scope = Scope::Instance {
        instance: instance.to_owned(),
    };
    let first = find::everywhere(&scope);
    signals::end(&scope, first, false)
        .iter()
        .map(|proc| proc.pid)
        .collect()
}
