//! Changes as the system tells of them: inotify, FSEvents, ReadDirectoryChangesW.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use notify::event::{AccessKind, AccessMode, MetadataKind, ModifyKind};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::Message;
use super::filter::Filter;

/// Whether the system watches a folder with all below it at once. inotify does not, and so folders that do not matter cost
/// nothing there.
const WHOLE: bool = !cfg!(any(target_os = "linux", target_os = "android"));

/// Why the system does not tell.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoEvents {
    /// It watches as many folders as it may.
    #[error(
        "as many folders are watched as the system allows (`sysctl fs.inotify.max_user_watches`)"
    )]
    Limit,
    /// Something else.
    #[error("the system does not tell of changes: {0}")]
    Other(String),
}

impl From<notify::Error> for NoEvents {
    fn from(error: notify::Error) -> Self {
        match error.kind {
            ErrorKind::MaxFilesWatch => NoEvents::Limit,
            // One more instance than `fs.inotify.max_user_instances`.
            ErrorKind::Io(error) if error.raw_os_error() == Some(24) && !WHOLE => NoEvents::Limit,
            other => NoEvents::Other(notify::Error::new(other).to_string()),
        }
    }
}

/// A folder that the system watches.
pub(super) struct Events {
    watcher: RecommendedWatcher,
}

impl Events {
    pub(super) fn start(filter: &Filter, to: Sender<Message>) -> Result<Self, NoEvents> {
        let handler = move |event| {
            // A thread that has ended needs no telling.
            let _ = to.send(Message::Event(event));
        };
        let mut events = Self {
            watcher: notify::recommended_watcher(handler)?,
        };
        if WHOLE {
            events
                .watcher
                .watch(filter.root(), RecursiveMode::Recursive)?;
        } else {
            events.add(filter, filter.root())?;
        }
        Ok(events)
    }

    /// Watches a folder, and those below it that matter.
    fn add(&mut self, filter: &Filter, from: &Path) -> Result<(), NoEvents> {
        let mut watched = BTreeSet::new();
        loop {
            let dirs = filter.dirs(from);
            // One that came between the look and the watch of its parent is told of by nobody: only a look that finds
            // nothing new has found them all.
            let new = |dir: &&PathBuf| !watched.contains(*dir);
            let new: Vec<PathBuf> = dirs.iter().filter(new).cloned().collect();
            if new.is_empty() {
                return Ok(());
            }
            for dir in &new {
                match self.watcher.watch(dir, RecursiveMode::NonRecursive) {
                    Ok(()) => {}
                    // It went as it came, or is nobody's to read.
                    Err(error) if dir != filter.root() && is_of_one(&error) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            watched.extend(new);
        }
    }

    /// The files that matter of those that an event is about.
    pub(super) fn changed(
        &mut self,
        event: notify::Result<Event>,
        filter: &Filter,
    ) -> Result<Vec<PathBuf>, NoEvents> {
        let event = event?;
        if event.need_rescan() {
            // Nobody knows what; whatever it was, it was saved.
            return Ok(vec![filter.root().to_owned()]);
        }
        if !is_change(event.kind) {
            return Ok(Vec::new());
        }
        let mut files = Vec::new();
        for path in event.paths {
            if path == filter.root() {
                // Its own end is seen when the save is told.
                if !path.is_dir() {
                    files.push(path);
                }
            } else if path.is_dir() && !path.is_symlink() {
                if filter.matters(&path) {
                    if !WHOLE {
                        self.add(filter, &path)?;
                    }
                    // What was in it before it was watched.
                    files.extend(
                        filter
                            .files(&path, |_| ())
                            .into_iter()
                            .map(|(file, ())| file),
                    );
                }
            } else if filter.wants(&path) {
                files.push(path);
            }
        }
        Ok(files)
    }
}

/// The trouble is one folder's.
fn is_of_one(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound | ErrorKind::WatchNotFound => true,
        ErrorKind::Io(error) => matches!(
            error.kind(),
            std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied
        ),
        ErrorKind::Generic(_) | ErrorKind::InvalidConfig(_) | ErrorKind::MaxFilesWatch => false,
    }
}

/// Whether a file's contents may have changed: not its mode, and not that it was read.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Any | EventKind::Create(_) | EventKind::Remove(_) | EventKind::Other => true,
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Modify(ModifyKind::Metadata(what)) => what == MetadataKind::WriteTime,
        EventKind::Modify(_) => true,
    }
}
