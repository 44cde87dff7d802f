//! Ends of processes in words, for pages, status and events.

use std::time::Duration;

use crate::backend::{Backend, By, Exit, ExitStatus, Signal, State, signal_name};

/// "exited with status 1", "killed by you (SIGKILL)", "ended from outside (SIGTERM)".
pub fn exit_words(exit: &Exit) -> String {
    let by = match exit.by {
        By::Itself => String::new(),
        By::Operator | By::Lbdev | By::Outside => format!(" {}", by_words(exit.by)),
    };
    match exit.status {
        ExitStatus::Code(code) => match exit.by {
            By::Itself | By::Outside => format!("exited with status {code}"),
            By::Operator | By::Lbdev => format!("stopped{by} (status {code})"),
        },
        ExitStatus::Signal(9) if exit.asked => {
            format!("stopped{by} (SIGKILL, since it did not end when asked)")
        }
        ExitStatus::Signal(9) => format!("killed{by} (SIGKILL)"),
        ExitStatus::Signal(number) => match exit.by {
            By::Operator | By::Lbdev => format!("stopped{by} ({})", signal_name(number)),
            By::Itself | By::Outside => format!("ended{by} ({})", signal_name(number)),
        },
    }
}

/// "failed 3 requests in 10 s".
pub fn failing_words(failures: u32, window: Duration) -> String {
    let requests = if failures == 1 { "request" } else { "requests" };
    format!("failed {failures} {requests} in {} s", window.as_secs_f64())
}

/// "told to end by SIGTERM, SIGKILL follows after 5 s".
pub fn ending_words(signal: Signal, timeout: Duration) -> String {
    let (signal, timeout) = (signal.full_name(), timeout.as_secs_f64());
    format!("told to end by {signal}, SIGKILL follows after {timeout} s")
}

/// Who ended a process, in words.
pub fn by_words(by: By) -> &'static str {
    match by {
        By::Operator => "by you",
        By::Lbdev => "by lbdev",
        By::Itself => "by itself",
        By::Outside => "from outside",
    }
}

/// Why a backend does not serve, or `None` when it does or nobody ever started it.
pub(super) fn why_down(
    backend: &Backend,
    launch_failure: Option<&str>,
    last_check: Option<&str>,
) -> Option<String> {
    match &backend.state {
        State::Stopped { last } => last.as_ref().map(exit_words),
        State::Failed {
            last: Some(exit),
            attempts: 1,
        } => Some(exit_words(exit)),
        State::Failed {
            last: Some(exit),
            attempts,
        } => Some(format!("{}, {attempts} times in a row", exit_words(exit))),
        State::Failed { last: None, .. } => {
            Some(launch_failure.unwrap_or("could not be started").to_owned())
        }
        State::Backoff { last, attempt, .. } => {
            Some(format!("{}, restart {attempt} is next", exit_words(last)))
        }
        State::Starting { .. } => last_check.map(str::to_owned),
        State::Up { .. } | State::Frozen { .. } if !backend.belief.good() => {
            last_check.map(str::to_owned)
        }
        State::Up { .. } if !backend.enabled => Some("drained by you".to_owned()),
        State::Up { .. }
        | State::Frozen { .. }
        | State::Draining { .. }
        | State::Stopping { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn an_end_says_how_and_by_whom() {
        for (status, by, words) in [
            (ExitStatus::Code(1), By::Itself, "exited with status 1"),
            (
                ExitStatus::Signal(9),
                By::Operator,
                "killed by you (SIGKILL)",
            ),
            (
                ExitStatus::Signal(9),
                By::Outside,
                "killed from outside (SIGKILL)",
            ),
            (
                ExitStatus::Signal(15),
                By::Operator,
                "stopped by you (SIGTERM)",
            ),
            (
                ExitStatus::Signal(15),
                By::Outside,
                "ended from outside (SIGTERM)",
            ),
            (
                ExitStatus::Signal(11),
                By::Outside,
                "ended from outside (SIGSEGV)",
            ),
            (
                ExitStatus::Code(0),
                By::Lbdev,
                "stopped by lbdev (status 0)",
            ),
        ] {
            let exit = Exit {
                status,
                at: SystemTime::UNIX_EPOCH,
                by,
                asked: false,
            };
            assert_eq!(exit_words(&exit), words);
        }
    }
}
