//! What the foreground of `up` shows, piece by piece.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use jiff::tz::TimeZone;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

use super::access::{Meter, Shown, line as access_line};
use super::banner::{About, opening, ready};
use super::changes::Teller;
use super::events::line as event_line;
use super::keys::{self, Keys, Order, Pressed};
use super::lines::{Names, render as output_line};
use super::screen::{Row, Screen, Step};
use super::serving::Said;
use super::stream::WriteError;
use super::units::{count, plural};
use super::{Look, Ui, note, report};
use crate::backend::{Kind, Phase};
use crate::pool::Batch;
use crate::process::output::Line;
use crate::process::strip_escapes;
use crate::recognise::access_lines;
use crate::supervisor::{BackendView, Change, View};
use crate::wire::Event;

/// What backends write while they start is held back so long, for the start to stand together.
const HOLD: Duration = Duration::from_secs(2);
/// And so much of it, in bytes; what goes beyond it is counted.
const HELD_BYTES: usize = 1024 * 1024;
/// A server that somebody else runs and that does not answer for so long is not waited for.
const EXTERNAL_PATIENCE: Duration = Duration::from_secs(2);
/// What is shown, and what it takes to show the next thing.
pub(super) struct Display {
    ui: Ui,
    about: About,
    zone: TimeZone,
    screen: Screen,
    names: Names,
    teller: Teller,
    meter: Meter,
    began: Instant,
    /// The first start is not over yet.
    starting: bool,
    /// Who was shown as ready by then: their news of it is old.
    shown_ready: HashSet<String>,
    held: Vec<(String, String)>,
    held_bytes: usize,
    /// Lines that came beyond what is held back.
    held_lost: u64,
    /// Nothing more comes from the backends.
    pub(super) output_closed: bool,
    /// Keys work.
    pub(super) has_keys: bool,
    keys: Keys,
    /// Every backend became ready, and what they wrote meanwhile was held back.
    started_well: bool,
}

impl Display {
    pub(super) fn new(ui: Ui, about: About, view: &View) -> Self {
        let screen = Screen::new(ui);
        screen.err(&opening(&about, ui.err));
        Self {
            ui,
            about,
            zone: TimeZone::system(),
            screen,
            names: Names::new(view.backends.iter().map(|one| one.spec.id.short())),
            teller: Teller::default(),
            meter: Meter::default(),
            began: Instant::now(),
            starting: true,
            shown_ready: HashSet::new(),
            held: Vec::new(),
            held_bytes: 0,
            held_lost: 0,
            output_closed: false,
            has_keys: false,
            keys: Keys::default(),
            started_well: false,
        }
    }

    pub(super) fn view(&mut self, view: &View) {
        if !self.starting {
            return;
        }
        let waited = self.began.elapsed();
        let now = Instant::now();
        let rows: Vec<Row> = view
            .backends
            .iter()
            .map(|one| row(one, now, waited))
            .collect();
        let settled = rows.iter().all(Row::settled) || view.stopping;
        // It serves nobody by itself.
        let balanced = view.backends.iter().zip(&rows);
        let mut balanced = balanced.filter(|(one, _)| !one.spec.id.is_engine());
        let serving = balanced.clone().filter(|(_, row)| row.ready()).count();
        let all_ready = balanced.all(|(_, row)| row.ready());
        let ready_now = rows.iter().filter(|row| row.ready());
        self.shown_ready
            .extend(ready_now.map(|row| row.name.clone()));
        self.screen.rows(rows);
        if settled {
            self.starting = false;
            self.started_well = all_ready && self.screen.moves();
            self.screen.settle();
            if serving > 0 && !view.stopping {
                self.about.keys = self.has_keys;
                self.screen.err(&ready(&self.about, serving, self.ui.err));
                if self.has_keys {
                    let line = self.ui.err.dim(keys::LINE);
                    self.screen.err(&format!("\n  {line}\n\n"));
                }
            }
        }
    }

    /// Somebody pressed a key; what others have to do for it.
    pub(super) fn key(&mut self, key: char, view: &View) -> Option<Order> {
        let pressed = match (self.starting, key) {
            (true, 'q') => Pressed::Order(Order::Quit),
            // The lines of the start are in the way.
            (true, _) => Pressed::Nothing,
            (false, key) => self.keys.press(key, view),
        };
        self.screen.ask(self.keys.line().unwrap_or_default());
        match pressed {
            Pressed::Nothing | Pressed::Asks => None,
            Pressed::Show(text) => {
                self.screen.err(&text);
                None
            }
            Pressed::RawLogs => {
                let raw = !self.about.raw_logs;
                self.about.raw_logs = raw;
                self.note(match raw {
                    true => "the frameworks' own lines about requests are shown; `a` hides them",
                    false => "the frameworks' own lines about requests are hidden; `a` shows them",
                });
                None
            }
            Pressed::Order(order) => Some(order),
        }
    }

    /// Another program has the terminal from now on, or not any more.
    pub(super) fn leave(&mut self, away: bool) -> Result<(), WriteError> {
        self.screen.leave(away)
    }

    /// A setting or a fault is another one.
    pub(super) fn event(&mut self, event: &Event) -> Result<(), WriteError> {
        match event.kind.as_str() {
            "settings" | "fault" => {
                let line = event_line(event, self.ui.out, &self.zone);
                self.screen.out(&line)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn ticks(&self) -> bool {
        self.starting || self.meter.pending() || !self.held.is_empty()
    }

    pub(super) fn tick(&mut self, view: &View) -> Result<(), WriteError> {
        self.view(view);
        if !self.holds() {
            self.release()?;
        }
        self.sums(SystemTime::now())
    }

    fn holds(&self) -> bool {
        self.screen.moves() && self.began.elapsed() < HOLD
    }

    /// What was held back. After a good start copies of one server have said the same: one of them speaks for all.
    fn release(&mut self) -> Result<(), WriteError> {
        let held = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        let Some((first, _)) = held.first() else {
            return Ok(());
        };
        let spokesman = first.clone();
        let mine = |name: &String| !self.started_well || *name == spokesman;
        let mut text: String = held
            .iter()
            .filter(|(name, _)| mine(name))
            .map(|(_, line)| line.as_str())
            .collect();
        let others = held.iter().filter(|(name, _)| !mine(name)).count();
        if others > 0 {
            let line = format!(
                "… and {} of the others: `lbdev logs`\n",
                plural(others, "line", "lines")
            );
            text.push_str(&self.ui.out.dim(&line));
        }
        self.screen.out(&text)?;
        match std::mem::take(&mut self.held_lost) {
            0 => {}
            lost => self.tell_lost(lost, "lines"),
        }
        Ok(())
    }

    pub(super) fn settle(&mut self) -> Result<(), WriteError> {
        self.starting = false;
        self.screen.settle();
        self.release()
    }

    /// A line, and those that wait behind it.
    pub(super) fn output(
        &mut self,
        line: &Line,
        more: &mut broadcast::Receiver<Line>,
    ) -> Result<(), WriteError> {
        /// So many lines are written at once.
        const AT_ONCE: usize = 256;
        self.hold(line);
        let mut lost = 0;
        for _ in 0..AT_ONCE {
            match more.try_recv() {
                Ok(line) => self.hold(&line),
                Err(TryRecvError::Lagged(n)) => {
                    lost = n;
                    break;
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if !self.holds() {
            self.release()?;
        }
        match lost {
            0 => Ok(()),
            lost => self.lost(lost, "lines"),
        }
    }

    fn hold(&mut self, line: &Line) {
        // What a framework says of a request, lbdev says as well, with more in it.
        if !self.about.raw_logs && access_lines().is_match(&strip_escapes(&line.text)) {
            return;
        }
        if self.held_bytes > HELD_BYTES {
            self.held_lost += 1;
            return;
        }
        let text = self.output_text(line);
        self.held_bytes += text.len();
        self.held.push((line.id.short(), text));
    }

    fn output_text(&self, line: &Line) -> String {
        output_line(&line.id.short(), &line.text, &self.names, self.ui.out)
    }

    pub(super) fn change(&mut self, change: &Change) -> Result<(), WriteError> {
        let starting = self.starting || self.shown_ready.contains(&change.id.short());
        let said = self.teller.tell(change, starting, self.ui.out, &self.zone);
        if let Some(text) = said.note {
            self.note(&text);
        }
        match said.line {
            Some(line) => self.screen.out(&line),
            None => Ok(()),
        }
    }

    pub(super) fn access(&mut self, batch: Batch) -> Result<(), WriteError> {
        let now = SystemTime::now();
        let mut shown = Vec::new();
        self.meter.turn(now, &mut |one| shown.push(one));
        if batch.dropped > 0 {
            self.meter.unseen(batch.dropped);
        }
        for access in batch.each {
            self.meter.push(access, now, &mut |one| shown.push(one));
        }
        for count in &batch.counts {
            self.meter.count(count, now, &mut |one| shown.push(one));
        }
        self.show(&shown)
    }

    /// Requests need only be counted.
    pub(super) fn wants_only_counts(&self) -> bool {
        self.meter.sums()
    }

    pub(super) fn sums(&mut self, now: SystemTime) -> Result<(), WriteError> {
        let mut shown = Vec::new();
        self.meter.turn(now, &mut |one| shown.push(one));
        self.show(&shown)
    }

    fn show(&mut self, shown: &[Shown]) -> Result<(), WriteError> {
        if shown.is_empty() {
            return Ok(());
        }
        let (paint, zone) = (self.ui.out, &self.zone);
        let text: String = shown
            .iter()
            .map(|one| match one {
                Shown::One(access) => access_line(access, paint, zone),
                Shown::Sum(at, sum) => sum.render(*at, &self.names, paint, zone),
            })
            .collect();
        self.screen.out(&text)
    }

    /// What lbdev itself has to say.
    pub(super) fn say(&self, said: &Said) {
        match said {
            Said::Over | Said::Returned => {}
            Said::Note(text) => self.note(text),
            Said::Trouble(trouble) => {
                let text = report(trouble, self.ui.err);
                self.screen.err(&format!("{text}\n"));
            }
        }
    }

    fn note(&self, text: &str) {
        self.screen.err(&note(text, self.ui.err));
    }

    pub(super) fn lost(&mut self, n: u64, what: &str) -> Result<(), WriteError> {
        self.release()?;
        self.tell_lost(n, what);
        Ok(())
    }

    fn tell_lost(&self, n: u64, what: &str) {
        self.note(&format!(
            "{} {what} came too fast to show; `lbdev logs` has what backends wrote",
            count(n)
        ));
    }
}

/// One backend of the first start. `waited` is how long that start goes on.
fn row(backend: &BackendView, now: Instant, waited: Duration) -> Row {
    let check = backend.last_check.as_ref();
    let not_yet = Step::Starting {
        detail: match backend.waiting {
            true => backend.why.clone(),
            false => check.map(|check| check.detail.clone()),
        },
        since: backend
            .launched
            .map_or(waited, |launched| now.saturating_duration_since(launched)),
    };
    let down = |phase| Step::Down {
        state: Look::of(phase).word,
        why: backend
            .why
            .clone()
            .or_else(|| check.map(|check| check.detail.clone())),
    };
    let launching = backend.desired && backend.last_exit.is_none() && backend.why.is_none();
    let external = backend.spec.kind == Kind::External;
    let step = match backend.phase {
        Phase::Up => Step::Ready {
            after: backend.ready_after.filter(|_| !external),
        },
        Phase::Unhealthy if external && waited < EXTERNAL_PATIENCE => not_yet,
        Phase::Starting => not_yet,
        Phase::Stopped if backend.is_done() => Step::Done,
        Phase::Stopped if launching => not_yet,
        phase @ (Phase::Unhealthy
        | Phase::Draining
        | Phase::Stopping
        | Phase::Stopped
        | Phase::Frozen
        | Phase::Backoff
        | Phase::Failed) => down(phase),
    };
    Row {
        name: backend.spec.id.short(),
        step,
        pid: backend.pid,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backend::{
        BackendId, HealthPolicy, RestartMode, RestartPolicy, Signal, Slot, StopPolicy,
    };
    use crate::config::BackendSpec;
    use crate::supervisor::Check;
    use crate::ui::Paint;

    fn backend(kind: Kind, phase: Phase) -> BackendView {
        let second = Duration::from_secs(1);
        let spec = BackendSpec {
            id: BackendId::new("web", Slot::Port(8000)),
            index: 1,
            kind,
            addresses: Vec::new(),
            command: None,
            weight: 1,
            backup: false,
            max_connections: 0,
            slow_start: Duration::ZERO,
            ready: crate::backend::Ready::Http,
            health: HealthPolicy {
                path: None,
                interval: second,
                timeout: second,
                rise: 1,
                fall: 2,
                status: None,
                body: None,
            },
            restart: RestartPolicy {
                mode: RestartMode::OnFailure,
                backoff_min: second,
                backoff_max: second,
                max: 1,
            },
            stop: StopPolicy {
                signal: Signal::Term,
                timeout: second,
            },
        };
        BackendView {
            spec: Arc::new(spec),
            weight: 1,
            phase,
            desired: true,
            enabled: true,
            healthy: phase == Phase::Up,
            eligible: phase == Phase::Up,
            run: None,
            pid: None,
            since: Instant::now(),
            launched: None,
            ready_after: Some(Duration::from_millis(500)),
            was_ready: true,
            restarts: 0,
            last_exit: None,
            last_check: Some(Check {
                ok: false,
                detail: "connection refused".into(),
                at: SystemTime::UNIX_EPOCH,
            }),
            why: None,
            on_trial: false,
            waiting: false,
        }
    }

    pub(in crate::ui) fn view(backends: &[(u16, Phase)]) -> View {
        let one = |&(port, phase): &(u16, Phase)| {
            let mut one = backend(Kind::Managed, phase);
            let mut spec = BackendSpec::clone(&one.spec);
            spec.id = BackendId::new("web", Slot::Port(port));
            one.spec = Arc::new(spec);
            one
        };
        View {
            backends: backends.iter().map(one).collect(),
            stopping: false,
        }
    }

    #[test]
    fn rows_of_a_first_start() {
        let check = |kind, phase, waited, why: Option<&str>, expected: &str| {
            let mut backend = backend(kind, phase);
            backend.why = why.map(str::to_owned);
            let row = row(&backend, Instant::now(), Duration::from_secs(waited));
            assert_eq!(
                row.render(Paint::new(false)),
                expected,
                "{kind:?} {phase:?}"
            );
        };
        let waits = "8000 starting  connection refused (3.0 s)";
        check(Kind::Managed, Phase::Stopped, 3, None, waits);
        check(Kind::Managed, Phase::Starting, 3, None, waits);
        check(Kind::Managed, Phase::Up, 3, None, "✓ 8000 ready  0.5 s");
        let why = Some("exited with status 1");
        let failed = "✗ 8000 failed  exited with status 1";
        check(Kind::Managed, Phase::Failed, 3, why, failed);
        let stopped = "✗ 8000 stopped  exited with status 1";
        check(Kind::Managed, Phase::Stopped, 3, why, stopped);
        check(Kind::External, Phase::Up, 3, None, "✓ 8000 ready");
        let waits = "8000 starting  connection refused (1.0 s)";
        check(Kind::External, Phase::Unhealthy, 1, None, waits);
        let given_up = "! 8000 unhealthy  connection refused";
        check(Kind::External, Phase::Unhealthy, 3, None, given_up);
    }
}
