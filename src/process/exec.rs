//! The hidden subcommands that become something else: the last steps between lbdev's process and a command's, done in
//! the new process itself, because only there they are possible without `unsafe`.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::process::{getppid, ioctl_tiocsctty, setsid};

use super::{files, guardian, os};

/// `__exec PARENT FILES PROGRAM NAME ARG…`: a session of its own, TERM when lbdev ends, the limit of open files that lbdev
/// had before it raised its own, then PROGRAM, called NAME.
pub(super) const EXEC: &str = "__exec";
/// `__detach ARG…`: a session of its own, nothing of the caller's kept open, then this binary with ARG….
pub(super) const DETACH: Option<&str> = Some("__detach");
/// `__guardian INSTANCE SESSIONS`: see [`guardian`].
pub(super) const GUARDIAN: &str = "__guardian";

/// What a shell answers for a command it cannot find, and for one it finds but cannot run.
const NOT_FOUND: u8 = 127;
const CANNOT_RUN: u8 = 126;

/// Runs the hidden subcommand that `args` (without the program's name) begin with. `None` when they begin with none:
/// then the ordinary command line is to be read. To be called first in `main`.
pub fn hidden(args: &[OsString]) -> Option<ExitCode> {
    let (first, rest) = args.split_first()?;
    match (first.to_str()?, rest) {
        (EXEC, [parent, files, program, name, args @ ..]) => {
            files::lower(&files.to_string_lossy());
            Some(exec(parent, program, name, args))
        }
        (word, args) if Some(word) == DETACH => Some(detach(args)),
        (GUARDIAN, [instance, sessions]) => Some(guardian::guard(
            &instance.to_string_lossy(),
            Path::new(sessions),
        )),
        _ => None,
    }
}

fn exec(parent: &OsString, program: &OsString, name: &OsString, args: &[OsString]) -> ExitCode {
    lead_session();
    let stdin = io::stdin();
    if stdin.is_terminal() {
        // Only a terminal made for this program is given to it. It says what Ctrl-C there means.
        let _ = ioctl_tiocsctty(&stdin);
    }
    os::die_with_parent();
    // The signal is sent only for a death after the call above; before it, the parent is another one by now.
    let parent = parent.to_str().and_then(|pid| pid.parse().ok());
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != parent {
        return ExitCode::FAILURE;
    }
    let error = Command::new(program).arg0(name).args(args).exec();
    cannot_run(program, &error)
}

fn detach(args: &[OsString]) -> ExitCode {
    lead_session();
    close_inherited();
    match std::env::current_exe() {
        Ok(program) => {
            let error = Command::new(&program).args(args).exec();
            cannot_run(program.as_os_str(), &error)
        }
        Err(error) => cannot_run("lbdev".as_ref(), &error),
    }
}

/// Standard error is the backend's pipe (or the background log) here, not lbdev's: the line arrives as its last words.
fn cannot_run(program: &std::ffi::OsStr, error: &io::Error) -> ExitCode {
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

/// Leads a session of its own, so that Ctrl-C and a hang-up of lbdev's terminal do not reach this process.
pub(super) fn lead_session() {
    // Refused only to a process that leads a group already: it was started by hand, and is as good as it can be.
    let _ = setsid();
}

/// Closes whatever was left open for us beyond the three streams: a test harness or a CI runner waits for the end of
/// such a descriptor, and would wait for as long as we live.
pub(super) fn close_inherited() {
    let Ok(entries) = fs::read_dir("/dev/fd") else {
        return;
    };
    let open: Vec<i32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        // One of them was the listing's own, closed by now.
        let _ = nix::unistd::close(fd);
    }
}
