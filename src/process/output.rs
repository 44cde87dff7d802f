//! What backends write: every line goes to a file, to the last lines in memory, and to whoever listens.
//!
//! A backend is never held up by a slow reader of ours: listeners that lag lose lines and are told how many, a file that
//! cannot be written is said and tried again, with the number of lines that are missing from it.

use std::collections::{HashMap, VecDeque};
use std::fmt::{self, Write as _};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::broadcast;

use super::log_file::{LogFile, Rotation, Written};
use super::log_writer::LogWriter;
use super::{logs, strip_escapes};
use crate::backend::{BackendId, Slot};

/// Lines of each backend that stay in memory.
pub const TAIL: usize = 50;
/// And what they may take together, in bytes; the last line stays whatever its length.
const TAIL_BYTES: usize = 256 * 1024;
/// Lines that a listener may lag behind before it loses some.
const LAG: usize = 8192;
/// The last lines of a run are in its file when its end is told, unless the disk takes longer.
const WRITTEN: Duration = Duration::from_millis(50);
/// When a listener lags so many lines, those that come are cut to [`LAG_LINE`] for it, so that a terminal that stands still
/// costs some megabytes at the most.
const LAG_LONG: usize = 256;
const LAG_LINE: usize = 2048;

/// One line that a backend wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was read.
    pub at: Timestamp,
    /// Who wrote it.
    pub id: BackendId,
    /// On standard error.
    pub err: bool,
    /// The line, without its end. It may hold terminal escapes: see [`strip_escapes`].
    pub text: Arc<str>,
}

/// Where the lines of all backends of an instance go.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    rotation: Rotation,
    writer: LogWriter,
    sinks: Mutex<HashMap<BackendId, Arc<Sink>>>,
    listeners: broadcast::Sender<Line>,
}

impl Store {
    /// A store that writes its files into `dir`, which is made if need be. Of an earlier instance the last file of each
    /// backend is kept, as `….log.earlier`, so that what is read is of one instance. Only who holds the instance's lock may
    /// call this.
    ///
    /// # Errors
    /// When the folder cannot be made or read, or the system has no thread left.
    pub fn open(dir: PathBuf) -> io::Result<Arc<Store>> {
        Self::with_rotation(dir, Rotation::default())
    }

    /// [`Store::open`] with another rotation than the usual one, for tests.
    ///
    /// # Errors
    /// The same.
    #[doc(hidden)]
    pub fn with_rotation(dir: PathBuf, rotation: Rotation) -> io::Result<Arc<Store>> {
        fs::create_dir_all(&dir)?;
        for path in logs::files(&dir)? {
            for old in logs::older_pieces(&path) {
                // One that cannot be removed is older than the rest, and read as such.
                let _ = fs::remove_file(old);
            }
            // If it cannot be kept, today's lines matter more: they are added to it.
            let _ = fs::rename(&path, path.with_added_extension("earlier"));
        }
        Ok(Arc::new(Store {
            dir,
            rotation,
            writer: LogWriter::start()?,
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
        let tail = lock(&sink.tail);
        let skip = tail.lines.len().saturating_sub(n);
        tail.lines.iter().skip(skip).cloned().collect()
    }

    /// Every line from now on. A receiver that lags too far gets `Lagged(n)`: it has lost `n` lines, which are in the
    /// files.
    pub fn subscribe(&self) -> broadcast::Receiver<Line> {
        self.listeners.subscribe()
    }

    /// Waits until the files hold what was written so far, at most `limit`.
    pub fn flush(&self, limit: Duration) {
        self.writer.flush(limit);
    }

    /// Where one backend's lines go, whatever run they are of.
    pub(super) fn sink(&self, id: &BackendId) -> Arc<Sink> {
        Arc::clone(lock(&self.sinks).entry(id.clone()).or_insert_with(|| {
            Arc::new(Sink {
                id: id.clone(),
                tail: Mutex::default(),
                awaited: Mutex::default(),
                file: Mutex::new(LogFile::new(self.file(id), self.rotation)),
                left_out: AtomicU64::new(0),
                writer: self.writer.clone(),
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
        Slot::Before => format!("{service}.before.log"),
        Slot::After => format!("{service}.after.log"),
        Slot::Engine => format!("{service}.log"),
    }
}

/// Where one backend's lines go.
#[derive(Debug)]
pub(super) struct Sink {
    id: BackendId,
    tail: Mutex<Tail>,
    awaited: Mutex<Option<Awaited>>,
    /// Only the writing thread has it open.
    file: Mutex<LogFile>,
    /// Lines that the file misses since the disk was too slow for them.
    left_out: AtomicU64,
    writer: LogWriter,
    listeners: broadcast::Sender<Line>,
}

/// A text that somebody waits for.
struct Awaited {
    text: String,
    tell: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Awaited({:?})", self.text)
    }
}

/// The last lines.
#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<Line>,
    bytes: usize,
}

impl Tail {
    fn push(&mut self, line: Line) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.lines.len() > TAIL || (self.bytes > TAIL_BYTES && self.lines.len() > 1) {
            let gone = self.lines.pop_front();
            self.bytes -= gone.map_or(0, |gone| gone.text.len());
        }
    }
}

impl Sink {
    /// Takes lines that were read together.
    pub(super) fn take(self: &Arc<Self>, err: bool, texts: Vec<String>) {
        if texts.is_empty() {
            return;
        }
        self.look_for_awaited(&texts);
        let at = Timestamp::now();
        let count = texts.len() as u64;
        let block = block(at, err, &texts);
        let patient = self.left_out.load(Ordering::Relaxed) == 0;
        let queued = self.writer.write(self, block, patient);
        {
            let mut tail = lock(&self.tail);
            for text in texts {
                self.show(&mut tail, at, err, text);
            }
        }
        if !queued && self.left_out.fetch_add(count, Ordering::Relaxed) == 0 {
            self.say(format!(
                "lbdev: the disk is too slow for the lines of `{}`: some are missing from its log",
                self.id
            ));
        }
    }

    /// Calls `tell` once, at the first line from now on that holds `text`. Who waited before waits no more.
    pub(super) fn tell_of(&self, text: String, tell: impl FnOnce() + Send + 'static) {
        let tell = Box::new(tell);
        *lock(&self.awaited) = Some(Awaited { text, tell });
    }

    fn look_for_awaited(&self, texts: &[String]) {
        let mut awaited = lock(&self.awaited);
        let holds = |awaited: &Awaited| {
            let plain = texts.iter().map(|text| strip_escapes(text));
            plain.into_iter().any(|text| text.contains(&awaited.text))
        };
        if awaited.as_ref().is_some_and(holds)
            && let Some(Awaited { tell, .. }) = awaited.take()
        {
            tell();
        }
    }

    /// Waits until the file holds what was taken so far, unless the disk takes longer than a moment.
    pub(super) fn flush(&self) {
        self.writer.flush(WRITTEN);
    }

    fn show(&self, tail: &mut Tail, at: Timestamp, err: bool, text: String) {
        let line = Line {
            at,
            id: self.id.clone(),
            err,
            text: text.into(),
        };
        tail.push(line.clone());
        // Nobody may be listening.
        let _ = self.listeners.send(self.for_listeners(line));
    }

    /// A long line is cut for those who lag.
    fn for_listeners(&self, line: Line) -> Line {
        if line.text.len() <= LAG_LINE || self.listeners.len() < LAG_LONG {
            return line;
        }
        let end = line.text.floor_char_boundary(LAG_LINE);
        let text = format!(
            "{} … [lbdev: too much at once; `lbdev logs` has it]",
            &line.text[..end]
        );
        Line {
            text: text.into(),
            ..line
        }
    }

    /// What lbdev itself has to say among the lines.
    fn say(&self, text: String) {
        self.show(&mut lock(&self.tail), Timestamp::now(), true, text);
    }

    /// Writes to the file, on the writing thread.
    pub(super) fn write(&self, lines: &str) {
        let mut file = lock(&self.file);
        let now = Instant::now();
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            let text =
                format!("lbdev: {left_out} lines are missing here, since the disk was too slow");
            self.append(&mut file, &block(Timestamp::now(), true, &[text]), now);
        }
        self.append(&mut file, lines, now);
    }

    fn append(&self, file: &mut LogFile, lines: &str, now: Instant) {
        match file.append(lines.as_bytes(), now) {
            Written::All | Written::StillFailed => {}
            Written::Failed(why) => self.say(format!(
                "lbdev: the log of `{}` cannot be written ({why}), it is tried again",
                self.id
            )),
            Written::After { lost, why } => {
                let text = format!(
                    "lbdev: the log of `{}` is written again; {lost} lines before this are missing from it ({why})",
                    self.id
                );
                self.say(text.clone());
                // If that fails again, it is said again.
                let _ = file.append(block(Timestamp::now(), true, &[text]).as_bytes(), now);
            }
        }
    }
}

/// Lines as they stand in a file, each with the time at which it was read and the stream it came on.
fn block(at: Timestamp, err: bool, texts: &[String]) -> String {
    let stream = if err { "err" } else { "out" };
    let prefix = format!("{at:.6} {stream} ");
    let bytes = texts.iter().map(|text| prefix.len() + text.len() + 1).sum();
    let mut block = String::with_capacity(bytes);
    for text in texts {
        // Writing to a string cannot fail.
        let _ = writeln!(block, "{prefix}{text}");
    }
    block
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
        store.flush(Duration::from_secs(10));

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
            fs::read_to_string(dir.path().join("web-8000.log.earlier")).unwrap(),
            "earlier\n"
        );
    }

    #[test]
    fn a_file_that_cannot_be_written_is_said_once_and_its_lines_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("logs");
        let store = Store::open(logs.clone()).unwrap();
        fs::remove_dir(&logs).unwrap();
        // A file where the folder was.
        fs::write(&logs, "").unwrap();
        let sink = store.sink(&id(8000));
        for _ in 0..3 {
            sink.take(false, vec!["x".into()]);
        }
        store.flush(Duration::from_secs(10));
        let tail = store.tail(&id(8000), TAIL);
        let said = tail.iter().filter(|line| line.text.starts_with("lbdev:"));
        assert_eq!((tail.len(), said.count()), (4, 1), "{tail:?}");
    }

    #[test]
    fn what_stays_in_memory_is_bounded_by_bytes_too() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().to_owned()).unwrap();
        let sink = store.sink(&id(8000));
        let mut lags = store.subscribe();
        let long = "x".repeat(64 * 1024);
        for _ in 0..LAG_LONG + 10 {
            sink.take(false, vec![long.clone()]);
        }
        let tail = store.tail(&id(8000), TAIL);
        assert_eq!(tail.len(), TAIL_BYTES / long.len());
        let mut heard = Vec::new();
        while let Ok(line) = lags.try_recv() {
            heard.push(line.text.len());
        }
        assert_eq!(heard.len(), LAG_LONG + 10);
        assert!(heard[..LAG_LONG].iter().all(|length| *length == long.len()));
        assert!(
            heard[LAG_LONG..]
                .iter()
                .all(|length| *length < 2 * LAG_LINE)
        );
        let (_, last) = (store.tail(&id(8001), 1), store.tail(&id(8000), 1));
        assert_eq!(last[0].text.len(), long.len());
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let worker = BackendId::new("../a b", Slot::Number(1));
        assert_eq!(file_name(&worker), ".._a_b.1.log");
        assert_eq!(file_name(&id(1)), "web-1.log");
    }
}
