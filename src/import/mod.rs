//! A set-up of something else becomes the text of `lbdev.toml`.
//!
//! [`lexer`] reads nginx's files, [`nginx()`] finds out what they mean, `draft` writes it. Whatever is not understood is
//! told with its line; nothing is guessed.

mod draft;
pub mod lexer;
mod nginx;
mod procfile;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use nginx::{nginx, upstreams};
pub use procfile::procfile;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The text of `lbdev.toml`.
    pub text: String,
    /// What has no place in it, in the order of the file.
    pub missed: Vec<Missed>,
    /// What was changed on the way, for the person.
    pub notes: Vec<String>,
}

/// Something that was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// `nginx.conf`, or a file that it includes.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// What stands there.
    pub said: String,
    /// Why it is left out.
    pub why: &'static str,
}

impl std::fmt::Display for Missed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Missed {
            file,
            line,
            said,
            why,
        } = self;
        write!(f, "{file}:{line}: {said}: {why}")
    }
}

/// Commands that start the servers of an upstream, by its name; that of "" is for all others.
pub type Commands = BTreeMap<String, String>;
