//! What differs between systems: who may read a file, what the control socket is, what a folder stays when it is moved. One
//! file each, the same functions.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::*;
