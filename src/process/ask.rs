//! A command that is asked something, and answers on its stdout.

use std::time::Duration;

use crate::config::Command;

/// Runs a command to its end without a terminal and without stdin, at most so long; what it wrote to stdout, if it ended with
/// status 0. What it wrote to stderr is nobody's.
pub fn ask(command: &Command, limit: Duration) -> Option<String> {
    let (program, args) = command.argv.split_first()?;
    let mut expression = duct::cmd(program, args)
        .dir(&command.cwd)
        .stdin_null()
        .stderr_null()
        .stdout_capture()
        .unchecked();
    for (name, value) in &command.env {
        expression = expression.env(name, value);
    }
    let handle = expression.start().ok()?;
    match handle.wait_timeout(limit) {
        Ok(Some(output)) if output.status.success() => {
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(Some(_)) | Err(_) => None,
        Ok(None) => {
            // It has ended meanwhile, or it ends now.
            let _ = handle.kill();
            None
        }
    }
}
