//! Which instance a verb is meant for.

use std::os::unix::net::UnixStream;
use std::path::Path;

use super::{Folder, InstanceError, place};
use crate::wire;

/// A running instance.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its state folder.
    pub folder: Folder,
    /// Where it is.
    pub instance: wire::Instance,
    /// Why it is this one, where that is not plain: `using ~/mysite`.
    pub note: Option<String>,
}

/// The instance of this folder if one runs: its socket connects *and* the lock is held.
pub fn running(folder: &Folder) -> Option<wire::Instance> {
    let instance = folder.read()?;
    // The socket first: it costs less, and a start at the same moment is not disturbed by a look at its lock.
    UnixStream::connect(&instance.socket).ok()?;
    folder.is_locked().then_some(instance)
}

/// Every instance of this user, by project name.
///
/// # Errors
/// When nobody knows where state goes. A state folder that is not there yet is none.
pub fn all_running() -> Result<Vec<Found>, InstanceError> {
    Ok(every(&place::state_root()?))
}

/// The instance of `lbdev demo`, if it runs.
///
/// # Errors
/// When nobody knows where state goes.
pub fn running_demo() -> Result<Option<Found>, InstanceError> {
    Ok(in_folder(Folder::demo()?))
}

/// The instance that is meant: by the project's name; else that of `dir`, or of a parent of it; else, where `dir` was not
/// said (`None` is the current folder), the only one there is, with a note.
///
/// # Errors
/// When none is meant by that, or several could be.
pub fn find(dir: Option<&Path>, project: Option<&str>) -> Result<Found, InstanceError> {
    find_in(&place::state_root()?, dir, project)
}

pub(super) fn find_in(
    root: &Path,
    dir: Option<&Path>,
    project: Option<&str>,
) -> Result<Found, InstanceError> {
    if let Some(project) = project {
        return by_name(root, project);
    }
    let here = place::canonical(dir.unwrap_or(Path::new(".")))?;
    if let Some(found) = above(root, &here) {
        return Ok(found);
    }
    let mut running = every(root);
    // The demo belongs to no folder, but where it was started it is the one that is meant.
    let demo_here = |found: &Found| found.folder.is_demo() && here.starts_with(&found.instance.dir);
    if let Some(demo) = running.iter().position(demo_here) {
        return Ok(running.swap_remove(demo).noted());
    }
    if running.len() > 1 && dir.is_none() {
        return Err(InstanceError::Several { running });
    }
    match running.pop() {
        Some(only) if dir.is_none() => Ok(only.noted()),
        rest => Err(InstanceError::NothingRuns {
            dir: here,
            elsewhere: running.into_iter().chain(rest).collect(),
        }),
    }
}

fn by_name(root: &Path, project: &str) -> Result<Found, InstanceError> {
    let (mut named, others): (Vec<_>, Vec<_>) = every(root)
        .into_iter()
        .partition(|found| found.instance.project == project);
    // A folder may be called so, too; that one can be named by its folder.
    if let Some(demo) = named.iter().position(|found| found.folder.is_demo()) {
        return Ok(named.swap_remove(demo));
    }
    if named.len() > 1 {
        return Err(InstanceError::Several { running: named });
    }
    named.pop().ok_or(InstanceError::NoSuchProject {
        project: project.to_owned(),
        running: others,
    })
}

/// The instance of a folder or of the nearest parent that has one.
fn above(root: &Path, here: &Path) -> Option<Found> {
    here.ancestors().find_map(|dir| {
        let found = in_folder(Folder::under(root, &place::key(dir)))?;
        Some(if dir == here { found } else { found.noted() })
    })
}

fn in_folder(folder: Folder) -> Option<Found> {
    let instance = running(&folder)?;
    Some(Found {
        folder,
        instance,
        note: None,
    })
}

/// By project name, then by folder.
fn every(root: &Path) -> Vec<Found> {
    let Ok(entries) = std::fs::read_dir(root) else {
        return Vec::new();
    };
    let mut all: Vec<Found> = entries
        .flatten()
        .filter_map(|entry| in_folder(Folder::under(root, entry.file_name().to_str()?)))
        .collect();
    all.sort_by(|a, b| {
        let key = |found: &Found| (found.instance.project.clone(), found.instance.dir.clone());
        key(a).cmp(&key(b))
    });
    all
}

impl Found {
    /// It was not named, so it is said which one is taken.
    fn noted(self) -> Self {
        let name = if self.folder.is_demo() {
            "the demo".to_owned()
        } else {
            place::tilde(Path::new(&self.instance.dir))
        };
        Self {
            note: Some(format!("using {name}")),
            ..self
        }
    }

    /// The flag that names this one.
    pub(super) fn flag(&self) -> String {
        if self.folder.is_demo() {
            format!("--project {}", place::DEMO)
        } else {
            format!("-C {}", place::tilde(Path::new(&self.instance.dir)))
        }
    }
}
