//! The lock that a running instance holds, and the instance file that only its holder writes.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::{Folder, InstanceError, os};
use crate::wire;

/// Held from the start to the end of an instance. The kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    folder: Folder,
    // Open files of ours close on exec, so no backend inherits the lock.
    _file: File,
}

/// Who only looks ([`Folder::is_locked`]) holds the lock for an instant; a start must not take that for a running lbdev.
const TRIES: u32 = 4;
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

impl Lock {
    /// Makes the folder and takes its lock. `None` when another instance has it.
    ///
    /// # Errors
    /// When the folder or the lock file cannot be made.
    pub fn try_take(folder: &Folder) -> Result<Option<Lock>, InstanceError> {
        folder.create()?;
        let path = folder.lock_file();
        let unusable = |source| InstanceError::Unusable {
            path: path.clone(),
            source,
        };
        let file = os::private_file()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(unusable)?;
        for attempt in 1.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < TRIES => {
                    std::thread::sleep(BETWEEN_TRIES);
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(unusable(source)),
            }
        }
        Ok(Some(Lock {
            folder: folder.clone(),
            _file: file,
        }))
    }

    /// The folder that is locked.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Says where this instance is: whoever reads the file sees the old content or the new, never a half.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, instance: &wire::Instance) -> Result<(), InstanceError> {
        let path = self.folder.instance_file();
        write_whole(&path, instance).map_err(|source| InstanceError::Unusable { path, source })
    }

    /// Says which processes this instance has started, as [`Lock::write`] does.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_sessions(&self, sessions: &wire::Sessions) -> Result<(), InstanceError> {
        let path = self.folder.sessions_file();
        write_whole(&path, sessions).map_err(|source| InstanceError::Unusable { path, source })
    }

    /// Takes the instance file, the list of processes and the socket away; the logs stay. What is gone already is fine.
    ///
    /// # Errors
    /// When one of them is there and cannot be removed.
    pub fn remove(&self) -> Result<(), InstanceError> {
        let folder = &self.folder;
        let socket = folder.socket().to_owned();
        let gone = |done: io::Result<()>, path| match done {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(InstanceError::Unusable { path, source }),
        };
        for path in [folder.instance_file(), folder.sessions_file()] {
            gone(fs::remove_file(&path), path)?;
        }
        gone(os::remove_socket(&socket), socket)
    }
}

fn write_whole(path: &Path, document: &impl Serialize) -> io::Result<()> {
    let draft = path.with_extension("json.new");
    let mut file = os::private_file()
        .create(true)
        .truncate(true)
        .write(true)
        .open(&draft)?;
    serde_json::to_writer(&mut file, document)?;
    file.write_all(b"\n")?;
    fs::rename(&draft, path)
}

impl Folder {
    /// What the instance file says, whether it still runs or not; `None` without a file, or with one that is no longer whole.
    pub fn read(&self) -> Option<wire::Instance> {
        serde_json::from_slice(&fs::read(self.instance_file()).ok()?).ok()
    }

    /// Whether an instance holds the lock.
    pub fn is_locked(&self) -> bool {
        // Only for reading, and never made: looking leaves no traces.
        let Ok(file) = File::open(self.lock_file()) else {
            return false;
        };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}
