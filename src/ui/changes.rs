//! Changes of state, in words with their reason.

use std::collections::HashMap;

use jiff::tz::TimeZone;

use super::units::{clock, timestamp, took};
use super::{Look, Paint};
use crate::backend::{BackendId, By, Exit, ExitStatus, Phase, Signal, signal_name};
use crate::supervisor::{Cause, Change, Verb, by_words, failing_words};

/// What is said of one change.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Said {
    /// A line of the stream, with its time and a newline.
    pub line: Option<String>,
    /// The same without time, glyph and name.
    pub words: Option<String>,
    /// What goes to stderr as a note: `` `web:8000` was killed from outside (SIGKILL), restarting … ``.
    pub note: Option<String>,
}

/// What was said before, so that the end of one story is not told as the beginning of another.
#[derive(Debug, Default)]
pub struct Teller {
    stories: HashMap<BackendId, Story>,
}

#[derive(Debug, Default)]
struct Story {
    was_up: bool,
    /// The verb that the present changes come from.
    asked: Option<Verb>,
}

impl Teller {
    /// What there is to say about `change`. `starting` is true where this backend's first start is shown by
    /// other means.
    pub fn tell(&mut self, change: &Change, starting: bool, paint: Paint, zone: &TimeZone) -> Said {
        let story = self.stories.entry(change.id.clone()).or_default();
        let first = !story.was_up;
        let words = words(change, story, starting && first);
        match &change.cause {
            // Who gets requests is another story than whose process ends.
            Cause::Asked(Verb::Drain { .. } | Verb::Undrain) => {}
            Cause::Asked(verb) => story.asked = Some(*verb),
            Cause::Exited(_) | Cause::Ready | Cause::LaunchFailed(_) | Cause::Shutdown => {
                story.asked = None;
            }
            Cause::Turn
            | Cause::Checked(_)
            | Cause::Refused
            | Cause::Failing { .. }
            | Cause::FailTimeOver
            | Cause::Drained
            | Cause::TimeLimit => {}
        }
        story.was_up |= change.to == Phase::Up || change.cause == Cause::Ready;
        let words = words.map(|words| {
            let mut text = words;
            match change.out_after {
                // How long requests went there before somebody noticed is not known here: no time is better than a wrong one.
                // Without a port it is in no rotation.
                Some(_) if change.id.port().is_none() => {}
                Some(_) if found_out(&change.cause) => text.push_str(" · out of the rotation"),
                Some(after) => {
                    text.push_str(&format!(" · out of the rotation after {}", took(after)))
                }
                None if back(change) && !first => text.push_str(" · back in the rotation"),
                None => {}
            }
            text
        });
        let line = words.as_ref().map(|words| {
            let look = look(change);
            let head = format!("{} {}", look.glyph, change.id.short());
            let clock = paint.dim(&clock(timestamp(change.at), zone));
            format!("{clock} {} {words}\n", look.paint(paint, &head))
        });
        Said {
            line,
            words,
            note: note(change),
        }
    }
}

/// A killed or crashed backend is down in a person's eyes, whatever phase comes next.
fn look(change: &Change) -> Look {
    match &change.cause {
        // It has done what it was for.
        Cause::Exited(Exit {
            by: By::Itself,
            status: ExitStatus::Code(0),
            ..
        }) if change.to == Phase::Stopped => Look::ENDED,
        Cause::Asked(Verb::Kill {
            signal: Signal::Kill,
            ..
        })
        | Cause::Exited(Exit {
            by: By::Outside | By::Itself,
            ..
        }) => Look::of(Phase::Stopped),
        Cause::Exited(Exit {
            by: By::Lbdev,
            asked: true,
            ..
        }) if change.to == Phase::Stopped => Look::ENDED,
        _ => Look::of(change.to),
    }
}

fn back(change: &Change) -> bool {
    change.back && change.id.port().is_some()
}

/// What is said after the backend's name; `None` where others say it, or said it.
fn words(change: &Change, story: &Story, shown_elsewhere: bool) -> Option<String> {
    let pid = change
        .pid
        .map_or(String::new(), |pid| format!(" (pid {pid})"));
    let after = took(change.after);
    match &change.cause {
        Cause::Asked(Verb::Kill { signal, .. }) => {
            let name = signal.full_name();
            let whom = change
                .pid
                .map_or(String::new(), |pid| format!(", pid {pid}"));
            match signal {
                Signal::Kill => Some(format!("killed by you ({name}{whom})")),
                _ => Some(format!("got {name} from you{pid}")),
            }
        }
        Cause::Asked(Verb::Stop) => Some(format!("stopping, as you asked{pid}")),
        Cause::Asked(Verb::Restart) => Some(format!("restarting, as you asked{pid}")),
        Cause::Asked(Verb::Renew) => Some(format!("restarting with what was saved{pid}")),
        Cause::Asked(Verb::Drain { .. }) if change.to == Phase::Draining => Some(format!(
            "drained by you{pid}: requests in flight finish, no new ones come"
        )),
        Cause::Asked(Verb::Drain { .. }) => {
            Some("drained by you: no requests when it is up".to_owned())
        }
        Cause::Asked(Verb::Undrain) if change.to == Phase::Up => {
            Some(format!("undrained by you{pid}"))
        }
        Cause::Asked(Verb::Undrain) => Some("undrained by you: requests when it is up".to_owned()),
        Cause::Asked(Verb::Freeze) => Some(format!(
            "frozen by you{pid}: it hangs, its port still accepts"
        )),
        Cause::Asked(Verb::Thaw) => Some(format!("thawed by you{pid}: it goes on")),
        Cause::Asked(Verb::Start) => Some("starting, as you asked".to_owned()),
        Cause::Turn | Cause::Shutdown => None,
        Cause::Exited(_) | Cause::LaunchFailed(_)
            if shown_elsewhere && change.from == Phase::Starting =>
        {
            None
        }
        Cause::Exited(exit) => match (exit.by, story.asked) {
            // The kill was told when it was asked for, and the restart is told when it is ready.
            (By::Operator | By::Lbdev, Some(Verb::Kill { .. } | Verb::Restart | Verb::Renew)) => {
                None
            }
            (By::Operator | By::Lbdev, _) if change.to == Phase::Stopped => {
                Some(format!("stopped after {after} ({})", how(exit.status)))
            }
            (By::Operator | By::Lbdev, _) => None,
            (By::Outside, _) => Some(format!("{}{}", ended(*exit, pid), then(change.to))),
            (By::Itself, _) if change.from == Phase::Starting => Some(format!(
                "{} after {after}, before it was ready{}",
                ended(*exit, String::new()),
                then(change.to)
            )),
            (By::Itself, _) if change.to == Phase::Stopped => Some(format!("done{pid}")),
            (By::Itself, _) => Some(format!("{}{}", ended(*exit, pid), then(change.to))),
        },
        Cause::LaunchFailed(why) => Some(format!("cannot be started: {why}{}", then(change.to))),
        Cause::Ready if shown_elsewhere => None,
        Cause::Ready if change.to == Phase::Draining => {
            Some(format!("up after {after}{pid} · still drained"))
        }
        Cause::Ready if story.was_up => Some(format!("up again after {after}{pid}")),
        Cause::Ready => Some(format!("up after {after}{pid}")),
        Cause::Checked(check) if check.ok => Some(format!("healthy again: {}", check.detail)),
        Cause::Checked(check) => Some(format!("unhealthy: {}", check.detail)),
        Cause::Refused => Some("refused a request's connection".to_owned()),
        Cause::Failing { failures, window } => Some(failing_words(*failures, *window)),
        Cause::FailTimeOver => Some("its fail time is over".to_owned()),
        Cause::Drained => None,
        Cause::TimeLimit => match (change.from, change.to) {
            (Phase::Draining, _) => Some(format!(
                "still has requests after {after}: stopping all the same"
            )),
            (Phase::Starting, _) => {
                Some(format!("did not answer within {after}: stopping it{pid}"))
            }
            // The wait before a restart has passed; what comes of it is told when it comes.
            (Phase::Backoff, _) => None,
            (
                Phase::Up
                | Phase::Unhealthy
                | Phase::Stopping
                | Phase::Stopped
                | Phase::Frozen
                | Phase::Failed,
                _,
            ) => None,
        },
    }
}

fn how(status: ExitStatus) -> String {
    match status {
        ExitStatus::Code(code) => format!("status {code}"),
        ExitStatus::Signal(number) => signal_name(number),
    }
}

fn ended(exit: Exit, pid: String) -> String {
    match (exit.by, exit.status) {
        (By::Outside, status) => format!("was killed from outside ({}){pid}", how(status)),
        (By::Operator | By::Lbdev, status) => {
            format!("ended {} ({}){pid}", by_words(exit.by), how(status))
        }
        (By::Itself, ExitStatus::Code(code)) => format!("exited by itself with status {code}{pid}"),
        (By::Itself, ExitStatus::Signal(number)) => {
            format!("crashed ({}){pid}", signal_name(number))
        }
    }
}

fn then(to: Phase) -> &'static str {
    match to {
        Phase::Backoff | Phase::Starting => " · restarting",
        Phase::Failed => " · not started again",
        Phase::Up
        | Phase::Unhealthy
        | Phase::Draining
        | Phase::Stopping
        | Phase::Stopped
        | Phase::Frozen => "",
    }
}

/// A kill from outside is easily taken for lbdev's own doing.
fn note(change: &Change) -> Option<String> {
    let Cause::Exited(Exit {
        by: By::Outside,
        status,
        ..
    }) = &change.cause
    else {
        return None;
    };
    let (id, how) = (&change.id, how(*status));
    let short = id.short();
    match change.to {
        Phase::Backoff | Phase::Starting => Some(format!(
            "`{id}` was killed from outside ({how}), restarting; `lbdev kill {short}` keeps it down"
        )),
        _ => Some(format!(
            "`{id}` was killed from outside ({how}); `lbdev start {short}` brings it back"
        )),
    }
}

/// Checks or users' requests found it out, some time after it was so.
fn found_out(cause: &Cause) -> bool {
    matches!(cause, Cause::Checked(_) | Cause::Failing { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Slot;
    use crate::supervisor::Check;
    use std::time::{Duration, SystemTime};

    fn change(from: Phase, to: Phase, cause: Cause) -> Change {
        Change {
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(50_535),
            id: BackendId::new("web", Slot::Port(8000)),
            from,
            to,
            cause,
            pid: Some(4301),
            after: Duration::from_millis(600),
            out_after: None,
            back: to == Phase::Up,
        }
    }

    fn exit(by: By, status: ExitStatus) -> Cause {
        Cause::Exited(Exit {
            status,
            at: SystemTime::UNIX_EPOCH,
            by,
            asked: false,
        })
    }

    fn story(changes: &[Change]) -> String {
        let mut teller = Teller::default();
        teller.tell(
            &change(Phase::Starting, Phase::Up, Cause::Ready),
            true,
            Paint::new(false),
            &TimeZone::UTC,
        );
        let mut text = String::new();
        for one in changes {
            let said = teller.tell(one, false, Paint::new(false), &TimeZone::UTC);
            text.extend(said.line);
            text.extend(
                said.note
                    .map(|note| super::super::note(&note, Paint::new(false))),
            );
        }
        text
    }

    #[test]
    fn the_first_start_is_shown_elsewhere() {
        let mut teller = Teller::default();
        let ready = change(Phase::Starting, Phase::Up, Cause::Ready);
        let failed = exit(By::Itself, ExitStatus::Code(1));
        let failed = change(Phase::Starting, Phase::Failed, failed);
        for change in [failed, ready] {
            let said = teller.tell(&change, true, Paint::new(false), &TimeZone::UTC);
            assert_eq!(said, Said::default());
        }
    }

    #[test]
    fn killed_and_started() {
        let kill = Verb::Kill {
            signal: Signal::Kill,
            restart: false,
        };
        let out = Change {
            out_after: Some(Duration::from_micros(400)),
            ..change(Phase::Up, Phase::Stopping, Cause::Asked(kill))
        };
        insta::assert_snapshot!(story(&[
            out,
            change(Phase::Stopping, Phase::Stopped, exit(By::Operator, ExitStatus::Signal(9))),
            change(Phase::Stopped, Phase::Starting, Cause::Asked(Verb::Start)),
            change(Phase::Starting, Phase::Up, Cause::Ready),
        ]), @"
        14:02:15 ✗ 8000 killed by you (SIGKILL, pid 4301) · out of the rotation after 0.4 ms
        14:02:15 ◌ 8000 starting, as you asked
        14:02:15 ● 8000 up again after 0.6 s (pid 4301) · back in the rotation
        ");
    }

    #[test]
    fn stopped_and_restarted() {
        insta::assert_snapshot!(story(&[
            change(Phase::Up, Phase::Draining, Cause::Asked(Verb::Stop)),
            change(Phase::Draining, Phase::Stopping, Cause::TimeLimit),
            change(Phase::Stopping, Phase::Stopped, exit(By::Operator, ExitStatus::Signal(15))),
            change(Phase::Up, Phase::Draining, Cause::Asked(Verb::Restart)),
            change(Phase::Draining, Phase::Stopping, Cause::Drained),
            change(Phase::Stopping, Phase::Starting, exit(By::Operator, ExitStatus::Code(0))),
            change(Phase::Starting, Phase::Up, Cause::Ready),
        ]), @"
        14:02:15 ◑ 8000 stopping, as you asked (pid 4301)
        14:02:15 ◑ 8000 still has requests after 0.6 s: stopping all the same
        14:02:15 ✗ 8000 stopped after 0.6 s (SIGTERM)
        14:02:15 ◑ 8000 restarting, as you asked (pid 4301)
        14:02:15 ● 8000 up again after 0.6 s (pid 4301) · back in the rotation
        ");
    }

    #[test]
    fn drained_and_back() {
        let drain = || Cause::Asked(Verb::Drain { everyone: false });
        let out = Change {
            out_after: Some(Duration::from_micros(400)),
            ..change(Phase::Up, Phase::Draining, drain())
        };
        let undrain = || Cause::Asked(Verb::Undrain);
        insta::assert_snapshot!(story(&[
            out,
            change(Phase::Draining, Phase::Draining, Cause::Asked(Verb::Restart)),
            change(Phase::Draining, Phase::Stopping, Cause::Drained),
            change(Phase::Stopping, Phase::Starting, exit(By::Operator, ExitStatus::Code(0))),
            change(Phase::Starting, Phase::Draining, Cause::Ready),
            change(Phase::Draining, Phase::Up, undrain()),
            change(Phase::Stopped, Phase::Stopped, drain()),
            change(Phase::Stopped, Phase::Stopped, undrain()),
        ]), @"
        14:02:15 ◑ 8000 drained by you (pid 4301): requests in flight finish, no new ones come · out of the rotation after 0.4 ms
        14:02:15 ◑ 8000 restarting, as you asked (pid 4301)
        14:02:15 ◑ 8000 up after 0.6 s (pid 4301) · still drained
        14:02:15 ● 8000 undrained by you (pid 4301) · back in the rotation
        14:02:15 ✗ 8000 drained by you: no requests when it is up
        14:02:15 ✗ 8000 undrained by you: requests when it is up
        ");
    }

    /// With `passive` and `active` the process and what is believed of it change apart from each other.
    #[test]
    fn what_the_balancer_finds_out_by_itself() {
        let failing = |from, to| Change {
            out_after: Some(Duration::from_micros(400)),
            ..change(
                from,
                to,
                Cause::Failing {
                    failures: 3,
                    window: Duration::from_secs(10),
                },
            )
        };
        let over = |phase| Change {
            back: true,
            ..change(phase, phase, Cause::FailTimeOver)
        };
        insta::assert_snapshot!(story(&[
            failing(Phase::Up, Phase::Unhealthy),
            change(Phase::Unhealthy, Phase::Up, Cause::FailTimeOver),
            failing(Phase::Stopped, Phase::Stopped),
            over(Phase::Stopped),
            Change { back: false, ..change(Phase::Starting, Phase::Up, Cause::Ready) },
        ]), @"
        14:02:15 ! 8000 failed 3 requests in 10 s · out of the rotation
        14:02:15 ● 8000 its fail time is over · back in the rotation
        14:02:15 ✗ 8000 failed 3 requests in 10 s · out of the rotation
        14:02:15 ✗ 8000 its fail time is over · back in the rotation
        14:02:15 ● 8000 up again after 0.6 s (pid 4301)
        ");
    }

    #[test]
    fn what_nobody_asked_for() {
        let check = |ok| {
            Cause::Checked(Check {
                ok,
                detail: "connection refused".into(),
                at: SystemTime::UNIX_EPOCH,
            })
        };
        insta::assert_snapshot!(story(&[
            change(Phase::Up, Phase::Backoff, exit(By::Outside, ExitStatus::Signal(9))),
            change(Phase::Backoff, Phase::Starting, Cause::TimeLimit),
            change(Phase::Starting, Phase::Backoff, exit(By::Itself, ExitStatus::Code(1))),
            change(Phase::Up, Phase::Failed, exit(By::Itself, ExitStatus::Signal(11))),
            change(Phase::Up, Phase::Stopped, exit(By::Outside, ExitStatus::Signal(10))),
            change(Phase::Starting, Phase::Failed, Cause::LaunchFailed("no such program".into())),
            change(Phase::Starting, Phase::Stopping, Cause::TimeLimit),
            change(Phase::Up, Phase::Unhealthy, check(false)),
            change(Phase::Unhealthy, Phase::Up, check(true)),
            change(Phase::Up, Phase::Unhealthy, Cause::Refused),
            change(Phase::Up, Phase::Draining, Cause::Shutdown),
            change(Phase::Stopping, Phase::Stopped, exit(By::Lbdev, ExitStatus::Signal(15))),
        ]), @"
        14:02:15 ✗ 8000 was killed from outside (SIGKILL) (pid 4301) · restarting
        note: `web:8000` was killed from outside (SIGKILL), restarting; `lbdev kill 8000` keeps it down
        14:02:15 ✗ 8000 exited by itself with status 1 after 0.6 s, before it was ready · restarting
        14:02:15 ✗ 8000 crashed (SIGSEGV) (pid 4301) · not started again
        14:02:15 ✗ 8000 was killed from outside (SIGUSR1) (pid 4301)
        note: `web:8000` was killed from outside (SIGUSR1); `lbdev start 8000` brings it back
        14:02:15 ✗ 8000 cannot be started: no such program · not started again
        14:02:15 ◑ 8000 did not answer within 0.6 s: stopping it (pid 4301)
        14:02:15 ! 8000 unhealthy: connection refused
        14:02:15 ● 8000 healthy again: connection refused · back in the rotation
        14:02:15 ! 8000 refused a request's connection
        14:02:15 ✗ 8000 stopped after 0.6 s (SIGTERM)
        ");
    }
}
