//! The foreground of `up`: the start, then a stream of what backends write, what they answer, and what becomes of them.
//!
//! It runs on a thread of its own: a terminal that is stopped with Ctrl-S, or a pipe that nobody reads, holds up this
//! thread and nothing else.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

use super::Ui;
use super::banner::About;
use super::display::Display;
use super::keys::Order;
use super::stream::WriteError;
use super::terminal::KeyReader;
use crate::error::Report;
use crate::pool::AccessLog;
use crate::process::output::Line;
use crate::supervisor::{Change, View};
use crate::wire::Event;

/// Requests are shown in batches: a person does not see the difference, and a busy data path feels it.
const BATCH: Duration = Duration::from_millis(50);
/// Spinners turn, and a second's sum is shown, so often.
const TICK: Duration = Duration::from_millis(100);

/// What lbdev itself has to say.
#[derive(Debug, Clone)]
pub enum Said {
    /// Without `note:`.
    Note(String),
    /// Of trouble.
    Trouble(Box<Report>),
    /// Who had the terminal has given it back.
    Returned,
    /// Nothing more.
    Over,
}

/// Where the news comes from.
#[derive(Debug)]
pub struct Feeds {
    /// Everything there is to see.
    pub view: watch::Receiver<Arc<View>>,
    /// Changes of state.
    pub changes: broadcast::Receiver<Change>,
    /// Requests.
    pub access: Arc<AccessLog>,
    /// What backends write.
    pub output: broadcast::Receiver<Line>,
    /// What somebody has changed.
    pub events: broadcast::Receiver<Event>,
    /// What keys ask for; nobody reads keys without it.
    pub orders: Option<mpsc::UnboundedSender<Order>>,
    /// What lbdev itself has to say. After [`Said::Over`], and when the sender of the view is gone, the display ends, after
    /// what is still in the other feeds.
    pub notes: mpsc::UnboundedReceiver<Said>,
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
    ending: oneshot::Receiver<End>,
    ended: Option<End>,
}

impl Running {
    /// Resolves when the display ends. Cancelling it changes nothing.
    pub async fn ended(&mut self) -> End {
        if let Some(end) = self.ended {
            return end;
        }
        // The sender goes without a word only if the thread panicked.
        let end = (&mut self.ending).await.unwrap_or(End::ReaderGone);
        *self.ended.insert(end)
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
        let (sender, ending) = oneshot::channel();
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
        Ok(Running {
            ending,
            ended: None,
        })
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
        let (keys_to, mut keys) = mpsc::unbounded_channel();
        // Without them it is shown all the same.
        let reader = feeds
            .orders
            .as_ref()
            .and_then(|_| KeyReader::start(keys_to).ok().flatten());
        shown.has_keys = reader.is_some();
        shown.view(&first);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut not_before = tokio::time::Instant::now();
        let (mut noted, mut viewed, mut changing) = (true, true, true);
        let (mut keyed, mut eventful) = (reader.is_some(), true);
        while viewed || noted {
            let batch = async {
                tokio::time::sleep_until(not_before).await;
                access.take().await
            };
            let done = tokio::select! {
                changed = feeds.view.changed(), if viewed => {
                    match changed {
                        Ok(()) => {
                            let view = feeds.view.borrow_and_update().clone();
                            shown.view(&view);
                        }
                        Err(_) => viewed = false,
                    }
                    Ok(())
                }
                change = feeds.changes.recv(), if changing => match change {
                    Ok(change) => shown.change(&change),
                    Err(RecvError::Lagged(n)) => shown.lost(n, "changes of state"),
                    Err(RecvError::Closed) => { changing = false; Ok(()) }
                },
                line = feeds.output.recv(), if !shown.output_closed => match line {
                    Ok(line) => shown.output(&line, &mut feeds.output),
                    Err(RecvError::Lagged(n)) => shown.lost(n, "lines"),
                    Err(RecvError::Closed) => { shown.output_closed = true; Ok(()) }
                },
                key = keys.recv(), if keyed => {
                    let view = feeds.view.borrow().clone();
                    let order = match key {
                        Some(key) => shown.key(key, &view),
                        None => { keyed = false; None }
                    };
                    let lent = order == Some(Order::Top);
                    if lent && let Some(reader) = &reader {
                        reader.lend(true);
                    }
                    if let (Some(order), Some(orders)) = (order, &feeds.orders) {
                        // Nobody obeys any more when the end has come.
                        let _ = orders.send(order);
                    }
                    if lent { shown.leave(true) } else { Ok(()) }
                }
                event = feeds.events.recv(), if eventful => match event {
                    Ok(event) => shown.event(&event),
                    Err(RecvError::Lagged(_)) => Ok(()),
                    Err(RecvError::Closed) => { eventful = false; Ok(()) }
                },
                batch = batch => {
                    not_before = tokio::time::Instant::now() + BATCH;
                    shown.access(batch)
                }
                text = feeds.notes.recv(), if noted => {
                    match text {
                        None | Some(Said::Over) => { noted = false; Ok(()) }
                        Some(Said::Returned) => {
                            if let Some(reader) = &reader {
                                reader.lend(false);
                            }
                            shown.leave(false)
                        }
                        Some(text) => { shown.say(&text); Ok(()) }
                    }
                }
                _ = tick.tick(), if shown.ticks() => {
                    let view = feeds.view.borrow().clone();
                    shown.tick(&view)
                }
            };
            feeds.access.want_only_counts(shown.wants_only_counts());
            if done.is_err() {
                return End::ReaderGone;
            }
        }
        drop(reader);
        let _ = shown.leave(false);
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
    if let Ok(batch) = tokio::time::timeout(Duration::ZERO, access.take()).await {
        shown.access(batch)?;
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
        shown.say(&text);
    }
    shown.sums(SystemTime::now() + Duration::from_secs(1))
}
