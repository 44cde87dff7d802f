//! A disk of some kilobytes, over a folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::need;

/// Such a disk; dropping it takes it away.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Over `dir`. None where this may not be done.
    pub fn over(dir: &Path) -> Option<SmallDisk> {
        let mount = need::program("mount").filter(|_| need::root())?;
        let mounted = Command::new(mount)
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(dir)
            .status()
            .expect("mount can be run");
        assert!(mounted.success(), "{mounted}");
        Some(SmallDisk(dir.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the test may have failed with a process in it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
