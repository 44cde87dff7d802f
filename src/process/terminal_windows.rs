//! Terminals of backends: there are none here yet. (A pseudo console of Windows would be one.)

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::broadcast;

use crate::backend::BackendId;

/// How large a terminal is, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// From left to right.
    pub columns: u16,
    /// From top to bottom.
    pub rows: u16,
}

impl Size {
    /// Not asked for.
    pub fn of_own() -> Option<Size> {
        None
    }
}

/// The terminals of an instance: none.
#[derive(Debug, Default)]
pub struct Terminals;

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

/// One backend's terminal, of which there is none.
#[derive(Debug)]
pub enum Terminal {}

impl Terminals {
    /// There is none.
    pub fn for_attaching(&self, _: &BackendId) -> Option<Arc<Terminal>> {
        None
    }

    /// None is.
    pub fn is_forced(&self, _: &BackendId) -> bool {
        false
    }

    /// Nothing follows.
    pub fn force(&self, _: &BackendId, _: bool) {}
}

impl Terminal {
    /// What was written last, and all that comes from now on.
    pub fn attach(&self) -> (Vec<u8>, broadcast::Receiver<Scene>) {
        match *self {}
    }

    /// Whether a program has it now.
    pub fn is_live(&self) -> bool {
        match *self {}
    }

    /// Types as much of `bytes` as the program's terminal takes at once.
    ///
    /// # Errors
    /// Never.
    pub fn type_in(&self, _: &[u8]) -> std::io::Result<usize> {
        match *self {}
    }

    /// The window in which it is shown has this size now.
    pub fn resize(&self, _: Size) {
        match *self {}
    }
}
