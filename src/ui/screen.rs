//! The backends that are about to start: a moving line each on a terminal, else a plain line when one is there.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::stream::{Stream, WriteError, write};
use super::units::took;
use super::{Look, Paint, Ui};

/// Back to the beginning of the line, and nothing is left of it (ECMA-48 EL).
const CLEAR: &str = "\r\u{1b}[K";

/// How far one backend has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// As a person types it.
    pub(super) name: String,
    /// How far.
    pub(super) step: Step,
    /// Its process.
    pub(super) pid: Option<u32>,
}

/// How far one backend has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// It has not answered yet.
    Starting {
        /// What the last probe said.
        detail: Option<String>,
        /// For how long already.
        since: Duration,
    },
    /// It has answered.
    Ready {
        /// After how long, where there was anything to wait for.
        after: Option<Duration>,
    },
    /// It was a job, and is done.
    Done,
    /// It will not.
    Down {
        /// Its state in one word.
        state: &'static str,
        /// Why.
        why: Option<String>,
    },
}

impl Row {
    /// Nothing more will come of its start.
    pub(super) fn settled(&self) -> bool {
        !matches!(self.step, Step::Starting { .. })
    }

    /// It serves.
    pub(super) fn ready(&self) -> bool {
        matches!(self.step, Step::Ready { .. } | Step::Done)
    }

    /// `8000 ready  0.5 s  pid 4301`, with its glyph if it is settled.
    pub(super) fn render(&self, paint: Paint) -> String {
        let name = &self.name;
        let pid = self.pid.map(|pid| format!("  pid {pid}"));
        match &self.step {
            Step::Starting { detail, since } => {
                let detail = detail.as_deref().map(|detail| format!("  {detail}"));
                let detail = detail.unwrap_or_default();
                let since = since.as_secs_f64();
                paint.dim(&format!("{name} starting{detail} ({since:.1} s)"))
            }
            Step::Ready { after } => {
                let after = after.map(|after| format!("  {}", took(after)));
                let (after, pid) = (after.unwrap_or_default(), pid.unwrap_or_default());
                format!("{} {name} ready{after}{pid}", paint.good("✓"))
            }
            Step::Done => format!("{} {name} done", paint.good("✓")),
            Step::Down { state, why } => {
                let why = why.as_deref().map(|why| format!("  {why}"));
                let head = format!("{} {name} {state}", Look::of_word(state).glyph);
                format!("{}{}", paint.bad(&head), why.unwrap_or_default())
            }
        }
    }
}

/// The two streams, and the moving lines between them.
#[derive(Debug)]
pub(super) struct Screen {
    ui: Ui,
    moving: Option<Moving>,
    rows: Vec<Row>,
    /// The line below all others that asks for something.
    asking: RefCell<String>,
    /// Another program has the terminal: what is to be shown waits.
    away: RefCell<Option<Waiting>>,
}

/// What waits while another program has the terminal.
#[derive(Debug, Default)]
struct Waiting {
    texts: VecDeque<(Stream, String)>,
    lost: usize,
}

/// So many texts wait at most; of more the last ones.
const WAITING: usize = 500;

#[derive(Debug)]
struct Moving {
    all: MultiProgress,
    bars: Vec<ProgressBar>,
}

impl Screen {
    pub(super) fn new(ui: Ui) -> Self {
        Self {
            ui,
            moving: None,
            rows: Vec::new(),
            asking: RefCell::default(),
            away: RefCell::default(),
        }
    }

    /// Whether lines move at present.
    pub(super) fn moves(&self) -> bool {
        self.moving.is_some()
    }

    /// Shows the rows as they now are. Always the same backends in the same order.
    pub(super) fn rows(&mut self, rows: Vec<Row>) {
        if self.ui.err_terminal {
            self.animate(&rows);
        } else {
            self.say_settled(&rows);
        }
        self.rows = rows;
    }

    fn animate(&mut self, rows: &[Row]) {
        let moving = self.moving.get_or_insert_with(|| Moving {
            all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
            bars: Vec::new(),
        });
        while moving.bars.len() < rows.len() {
            moving.bars.push(moving.all.add(ProgressBar::new_spinner()));
        }
        for (bar, row) in moving.bars.iter().zip(rows) {
            let template = match row.settled() {
                true => "  {msg}",
                false => "  {spinner} {msg}",
            };
            // A template of ours that does not parse would be seen by the first test; the default is still a spinner.
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_message(row.render(self.ui.err));
            bar.tick();
        }
    }

    fn say_settled(&mut self, rows: &[Row]) {
        let before = |at: usize| self.rows.get(at).is_some_and(Row::settled);
        for (at, row) in rows.iter().enumerate() {
            if row.settled() && !before(at) {
                let _ = write(Stream::Err, &format!("  {}\n", row.render(self.ui.err)));
            }
        }
    }

    /// The lines stand still from now on.
    pub(super) fn settle(&mut self) {
        let Some(moving) = self.moving.take() else {
            return;
        };
        // Written anew as plain lines: what an animation leaves behind depends on the terminal.
        for bar in &moving.bars {
            bar.finish_and_clear();
        }
        let _ = moving.all.clear();
        let lines: String = self
            .rows
            .iter()
            .map(|row| match row.settled() {
                true => format!("  {}\n", row.render(self.ui.err)),
                false => format!(
                    "  {} {}\n",
                    Look::of_word("starting").glyph,
                    row.render(self.ui.err)
                ),
            })
            .collect();
        let _ = write(Stream::Err, &lines);
    }

    /// Data. `Err` only when nobody reads it any more.
    pub(super) fn out(&self, text: &str) -> Result<(), WriteError> {
        self.show(Stream::Out, text)
    }

    /// Progress and notes. A reader of stderr that is gone is not missed.
    pub(super) fn err(&self, text: &str) {
        let _ = self.show(Stream::Err, text);
    }

    /// The line below all others is this one from now on; none if it is empty.
    pub(super) fn ask(&self, line: String) {
        let mut asking = self.asking.borrow_mut();
        if asking.is_empty() && line.is_empty() {
            return;
        }
        let _ = write(Stream::Err, &format!("{CLEAR}{line}"));
        *asking = line;
    }

    /// Another program has the terminal from now on, or not any more: then what has come meanwhile is shown.
    pub(super) fn leave(&self, away: bool) -> Result<(), WriteError> {
        if away {
            self.away.borrow_mut().get_or_insert_default();
            return Ok(());
        }
        let Some(waiting) = self.away.take() else {
            return Ok(());
        };
        if waiting.lost > 0 {
            self.err(&format!("… {} lines before\n", waiting.lost));
        }
        for (stream, text) in waiting.texts {
            self.show(stream, &text)?;
        }
        Ok(())
    }

    fn show(&self, stream: Stream, text: &str) -> Result<(), WriteError> {
        if let Some(waiting) = self.away.borrow_mut().as_mut() {
            if waiting.texts.len() >= WAITING
                && let Some((_, text)) = waiting.texts.pop_front()
            {
                waiting.lost += text.lines().count();
            }
            waiting.texts.push_back((stream, text.to_owned()));
            return Ok(());
        }
        let asking = self.asking.borrow();
        if !asking.is_empty() {
            let _ = write(Stream::Err, CLEAR);
        }
        let written = match &self.moving {
            Some(moving) => moving.all.suspend(|| write(stream, text)),
            None => write(stream, text),
        };
        if !asking.is_empty() {
            let _ = write(Stream::Err, &asking);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let row = |step| Row {
            name: "8003".into(),
            step,
            pid: Some(4304),
        };
        let text = [
            Step::Starting {
                detail: Some("GET / → connection refused".into()),
                since: Duration::from_millis(600),
            },
            Step::Starting {
                detail: None,
                since: Duration::ZERO,
            },
            Step::Ready {
                after: Some(Duration::from_millis(500)),
            },
            Step::Ready { after: None },
            Step::Down {
                state: "failed",
                why: Some("exited with status 1".into()),
            },
        ]
        .map(|step| row(step).render(Paint::new(false)))
        .join("\n");
        insta::assert_snapshot!(text, @"
        8003 starting  GET / → connection refused (0.6 s)
        8003 starting (0.0 s)
        ✓ 8003 ready  0.5 s  pid 4304
        ✓ 8003 ready  pid 4304
        ✗ 8003 failed  exited with status 1
        ");
    }
}
