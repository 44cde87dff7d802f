//! The hidden subcommands on Windows, where no process can become another: `__exec` stays, as the first process of a run.
//!
//! It makes a Job object that ends everything in it when its last handle is closed, and joins it before it starts the
//! command: whatever the command starts is in the job, too. The only handle is its own, so that ending `__exec`, however,
//! ends the run. Its console is one without a window that only the run is on: what is sent to everyone there, CTRL_BREAK
//! or CTRL_C, reaches the run and nobody else, and `__exec` itself lets it pass.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{self, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use win32job::{ExtendedLimitInfo, Job, JobError};

use super::signals::{GRACE, GRACE_ASKED};
use super::{guardian, os};
use crate::shutdown;

/// `__exec PARENT FILES PROGRAM NAME ARG…`: PROGRAM in a job. The others say nothing here.
pub(super) const EXEC: &str = "__exec";
/// A process that is not given the caller's streams has none of them here, so nothing comes between.
pub(super) const DETACH: Option<&str> = None;
/// `__guardian INSTANCE SESSIONS`: see [`guardian`].
pub(super) const GUARDIAN: &str = "__guardian";

/// What a shell answers for a command it cannot find, and for one it finds but cannot run.
const NOT_FOUND: u8 = 127;
const CANNOT_RUN: u8 = 126;

/// Between two looks at the job.
const LOOK: Duration = Duration::from_millis(10);

/// Runs the hidden subcommand that `args` (without the program's name) begin with. `None` when they begin with none:
/// then the ordinary command line is to be read. To be called first in `main`.
pub fn hidden(args: &[OsString]) -> Option<ExitCode> {
    let (first, rest) = args.split_first()?;
    match (first.to_str()?, rest) {
        (EXEC, [_parent, _files, program, _name, args @ ..]) => Some(exec(program, args)),
        (GUARDIAN, [instance, sessions]) => Some(guardian::guard(
            &instance.to_string_lossy(),
            Path::new(sessions),
        )),
        _ => None,
    }
}

fn exec(program: &OsStr, args: &[OsString]) -> ExitCode {
    let started = contain().and_then(|job| {
        shutdown::let_pass()?;
        os::hear_ctrl_c()?;
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .spawn()?;
        Ok((job, child))
    });
    let (job, mut child) = match started {
        Ok(started) => started,
        Err(error) => return cannot_run(program, &error),
    };
    let run = Arc::new(Run {
        job,
        asked: AtomicBool::new(false),
    });
    let listening = Arc::clone(&run);
    let listener = thread::Builder::new()
        .name("tie".into())
        .spawn(move || listening.obey());
    if let Err(error) = listener {
        return cannot_run(program, &error);
    }
    let status = match child.wait() {
        Ok(status) => status,
        Err(error) => return cannot_run(program, &error),
    };
    run.outlast();
    // The job's handle is closed by the end of this process, and what is left in the job ends then.
    process::exit(status.code().unwrap_or(i32::from(CANNOT_RUN)))
}

/// Puts this process into a job of its own. The handle is never closed before this process ends: that would end it.
fn contain() -> io::Result<&'static Job> {
    let failed = |error: JobError| io::Error::other(error);
    let mut limits = ExtendedLimitInfo::new();
    limits.limit_kill_on_job_close();
    let job = Job::create_with_limit_info(&limits).map_err(failed)?;
    let job = Box::leak(Box::new(job));
    job.assign_current_process().map_err(failed)?;
    Ok(job)
}

struct Run {
    job: &'static Job,
    /// It was asked to end.
    asked: AtomicBool,
}

impl Run {
    /// Does what lbdev asks for, until lbdev ends; then ends the run as the guardian does: asks, and does not wait long.
    fn obey(&self) {
        let mut stdin = io::stdin().lock();
        let mut byte = [0];
        loop {
            match stdin.read(&mut byte) {
                Ok(0) => break,
                Ok(_) => self.ask(byte[0]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.ask(os::BREAK);
        self.empty_within(GRACE);
        process::exit(i32::from(CANNOT_RUN));
    }

    /// Asks everyone to end. Who has only just been started and is not on the console yet does not hear it, nor does a
    /// program with windows: those are killed when their time is over.
    fn ask(&self, how: u8) {
        self.asked.store(true, Ordering::Relaxed);
        // Where CTRL_BREAK is not known, CTRL_C is the next best thing.
        if how == os::INTERRUPT || os::ctrl_break().is_err() {
            let _ = os::ctrl_c();
        }
    }

    /// The command has ended: what it left gets CTRL_BREAK and a second, or if it was asked before, until it is killed.
    fn outlast(&self) {
        if !self.is_running() {
            return;
        }
        if self.asked.load(Ordering::Relaxed) {
            self.empty_within(GRACE_ASKED);
        } else {
            self.ask(os::BREAK);
            self.empty_within(GRACE);
        }
    }

    /// Whether there is anybody in the job but this process. More than the crate can count are somebody.
    fn is_running(&self) -> bool {
        let me = process::id() as usize;
        match self.job.query_process_id_list() {
            Ok(pids) => pids.iter().any(|pid| *pid != me),
            Err(_) => true,
        }
    }

    fn empty_within(&self, time: Duration) {
        let until = Instant::now() + time;
        while self.is_running() && Instant::now() < until {
            thread::sleep(LOOK);
        }
    }
}

/// Standard error is the backend's pipe here, not lbdev's: the line arrives as its last words.
fn cannot_run(program: &OsStr, error: &io::Error) -> ExitCode {
    let _ = writeln!(
        io::stderr(),
        "lbdev: `{}` cannot be run: {error}",
        program.to_string_lossy()
    );
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound {
        NOT_FOUND
    } else {
        CANNOT_RUN
    })
}

/// The console of its own does what a session does elsewhere.
pub(super) fn lead_session() {}

/// Nothing of the caller's is inherited in the first place.
pub(super) fn close_inherited() {}
