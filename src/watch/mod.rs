//! Saved files: which of a folder's files matter, and when they were changed.
//!
//! One thread a service. It hears of changes from the system (`events`); where that does not tell (network and shared
//! folders) or refuses (too many folders), it looks by itself (`poll`). What a person calls one save is many events: they are
//! told when nothing more has come for a moment.

mod events;
mod filter;
mod place;
mod poll;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use crate::config::Watching;
use events::Events;
use filter::Filter;
use poll::Snapshot;

/// A save is over when nothing more has come for so long: an editor that writes on every pause, or a branch switch, is one.
const QUIET: Duration = Duration::from_millis(300);
/// What is written all the time is told all the same.
const LONGEST: Duration = Duration::from_secs(3);
/// How often files are looked at where the system does not tell.
const LOOK: Duration = Duration::from_secs(1);
/// Names of so many files go with a save.
const NAMED: usize = 10;
/// Set to `poll`, files are looked at by lbdev itself, whatever the system can do.
pub const VARIABLE: &str = "LBDEV_WATCH";

/// What is heard of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Something is being saved: [`Heard::Saved`] follows when it is over.
    Began {
        /// Of which service.
        service: String,
    },
    /// It has been saved.
    Saved {
        /// Of which service.
        service: String,
        /// The first few files, relative to the folder.
        files: Vec<PathBuf>,
        /// All of them.
        count: usize,
    },
    /// How it is watched has changed, in words.
    Note(String),
}

/// A watched folder; dropping it ends the watching.
#[derive(Debug)]
pub struct Watch {
    to: Sender<Message>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A thread that has ended needs no telling.
        let _ = self.to.send(Message::End);
    }
}

/// What wakes the thread.
#[derive(Debug)]
enum Message {
    Event(notify::Result<notify::Event>),
    End,
}

/// Watches the files of a service. What is heard goes to `out`, from a thread of its own. Returns once changes are heard of.
///
/// # Errors
/// When the system gives no thread.
pub fn start(
    service: &str,
    watching: &Watching,
    out: UnboundedSender<Heard>,
) -> std::io::Result<Watch> {
    let forced = std::env::var_os(VARIABLE).is_some_and(|how| how == "poll");
    start_with(service, watching, out, forced)
}

/// [`start`], by looking if `poll`.
fn start_with(
    service: &str,
    watching: &Watching,
    out: UnboundedSender<Heard>,
    poll: bool,
) -> std::io::Result<Watch> {
    let (to, messages) = mpsc::channel();
    let mut watcher = Watcher {
        service: service.to_owned(),
        filter: Filter::new(watching),
        how: How::Gone,
        forced: poll,
        to: to.clone(),
        out,
        save: None,
    };
    let (ready, is_ready) = mpsc::channel();
    std::thread::Builder::new()
        .name("watch".into())
        .spawn(move || {
            watcher.begin();
            let _ = ready.send(());
            watcher.run(&messages);
        })?;
    // It panicked if it says nothing; that was on stderr.
    let _ = is_ready.recv();
    Ok(Watch { to })
}

/// How changes become known.
enum How {
    /// The system tells.
    Events(Events),
    /// By looking; as it was the last time.
    Poll(Snapshot),
    /// The folder is not there.
    Gone,
}

/// A save that is under way.
struct Save {
    files: BTreeSet<PathBuf>,
    first: Instant,
    last: Instant,
}

struct Watcher {
    service: String,
    filter: Filter,
    how: How,
    /// A person wants files to be looked at.
    forced: bool,
    to: Sender<Message>,
    out: UnboundedSender<Heard>,
    save: Option<Save>,
}

impl Watcher {
    /// Begins to watch the folder, in the way that is possible.
    fn begin(&mut self) {
        let root = self.filter.root().to_owned();
        if !root.is_dir() {
            self.how = How::Gone;
            return;
        }
        let poll = |this: &mut Self, why: &str| {
            this.note(format!(
                "the files of `{}` are looked at every second: {why}",
                this.service
            ));
            this.how = How::Poll(Snapshot::of(&this.filter));
        };
        if self.forced {
            return poll(self, "`LBDEV_WATCH=poll` says so");
        }
        if let Some(kind) = place::without_events(&root) {
            let why = format!("{} is {kind}, which tells of no changes", root.display());
            return poll(self, &why);
        }
        match Events::start(&self.filter, self.to.clone()) {
            Ok(events) => self.how = How::Events(events),
            Err(error) => poll(self, &error.to_string()),
        }
    }

    fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let message = match self.wait() {
                None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => messages.recv_timeout(wait),
            };
            match message {
                Ok(Message::Event(event)) => self.take(event),
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.look();
            if self.tell().is_err() {
                return;
            }
        }
    }

    /// How long nothing has to be done by itself.
    fn wait(&self) -> Option<Duration> {
        let save = self.save.as_ref().map(|save| {
            (save.last + QUIET)
                .min(save.first + LONGEST)
                .saturating_duration_since(Instant::now())
        });
        let look = match self.how {
            How::Events(_) => None,
            How::Poll(_) | How::Gone => Some(LOOK),
        };
        save.into_iter().chain(look).min()
    }

    fn take(&mut self, event: notify::Result<notify::Event>) {
        let How::Events(events) = &mut self.how else {
            return;
        };
        match events.changed(event, &self.filter) {
            Ok(files) => self.note_files(files),
            Err(error) => {
                self.note(format!(
                    "the files of `{}` are looked at every second: {error}",
                    self.service
                ));
                self.how = How::Poll(Snapshot::of(&self.filter));
            }
        }
    }

    /// Looks where the system does not tell.
    fn look(&mut self) {
        match &mut self.how {
            How::Events(_) => {}
            How::Poll(before) => {
                let now = Snapshot::of(&self.filter);
                let files = now.differing(before);
                *before = now;
                self.note_files(files);
            }
            How::Gone if self.filter.root().is_dir() => {
                self.begin();
                let root = self.filter.root().to_owned();
                self.note(format!("{} is back, and watched again", root.display()));
                self.note_files(vec![root]);
            }
            How::Gone => {}
        }
    }

    fn note_files(&mut self, files: Vec<PathBuf>) {
        if files.is_empty() {
            return;
        }
        let now = Instant::now();
        let save = self.save.get_or_insert_with(|| {
            let service = self.service.clone();
            // Whoever does not listen any more is told nothing more below.
            let _ = self.out.send(Heard::Began { service });
            Save {
                files: BTreeSet::new(),
                first: now,
                last: now,
            }
        });
        save.last = now;
        save.files.extend(files);
    }

    /// Tells of a save that is over. `Err`: nobody listens.
    fn tell(&mut self) -> Result<(), ()> {
        let now = Instant::now();
        let over = |save: &mut Save| now >= save.last + QUIET || now >= save.first + LONGEST;
        let Some(save) = self.save.take_if(over) else {
            return match self.out.is_closed() {
                true => Err(()),
                false => Ok(()),
            };
        };
        let root = self.filter.root();
        if !root.is_dir() {
            self.note(format!(
                "{} is gone; what is saved there restarts nothing until it is back",
                root.display()
            ));
            self.how = How::Gone;
        }
        let relative = |path: &PathBuf| relative(path, self.filter.root());
        let heard = Heard::Saved {
            service: self.service.clone(),
            files: match self.how {
                How::Gone => Vec::new(),
                How::Events(_) | How::Poll(_) => {
                    save.files.iter().take(NAMED).map(relative).collect()
                }
            },
            count: match self.how {
                How::Gone => 0,
                How::Events(_) | How::Poll(_) => save.files.len(),
            },
        };
        self.out.send(heard).map_err(|_| ())
    }

    fn note(&self, text: String) {
        // As above.
        let _ = self.out.send(Heard::Note(text));
    }
}

fn relative(path: &Path, root: &Path) -> PathBuf {
    match path.strip_prefix(root) {
        Ok(inner) if !inner.as_os_str().is_empty() => inner.to_owned(),
        Ok(_) | Err(_) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests;
