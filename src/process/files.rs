//! The limit of open files: raised for lbdev, which has several for each client and each backend, and given back to the
//! backends, some of which go through every descriptor that they could have.

use std::io;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most that macOS takes where its hard limit says "unlimited" (`OPEN_MAX`).
const OPEN_MAX: u64 = 10_240;

/// The soft limit that lbdev was started with, where it was raised since.
static BEFORE: OnceLock<u64> = OnceLock::new();

/// How many files a process started by this one may have open, if it raises its limit; `None` is no limit.
pub fn most() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Raises the soft limit of this process to the hard one. What it launches from now on has the one from before again.
///
/// # Errors
/// When the system refuses, which leaves it as it was.
pub fn raise() -> io::Result<()> {
    let now = getrlimit(Resource::Nofile);
    let Some(before) = now.current.filter(|_| now.current != now.maximum) else {
        return Ok(());
    };
    let to = |current: Option<u64>| {
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current,
                maximum: now.maximum,
            },
        )
    };
    if let Err(error) = to(now.maximum) {
        if before >= OPEN_MAX {
            return Err(error.into());
        }
        to(Some(OPEN_MAX))?;
    }
    // It is called once; a second call would find nothing to raise.
    let _ = BEFORE.set(before);
    Ok(())
}

/// The lowest descriptor that is not for clients any more: above it is what lbdev needs for backends, their processes and
/// commands, which clients must not take. Descriptors are given lowest first (POSIX `open`), so that the number of one says
/// how many there are.
pub fn end_for_clients() -> u64 {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    most - kept_from_clients(most)
}

/// So many of `most` files are not for clients.
pub fn kept_from_clients(most: u64) -> u64 {
    (most / 4).min(512)
}

/// The word that tells the hidden subcommand which limit a backend is to have.
pub(super) fn word() -> String {
    BEFORE.get().map_or("-".to_owned(), u64::to_string)
}

/// Gives this process the limit that `word` names, if it names one.
pub(super) fn lower(word: &str) {
    let Ok(before) = word.parse::<u64>() else {
        return;
    };
    let maximum = getrlimit(Resource::Nofile).maximum;
    // It may always be lowered.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(before),
            maximum,
        },
    );
}
