//! The file of one backend's lines: whole lines only, begun anew when it is long, and tried again after it could not be
//! written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::os;

/// When a file is begun anew, and how many older ones are kept beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// In bytes; one line more may be in it.
    pub size: u64,
    /// Older pieces: `….log.1` is the youngest.
    pub keep: u32,
}

impl Default for Rotation {
    /// 64 MiB a backend at the most, which is some 600,000 lines: hours of an access log under load, and nothing that
    /// fills a laptop's disk.
    fn default() -> Self {
        Self {
            size: 16 * 1024 * 1024,
            keep: 3,
        }
    }
}

/// A file that was not to be had is not asked for more often than this; and so often it is made sure that the file is
/// still there.
const AGAIN: Duration = Duration::from_secs(1);

/// What came of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// All is in the file.
    All,
    /// All is in the file, and so many lines before it are not, for this reason.
    After {
        /// Lines.
        lost: u64,
        /// Why.
        why: String,
    },
    /// It is not, for the first time.
    Failed(String),
    /// It still is not.
    StillFailed,
}

/// One backend's file.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    open: Option<Open>,
    trouble: Option<Trouble>,
    looked: Instant,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// The length of the whole lines in it.
    length: u64,
    /// Tells it from another file of its name.
    number: u64,
}

/// Why lines are missing.
#[derive(Debug)]
struct Trouble {
    why: String,
    lost: u64,
    tried: Instant,
}

impl LogFile {
    pub(super) fn new(path: PathBuf, rotation: Rotation) -> LogFile {
        LogFile {
            path,
            rotation,
            open: None,
            trouble: None,
            looked: Instant::now(),
        }
    }

    /// Appends whole lines, each ended by a newline. What does not fit is not there in part either. `missing`: so many lines
    /// before these were left out by the caller.
    pub(super) fn append(&mut self, lines: &[u8], now: Instant) -> Written {
        let count = memchr::memchr_iter(b'\n', lines).count() as u64;
        if let Some(trouble) = &mut self.trouble
            && now.saturating_duration_since(trouble.tried) < AGAIN
        {
            trouble.lost += count;
            return Written::StillFailed;
        }
        match self.try_append(lines, now) {
            Ok(()) => match self.trouble.take() {
                None => Written::All,
                Some(Trouble { why, lost, .. }) => Written::After { lost, why },
            },
            Err(Incomplete { error, whole }) => {
                let lost = count - whole;
                match &mut self.trouble {
                    Some(trouble) => {
                        trouble.lost += lost;
                        trouble.tried = now;
                        Written::StillFailed
                    }
                    None => {
                        let why = error.to_string();
                        self.trouble = Some(Trouble {
                            why: why.clone(),
                            lost,
                            tried: now,
                        });
                        Written::Failed(why)
                    }
                }
            }
        }
    }

    /// The lines that are missing now, and why, where there are some.
    #[cfg(test)]
    fn missing(&self) -> Option<u64> {
        self.trouble.as_ref().map(|trouble| trouble.lost)
    }

    fn try_append(&mut self, lines: &[u8], now: Instant) -> Result<(), Incomplete> {
        if now.saturating_duration_since(self.looked) >= AGAIN {
            self.looked = now;
            // Somebody may have removed or replaced it: nobody would find what is written into the old one.
            let there = number_of(&self.path).ok();
            if self
                .open
                .as_ref()
                .is_some_and(|open| there != Some(open.number))
            {
                self.open = None;
            }
        }
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.length >= self.rotation.size)
        {
            self.rotate();
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(Open::at(&self.path)?),
        };
        open.append(lines).inspect_err(|_| self.open = None)
    }

    /// The older pieces move on by one, the oldest goes. If one cannot be moved the file goes on to grow.
    fn rotate(&mut self) {
        for number in (1..self.rotation.keep).rev() {
            // It may not be there yet.
            let _ = fs::rename(piece(&self.path, number), piece(&self.path, number + 1));
        }
        let moved = match self.rotation.keep {
            0 => fs::remove_file(&self.path),
            _ => fs::rename(&self.path, piece(&self.path, 1)),
        };
        if moved.is_ok() {
            self.open = None;
        }
    }
}

fn number_of(path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    let facts = file.metadata()?;
    os::file_number(&file, &facts)
}

/// An older piece of a log: `web-8000.log.1`, the youngest of them.
pub(super) fn piece(path: &Path, number: u32) -> PathBuf {
    path.with_added_extension(number.to_string())
}

/// A write that was cut short.
struct Incomplete {
    error: io::Error,
    /// Lines that are in the file.
    whole: u64,
}

impl From<io::Error> for Incomplete {
    fn from(error: io::Error) -> Self {
        Incomplete { error, whole: 0 }
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Open> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = os::private_file().create(true).append(true).open(path)?;
        let facts = file.metadata()?;
        Ok(Open {
            number: os::file_number(&file, &facts)?,
            length: facts.len(),
            file,
        })
    }

    fn append(&mut self, lines: &[u8]) -> Result<(), Incomplete> {
        let mut written = 0;
        let error = loop {
            match self.file.write(&lines[written..]) {
                Ok(0) => break io::ErrorKind::WriteZero.into(),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break error,
            }
            if written == lines.len() {
                self.length += written as u64;
                return Ok(());
            }
        };
        let end = memchr::memrchr(b'\n', &lines[..written]).map_or(0, |end| end + 1);
        self.length += end as u64;
        // Half a line would be read as one. On a full disk this works; where it does not, the next line begins anew.
        if self.file.set_len(self.length).is_err() {
            let _ = self.file.write(b"\n");
        }
        Err(Incomplete {
            error,
            whole: memchr::memchr_iter(b'\n', &lines[..end]).count() as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn it_is_begun_anew_and_so_many_pieces_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web-1.log");
        let rotation = Rotation { size: 10, keep: 2 };
        let mut log = LogFile::new(path.clone(), rotation);
        for line in [
            "one 12345\n",
            "two 12345\n",
            "three 123\n",
            "four\n",
            "five\n",
            "six\n",
        ] {
            assert_eq!(log.append(line.as_bytes(), Instant::now()), Written::All);
        }
        assert_eq!(
            names(dir.path()),
            ["web-1.log", "web-1.log.1", "web-1.log.2"]
        );
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        assert_eq!(read(&path), "six\n");
        assert_eq!(read(&piece(&path, 1)), "four\nfive\n");
        assert_eq!(read(&piece(&path, 2)), "three 123\n");
        // It goes on where an earlier one stopped.
        let mut log = LogFile::new(path.clone(), rotation);
        log.append(b"seven\n", Instant::now());
        assert_eq!(read(&path), "six\nseven\n");
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("logs");
        let path = folder.join("web-1.log");
        // A file where the folder should be.
        fs::write(&folder, "").unwrap();
        let mut log = LogFile::new(path.clone(), Rotation::default());
        let mut now = Instant::now();
        assert!(matches!(log.append(b"a\nb\n", now), Written::Failed(_)));
        assert_eq!(log.append(b"c\n", now), Written::StillFailed);
        fs::remove_file(&folder).unwrap();
        assert_eq!(log.append(b"d\n", now), Written::StillFailed, "too soon");
        assert_eq!(log.missing(), Some(4));
        now += AGAIN;
        assert!(matches!(
            log.append(b"e\n", now),
            Written::After { lost: 4, .. }
        ));
        assert_eq!(log.append(b"f\n", now), Written::All);
        assert_eq!(fs::read_to_string(&path).unwrap(), "e\nf\n");
        // Somebody cleans up.
        fs::remove_dir_all(&folder).unwrap();
        now += AGAIN;
        assert_eq!(log.append(b"g\n", now), Written::All);
        assert_eq!(fs::read_to_string(&path).unwrap(), "g\n");
    }
}
