//! This process's own terminal, given to another program: not possible here yet, since no backend has one.

use std::io;

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
