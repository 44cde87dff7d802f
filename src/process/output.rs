//! What backends write: every line goes to a file, to the last lines in memory, and to whoever listens.
//!
//! A backend is never held up by a slow reader of ours: listeners that lag lose lines and are told how many, a file that
//! cannot be written is said once and left out.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::broadcast;

use super::{logs, os};
use crate::backend::{BackendId, Slot};

/// Lines of each backend that stay in memory.
pub const TAIL: usize = 50;
/// Lines that a listener may lag behind before it loses some.
const LAG: usize = 8192;

/// One line that a backend wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was read.
    pub at: Timestamp,
    /// Who wrote it.
    pub id: BackendId,
    /// On standard error.
    pub err: bool,
    /// The line, without its end. It may hold terminal escapes: see [`strip_escapes`](super::strip_escapes).
    pub text: Arc<str>,
}

/// Where the lines of all backends of an instance go.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    sinks: Mutex<HashMap<BackendId, Arc<Sink>>>,
    listeners: broadcast::Sender<Line>,
}

impl Store {
    /// A store that writes its files into `dir`, which is made if need be. The files of an earlier instance become
    /// `….log.1`, so that what is read is of one instance. Only who holds the instance's lock may call this.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(dir: PathBuf) -> io::Result<Arc<Store>> {
        fs::create_dir_all(&dir)?;
        for path in logs::files(&dir)? {
            // If it cannot be kept, today's lines matter more: they are added to it.
            let _ = fs::rename(&path, path.with_added_extension("1"));
        }
        Ok(Arc::new(Store {
            dir,
            sinks: Mutex::default(),
            listeners: broadcast::Sender::new(LAG),
        }))
    }

    /// The folder of the files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file of a backend's lines.
    pub fn file(&self, id: &BackendId) -> PathBuf {
        self.dir.join(file_name(id))
    }

    /// The last lines of a backend, at most `n` and at most [`TAIL`], the oldest first.
    pub fn tail(&self, id: &BackendId, n: usize) -> Vec<Line> {
        let Some(sink) = lock(&self.sinks).get(id).cloned() else {
            return Vec::new();
        };
        let state = lock(&sink.state);
        let skip = state.tail.len().saturating_sub(n);
        state.tail.iter().skip(skip).cloned().collect()
    }

    /// Every line from now on. A receiver that lags too far gets `Lagged(n)`: it has lost `n` lines, which are in the
    /// files.
    pub fn subscribe(&self) -> broadcast::Receiver<Line> {
        self.listeners.subscribe()
    }

    /// Where one backend's lines go, whatever run they are of.
    pub(super) fn sink(&self, id: &BackendId) -> Arc<Sink> {
        Arc::clone(lock(&self.sinks).entry(id.clone()).or_insert_with(|| {
            let path = self.file(id);
            Arc::new(Sink {
                id: id.clone(),
                state: Mutex::new(SinkState::begin(path)),
                listeners: self.listeners.clone(),
            })
        }))
    }
}

/// `web:8000` writes to `web-8000.log`, `worker.1` to `worker.1.log`. A service's name is letters, digits, `-` and `_` by
/// the rules of the configuration; anything else becomes `_`, so that no name leads out of the folder.
fn file_name(id: &BackendId) -> String {
    let service: String = id
        .service()
        .chars()
        .map(|char| match char {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => char,
            char if char.is_alphanumeric() => char,
            _ => '_',
        })
        .collect();
    match id.slot() {
        Slot::Port(port) => format!("{service}-{port}.log"),
        Slot::Number(number) => format!("{service}.{number}.log"),
    }
}

/// Where one backend's lines go.
#[derive(Debug)]
pub(super) struct Sink {
    id: BackendId,
    state: Mutex<SinkState>,
    listeners: broadcast::Sender<Line>,
}

#[derive(Debug)]
struct SinkState {
    path: PathBuf,
    file: io::Result<File>,
    /// The last write stopped in the middle of a line.
    torn: bool,
    complained: bool,
    tail: VecDeque<Line>,
}

impl SinkState {
    fn begin(path: PathBuf) -> Self {
        let file = os::private_file().create(true).append(true).open(&path);
        Self {
            path,
            file,
            torn: false,
            complained: false,
            tail: VecDeque::with_capacity(TAIL),
        }
    }
}

impl Sink {
    /// Takes lines that were read together. They go to the file in one write, so that another writer's line never gets
    /// between the pieces of one.
    pub(super) fn take(&self, err: bool, texts: Vec<String>) {
        if texts.is_empty() {
            return;
        }
        let at = Timestamp::now();
        let mut state = lock(&self.state);
        let trouble = state.write(at, err, &texts);
        for text in texts {
            self.show(&mut state, at, err, text);
        }
        if let Some(error) = trouble
            && !state.complained
        {
            state.complained = true;
            let text = format!(
                "lbdev: `{}` cannot be written ({error}), lines may be missing from it",
                state.path.display()
            );
            self.show(&mut state, at, true, text);
        }
    }

    fn show(&self, state: &mut SinkState, at: Timestamp, err: bool, text: String) {
        let line = Line {
            at,
            id: self.id.clone(),
            err,
            text: text.into(),
        };
        if state.tail.len() == TAIL {
            state.tail.pop_front();
        }
        state.tail.push_back(line.clone());
        // Nobody may be listening.
        let _ = self.listeners.send(line);
    }
}

impl SinkState {
    /// Appends lines to the file; what went wrong, if something did.
    fn write(&mut self, at: Timestamp, err: bool, texts: &[String]) -> Option<String> {
        let file = match &mut self.file {
            Ok(file) => file,
            Err(error) => return Some(error.to_string()),
        };
        let stream = if err { "err" } else { "out" };
        let prefix = format!("{at:.6} {stream} ");
        let bytes = texts.iter().map(|text| prefix.len() + text.len() + 1).sum();
        let mut block = String::with_capacity(bytes);
        if self.torn {
            block.push('\n');
        }
        for text in texts {
            // Writing to a string cannot fail.
            let _ = writeln!(block, "{prefix}{text}");
        }
        match file.write_all(block.as_bytes()) {
            Ok(()) => {
                self.torn = false;
                None
            }
            Err(error) => {
                self.torn = true;
                Some(error.to_string())
            }
        }
    }
}

/// Nothing panics while it holds one of these locks; if something did, the lines would still be whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(port: u16) -> BackendId {
        BackendId::new("web", Slot::Port(port))
    }

    #[test]
    fn lines_go_to_file_memory_and_listeners() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("web-8000.log"), "earlier\n").unwrap();
        let store = Store::open(dir.path().to_owned()).unwrap();
        let mut heard = store.subscribe();
        let sink = store.sink(&id(8000));
        sink.take(false, (0..100).map(|n| format!("line {n}")).collect());
        store.sink(&id(8000)).take(true, vec!["oops".into()]);

        let texts: Vec<String> = store
            .tail(&id(8000), 2)
            .iter()
            .map(|line| line.text.to_string())
            .collect();
        assert_eq!(texts, ["line 99", "oops"]);
        assert_eq!(store.tail(&id(8000), 1000).len(), TAIL);
        assert_eq!(store.tail(&id(8001), 5), []);
        assert_eq!(&*heard.try_recv().unwrap().text, "line 0");

        let text = fs::read_to_string(dir.path().join("web-8000.log")).unwrap();
        assert_eq!(text.lines().count(), 101);
        let last = text.lines().last().unwrap();
        let (at, rest) = last.split_once(' ').unwrap();
        assert_eq!((at.len(), rest), (27, "err oops"));
        assert!(at.parse::<Timestamp>().is_ok(), "{at}");
        assert_eq!(
            fs::read_to_string(dir.path().join("web-8000.log.1")).unwrap(),
            "earlier\n"
        );
    }

    #[test]
    fn a_file_that_cannot_be_written_is_said_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().to_owned()).unwrap();
        let sink = store.sink(&id(8000));
        // A device on which every write fails as on a full disk.
        if let Ok(full) = File::options().write(true).open("/dev/full") {
            lock(&sink.state).file = Ok(full);
            for _ in 0..3 {
                sink.take(false, vec!["x".into()]);
            }
            let tail = store.tail(&id(8000), TAIL);
            let said = tail.iter().filter(|line| line.text.starts_with("lbdev:"));
            assert_eq!((tail.len(), said.count()), (4, 1), "{tail:?}");
        }
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let worker = BackendId::new("../a b", Slot::Number(1));
        assert_eq!(file_name(&worker), ".._a_b.1.log");
        assert_eq!(file_name(&id(1)), "web-1.log");
    }
}
