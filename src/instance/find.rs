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
pub fn all_running() -> Result<Vec<wire::Instance>, InstanceError> {
    let mut all: Vec<_> = every(&place::state_root()?)
        .into_iter()
        .map(|(_, instance)| instance)
        .collect();
    all.sort_by(|a, b| (&a.project, &a.dir).cmp(&(&b.project, &b.dir)));
    Ok(all)
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
    let mut all = every(root);
    all.sort_by(|a, b| a.1.dir.cmp(&b.1.dir));
    let instances = |all: Vec<(Folder, wire::Instance)>| all.into_iter().map(|one| one.1).collect();
    if dir.is_some() {
        return Err(InstanceError::NothingRuns {
            dir: here,
            elsewhere: instances(all),
        });
    }
    if all.len() > 1 {
        return Err(InstanceError::Several {
            running: instances(all),
        });
    }
    match all.pop() {
        Some((folder, instance)) => Ok(Found {
            note: Some(format!("using {}", name(&instance))),
            folder,
            instance,
        }),
        None => Err(InstanceError::NothingRuns {
            dir: here,
            elsewhere: Vec::new(),
        }),
    }
}

fn by_name(root: &Path, project: &str) -> Result<Found, InstanceError> {
    let (mut named, others): (Vec<_>, Vec<_>) = every(root)
        .into_iter()
        .partition(|(_, instance)| instance.project == project);
    if named.len() > 1 {
        return Err(InstanceError::Several {
            running: named.into_iter().map(|one| one.1).collect(),
        });
    }
    match named.pop() {
        Some((folder, instance)) => Ok(Found {
            folder,
            instance,
            note: None,
        }),
        None => Err(InstanceError::NoSuchProject {
            project: project.to_owned(),
            running: others.into_iter().map(|one| one.1).collect(),
        }),
    }
}

/// The instance of a folder or of the nearest parent that has one.
fn above(root: &Path, here: &Path) -> Option<Found> {
    here.ancestors().find_map(|dir| {
        let folder = Folder::under(root, &place::key(dir));
        let instance = running(&folder)?;
        Some(Found {
            folder,
            note: (dir != here).then(|| format!("using {}", name(&instance))),
            instance,
        })
    })
}

fn every(root: &Path) -> Vec<(Folder, wire::Instance)> {
    let Ok(entries) = std::fs::read_dir(root) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let folder = Folder::under(root, entry.file_name().to_str()?);
            let instance = running(&folder)?;
            Some((folder, instance))
        })
        .collect()
}

/// A project as a note names it.
fn name(instance: &wire::Instance) -> String {
    if instance.project == place::DEMO {
        "the demo".to_owned()
    } else {
        place::tilde(Path::new(&instance.dir))
    }
}
