//! What it takes to make further backends of a service while it runs, as they were made at the start.

use std::ffi::OsString;
use std::path::PathBuf;

use super::draft::ServiceDraft;
use super::problem::reports;
use super::python::Python;
use super::service::{Kitchen, further};
use super::surroundings::Surroundings;
use super::{BackendSpec, Command};
use crate::backend::Slot;
use crate::error::Report;

/// The recipe of a service's backends.
#[derive(Debug, Clone)]
pub struct More {
    draft: ServiceDraft,
    dir: PathBuf,
    python: Option<Python>,
    path: Option<String>,
    lbdev: PathBuf,
}

/// Set-ups are compared by the backends that they have; those that they could have are like these.
impl PartialEq for More {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl More {
    pub(super) fn new(kitchen: &Kitchen<'_>, draft: &ServiceDraft) -> Self {
        Self {
            draft: draft.clone(),
            dir: kitchen.dir.to_owned(),
            python: kitchen.python.cloned(),
            path: kitchen.path.map(str::to_owned),
            lbdev: kitchen.around.lbdev.clone(),
        }
    }

    /// The backend of this slot, the `index`th of its service.
    ///
    /// # Errors
    /// When what was there at the start is not any more: a folder, an environment file.
    pub fn backend(&self, slot: Slot, index: u32) -> Result<BackendSpec, Vec<Report>> {
        let var = |name: &str| -> Option<OsString> { std::env::var_os(name) };
        let around = Surroundings {
            var: &var,
            lbdev: self.lbdev.clone(),
            ..Surroundings::real()
        };
        let kitchen = Kitchen {
            dir: &self.dir,
            python: self.python.as_ref(),
            path: self.path.as_deref(),
            around: &around,
            avoid: &[],
        };
        let mut faults = Vec::new();
        let made = further(&kitchen, &self.draft, (index, slot), &mut faults);
        match made {
            Some(spec) if faults.is_empty() => Ok(spec),
            _ => Err(reports(faults, None)),
        }
    }

    /// How one backend would be run on another machine that has the project's folder: by that machine's Python and PATH,
    /// without what lbdev itself sets, and without what an environment file adds.
    ///
    /// # Errors
    /// As [`More::backend`].
    pub fn elsewhere(&self, slot: Slot) -> Result<Elsewhere, Vec<Report>> {
        let var = |_: &str| -> Option<OsString> { None };
        let around = Surroundings {
            var: &var,
            lbdev: PathBuf::from(LBDEV),
            ..Surroundings::real()
        };
        let kitchen = Kitchen {
            dir: &self.dir,
            python: Some(&Python {
                path: PathBuf::from("python"),
                bin: None,
            }),
            path: None,
            around: &around,
            avoid: &[],
        };
        let mut draft = self.draft.clone();
        let env_file = draft.env_file.take().map(|file| file.value);
        let mut faults = Vec::new();
        let made = further(&kitchen, &draft, (1, slot), &mut faults);
        let mut command = match made.and_then(|spec| spec.command) {
            Some(command) if faults.is_empty() => command,
            _ => return Err(reports(faults, None)),
        };
        let ours = |name: &str| super::environment::RESERVED.contains(&name) || name == "PATH";
        command.env.retain(|(name, _)| !ours(name));
        Ok(Elsewhere {
            needs_lbdev: command.argv.iter().any(|word| word == LBDEV),
            command,
            env_file,
        })
    }
}

/// Stands for this program where it would have to be installed.
const LBDEV: &str = "lbdev";

/// A backend on another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// Paths in it are this machine's.
    pub command: Command,
    /// A file with further variables, as `env_file` has it.
    pub env_file: Option<String>,
    /// It is run by lbdev itself.
    pub needs_lbdev: bool,
}
