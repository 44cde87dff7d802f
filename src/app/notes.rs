//! What lbdev itself has to say while it runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::recorder;
use crate::control::Journal;
use crate::error::Report;
use crate::ui::{self, Ui};

/// What lbdev itself has to say while it runs: on the screen if there is one, else into the log of the background.
#[derive(Clone)]
pub(super) struct Notes {
    to: mpsc::UnboundedSender<ui::Said>,
    ui: Ui,
    journal: Arc<Journal>,
}

impl Notes {
    pub(super) fn new(to: mpsc::UnboundedSender<ui::Said>, ui: Ui, journal: Arc<Journal>) -> Self {
        Self { to, ui, journal }
    }

    pub(super) fn report(&self, report: &Report) {
        self.journal.push(recorder::trouble(report));
        let said = ui::Said::Trouble(Box::new(report.clone()));
        if self.to.send(said).is_err() {
            self.ui.report(report);
        }
    }

    /// Who had the terminal has given it back.
    pub(super) fn returned(&self) {
        let _ = self.to.send(ui::Said::Returned);
    }

    /// Nothing more is said.
    pub(super) fn over(&self) {
        let _ = self.to.send(ui::Said::Over);
    }

    /// Of interest to a person who watches only.
    pub(super) fn tell(&self, text: String) {
        self.journal.push(recorder::note(&text));
        let _ = self.to.send(ui::Said::Note(text));
    }

    /// After a gap in time.
    pub(super) fn slept(&self, gap: Duration) {
        self.tell(format!(
            "slept {} (the machine did, or lbdev was stopped): nothing of it counts against a server",
            ui::units::took(gap)
        ));
    }
}
