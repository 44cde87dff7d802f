//! `compare`: one drill on each balancer, one table.

use std::time::Duration;

use super::lab::demo;
use crate::cli::CompareOptions;
use crate::compare::{Onlooker, Pace, measure};
use crate::config::Engine;
use crate::engine;
use crate::error::Report;
use crate::shutdown::{Level, Shutdown};
use crate::ui::Ui;
use crate::ui::compare as words;
use crate::wire::{Compare, VERSION};

/// The exit code of what Ctrl-C cut short.
const INTERRUPTED: u8 = 130;
/// What is compared where nothing is said.
const ALL: [Engine; 4] = [
    Engine::Builtin,
    Engine::Nginx,
    Engine::Haproxy,
    Engine::Apache,
];

/// Does the drill with each, and shows the table.
pub(super) fn compare(options: &CompareOptions, ui: &Ui) -> Result<u8, Vec<Report>> {
    let one = |report| vec![report];
    let mut missing = Vec::new();
    let engines = match options.engines.as_slice() {
        // Whoever names one wants that one.
        [_, ..] => {
            let mut named = Vec::new();
            for &engine in &options.engines {
                if engine.is_foreign() {
                    engine::find(engine).map_err(one)?;
                }
                if !named.contains(&engine) {
                    named.push(engine);
                }
            }
            named
        }
        [] => {
            let here = |engine: &Engine| match engine.is_foreign().then(|| engine::find(*engine)) {
                Some(Err(report)) => {
                    missing.push((engine.name().to_owned(), report));
                    false
                }
                Some(Ok(_)) | None => true,
            };
            ALL.into_iter().filter(here).collect()
        }
    };
    for (_, report) in &missing {
        let hint = report.hint.as_deref().unwrap_or_default();
        ui.note(&format!("{}, so it is left out: {hint}", report.message));
    }
    let server = demo().map_err(one)?;
    let runtime = super::runtime().map_err(one)?;
    let missing = missing.into_iter().map(|(name, _)| name).collect();
    runtime.block_on(all(&engines, missing, &server, options.quick, ui))
}

async fn all(
    engines: &[Engine],
    missing: Vec<String>,
    server: &str,
    quick: bool,
    ui: &Ui,
) -> Result<u8, Vec<Report>> {
    let shutdown = Shutdown::default();
    shutdown.listen().map_err(|error| {
        let message = format!("the machine refuses a signal handler: {error}");
        vec![Report::failed("LB008", message).hint("run it again")]
    })?;
    let pace = match quick {
        true => Pace::quick(),
        false => Pace::default(),
    };
    let mut told = Told { ui: *ui };
    let mut made = Vec::new();
    let mut failed = Vec::new();
    for &engine in engines {
        // Dropping it lets go of its lbdev, which ends by itself then.
        let measured = tokio::select! {
            measured = measure(engine, server, &pace, &mut told) => measured,
            _ = shutdown.reached(Level::Drain) => {
                ui.note("the comparison was interrupted; nothing of it is left running");
                return Ok(INTERRUPTED);
            }
        };
        match measured {
            Ok(measured) => made.push(measured),
            // What the others did is true all the same.
            Err(mut report) => {
                report.message = format!("{}: {}", engine.name(), report.message);
                failed.push(report);
            }
        }
    }
    let compared = Compare {
        version: VERSION,
        engines: made,
        missing,
    };
    match compared.engines.is_empty() {
        true => {}
        false if ui.json => ui.json(&compared),
        false => ui.out(&words::table_of(&compared, ui.width())),
    }
    match failed.is_empty() {
        true => Ok(0),
        false => Err(failed),
    }
}

struct Told {
    ui: Ui,
}

impl Onlooker for Told {
    fn begins(&mut self, engine: Engine, part: &str, lasts: Duration) {
        if !self.ui.json {
            let took = match lasts.as_secs() {
                0 => String::new(),
                seconds => format!("  {seconds} s"),
            };
            self.ui
                .progress(&format!("{}: {part}{took}", engine.name()));
        }
    }
}
