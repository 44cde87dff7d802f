//! Which processes an instance has started, as a file that outlives it: for whoever cleans up after one that could not.
//!
//! The unique `LBDEV_INSTANCE` in a process's environment finds nearly all of them. A program that clears its environment
//! is found by the session that lbdev has put it into, as long as that session's first process lives; and that one is
//! recognised by its number only where start time, boot and pid namespace are those that were written down.

use std::fs;
use std::path::Path;

use super::os;
use crate::wire::{Sessions, StartedProcess, VERSION};

/// One process for ever: a number that was given to somebody else since has another start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) pid: u32,
    /// In the unit of [`os::Proc`]'s `start`.
    pub(super) start: u64,
}

/// Writes down a process that lives; `None` for one that has ended, or where nobody knows when one started.
pub fn started(pid: u32) -> Option<StartedProcess> {
    let start = os::start_of(pid).filter(|start| *start > 0)?;
    Some(StartedProcess { pid, start })
}

/// A document about the instance `instance` without any backend yet; `None` where this boot has no name.
pub fn document(instance: &str) -> Option<Sessions> {
    Some(Sessions {
        version: VERSION,
        instance: instance.to_owned(),
        boot_id: os::boot_id()?,
        pid_namespace: os::pid_namespace(),
        lbdev: started(std::process::id()),
        guardian: None,
        backends: Vec::new(),
    })
}

/// What the file says of the backends of `instance` that can still be trusted: nothing of another instance, boot or
/// namespace, and nothing where there is no file or half of one.
pub(super) fn read(file: &Path, instance: &str) -> Vec<Known> {
    let found = fs::read(file).ok();
    let found: Option<Sessions> = found.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(found) = found else {
        return Vec::new();
    };
    let here = found.instance == instance
        && Some(&found.boot_id) == os::boot_id().as_ref()
        && found.pid_namespace == os::pid_namespace();
    let backends = found.backends.into_iter().filter(|_| here);
    backends
        .map(|backend| Known {
            pid: backend.process.pid,
            start: backend.process.start,
        })
        .filter(|known| known.start > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::BackendSession;

    #[test]
    fn only_what_is_of_this_instance_and_boot_is_trusted() {
        // Where nobody knows when a process started there is nothing to be written down.
        let Some(mut sessions) = document("one") else {
            return;
        };
        let me = started(std::process::id()).unwrap();
        assert_eq!(sessions.lbdev, Some(me));
        sessions.backends.push(BackendSession {
            backend: "web:8000".into(),
            process: me,
        });
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sessions.json");
        let read_back = |sessions: &Sessions, instance: &str| {
            fs::write(&file, serde_json::to_vec(sessions).unwrap()).unwrap();
            read(&file, instance)
        };
        let known = Known {
            pid: me.pid,
            start: me.start,
        };
        assert_eq!(read(&file, "one"), []);
        assert_eq!(read_back(&sessions, "one"), [known]);
        assert_eq!(read_back(&sessions, "two"), []);
        let other_boot = Sessions {
            boot_id: "another".into(),
            ..sessions.clone()
        };
        assert_eq!(read_back(&other_boot, "one"), []);
        let elsewhere = Sessions {
            pid_namespace: Some("pid:[1]".into()),
            ..sessions
        };
        assert_eq!(read_back(&elsewhere, "one"), []);
        fs::write(&file, "{\"version\":1").unwrap();
        assert_eq!(read(&file, "one"), []);
        assert_eq!(started(u32::MAX), None);
    }
}
