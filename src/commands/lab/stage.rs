//! A lab in a terminal: what is asked, and what is shown while it runs.

use std::io::BufRead;

use tokio::sync::mpsc::UnboundedReceiver;

use crate::config::lab::Lab;
use crate::error::Report;
use crate::lab::Audience;
use crate::load::{Plan, Seen};
use crate::shutdown::{Level, Shutdown};
use crate::ui::load::{Meter, text};
use crate::ui::{Ui, lab as words};
use crate::wire::LoadReport;

/// The lines that somebody types. One for all labs: who waits for a line takes the next one.
pub(super) struct Typed {
    lines: Option<UnboundedReceiver<String>>,
}

impl Typed {
    /// Nothing is read before somebody is asked.
    pub(super) fn new() -> Self {
        Self { lines: None }
    }

    async fn next(&mut self) -> Option<String> {
        let lines = self.lines.get_or_insert_with(|| {
            let (lines, typed) = tokio::sync::mpsc::unbounded_channel();
            // It may wait for a line for ever; the process ends all the same.
            std::thread::spawn(move || {
                for line in std::io::stdin().lock().lines() {
                    let Ok(line) = line else { return };
                    if lines.send(line).is_err() {
                        return;
                    }
                }
            });
            typed
        });
        lines.recv().await
    }
}

/// Asks which choice somebody predicts: its place. `None`: they want to stop.
pub(super) async fn ask(
    lab: &Lab,
    typed: &mut Typed,
    shutdown: &Shutdown,
    ui: &Ui,
) -> Result<Option<usize>, Report> {
    let mut hints = lab.hints.iter().cycle();
    loop {
        ui.progress(&words::prompt(lab.choices.len(), !lab.hints.is_empty()));
        let line = tokio::select! {
            line = typed.next() => line,
            _ = shutdown.reached(Level::Drain) => return Ok(None),
        };
        let Some(line) = line else {
            return Err(Report::usage("LB021", "nobody is there to be asked")
                .hint(format!("run `lbdev lab {} --auto`", lab.name)));
        };
        let line = line.trim();
        match line {
            "q" | "quit" => return Ok(None),
            "h" | "hint" => {
                if let Some(hint) = hints.next() {
                    ui.progress(hint);
                }
            }
            line => match line.parse::<usize>() {
                Ok(number) if (1..=lab.choices.len()).contains(&number) => {
                    return Ok(Some(number - 1));
                }
                _ => ui.progress(&format!("`{line}` is none of them")),
            },
        }
    }
}

/// Shows what happens.
pub(super) struct Stage {
    ui: Ui,
    meter: Option<Meter>,
}

impl Stage {
    pub(super) fn new(ui: Ui) -> Self {
        Self { ui, meter: None }
    }
}

impl Audience for Stage {
    fn say(&mut self, text: &str) {
        if !self.ui.json {
            self.ui
                .out(&format!("\n{}", words::paragraph(text, self.ui.width())));
        }
    }

    fn does(&mut self, what: &str) {
        if !self.ui.json {
            self.ui.progress(&words::does(what, self.ui.err));
        }
    }

    fn ran(&mut self, verb: &str, said: &[String]) {
        if !self.ui.json {
            self.ui.out(&words::ran(verb, said, self.ui.out));
        }
    }

    fn load_begins(&mut self, plan: &Plan) {
        self.meter = (!self.ui.json).then(|| Meter::new(self.ui, plan));
    }

    fn load_seen(&mut self, seen: &Seen<'_>) {
        if let Some(meter) = &self.meter {
            meter.show(seen);
        }
    }

    fn load_ended(&mut self, report: &LoadReport, plot: bool) {
        if let Some(meter) = self.meter.take() {
            meter.end();
        }
        if !self.ui.json && plot {
            self.ui.out(&text(report, self.ui.width(), self.ui.out));
        }
    }
}
