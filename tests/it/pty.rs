//! Terminals that tests make.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// A terminal: our end of it.
pub struct Pty {
    pub ours: OwnedFd,
    name: String,
}

impl Pty {
    pub fn open() -> Pty {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).expect("the system has terminals");
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let name = name.into_string().unwrap();
        Pty { ours, name }
    }

    /// The end that a program in it has.
    pub fn inside(&self) -> File {
        let mut options = File::options();
        options.read(true).write(true).open(&self.name).unwrap()
    }
}
