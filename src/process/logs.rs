//! Reading what [`output`](super::output) wrote, while lbdev runs and after it.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::os;

/// Between two looks at the files.
const LOOK: Duration = Duration::from_millis(100);
const BLOCK: u64 = 64 * 1024;

/// One line of a backend's log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When lbdev read it.
    pub at: Timestamp,
    /// The backend's id: `web:8000`.
    pub backend: String,
    /// On standard error.
    pub err: bool,
    /// The line. It may hold terminal escapes.
    pub text: String,
}

/// The lines in the log files of `dir`, the oldest first: of all backends or of `targets` (`8000`, `web`, `web:8000`,
/// `worker.1`, `all`), all of them or the `last` so many altogether. A folder that does not exist holds none.
///
/// # Errors
/// When the folder or a file cannot be read.
pub fn read(
    dir: &Path,
    targets: Option<&[String]>,
    last: Option<usize>,
) -> io::Result<Vec<Record>> {
    Ok(Follower::new(dir, targets, last)?.pending.into())
}

/// Lines as they come.
#[derive(Debug)]
pub struct Follower {
    dir: PathBuf,
    targets: Option<Vec<String>>,
    files: HashMap<PathBuf, Place>,
    pending: VecDeque<Record>,
}

/// How far a file was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    /// Tells a new file of the same name from the old one.
    number: u64,
    offset: u64,
}

impl Follower {
    /// Follows the files of `dir`; begins with what [`read`] with the same arguments gives, and goes on exactly there.
    /// `last`: `Some(0)` gives only what comes from now on.
    ///
    /// # Errors
    /// When the folder or a file cannot be read.
    pub fn new(
        dir: &Path,
        targets: Option<&[String]>,
        last: Option<usize>,
    ) -> io::Result<Follower> {
        let mut follower = Follower {
            dir: dir.to_owned(),
            targets: targets.map(<[String]>::to_vec),
            files: HashMap::new(),
            pending: VecDeque::new(),
        };
        follower.look(last)?;
        if let Some(last) = last {
            let surplus = follower.pending.len().saturating_sub(last);
            follower.pending.drain(..surplus);
        }
        Ok(follower)
    }

    /// The next line; waits for it. `None` when the files cannot be read any more: the folder was deleted. To be called
    /// within a tokio runtime with time. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Record> {
        loop {
            if let Some(record) = self.pending.pop_front() {
                return Some(record);
            }
            if !self.dir.is_dir() {
                return None;
            }
            self.look(None).ok()?;
            if self.pending.is_empty() {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Reads what is new in each file; of a file's first look only the `last` lines.
    fn look(&mut self, last: Option<usize>) -> io::Result<()> {
        let mut fresh = Vec::new();
        for path in files(&self.dir)? {
            let Some(backend) = backend_of(&path) else {
                continue;
            };
            if !wanted(self.targets.as_deref(), &backend) {
                continue;
            }
            let place = self.files.entry(path.clone()).or_default();
            match read_on(&path, place, last) {
                Ok(text) => fresh.extend(records(&backend, &text)),
                // It was renamed between the listing and now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        // Stable: lines of one file stay in their order even where the clock was set back.
        fresh.sort_by_key(|record| record.at);
        self.pending.extend(fresh);
        Ok(())
    }
}

/// The log files of backends in `dir`; none if there is no such folder.
pub(super) fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    Ok(paths?
        .into_iter()
        .filter(|path| backend_of(path).is_some())
        .collect())
}

/// The whole lines after `place`, which moves on. A file that is shorter than before or another one begins anew.
fn read_on(path: &Path, place: &mut Place, last: Option<usize>) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let facts = file.metadata()?;
    let number = os::file_number(&file, &facts)?;
    if number != place.number || facts.len() < place.offset {
        *place = Place { number, offset: 0 };
    }
    if facts.len() == place.offset {
        return Ok(Vec::new());
    }
    if let Some(last) = last {
        place.offset = start_of_last(&mut file, facts.len(), last)?;
    }
    file.seek(SeekFrom::Start(place.offset))?;
    let mut bytes = Vec::new();
    file.take(facts.len() - place.offset)
        .read_to_end(&mut bytes)?;
    // A line that is being written right now comes whole the next time.
    bytes.truncate(memchr::memrchr(b'\n', &bytes).map_or(0, |end| end + 1));
    place.offset += bytes.len() as u64;
    Ok(bytes)
}

/// Where the last `lines` lines of a file begin, found from its end: a log may be large and few lines wanted.
fn start_of_last(file: &mut File, length: u64, lines: usize) -> io::Result<u64> {
    let mut end = length;
    let mut left = lines;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        let mut block = Vec::new();
        file.by_ref().take(end - start).read_to_end(&mut block)?;
        for newline in memchr::memrchr_iter(b'\n', &block) {
            if left == 0 {
                return Ok(start + newline as u64 + 1);
            }
            left -= 1;
        }
        end = start;
    }
    Ok(0)
}

fn records(backend: &str, bytes: &[u8]) -> Vec<Record> {
    String::from_utf8_lossy(bytes)
        .lines()
        .filter_map(|line| record(backend, line))
        .collect()
}

/// `2026-11-22T14:13:41.123456Z out text`. What does not look so (a line torn by a full disk) is left out.
fn record(backend: &str, line: &str) -> Option<Record> {
    let (at, rest) = line.split_once(' ')?;
    let (stream, text) = rest.split_once(' ')?;
    Some(Record {
        at: at.parse().ok()?,
        backend: backend.to_owned(),
        err: match stream {
            "out" => false,
            "err" => true,
            _ => return None,
        },
        text: text.to_owned(),
    })
}

/// `web-8000.log` is of `web:8000`, `worker.1.log` of `worker.1`; other files are none of ours.
fn backend_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_suffix(".log")?;
    match name.rsplit_once('-') {
        Some((service, port)) if port.parse::<u16>().is_ok() => Some(format!("{service}:{port}")),
        _ => name
            .rsplit_once('.')
            .filter(|(_, number)| number.parse::<u32>().is_ok())
            .map(|_| name.to_owned()),
    }
}

fn wanted(targets: Option<&[String]>, backend: &str) -> bool {
    let Some(targets) = targets else {
        return true;
    };
    let (service, port) = match backend.rsplit_once(':') {
        Some((service, port)) => (service, Some(port)),
        None => (backend.rsplit_once('.').map_or(backend, |(s, _)| s), None),
    };
    targets.iter().any(|target| {
        target == "all" || target == backend || target == service || Some(target.as_str()) == port
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn line(second: u32, text: &str) -> String {
        format!("2026-11-22T14:13:{second:02}.000000Z out {text}\n")
    }

    fn texts(records: &[Record]) -> Vec<&str> {
        records.iter().map(|record| record.text.as_str()).collect()
    }

    #[test]
    fn files_are_merged_by_time_and_chosen_by_target() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
        put(
            "web-8000.log",
            line(1, "a") + &line(3, "") + "torn\n" + &line(5, "e"),
        );
        put(
            "web-8001.log",
            line(2, "b") + &line(4, "d") + "2026-11-22T14",
        );
        put("worker.1.log", line(6, "w"));
        put("web-8000.log.1", line(0, "earlier"));
        put("lbdev.log", line(0, "not a backend's"));
        let check = |targets: Option<&[&str]>, last, expected: &[&str]| {
            let targets: Option<Vec<String>> =
                targets.map(|all| all.iter().map(|t| (*t).to_owned()).collect());
            let found = read(dir.path(), targets.as_deref(), last).unwrap();
            assert_eq!(texts(&found), expected, "{targets:?} {last:?}");
        };
        check(None, None, &["a", "b", "", "d", "e", "w"]);
        check(None, Some(2), &["e", "w"]);
        check(None, Some(0), &[]);
        check(Some(&["all"]), Some(1), &["w"]);
        check(Some(&["8000"]), None, &["a", "", "e"]);
        check(Some(&["web:8001", "worker.1"]), None, &["b", "d", "w"]);
        check(Some(&["web"]), Some(3), &["", "d", "e"]);
        check(Some(&["800"]), None, &[]);
        let none = read(&dir.path().join("no"), None, None).unwrap();
        assert_eq!(none, []);
    }

    #[test]
    fn the_last_lines_of_a_large_file_are_found_from_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let text: String = (0..20_000).map(|n| line(1, &format!("line {n}"))).collect();
        fs::write(dir.path().join("web-1.log"), text).unwrap();
        for last in [1, 2, 5000, 19_999, 20_000, 30_000] {
            let found = read(dir.path(), None, Some(last)).unwrap();
            assert_eq!(found.len(), last.min(20_000));
            assert_eq!(found.last().unwrap().text, "line 19999");
        }
    }

    #[tokio::test]
    async fn following_goes_on_through_pieces_truncation_and_new_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web-8000.log");
        fs::write(&path, line(1, "a") + &line(2, "b")).unwrap();
        let mut follower = Follower::new(dir.path(), None, Some(1)).unwrap();
        let mut next = async || follower.next().await.unwrap().text;
        assert_eq!(next().await, "b");

        let append = |text: &str| {
            let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        let (half, rest) = (
            line(3, "c").split_at(10).0.to_owned(),
            line(3, "c")[10..].to_owned(),
        );
        append(&half);
        assert!(
            tokio::time::timeout(LOOK * 2, next()).await.is_err(),
            "half a line is none"
        );
        append(&rest);
        assert_eq!(next().await, "c");
        fs::write(dir.path().join("web-8001.log"), line(4, "new file")).unwrap();
        assert_eq!(next().await, "new file");
        fs::rename(&path, dir.path().join("web-8000.log.1")).unwrap();
        fs::write(
            &path,
            line(5, "renamed away, longer than before, and another line") + &line(6, "f"),
        )
        .unwrap();
        assert_eq!(
            next().await,
            "renamed away, longer than before, and another line"
        );
        assert_eq!(next().await, "f");
        fs::write(&path, line(7, "short")).unwrap();
        assert_eq!(next().await, "short");
        drop(dir);
        assert_eq!(follower.next().await, None);
    }
}
