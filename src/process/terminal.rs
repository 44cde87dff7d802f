//! Terminals of backends: what a program writes that has one goes to whoever is attached, and what they type goes to it.
//!
//! A terminal belongs to a backend and outlives its runs: who is attached stays so when the program is started anew.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};
use tokio::sync::broadcast;

use crate::backend::BackendId;

/// What was written last is kept for who attaches later: more than a screen.
const RECENT: usize = 16 * 1024;
/// Pieces that somebody who is attached may lag behind before some are left out; a piece is what one read gave.
const LAG: usize = 256;
/// A piece for those who are attached is no longer than this, so that one who stands still costs some megabytes at most.
const PIECE: usize = 8 * 1024;

/// How large a terminal is, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// From left to right.
    pub columns: u16,
    /// From top to bottom.
    pub rows: u16,
}

impl Size {
    /// That of the terminal that this process's output goes to, if it goes to one.
    pub fn of_own() -> Option<Size> {
        let size = tcgetwinsize(io::stdout()).or_else(|_| tcgetwinsize(io::stdin()));
        let size = size
            .ok()
            .filter(|size| size.ws_col > 0 && size.ws_row > 0)?;
        Some(Size {
            columns: size.ws_col,
            rows: size.ws_row,
        })
    }

    fn raw(self) -> Winsize {
        Winsize {
            ws_row: self.rows,
            ws_col: self.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        }
    }
}

/// The terminals of an instance, by backend.
#[derive(Debug, Default)]
pub struct Terminals {
    all: Mutex<HashMap<BackendId, Arc<Terminal>>>,
    /// Those that are to have one although their configuration says nothing of it.
    forced: Mutex<HashSet<BackendId>>,
}

/// What happens at a terminal.
#[derive(Debug, Clone)]
pub enum Scene {
    /// The program wrote this.
    Output(Bytes),
    /// A program has it now.
    Begins,
    /// Its program has ended.
    Ends,
}

/// One backend's terminal.
#[derive(Debug)]
pub struct Terminal {
    state: Mutex<State>,
    scenes: broadcast::Sender<Scene>,
}

#[derive(Debug)]
struct State {
    /// Our end of the present run's.
    ours: Option<Arc<File>>,
    recent: VecDeque<u8>,
    size: Size,
}

/// The two ends of a run's terminal.
pub(super) struct Ends {
    /// For reading, not blocking.
    pub(super) ours: OwnedFd,
    /// The program's.
    pub(super) theirs: OwnedFd,
    /// Tells this pair from the next one.
    pub(super) pair: Pair,
}

/// One run's use of a terminal.
#[derive(Debug, Clone)]
pub(super) struct Pair(Arc<File>);

impl Terminals {
    /// The terminal of a backend that has one, or will have one with its next run. `None` where there are none at all.
    pub fn for_attaching(&self, id: &BackendId) -> Option<Arc<Terminal>> {
        Some(self.make(id))
    }

    /// From its next run on this backend has a terminal, whatever its configuration says; or no longer.
    pub fn force(&self, id: &BackendId, forced: bool) {
        let mut all = lock(&self.forced);
        match forced {
            true => all.insert(id.clone()),
            false => all.remove(id),
        };
    }

    /// Whether it is to have one although its configuration says nothing of it.
    pub fn is_forced(&self, id: &BackendId) -> bool {
        lock(&self.forced).contains(id)
    }

    /// The terminal of a backend that is to have one.
    pub(super) fn make(&self, id: &BackendId) -> Arc<Terminal> {
        let mut all = lock(&self.all);
        let terminal = all.entry(id.clone()).or_insert_with(|| {
            Arc::new(Terminal {
                state: Mutex::new(State {
                    ours: None,
                    recent: VecDeque::new(),
                    // As wide as the window in which its lines are shown, else as terminals have always been.
                    size: Size::of_own().unwrap_or(Size {
                        columns: 80,
                        rows: 24,
                    }),
                }),
                scenes: broadcast::Sender::new(LAG),
            })
        });
        terminal.clone()
    }
}

impl Terminal {
    /// A fresh pair of ends for one run. Our end is kept for input and size.
    ///
    /// # Errors
    /// When the system has no terminal left.
    pub(super) fn open(&self) -> io::Result<Ends> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let name = ptsname(&ours, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = open(name.as_c_str(), flags, Mode::empty())?;
        // Nobody waits for a program that does not read what is typed.
        rustix::io::ioctl_fionbio(&ours, true)?;
        let reading = ours.try_clone()?;
        let mut state = lock(&self.state);
        tcsetwinsize(&ours, state.size.raw())?;
        let pair = Pair(Arc::new(File::from(ours)));
        state.ours = Some(pair.0.clone());
        drop(state);
        self.play(Scene::Begins);
        Ok(Ends {
            ours: reading,
            theirs,
            pair,
        })
    }

    /// The run that had it has ended. The next one may have it already.
    pub(super) fn close(&self, pair: &Pair) {
        let mut state = lock(&self.state);
        if state
            .ours
            .as_ref()
            .is_some_and(|ours| Arc::ptr_eq(ours, &pair.0))
        {
            state.ours = None;
            drop(state);
            self.play(Scene::Ends);
        }
    }

    /// The program wrote this.
    pub(super) fn wrote(&self, bytes: &[u8]) {
        let mut state = lock(&self.state);
        state.recent.extend(bytes);
        let surplus = state.recent.len().saturating_sub(RECENT);
        state.recent.drain(..surplus);
        // Within the lock: who attaches gets each piece once.
        for piece in bytes.chunks(PIECE) {
            self.play(Scene::Output(Bytes::copy_from_slice(piece)));
        }
    }

    fn play(&self, scene: Scene) {
        // Nobody may be attached.
        let _ = self.scenes.send(scene);
    }

    /// What was written last, and all that comes from now on. A receiver that lags too far gets `Lagged(n)`.
    pub fn attach(&self) -> (Vec<u8>, broadcast::Receiver<Scene>) {
        let state = lock(&self.state);
        let recent = state.recent.iter().copied().collect();
        (recent, self.scenes.subscribe())
    }

    /// Whether a program has it now.
    pub fn is_live(&self) -> bool {
        lock(&self.state).ours.is_some()
    }

    /// Types as much of `bytes` as the program's terminal takes at once; how much that was. Where no program has it, all of
    /// it goes nowhere.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn type_in(&self, bytes: &[u8]) -> io::Result<usize> {
        let ours = lock(&self.state).ours.clone();
        let Some(ours) = ours else {
            return Ok(bytes.len());
        };
        match (&*ours).write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }

    /// The window in which it is shown has this size now; the program is told (SIGWINCH).
    pub fn resize(&self, size: Size) {
        let mut state = lock(&self.state);
        state.size = size;
        if let Some(ours) = &state.ours {
            // One that has just gone needs no size.
            let _ = tcsetwinsize(ours, size.raw());
        }
    }
}

/// Nothing panics while it holds one of these locks; if something did, the state would still be whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::backend::Slot;

    #[test]
    fn what_is_typed_and_written_passes_and_who_comes_later_sees_the_last_of_it() {
        let terminals = Terminals::default();
        let id = BackendId::new("web", Slot::Port(8000));
        assert!(!terminals.is_forced(&id));
        terminals.force(&id, true);
        assert!(terminals.is_forced(&id));
        let terminal = terminals.make(&id);
        assert!(!terminal.is_live());
        assert_eq!(terminal.type_in(b"to nobody").unwrap(), 9);
        terminal.resize(Size {
            columns: 100,
            rows: 30,
        });
        let ends = terminal.open().unwrap();
        let theirs = tcgetwinsize(&ends.theirs).unwrap();
        assert_eq!((theirs.ws_col, theirs.ws_row), (100, 30));
        assert_eq!(terminal.type_in(b"hello\n").unwrap(), 6);
        let mut line = [0; 6];
        let mut program = File::from(ends.theirs.try_clone().unwrap());
        program.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"hello\n");
        // A program that reads nothing costs nobody anything.
        let mut taken = 0;
        for _ in 0..1000 {
            taken += terminal.type_in(&[b'x'; 100]).unwrap();
        }
        assert!(taken < 100_000, "{taken}");

        terminal.wrote(&vec![b'a'; RECENT]);
        terminal.wrote(b"last");
        let (recent, mut scenes) = terminal.attach();
        assert_eq!(recent.len(), RECENT);
        assert!(recent.ends_with(b"alast"));
        terminal.wrote(b"next");
        assert!(matches!(scenes.try_recv(), Ok(Scene::Output(bytes)) if bytes == "next"));
        terminal.close(&ends.pair);
        assert!(matches!(scenes.try_recv(), Ok(Scene::Ends)));
        assert!(!terminal.is_live());
    }
}
