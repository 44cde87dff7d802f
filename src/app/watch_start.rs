//! How a start goes, as long as it goes: what it comes to nothing by, and what is said meanwhile.

use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::elsewhere::Elsewhere;
use super::last_words::last_lines;
use super::notes::Notes;
use super::serve::Running;
use super::startup::{self, Startup};
use crate::error::Report;
use crate::supervisor::BackendView;

/// How often a start is looked at for a program that listens somewhere else.
const LOOK: Duration = Duration::from_secs(1);

impl Running {
    /// The last lines that a backend wrote, as plain text.
    pub(super) fn last_lines(&self, backend: &BackendView) -> Vec<String> {
        last_lines(&self.output, backend)
    }

    /// Whether a service that does not start is given another try by the next save.
    fn waits_for_a_save(&self, service: &str) -> bool {
        let config = self.current.load();
        let named = config.services.iter().find(|one| one.name == service);
        let watched = named.is_some_and(|service| service.watch.is_some());
        !self.background && self.ui.out_terminal && watched
    }

    /// Resolves with what to say when a service's backends all ended before they were ready; otherwise never.
    pub(super) async fn watch_start(&self, notes: &Notes) -> Vec<Report> {
        let mut forgiven = false;
        let mut view = self.supervisor.view();
        let last_lines = |backend: &BackendView| last_lines(&self.output, backend);
        let mut elsewhere = Elsewhere::default();
        // Not a sleep that every change would begin anew: each check of a backend that is up is one.
        let mut looks = tokio::time::interval_at(tokio::time::Instant::now() + LOOK, LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = view.borrow_and_update().clone();
            match startup::judge(&now, Instant::now()) {
                // Somebody who watches mends it, and saves.
                Startup::Hopeless(service) if self.waits_for_a_save(&service) => {
                    if !std::mem::replace(&mut forgiven, true) {
                        for report in startup::failures(&now, &service, last_lines) {
                            notes.report(&report);
                        }
                        notes.tell(format!("waiting for the next save of `{service}`"));
                    }
                }
                Startup::Hopeless(service) => return startup::failures(&now, &service, last_lines),
                Startup::Ready => break,
                Startup::Degraded => {
                    let config = self.current.load_full();
                    let services: Vec<&str> = config
                        .services
                        .iter()
                        .map(|service| service.name.as_str())
                        .collect();
                    for service in services {
                        for report in startup::failures(&now, service, last_lines) {
                            notes.report(&report);
                        }
                    }
                    break;
                }
                Startup::Pending => {}
            }
            tokio::select! {
                changed = view.changed() => if changed.is_err() { break },
                _ = looks.tick() => elsewhere.look(&now.backends, |report| notes.report(report)).await,
            }
        }
        std::future::pending().await
    }
}
