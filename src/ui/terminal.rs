//! This process's own terminal, given to another program: raw while it lasts, and as before afterwards, whatever happens.

use std::io::{self, IsTerminal, Write};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

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
