//! The hidden subcommands on Windows, where no process can become another: `__exec` stays, as the first process of a run.
//!
//! It makes a Job object that ends everything in it when its last handle is closed, and joins it before it starts the
//! command: whatever the command starts is in the job, too. The only handle is its own, so that ending `__exec`, however,
//! ends the run. Its console is one without a window that it shares with the command, which leads a process group on it:
//! there CTRL_BREAK reaches the command and nobody else.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::num::NonZeroU32;
use std::os::windows::process::CommandExt;
use std::path::Path;
use std::process::{self, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use win32job::{ExtendedLimitInfo, Job, JobError};
use windows_sys::Win32::System::Threading::CREATE_NEW_PROCESS_GROUP;

use super::signals::{GRACE, GRACE_ASKED};
use super::{guardian, os};

/// `__exec PARENT PROGRAM NAME ARG…`: PROGRAM in a job. PARENT and NAME say nothing here.
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
/// A command that starts is on the console, and can be asked to end, within this; a program with windows never is.
const ON_CONSOLE: Duration = Duration::from_secs(2);

/// Runs the hidden subcommand that `args` (without the program's name) begin with. `None` when they begin with none:
/// then the ordinary command line is to be read. To be called first in `main`.
pub fn hidden(args: &[OsString]) -> Option<ExitCode> {
    let (first, rest) = args.split_first()?;
    match (first.to_str()?, rest) {
        (EXEC, [_parent, program, _name, args @ ..]) => Some(exec(program, args)),
        (GUARDIAN, [instance, sessions]) => Some(guardian::guard(
            &instance.to_string_lossy(),
            Path::new(sessions),
        )),
        _ => None,
    }
}

fn exec(program: &OsStr, args: &[OsString]) -> ExitCode {
    let started = contain().and_then(|job| {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null());
        let child = command.creation_flags(CREATE_NEW_PROCESS_GROUP).spawn()?;
        Ok((job, child))
    });
    let (job, mut child) = match started {
        Ok(started) => started,
        Err(error) => return cannot_run(program, &error),
    };
    let run = Arc::new(Run {
        job,
        group: NonZeroU32::new(child.id()),
        asked: AtomicBool::new(false),
    });
    let listening = Arc::clone(&run);
    let listener = thread::Builder::new()
        .name("tie".into())
        .spawn(move || listening.obey());
    let status = match (listener, child.wait()) {
        (Ok(_), Ok(status)) => status,
        (Err(error), _) | (_, Err(error)) => return cannot_run(program, &error),
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
    group: Option<NonZeroU32>,
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
                Ok(_) if byte == [os::ASK] => self.ask(),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.ask();
        self.empty_within(GRACE);
        process::exit(i32::from(CANNOT_RUN));
    }

    /// CTRL_BREAK to the command's group. One that has only just been started may not be on the console yet.
    fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
        let until = Instant::now() + ON_CONSOLE;
        while self
            .group
            .is_some_and(|group| os::break_group(group).is_err())
            && self.is_running()
            && Instant::now() < until
        {
            thread::sleep(LOOK);
        }
    }

    /// The command has ended: what it left gets CTRL_BREAK and a second, or if it was asked before, until it is killed.
    fn outlast(&self) {
        let asked = self.asked.load(Ordering::Relaxed);
        if !self.is_running() {
            return;
        }
        if let Some(group) = self.group.filter(|_| !asked) {
            // Nobody of the group may be left: then it is ended without being asked.
            let _ = os::break_group(group);
        }
        self.empty_within(if asked { GRACE_ASKED } else { GRACE });
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
