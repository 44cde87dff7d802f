//! Which instance a verb is meant for.

use std::path::Path;

use super::{Folder, InstanceError, os, place};
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
    let answers = os::answers(Path::new(&instance.socket));
    (answers && folder.is_locked()).then_some(instance)
}

/// Every instance of this user, by project name.
///
/// # Errors
/// When nobody knows where state goes. A state folder that is not there yet is none.
pub fn all_running() -> Result<Vec<Found>, InstanceError> {
    Ok(every(&place::state_root()?))
}

/// The state folders of instances that were ended so hard that their files are still there: of `dir` and its parents, or
/// all of this user's.
///
/// # Errors
/// When nobody knows where state goes.
pub fn left_over(dir: Option<&Path>) -> Result<Vec<Folder>, InstanceError> {
    let root = place::state_root()?;
    let folders = match dir {
        Some(dir) => {
            let dir = place::canonical(dir).unwrap_or_else(|_| dir.to_owned());
            let keys = dir.ancestors().map(place::key);
            keys.map(|key| Folder::under(&root, &key)).collect()
        }
        None => state_folders(&root),
    };
    let stale = folders.into_iter().filter(|folder| {
        let traces = [folder.instance_file(), folder.sessions_file()];
        traces.iter().any(|file| file.is_file()) && !folder.is_locked()
    });
    Ok(stale.collect())
}

/// The instance of `lbdev demo`, if it runs.
///
/// # Errors
/// When nobody knows where state goes.
pub fn running_demo() -> Result<Option<Found>, InstanceError> {
    Ok(in_folder(Folder::demo()?))
}

/// The state folder of the project in `dir`: the one that its path names, unless a running instance has it whose folder
/// this is, under the path that it had when it started.
///
/// # Errors
/// When `dir` is not there, or nobody knows where state goes.
pub fn folder_of(dir: &Path) -> Result<Folder, InstanceError> {
    let folder = Folder::of(dir)?;
    if folder.is_locked() {
        return Ok(folder);
    }
    let identity = os::identity(dir);
    let moved = every(&place::state_root()?).into_iter().find(|found| {
        identity.is_some() && found.instance.identity() == identity && !found.folder.is_demo()
    });
    Ok(moved.map_or(folder, |found| found.folder))
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
    let asked = dir.unwrap_or(Path::new("."));
    let here = match place::canonical(asked) {
        Ok(here) => here,
        Err(error) => return removed(root, asked).ok_or(error),
    };
    if let Some(found) = above(root, &here) {
        return Ok(found);
    }
    let mut running = every(root);
    if let Some(moved) = moved_here(&running, &here) {
        return Ok(running.swap_remove(moved).noted());
    }
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

/// The instance of a folder that was removed, by the path that it had; without links, which nobody can follow any more.
fn removed(root: &Path, asked: &Path) -> Option<Found> {
    let gone = std::path::absolute(asked).ok()?;
    let mut running = every(root);
    let was_there = |found: &Found| gone.starts_with(&found.instance.dir);
    let place = running.iter().position(was_there)?;
    Some(running.swap_remove(place).noted())
}

/// Which of `running` was started in this folder or a parent of it, when the folder had another path.
fn moved_here(running: &[Found], here: &Path) -> Option<usize> {
    here.ancestors().find_map(|dir| {
        let identity = os::identity(dir)?;
        let same = |found: &Found| found.instance.identity() == Some(identity);
        running.iter().position(same)
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

fn state_folders(root: &Path) -> Vec<Folder> {
    let Ok(entries) = std::fs::read_dir(root) else {
        return Vec::new();
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    names
        .filter_map(|name| Some(Folder::under(root, name.to_str()?)))
        .collect()
}

/// By project name, then by folder.
fn every(root: &Path) -> Vec<Found> {
    let mut all: Vec<Found> = state_folders(root)
        .into_iter()
        .filter_map(in_folder)
        .collect();
    all.sort_by(|a, b| {
        let key = |found: &Found| (found.instance.project.clone(), found.instance.dir.clone());
        key(a).cmp(&key(b))
    });
    all
}

impl wire::Instance {
    /// The folder itself, if it was written down.
    fn identity(&self) -> Option<(u64, u64)> {
        (self.inode != 0).then_some((self.device, self.inode))
    }

    /// Whether its folder is still where it was when the instance started.
    pub fn is_in_place(&self) -> bool {
        let identity = self.identity();
        identity.is_none() || os::identity(Path::new(&self.dir)) == identity
    }
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
