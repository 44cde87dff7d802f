//! `lbdev run -- CMD`: a command that runs while the backends do.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use super::serve::Running;
use super::startup::{self, Startup};
use crate::backend::{ExitStatus, Signal};
use crate::error::Report;
use crate::process::Beside;
use crate::shutdown::{Level, Reason, Shutdown};
use crate::supervisor::BackendView;
use crate::ui::Ui;

/// What is told to end has so long until KILL.
const END: Duration = Duration::from_secs(5);
/// A start is looked at so often even if nothing changes: time limits pass by themselves.
const LOOK: Duration = Duration::from_millis(250);

/// What is to run, and how long the backends may take to be ready for it.
#[derive(Debug, Clone)]
pub(super) struct Then {
    pub(super) words: Vec<OsString>,
    pub(super) patience: Duration,
}

impl Running {
    /// Waits until every backend is ready, then runs the command to its end.
    ///
    /// # Errors
    /// When not all get ready, or it cannot be started.
    pub(super) async fn run_then(&self, then: &Then, ui: Ui) -> Result<u8, Vec<Report>> {
        let until = Instant::now() + then.patience;
        let mut view = self.supervisor.view();
        loop {
            let now = view.borrow_and_update().clone();
            match startup::judge(&now, Instant::now()) {
                Startup::Ready => break,
                // Somebody else tells of it.
                Startup::Hopeless(_) => std::future::pending().await,
                Startup::Degraded => {
                    let services = now.backends.iter().map(|backend| backend.spec.id.service());
                    let mut services: Vec<&str> = services.collect();
                    services.dedup();
                    let failures = services.iter().flat_map(|service| {
                        startup::failures(&now, service, |one| self.last_lines(one))
                    });
                    return Err(failures.collect());
                }
                Startup::Pending if Instant::now() >= until => {
                    let slow = now
                        .backends
                        .iter()
                        .filter(|one| !one.eligible && !one.is_done());
                    let names: Vec<String> = slow.map(|one| format!("`{}`", one.spec.id)).collect();
                    let message = format!(
                        "{} not ready after {} s",
                        names.join(", "),
                        then.patience.as_secs_f64()
                    );
                    return Err(vec![Report::failed("LB011", message).hint(
                        "run `lbdev up` to see why, or give it longer: `--wait-timeout 300s`",
                    )]);
                }
                Startup::Pending => {}
            }
            let wait =
                tokio::time::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
            tokio::select! {
                // The end came first.
                _ = self.shutdown.reached(Level::Drain) => return Err(Vec::new()),
                changed = view.changed() => if changed.is_err() { std::future::pending().await },
                () = wait => {}
            }
        }
        let url = self.current.load().balancer.listen.url();
        let balanced = |one: &&BackendView| !one.spec.id.is_engine();
        let all = view.borrow().backends.iter().filter(balanced).count();
        ui.progress(&format!("lbdev: ready {url} ({all}/{all})"));
        run(&then.words, &url, &self.shutdown)
            .await
            .map_err(|report| vec![report])
    }
}

/// Runs the command to its end, or to the one of lbdev.
pub(super) async fn run(words: &[OsString], url: &str, shutdown: &Shutdown) -> Result<u8, Report> {
    let name = words
        .first()
        .map(|word| word.to_string_lossy())
        .unwrap_or_default();
    let dir = std::env::current_dir().unwrap_or_default();
    let beside = Beside::start(words, &dir, ("LBDEV_URL", url)).map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such program".to_owned(),
            _ => error.to_string(),
        };
        Report::failed("LB013", format!("`{name}` cannot be started: {why}"))
            .hint("give a program and its arguments, as in `lbdev run -- pytest -x`")
    })?;
    let waiting = beside.clone();
    let mut ended = tokio::task::spawn_blocking(move || waiting.wait());
    let (mut due, mut next) = (None, Signal::Term);
    loop {
        tokio::select! {
            status = &mut ended => return Ok(match status {
                Ok(Ok(ExitStatus::Code(code))) => u8::try_from(code).unwrap_or(1),
                // As a shell has it.
                Ok(Ok(ExitStatus::Signal(number))) => u8::try_from(128 + number).unwrap_or(1),
                Ok(Err(_)) | Err(_) => 1,
            }),
            state = shutdown.reached(Level::Drain), if due.is_none() => {
                // Ctrl-C came to it as well: it may have a summary to write.
                if state.reason != Some(Reason::Interrupt) {
                    beside.signal(next);
                    next = Signal::Kill;
                }
                due = Some(tokio::time::Instant::now() + END);
            }
            () = until(due) => {
                beside.signal(next);
                next = Signal::Kill;
                due = Some(tokio::time::Instant::now() + END);
            }
        }
    }
}

async fn until(when: Option<tokio::time::Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}
