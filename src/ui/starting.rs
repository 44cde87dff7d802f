//! A start as somebody outside sees it: `up -d --wait` asks the instance in the background how far it is.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::banner::{About, next, opening, ready};
use super::screen::{Row, Screen, Step};
use super::status::{names, serves};
use super::{Look, Ui};
use crate::wire::{BackendStatus, Status};

/// Shows a start by what `status` says. The caller asks every 50 to 100 ms, which also keeps the spinners turning.
#[derive(Debug)]
pub struct Starting {
    ui: Ui,
    about: About,
    screen: Screen,
    began: Instant,
    ready_after: HashMap<String, Duration>,
}

impl Starting {
    /// Prints the headline.
    pub fn new(ui: Ui, about: About) -> Self {
        let screen = Screen::new(ui);
        screen.err(&opening(&about, ui.err));
        Self {
            ui,
            about,
            screen,
            began: Instant::now(),
            ready_after: HashMap::new(),
        }
    }

    /// Shows how far each backend is. True when nothing more will come of this start: each serves, or will not.
    pub fn show(&mut self, status: &Status) -> bool {
        let since = self.began.elapsed();
        let names = names(&status.backends);
        let rows: Vec<Row> = status
            .backends
            .iter()
            .zip(names)
            .map(|(backend, name)| {
                let ready = &mut self.ready_after;
                if serves(backend) {
                    ready.entry(backend.id.clone()).or_insert(since);
                }
                row(backend, name, ready.get(&backend.id).copied(), since)
            })
            .collect();
        let settled = rows.iter().all(Row::settled);
        self.screen.rows(rows);
        settled
    }

    /// The start is over, or is not waited for: the lines stand still. Unless all is in vain, where it answers and what to
    /// try.
    pub fn end(mut self, status: Option<&Status>) {
        self.screen.settle();
        let serving = status.map_or(0, |status| {
            let ready = |backend: &&BackendStatus| serves(backend) || backend.done;
            // The balancer serves nobody by itself.
            let balanced = status.backends.iter().filter(|one| one.kind != "engine");
            balanced.filter(ready).count()
        });
        let starting = status.is_some_and(|status| {
            let mut all = status.backends.iter();
            all.any(|backend| backend.state == "starting")
        });
        if serving > 0 {
            self.screen.err(&ready(&self.about, serving, self.ui.err));
        } else if starting {
            self.screen.err(&next(&self.about, self.ui.err));
        }
    }
}

fn row(
    backend: &BackendStatus,
    name: String,
    ready_after: Option<Duration>,
    since: Duration,
) -> Row {
    let check = backend.last_check.as_ref();
    let launching = backend.state == "stopped"
        && backend.desired == "up"
        && backend.last_exit.is_none()
        && backend.why.is_none();
    let step = if serves(backend) {
        Step::Ready { after: ready_after }
    } else if backend.done {
        Step::Done
    } else if backend.state == "starting" || launching {
        Step::Starting {
            detail: match backend.waiting {
                true => backend.why.clone(),
                false => check.map(|check| check.detail.clone()),
            },
            since,
        }
    } else {
        Step::Down {
            state: Look::of_word(&backend.state).word,
            why: backend.why.clone(),
        }
    };
    Row {
        name,
        step,
        pid: backend.pid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Paint;
    use crate::ui::status::tests::backend;

    #[test]
    fn rows_of_a_status() {
        let mut launching = backend(8002, "stopped");
        launching.desired = "up".into();
        let mut failed = backend(8003, "failed");
        failed.why = Some("exited with status 1".into());
        let text = [
            backend(8000, "up"),
            backend(8001, "starting"),
            launching,
            failed,
        ]
        .iter()
        .map(|backend| {
            let after = Some(Duration::from_millis(500));
            let row = row(
                backend,
                backend.port.unwrap().to_string(),
                after,
                Duration::from_secs(1),
            );
            row.render(Paint::new(false))
        })
        .collect::<Vec<_>>()
        .join("\n");
        insta::assert_snapshot!(text, @"
        ✓ 8000 ready  0.5 s  pid 4301
        8001 starting (1.0 s)
        8002 starting (1.0 s)
        ✗ 8003 failed  exited with status 1
        ");
    }
}
