//! What a set-up is taken from: the demo, the command line, the file, or what the folder looks like.

use std::path::Path;

use super::defaults::{BACKENDS, FILE, FIRST_PORT, SERVICE};
use super::draft::{CommandDraft, Draft, PortsDraft, ServiceDraft};
use super::platform::PYTHON_BIN;
use super::problem::{At, Fault, Problem, Source, Where};
use super::python::{self, Python};
use super::request::Request;
use super::surroundings::Surroundings;
use super::value::{alike, list};
use super::{file, flags};
use crate::recognise::{self, Framework};

/// What is to be run, and how that was found.
pub(super) struct Choice {
    pub draft: Draft,
    /// For the banner.
    pub origin: String,
    pub notes: Vec<String>,
}

/// Takes the first of: the demo, the command line, the file, what is recognised in the folder.
pub(super) fn choose(
    request: &Request,
    dir: &Path,
    source: Option<Source<'_>>,
    python: Option<&Python>,
    around: &Surroundings<'_>,
    faults: &mut Vec<Fault>,
) -> Choice {
    let mut notes = Vec::new();
    if request.demo {
        return Choice {
            draft: one_service("{lbdev} __demo --port {port}", Where::Nowhere),
            origin: "the built-in demo backend".to_owned(),
            notes,
        };
    }
    if request.from.is_some() && dir.join(FILE).is_file() {
        notes.push(format!("{FILE} is left out: `--from` says what to run"));
    }
    let mut broken = false;
    let mut draft = match source {
        Some(source) => {
            let (draft, found) = file::read(source.text, around.lookup);
            broken = !found.is_empty();
            faults.extend(found);
            draft
        }
        None => Draft::default(),
    };
    // The command line says what to run; the file, where there is one, still says how to balance it.
    if request.command.is_some() || request.external.is_some() {
        if !draft.services.is_empty() {
            let names = list(draft.services.iter().map(|s| s.name.value.as_str()));
            notes.push(format!(
                "{names} of {FILE} is left out: the command line says what to run"
            ));
        }
        draft.services = flags::service(request, around.lookup, faults)
            .into_iter()
            .collect();
        return Choice {
            draft,
            origin: "the command line".to_owned(),
            notes,
        };
    }
    if !draft.services.is_empty() || broken {
        return Choice {
            draft,
            origin: source.map_or(FILE, |source| source.name).to_owned(),
            notes,
        };
    }
    let Some(framework) = framework(request, dir, source, faults, &mut notes) else {
        return Choice {
            draft,
            origin: String::new(),
            notes,
        };
    };
    if let Some(fault) = missing(framework, dir, python, around) {
        faults.push(fault);
    }
    draft.services = one_service(&framework.command, Where::Nowhere).services;
    let origin = match source {
        Some(source) => format!("{}, {}", framework.origin(), source.name),
        None => framework.origin(),
    };
    Choice {
        draft,
        origin,
        notes,
    }
}

/// One balanced service with the default ports.
pub(super) fn one_service(command: &str, at: Where) -> Draft {
    let last = FIRST_PORT + (BACKENDS as u16 - 1);
    let service = ServiceDraft {
        command: Some(At {
            value: CommandDraft::Line(command.to_owned()),
            at,
        }),
        ports: Some(At::nowhere(PortsDraft::List((FIRST_PORT..=last).collect()))),
        ..ServiceDraft::new(At::nowhere(SERVICE.to_owned()))
    };
    Draft {
        services: vec![service],
        ..Draft::default()
    }
}

/// The framework that `--from` names, else the first that is recognised.
fn framework(
    request: &Request,
    dir: &Path,
    source: Option<Source<'_>>,
    faults: &mut Vec<Fault>,
    notes: &mut Vec<String>,
) -> Option<&'static Framework> {
    let here = recognise::recognise(dir);
    let fault = match (&request.from, here.as_slice()) {
        (Some(id), _) => match named(id, dir) {
            Ok(framework) => return Some(framework),
            Err(problem) => Fault {
                at: Where::Option("--from"),
                problem,
            },
        },
        (None, [first, others @ ..]) => {
            for other in others {
                notes.push(format!(
                    "{} is here too: `lbdev up --from {}` takes that",
                    other.origin(),
                    other.id
                ));
            }
            return Some(first);
        }
        (None, []) if source.is_some() => Fault {
            at: Where::File(0..0),
            problem: Problem::NothingToRun,
        },
        (None, []) => Fault {
            at: Where::Nowhere,
            problem: no_project(dir),
        },
    };
    faults.push(fault);
    None
}

/// The framework of this name, which must be in the folder.
pub(super) fn named(id: &str, dir: &Path) -> Result<&'static Framework, Problem> {
    let ids = || recognise::frameworks().iter().map(|f| f.id.as_str());
    let Some(framework) = recognise::by_id(&id.to_ascii_lowercase()) else {
        return Err(Problem::NoFramework {
            id: id.to_owned(),
            known: list(ids()),
            like: alike(id, ids()).map(str::to_owned),
        });
    };
    match dir.join(&framework.marker).is_file() {
        true => Ok(framework),
        false => Err(Problem::NoMarker {
            id: framework.id.clone(),
            marker: framework.marker.clone(),
            dir: dir.to_owned(),
        }),
    }
}

fn no_project(dir: &Path) -> Problem {
    let markers = recognise::frameworks()
        .iter()
        .map(|framework| format!("`{}` ({})", framework.marker, framework.name));
    let looked: Vec<String> = std::iter::once(format!("`{FILE}`"))
        .chain(markers)
        .collect();
    Problem::NoProject {
        dir: dir.to_owned(),
        looked: looked.join(", "),
        below: recognise::below(dir).map(|name| from_here(dir, &name)),
    }
}

/// The framework is not installed, and what would install it.
fn missing(
    framework: &Framework,
    dir: &Path,
    python: Option<&Python>,
    around: &Surroundings<'_>,
) -> Option<Fault> {
    let needed = framework.python.as_ref()?;
    // No Python at all is told where `{python}` is filled in.
    let python = python?;
    if python::has_module(python, &needed.module, dir, around) {
        return None;
    }
    let install = install(dir, python, &needed.package);
    Some(Fault {
        at: Where::Nowhere,
        problem: Problem::NotInstalled {
            marker: framework.marker.clone(),
            framework: framework.name.clone(),
            python: python.path.clone(),
            install,
        },
    })
}

/// A command that installs what the project needs, and works where the person is.
fn install(dir: &Path, python: &Python, package: &str) -> String {
    let has = |name: &str| dir.join(name).is_file();
    let what = match has("requirements.txt") {
        true => format!("-r {}", from_here(dir, "requirements.txt")),
        false => package.to_owned(),
    };
    let this = quoted(&python.path.to_string_lossy());
    if has("uv.lock") {
        format!("uv sync --directory {}", from_here(dir, "."))
    } else if has("poetry.lock") {
        format!("poetry install --directory {}", from_here(dir, "."))
    } else if python.bin.is_some() {
        format!("{this} -m pip install {what}")
    } else {
        // A system's Python is often closed to pip (PEP 668), and a project is better off with its own.
        let pip = Path::new(".venv").join(PYTHON_BIN).join("pip");
        format!(
            "{this} -m venv {} && {} install {what}",
            from_here(dir, ".venv"),
            from_here(dir, &pip.to_string_lossy())
        )
    }
}

/// A path in the project's folder as a person types it: short where they are in that folder.
fn from_here(dir: &Path, name: &str) -> String {
    let here = std::env::current_dir().and_then(dunce::canonicalize);
    let same = matches!((here, dunce::canonicalize(dir)), (Ok(here), Ok(dir)) if here == dir);
    match same {
        true => quoted(name),
        false if name == "." => quoted(&dir.to_string_lossy()),
        false => quoted(&dir.join(name).to_string_lossy()),
    }
}

fn quoted(text: &str) -> String {
    match shlex::try_quote(text) {
        Ok(quoted) => quoted.into_owned(),
        // Only a NUL cannot be quoted, and no path has one.
        Err(_) => text.to_owned(),
    }
}
