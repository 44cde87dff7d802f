//! Reading what [`output`](super::output) wrote, while lbdev runs and after it.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use regex::Regex;

use super::log_file::piece;
use super::{os, strip_escapes};

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

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Of these backends (`8000`, `web`, `web:8000`, `worker.1`, `all`); `None`: of all of them.
    pub targets: Option<Vec<String>>,
    /// Not older than this.
    pub since: Option<Timestamp>,
    /// With a match of this, terminal escapes apart.
    pub grep: Option<Regex>,
    /// Of those that are there already only so many of the last ones, altogether.
    pub last: Option<usize>,
}

impl Wanted {
    fn takes(&self, record: &Record) -> bool {
        let young = self.since.is_none_or(|since| record.at >= since);
        young && (self.grep.as_ref()).is_none_or(|grep| grep.is_match(&strip_escapes(&record.text)))
    }

    /// How many of a file's last lines can be enough: those that are wanted may be anywhere in it.
    fn enough(&self) -> Option<usize> {
        self.last
            .filter(|_| self.since.is_none() && self.grep.is_none())
    }
}

/// The lines in the log files of `dir` that are wanted, the oldest first. A folder that does not exist holds none.
///
/// # Errors
/// When the folder or a file cannot be read.
pub fn read(dir: &Path, wanted: &Wanted) -> io::Result<Vec<Record>> {
    Ok(Follower::new(dir, wanted)?.pending.into())
}

/// Lines as they come.
#[derive(Debug)]
pub struct Follower {
    dir: PathBuf,
    wanted: Wanted,
    files: HashMap<PathBuf, Place>,
    pending: VecDeque<Record>,
}

/// How far a backend's files were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    /// Tells a piece from the others, whatever its name is now.
    number: u64,
    offset: u64,
}

impl Follower {
    /// Follows the files of `dir`; begins with what [`read`] with the same arguments gives, and goes on exactly there.
    /// With `last` as `Some(0)` it gives only what comes from now on.
    ///
    /// # Errors
    /// When the folder or a file cannot be read.
    pub fn new(dir: &Path, wanted: &Wanted) -> io::Result<Follower> {
        let mut follower = Follower {
            dir: dir.to_owned(),
            wanted: wanted.clone(),
            files: HashMap::new(),
            pending: VecDeque::new(),
        };
        follower.look(wanted.enough())?;
        if let Some(last) = wanted.last {
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

    /// Reads what is new in each file; of a backend's first look only the `last` lines.
    fn look(&mut self, last: Option<usize>) -> io::Result<()> {
        let mut fresh = Vec::new();
        for path in files(&self.dir)? {
            let Some(backend) = backend_of(&path) else {
                continue;
            };
            if !is_wanted(self.wanted.targets.as_deref(), &backend) {
                continue;
            }
            let place = self.files.entry(path.clone()).or_default();
            let text = read_on(&path, place, last)?;
            fresh.extend(records(&backend, &text).filter(|record| self.wanted.takes(record)));
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

/// The older pieces of a log that are there, the youngest first.
pub(super) fn older_pieces(path: &Path) -> impl Iterator<Item = PathBuf> {
    let path = path.to_owned();
    let pieces = (1..).map(move |number| piece(&path, number));
    pieces.take_while(|piece| piece.exists())
}

/// One file of a backend.
struct Piece {
    file: File,
    number: u64,
    length: u64,
}

/// A backend's files, the youngest first. One that is renamed meanwhile is seen twice and taken once; one that is begun
/// meanwhile is seen the next time.
fn pieces(path: &Path) -> io::Result<Vec<Piece>> {
    let mut all: Vec<Piece> = Vec::new();
    for path in [path.to_owned()].into_iter().chain(older_pieces(path)) {
        let file = match File::open(&path) {
            Ok(file) => file,
            // It was renamed between two looks.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let facts = file.metadata()?;
        let number = os::file_number(&file, &facts)?;
        if all.iter().all(|piece| piece.number != number) {
            all.push(Piece {
                file,
                number,
                length: facts.len(),
            });
        }
    }
    Ok(all)
}

/// The whole lines after `place`, which moves on. A file that is shorter than before begins anew, and so does one of which
/// no piece is known. Of a first look only the `last` lines.
fn read_on(path: &Path, place: &mut Place, last: Option<usize>) -> io::Result<Vec<u8>> {
    let mut pieces = pieces(path)?;
    let known = pieces.iter().position(|piece| piece.number == place.number);
    let mut bytes = Vec::new();
    if known.is_none()
        && let Some(last) = last
    {
        let mut left = last;
        // From the youngest back, as far as it takes.
        for piece in &mut pieces {
            let (start, found) = start_of_last(&mut piece.file, piece.length, left)?;
            let mut text = piece.read_from(start)?;
            if place.number == 0 {
                *place = piece.place_after(start, &mut text);
            }
            text.extend(std::mem::take(&mut bytes));
            bytes = text;
            left = left.saturating_sub(found);
            if left == 0 {
                break;
            }
        }
        return Ok(bytes);
    }
    let from = known.unwrap_or(pieces.len().saturating_sub(1));
    for (age, piece) in pieces.iter_mut().enumerate().take(from + 1).rev() {
        let offset = match known {
            Some(known) if known == age && place.offset <= piece.length => place.offset,
            _ => 0,
        };
        let mut text = piece.read_from(offset)?;
        // A line that is being written right now comes whole the next time; an older piece is not written to any more.
        match age {
            0 => *place = piece.place_after(offset, &mut text),
            _ => {
                *place = Place {
                    number: piece.number,
                    offset: piece.length,
                }
            }
        }
        bytes.extend(text);
    }
    Ok(bytes)
}

impl Piece {
    fn read_from(&mut self, offset: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if offset < self.length {
            self.file.seek(SeekFrom::Start(offset))?;
            let rest = self.length - offset;
            self.file.by_ref().take(rest).read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }

    /// Cuts what was read from `offset` on after its last whole line; where that ends.
    fn place_after(&self, offset: u64, text: &mut Vec<u8>) -> Place {
        text.truncate(memchr::memrchr(b'\n', text).map_or(0, |end| end + 1));
        Place {
            number: self.number,
            offset: offset + text.len() as u64,
        }
    }
}

/// Where the last `lines` lines of a file begin, and how many these are, found from its end: a log may be large and few
/// lines wanted.
fn start_of_last(file: &mut File, length: u64, lines: usize) -> io::Result<(u64, usize)> {
    let mut end = length;
    let mut left = lines;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        let mut block = Vec::new();
        file.by_ref().take(end - start).read_to_end(&mut block)?;
        for newline in memchr::memrchr_iter(b'\n', &block) {
            if left == 0 {
                return Ok((start + newline as u64 + 1, lines));
            }
            left -= 1;
        }
        end = start;
    }
    Ok((0, lines - left))
}

fn records(backend: &str, bytes: &[u8]) -> impl Iterator<Item = Record> {
    // Written by lbdev: each line is text already.
    bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| record(backend, &String::from_utf8_lossy(line)))
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

fn is_wanted(targets: Option<&[String]>, backend: &str) -> bool {
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

    fn last_only(last: usize) -> Wanted {
        Wanted {
            last: Some(last),
            ..Wanted::default()
        }
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
        put("web-8000.log.earlier", line(0, "earlier"));
        put("lbdev.log", line(0, "not a backend's"));
        let check = |targets: Option<&[&str]>, last, expected: &[&str]| {
            let targets: Option<Vec<String>> =
                targets.map(|all| all.iter().map(|t| (*t).to_owned()).collect());
            let wanted = Wanted {
                targets,
                last,
                ..Wanted::default()
            };
            let found = read(dir.path(), &wanted).unwrap();
            assert_eq!(texts(&found), expected, "{wanted:?}");
        };
        check(None, None, &["a", "b", "", "d", "e", "w"]);
        check(None, Some(2), &["e", "w"]);
        check(None, Some(0), &[]);
        check(Some(&["all"]), Some(1), &["w"]);
        check(Some(&["8000"]), None, &["a", "", "e"]);
        check(Some(&["web:8001", "worker.1"]), None, &["b", "d", "w"]);
        check(Some(&["web"]), Some(3), &["", "d", "e"]);
        check(Some(&["800"]), None, &[]);
        let none = read(&dir.path().join("no"), &Wanted::default()).unwrap();
        assert_eq!(none, []);
    }

    #[test]
    fn the_last_lines_of_a_large_file_are_found_from_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let text: String = (0..20_000).map(|n| line(1, &format!("line {n}"))).collect();
        fs::write(dir.path().join("web-1.log"), text).unwrap();
        for last in [1, 2, 5000, 19_999, 20_000, 30_000] {
            let found = read(dir.path(), &last_only(last)).unwrap();
            assert_eq!(found.len(), last.min(20_000));
            assert_eq!(found.last().unwrap().text, "line 19999");
        }
    }

    #[tokio::test]
    async fn following_goes_on_through_pieces_truncation_and_new_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web-8000.log");
        fs::write(&path, line(1, "a") + &line(2, "b")).unwrap();
        let mut follower = Follower::new(dir.path(), &last_only(1)).unwrap();
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
