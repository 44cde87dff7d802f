//! This process's own terminal: raw while another program has it, with keys that come one by one while `up` listens to them,
//! and as before afterwards, whatever happens.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use tokio::sync::mpsc::UnboundedSender;

use super::keys::Decoder;

/// The terminal is raw for as long as this lives. Dropping it, also by a panic, makes it as it was.
#[derive(Debug)]
pub struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    /// Whether input and output go to a terminal.
    pub fn is_there() -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal()
    }

    /// Makes it raw: each key comes at once, Ctrl-C too.
    ///
    /// # Errors
    /// When input does not come from a terminal.
    pub fn enter() -> io::Result<RawTerminal> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        Ok(RawTerminal { before })
    }

    /// Shows what the other program wrote, as it is.
    ///
    /// # Errors
    /// When the terminal has gone.
    pub fn show(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// Says something on a line of its own.
    ///
    /// # Errors
    /// When the terminal has gone.
    pub fn say(&self, text: &str) -> io::Result<()> {
        self.show(format!("\r\n[lbdev: {text}]\r\n").as_bytes())
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // Colours off, cursor on, the line ended: what the other program may have left. A terminal that has gone needs neither.
        let _ = self.show(b"\x1b[0m\x1b[?25h\r\n");
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// How the terminal was before its keys came one by one.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The process ends: nobody changes the terminal any more.
static OVER: AtomicBool = AtomicBool::new(false);

/// Makes the terminal as it was, if [`KeyReader`] changed it.
fn restore() {
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(before) = before.take()
        // In the background it is the shell's, which has made it its own; whoever touches it there is stopped.
        && in_foreground()
    {
        // One that has gone needs nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

/// The same for good: whoever ends the process calls it, whatever becomes of the thread that reads keys.
pub fn give_back() {
    OVER.store(true, Ordering::SeqCst);
    restore();
}

/// Reads single keys of this process's terminal, while it is in the foreground. Dropping it ends that and makes the terminal
/// as it was.
#[derive(Debug)]
pub struct KeyReader {
    wanted: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

/// It is looked so often whether this is still the process in the foreground.
const LOOK: Duration = Duration::from_millis(100);
/// Ctrl-Z, which comes as a key here: first the terminal is made as it was.
const SUSPEND: u8 = 0x1a;

impl KeyReader {
    /// Begins to read, and sends each key; `None` where input, output and errors are not all a terminal that can move its
    /// cursor.
    ///
    /// # Errors
    /// When the machine has no thread left.
    pub fn start(to: UnboundedSender<char>) -> io::Result<Option<KeyReader>> {
        let dumb = std::env::var("TERM").map_or(true, |term| term == "dumb" || term.is_empty());
        if dumb || !RawTerminal::is_there() || !io::stderr().is_terminal() {
            return Ok(None);
        }
        let reader = KeyReader {
            wanted: Arc::new(AtomicBool::new(true)),
            ended: Arc::default(),
        };
        let (wanted, ended) = (reader.wanted.clone(), reader.ended.clone());
        std::thread::Builder::new()
            .name("keys".into())
            .spawn(move || {
                // In the background it would be stopped for touching the terminal.
                let signals = SigSet::from_iter([Signal::SIGTTOU, Signal::SIGTTIN]);
                if signals.thread_block().is_ok() {
                    read_keys(&to, &wanted, &ended);
                }
                restore();
            })?;
        Ok(Some(reader))
    }

    /// Another program has the terminal from now on, as it was before; or not any more.
    pub fn lend(&self, lent: bool) {
        self.wanted.store(!lent, Ordering::SeqCst);
        if lent {
            restore();
        }
    }
}

impl Drop for KeyReader {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        self.wanted.store(false, Ordering::SeqCst);
        restore();
    }
}

/// Whether this process may touch its terminal.
fn in_foreground() -> bool {
    let group = rustix::termios::tcgetpgrp(io::stdin());
    group.is_ok_and(|group| group == rustix::process::getpgrp())
}

fn read_keys(to: &UnboundedSender<char>, wanted: &AtomicBool, ended: &AtomicBool) {
    let stdin = io::stdin();
    let mut decoder = Decoder::default();
    while !ended.load(Ordering::SeqCst) && !to.is_closed() {
        if !wanted.load(Ordering::SeqCst) || !in_foreground() {
            std::thread::sleep(LOOK);
            continue;
        }
        if one_by_one(wanted).is_err() {
            return;
        }
        let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
        let limit = Timespec::try_from(LOOK).ok();
        match poll(&mut polled, limit.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(_) => return,
        }
        if !wanted.load(Ordering::SeqCst) || !in_foreground() {
            continue;
        }
        let mut bytes = [0; 64];
        let read = match rustix::io::read(&stdin, &mut bytes) {
            // The terminal has gone.
            Ok(0) => return,
            Ok(read) => &bytes[..read],
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
            Err(_) => return,
        };
        if read.contains(&SUSPEND) {
            restore();
            // The whole job stops, as by the terminal itself; what follows happens when it goes on.
            let _ = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP);
            continue;
        }
        for key in decoder.keys(read) {
            if to.send(key).is_err() {
                return;
            }
        }
    }
}

/// Has keys come one by one and unseen, if they do not: somebody may have changed that meanwhile, as a shell does with a job
/// that goes on.
fn one_by_one(wanted: &AtomicBool) -> io::Result<()> {
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    // It may have been lent a moment ago: who did so makes it as it was after this.
    if !wanted.load(Ordering::SeqCst) || OVER.load(Ordering::SeqCst) {
        return Ok(());
    }
    let now = tcgetattr(io::stdin())?;
    let lines = LocalModes::ICANON | LocalModes::ECHO;
    if !now.local_modes.intersects(lines) {
        return Ok(());
    }
    let mut keys = now.clone();
    keys.local_modes.remove(lines);
    keys.special_codes[SpecialCodeIndex::VMIN] = 1;
    keys.special_codes[SpecialCodeIndex::VTIME] = 0;
    // Zero is no key (POSIX `_POSIX_VDISABLE` on Linux; elsewhere NUL is no key of a person either).
    keys.special_codes[SpecialCodeIndex::VSUSP] = 0;
    *before = Some(now);
    tcsetattr(io::stdin(), OptionalActions::Now, &keys)?;
    Ok(())
}
