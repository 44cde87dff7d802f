//! Commands that run once, to their end: `before` and `after` of a service. Each has a launcher of its own, since it is no
//! backend; what it writes goes where the lines of backends go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::backend::{BackendId, ExitStatus, RunId, Signal, Slot, signal_name};
use crate::config::{Service, Task};
use crate::error::Report;
use crate::process::{self, Launch, Launcher, News, output};
use crate::shutdown::{Level, Shutdown};

/// What is told to end has so long until KILL.
const END: Duration = Duration::from_secs(5);
/// Lines of a failed one that are shown.
const LAST_LINES: usize = 20;

/// What runs them.
pub(super) struct Tasks {
    instance: String,
    output: Arc<output::Store>,
    color: bool,
    ran: AtomicU64,
}

/// How a task ended that did not end well.
#[derive(Debug, PartialEq, Eq)]
enum Failed {
    /// With this status.
    Status(i32),
    /// In words.
    Because(String),
    /// It was told to end.
    Stopped,
}

impl Tasks {
    pub(super) fn new(instance: String, output: Arc<output::Store>, color: bool) -> Self {
        Self {
            instance,
            output,
            color,
            ran: AtomicU64::new(0),
        }
    }

    /// Runs one of them to its end. `false`: it was ended, since lbdev's end has come so far as `level`.
    ///
    /// # Errors
    /// When it cannot be started, or ends with another status than 0.
    pub(super) async fn run(
        &self,
        service: &Service,
        slot: Slot,
        task: &Task,
        (shutdown, level): (&Shutdown, Level),
    ) -> Result<bool, Report> {
        let id = BackendId::new(service.name.as_str(), slot);
        match self.run_as(&id, task, shutdown, level).await {
            Ok(()) => Ok(true),
            Err(Failed::Stopped) => Ok(false),
            Err(Failed::Status(code)) => {
                Err(self.report(&id, task, &format!("exited with status {code}")))
            }
            Err(Failed::Because(why)) => Err(self.report(&id, task, &why)),
        }
    }

    /// Runs one that only answers by its status, and writes nothing if it does; `None` if it wrote something, could not be
    /// started or did not end by itself.
    pub(super) async fn answers(
        &self,
        service: &Service,
        task: &Task,
        (shutdown, level): (&Shutdown, Level),
    ) -> Option<i32> {
        let id = BackendId::new(service.name.as_str(), Slot::Before);
        let last = || self.output.tail(&id, 1).first().map(|line| line.at);
        let before = last();
        let done = self.run_as(&id, task, shutdown, level).await;
        let wrote = last() != before;
        match done {
            Ok(()) => Some(0),
            Err(Failed::Status(code)) if !wrote => Some(code),
            Err(Failed::Status(_) | Failed::Because(_) | Failed::Stopped) => None,
        }
    }

    fn report(&self, id: &BackendId, task: &Task, why: &str) -> Report {
        let (key, then) = match id.slot() {
            Slot::After => ("after", ""),
            Slot::Before | Slot::Port(_) | Slot::Number(_) | Slot::Engine => {
                ("before", "; no backend was started")
            }
        };
        let lines = self.output.tail(id, LAST_LINES);
        let lines = lines
            .iter()
            .map(|line| process::strip_escapes(&line.text).trim_end().to_owned());
        Report::failed(
            "LB016",
            format!(
                "`{}`, which `{key}` of `{}` says, {why}{then}",
                task.line,
                id.service()
            ),
        )
        .last_lines(lines.collect())
        .hint("run it by hand, mend it, then run `lbdev up` again")
    }

    async fn run_as(
        &self,
        id: &BackendId,
        task: &Task,
        shutdown: &Shutdown,
        level: Level,
    ) -> Result<(), Failed> {
        let mut run = RunId::FIRST_TASK;
        for _ in 0..self.ran.fetch_add(1, Ordering::Relaxed) {
            run = run.next();
        }
        let (to, mut news) = mpsc::unbounded_channel();
        let instance = self.instance.clone();
        let launcher = Launcher::new(instance, to, self.output.clone(), self.color);
        launcher.launch(id.clone(), run, task.command.clone());
        let (mut stopped, mut forced) = (false, false);
        let mut kill_at = None;
        loop {
            let kill = async {
                match kill_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                said = news.recv() => match said {
                    Some(News::Launched { .. } | News::Said { .. }) => {}
                    Some(News::Exited { .. } | News::LaunchFailed { .. }) if stopped => {
                        return Err(Failed::Stopped);
                    }
                    Some(News::Exited { status, .. }) => return match status {
                        ExitStatus::Code(0) => Ok(()),
                        ExitStatus::Code(code) => Err(Failed::Status(code)),
                        ExitStatus::Signal(number) => {
                            Err(Failed::Because(format!("was ended by {}", signal_name(number))))
                        }
                    },
                    Some(News::LaunchFailed { why, .. }) => {
                        return Err(Failed::Because(format!("cannot be started: {why}")));
                    }
                    None => return Err(Failed::Stopped),
                },
                _ = shutdown.reached(level), if !stopped => {
                    stopped = true;
                    launcher.signal(run, Signal::Term);
                    kill_at = Some(tokio::time::Instant::now() + END);
                }
                _ = shutdown.reached(Level::Force), if stopped && !forced => {
                    forced = true;
                    launcher.signal(run, Signal::Kill);
                }
                () = kill => {
                    launcher.signal(run, Signal::Kill);
                    kill_at = Some(tokio::time::Instant::now() + Duration::from_secs(1));
                }
            }
        }
    }
}
