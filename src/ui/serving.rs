//! The foreground of `up`: the start, then a stream of what backends write, what they answer, and what becomes of them.
//!
//! It runs on a thread of its own: a terminal that is stopped with Ctrl-S, or a pipe that nobody reads, holds up this
//! thread and nothing else.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jiff::tz::TimeZone;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

use super::access::{Meter, Shown, line as access_line};
use super::banner::{About, opening, ready};
use super::changes::Teller;
use super::lines::{Names, render as output_line};
use super::screen::{Row, Screen, Step};
use super::stream::WriteError;
use super::units::count;
use super::{Look, Ui, note};
use crate::backend::{Kind, Phase};
use crate::pool::{Access, AccessLog};
use crate::process::output::Line;
use crate::supervisor::{BackendView, Change, View};

/// Requests are shown in batches: a person does not see the difference, and a busy data path feels it.
const BATCH: Duration = Duration::from_millis(50);
/// Spinners turn, and a second's sum is shown, so often.
const TICK: Duration = Duration::from_millis(100);
/// What backends write while they start is held back so long, for the start to stand together.
const HOLD: Duration = Duration::from_secs(2);
/// A server that somebody else runs and that does not answer for so long is not waited for.
const EXTERNAL_PATIENCE: Duration = Duration::from_secs(2);

/// Where the news comes from.
#[derive(Debug)]
pub struct Feeds {
    /// Everything there is to see. The display ends when its sender is gone, after what is still in the other feeds.
    pub view: watch::Receiver<Arc<View>>,
    /// Changes of state.
    pub changes: broadcast::Receiver<Change>,
    /// Requests.
    pub access: Arc<AccessLog>,
    /// What backends write.
    pub output: broadcast::Receiver<Line>,
    /// Notes of lbdev itself, without `note:`.
    pub notes: mpsc::UnboundedReceiver<String>,
}

/// The display of a foreground `up`, before it runs.
#[derive(Debug)]
pub struct Serving {
    ui: Ui,
    about: About,
    feeds: Feeds,
}

/// Why the display ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The feeds did.
    Finished,
    /// Nobody reads stdout any more, as after `lbdev up | head`: there is nobody left to serve.
    ReaderGone,
}

/// The display, as it runs.
#[derive(Debug)]
pub struct Running {
    ended: oneshot::Receiver<End>,
}

impl Running {
    /// Resolves when the display ends. Cancelling it changes nothing.
    pub async fn ended(&mut self) -> End {
        // The sender goes without a word only if the thread panicked.
        (&mut self.ended).await.unwrap_or(End::ReaderGone)
    }

    /// After the senders of the feeds are gone: waits until all is printed, at most `limit`, since a stopped terminal must
    /// not keep lbdev from ending.
    pub async fn close(mut self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.ended()).await;
    }
}

impl Serving {
    /// Nothing is printed yet.
    pub fn new(ui: Ui, about: About, feeds: Feeds) -> Self {
        Self { ui, about, feeds }
    }

    /// Starts to print, on a thread of its own.
    ///
    /// # Errors
    /// When the machine has no thread left.
    pub fn spawn(self) -> io::Result<Running> {
        let (sender, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        std::thread::Builder::new()
            .name("display".into())
            .spawn(move || {
                let end = runtime.block_on(self.run());
                // Nobody may wait for it.
                let _ = sender.send(end);
            })?;
        Ok(Running { ended })
    }

    async fn run(self) -> End {
        let Serving {
            ui,
            about,
            mut feeds,
        } = self;
        feeds.access.want();
        let access = feeds.access.clone();
        let first = feeds.view.borrow_and_update().clone();
        let mut shown = Display::new(ui, about, &first);
        shown.view(&first);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut not_before = tokio::time::Instant::now();
        let mut noted = true;
        loop {
            let batch = async {
                tokio::time::sleep_until(not_before).await;
                access.take().await
            };
            let done = tokio::select! {
                changed = feeds.view.changed() => match changed {
                    Ok(()) => {
                        let view = feeds.view.borrow_and_update().clone();
                        shown.view(&view);
                        Ok(())
                    }
                    Err(_) => break,
                },
                change = feeds.changes.recv() => match change {
                    Ok(change) => shown.change(&change),
                    Err(RecvError::Lagged(n)) => shown.lost(n, "changes of state"),
                    // The view ends with it, and ends this.
                    Err(RecvError::Closed) => match feeds.view.changed().await {
                        Ok(()) => Ok(()),
                        Err(_) => break,
                    },
                },
                line = feeds.output.recv(), if !shown.output_closed => match line {
                    Ok(line) => shown.output(&line, &mut feeds.output),
                    Err(RecvError::Lagged(n)) => shown.lost(n, "lines"),
                    Err(RecvError::Closed) => { shown.output_closed = true; Ok(()) }
                },
                (batch, dropped) = batch => {
                    not_before = tokio::time::Instant::now() + BATCH;
                    shown.access(batch, dropped)
                }
                text = feeds.notes.recv(), if noted => {
                    match text {
                        Some(text) => shown.note(&text),
                        None => noted = false,
                    }
                    Ok(())
                }
                _ = tick.tick(), if shown.ticks() => {
                    let view = feeds.view.borrow().clone();
                    shown.tick(&view)
                }
            };
            if done.is_err() {
                return End::ReaderGone;
            }
        }
        match rest(&mut shown, &mut feeds).await {
            Ok(()) => End::Finished,
            Err(_) => End::ReaderGone,
        }
    }
}

/// What is still in the feeds.
async fn rest(shown: &mut Display, feeds: &mut Feeds) -> Result<(), WriteError> {
    shown.settle()?;
    let access = feeds.access.clone();
    if let Ok((batch, dropped)) = tokio::time::timeout(Duration::ZERO, access.take()).await {
        shown.access(batch, dropped)?;
    }
    loop {
        match feeds.output.try_recv() {
            Ok(line) => shown.output(&line, &mut feeds.output)?,
            Err(TryRecvError::Lagged(n)) => shown.lost(n, "lines")?,
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    loop {
        match feeds.changes.try_recv() {
            Ok(change) => shown.change(&change)?,
            Err(TryRecvError::Lagged(n)) => shown.lost(n, "changes of state")?,
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    while let Ok(text) = feeds.notes.try_recv() {
        shown.note(&text);
    }
    shown.sums(SystemTime::now() + Duration::from_secs(1))
}

/// What is shown, and what it takes to show the next thing.
struct Display {
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
    held: String,
    output_closed: bool,
}

impl Display {
    fn new(ui: Ui, about: About, view: &View) -> Self {
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
            held: String::new(),
            output_closed: false,
        }
    }

    fn view(&mut self, view: &View) {
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
        let serving = rows.iter().filter(|row| row.ready()).count();
        let ready_now = rows.iter().filter(|row| row.ready());
        self.shown_ready
            .extend(ready_now.map(|row| row.name.clone()));
        self.screen.rows(rows);
        if settled {
            self.starting = false;
            self.screen.settle();
            if serving > 0 && !view.stopping {
                self.screen.err(&ready(&self.about, serving, self.ui.err));
            }
        }
    }

    fn ticks(&self) -> bool {
        self.starting || self.meter.pending() || !self.held.is_empty()
    }

    fn tick(&mut self, view: &View) -> Result<(), WriteError> {
        self.view(view);
        if !self.holds() {
            self.release()?;
        }
        self.sums(SystemTime::now())
    }

    fn holds(&self) -> bool {
        self.screen.moves() && self.began.elapsed() < HOLD
    }

    fn release(&mut self) -> Result<(), WriteError> {
        match std::mem::take(&mut self.held) {
            held if held.is_empty() => Ok(()),
            held => self.screen.out(&held),
        }
    }

    fn settle(&mut self) -> Result<(), WriteError> {
        self.starting = false;
        self.screen.settle();
        self.release()
    }

    /// A line, and those that wait behind it.
    fn output(
        &mut self,
        line: &Line,
        more: &mut broadcast::Receiver<Line>,
    ) -> Result<(), WriteError> {
        /// So many lines are written at once.
        const AT_ONCE: usize = 256;
        let mut text = self.output_text(line);
        let mut lost = 0;
        for _ in 0..AT_ONCE {
            match more.try_recv() {
                Ok(line) => text.push_str(&self.output_text(&line)),
                Err(TryRecvError::Lagged(n)) => {
                    lost = n;
                    break;
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        self.held.push_str(&text);
        if !self.holds() {
            self.release()?;
        }
        match lost {
            0 => Ok(()),
            lost => self.lost(lost, "lines"),
        }
    }

    fn output_text(&self, line: &Line) -> String {
        output_line(&line.id.short(), &line.text, &self.names, self.ui.out)
    }

    fn change(&mut self, change: &Change) -> Result<(), WriteError> {
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

    fn access(
        &mut self,
        batch: impl IntoIterator<Item = Access>,
        dropped: u64,
    ) -> Result<(), WriteError> {
        let now = SystemTime::now();
        let mut shown = Vec::new();
        self.meter.turn(now, &mut |one| shown.push(one));
        if dropped > 0 {
            self.meter.unseen(dropped);
        }
        for access in batch {
            self.meter.push(access, now, &mut |one| shown.push(one));
        }
        self.show(&shown)
    }

    fn sums(&mut self, now: SystemTime) -> Result<(), WriteError> {
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

    fn note(&self, text: &str) {
        self.screen.err(&note(text, self.ui.err));
    }

    fn lost(&mut self, n: u64, what: &str) -> Result<(), WriteError> {
        self.release()?;
        self.note(&format!(
            "{} {what} came too fast to show; `lbdev logs` has what backends wrote",
            count(n)
        ));
        Ok(())
    }
}

/// One backend of the first start. `waited` is how long that start goes on.
fn row(backend: &BackendView, now: Instant, waited: Duration) -> Row {
    let check = backend.last_check.as_ref();
    let not_yet = Step::Starting {
        detail: check.map(|check| check.detail.clone()),
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
        Phase::Starting if external && waited >= EXTERNAL_PATIENCE => Step::Down {
            state: "unhealthy",
            why: check.map(|check| check.detail.clone()),
        },
        Phase::Starting => not_yet,
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
