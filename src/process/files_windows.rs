//! The limit of open files: Windows has none that a program could raise.

use std::io;

/// How many files a process started by this one may have open, if it raises its limit: there is no limit.
pub fn most() -> Option<u64> {
    None
}

/// There is nothing to be raised.
///
/// # Errors
/// None: it is the same function everywhere.
pub fn raise() -> io::Result<()> {
    Ok(())
}

/// Clients may have as many as they want.
pub fn end_for_clients() -> u64 {
    u64::MAX
}

/// So many of `most` files are not for clients, were there a limit.
pub fn kept_from_clients(most: u64) -> u64 {
    (most / 4).min(512)
}

/// No limit is to be given back.
pub(super) fn word() -> String {
    "-".to_owned()
}
