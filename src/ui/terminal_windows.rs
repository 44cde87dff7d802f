//! This process's own terminal. It cannot be given to another program here yet, since no backend has one; its keys can be
//! read.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind};
use tokio::sync::mpsc::UnboundedSender;

/// A terminal that is raw.
#[derive(Debug)]
pub enum RawTerminal {}

impl RawTerminal {
    /// It cannot be used.
    pub fn is_there() -> bool {
        false
    }

    /// Makes it raw.
    ///
    /// # Errors
    /// Always.
    pub fn enter() -> io::Result<RawTerminal> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Shows what the other program wrote.
    ///
    /// # Errors
    /// Never.
    pub fn show(&self, _: &[u8]) -> io::Result<()> {
        match *self {}
    }

    /// Says something on a line of its own.
    ///
    /// # Errors
    /// Never.
    pub fn say(&self, _: &str) -> io::Result<()> {
        match *self {}
    }
}

/// Nothing of a console is changed, so that there is nothing to give back.
pub fn give_back() {}

/// Reads single keys of this process's console. Dropping it ends that.
#[derive(Debug)]
pub struct KeyReader {
    wanted: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

/// It is looked so often whether keys are still wanted.
const LOOK: Duration = Duration::from_millis(100);

impl KeyReader {
    /// Begins to read, and sends each key; `None` where input, output and errors are not all a console.
    ///
    /// # Errors
    /// When the machine has no thread left.
    pub fn start(to: UnboundedSender<char>) -> io::Result<Option<KeyReader>> {
        let all = io::stdin().is_terminal() && io::stdout().is_terminal();
        if !all || !io::stderr().is_terminal() {
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
                while !ended.load(Ordering::SeqCst) && !to.is_closed() {
                    if !wanted.load(Ordering::SeqCst) {
                        std::thread::sleep(LOOK);
                        continue;
                    }
                    match event::poll(LOOK) {
                        Ok(false) => continue,
                        Ok(true) if !wanted.load(Ordering::SeqCst) => continue,
                        Ok(true) => {}
                        Err(_) => return,
                    }
                    let Ok(event) = event::read() else { return };
                    if let Some(key) = key(&event)
                        && to.send(key).is_err()
                    {
                        return;
                    }
                }
            })?;
        Ok(Some(reader))
    }

    /// Another program has the console from now on; or not any more.
    pub fn lend(&self, lent: bool) {
        self.wanted.store(!lent, Ordering::SeqCst);
    }
}

impl Drop for KeyReader {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

fn key(event: &Event) -> Option<char> {
    let Event::Key(key) = event else { return None };
    match key.code {
        _ if key.kind == KeyEventKind::Release => None,
        KeyCode::Char(char) => Some(char),
        KeyCode::Enter => Some('\r'),
        KeyCode::Esc => Some('\u{1b}'),
        KeyCode::Backspace => Some('\u{8}'),
        _ => None,
    }
}
