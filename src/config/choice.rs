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
use super::{file, flags, procfile};
use crate::balance::Sticky;
use crate::recognise::{self, Framework, Recognised};

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
    let Some(found) = find(request, dir, source, faults, &mut notes) else {
        return Choice {
            draft,
            origin: String::new(),
            notes,
        };
    };
    let origin = match &found {
        Found::Procfile(file) => {
            match std::fs::read_to_string(dir.join(file)) {
                Ok(text) => {
                    let services = procfile::read(file, &text, &mut notes, faults).services;
                    draft.services = services;
                }
                Err(error) => faults.push(Fault {
                    at: Where::Nowhere,
                    problem: Problem::File {
                        file: file.into(),
                        why: super::resolve::cannot_read(&error),
                    },
                }),
            }
            (*file).to_owned()
        }
        Found::Framework(found) => {
            if let Some(fault) = missing(found, dir, python, around) {
                faults.push(fault);
            }
            match services(found, dir) {
                Ok(services) => draft.services = services,
                Err(problem) => faults.push(Fault {
                    at: Where::Nowhere,
                    problem,
                }),
            }
            let several =
                request.replicas.is_some_and(|count| count > 1) || request.ports.is_some();
            if found.framework.sticky && several && draft.balancer.sticky.is_none() {
                draft.balancer.sticky = Some(At::nowhere(Sticky::Cookie));
            }
            found.origin()
        }
    };
    let origin = match source {
        Some(source) => format!("{origin}, {}", source.name),
        None => origin,
    };
    Choice {
        draft,
        origin,
        notes,
    }
}

/// What a folder is run as, where nothing says it.
enum Found {
    Procfile(&'static str),
    Framework(Recognised),
}

/// The services of a framework: its own, and those that belong beside it.
fn services(found: &Recognised, dir: &Path) -> Result<Vec<ServiceDraft>, Problem> {
    let framework = found.framework;
    let fill = |text: &str| {
        found.fill(text).map_err(|find| Problem::NotFound {
            origin: found.origin(),
            name: find.name.clone(),
            looked: list(find.files.iter().map(String::as_str)),
            example: text.replace(&format!("{{{}}}", find.name), &find.name.to_uppercase()),
        })
    };
    let mut services = one_service(&fill(&framework.command)?, Where::Nowhere).services;
    if let Some(service) = services.first_mut() {
        let texts = |all: &[String]| -> Result<Option<At<Vec<At<String>>>>, Problem> {
            let filled: Result<Vec<_>, _> = all
                .iter()
                .map(|text| Ok(At::nowhere(fill(text)?)))
                .collect();
            Ok(Some(At::nowhere(filled?)).filter(|texts| !texts.value.is_empty()))
        };
        service.before = texts(&framework.before)?;
        service.watch = texts(&framework.watch)?;
        let env = framework.env.iter();
        service.env = env
            .map(|(name, value)| (At::nowhere(name.clone()), At::nowhere(value.clone())))
            .collect();
        if let Some(count) = framework.replicas {
            let ports = (FIRST_PORT..).take(count.into()).collect();
            service.ports = Some(At::nowhere(PortsDraft::List(ports)));
        }
    }
    // What the pages of another framework load from a port of its own.
    for other in recognise::recognise(dir) {
        if let Some(beside) = &other.framework.beside
            && is_beside(other.framework, framework, dir)
        {
            let mut service = ServiceDraft::new(At::nowhere(beside.service.clone()));
            service.command = Some(At::nowhere(CommandDraft::Line(beside.command.clone())));
            services.push(service);
        }
    }
    Ok(services)
}

/// Whether one serves what the pages of the other load, and can: it is installed.
fn is_beside(one: &Framework, other: &Framework, dir: &Path) -> bool {
    let file = one.needs_file.as_ref();
    let installed = file.is_none_or(|needed| dir.join(&needed.file).exists());
    one.beside.is_some() && installed && SERVED_BESIDE.contains(&other.id.as_str())
}

/// Frameworks whose pages may be made of what another one builds.
const SERVED_BESIDE: [&str; 4] = ["django", "flask", "rails", "laravel"];

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

/// What `--from` names, else the first of: `Procfile.dev`, what is recognised, `Procfile`.
fn find(
    request: &Request,
    dir: &Path,
    source: Option<Source<'_>>,
    faults: &mut Vec<Fault>,
    notes: &mut Vec<String>,
) -> Option<Found> {
    let [for_development, plain] = procfile::NAMES;
    let is_here = |file: &str| dir.join(file).is_file();
    if let Some(id) = &request.from {
        let asked = id.to_ascii_lowercase();
        let file = procfile::NAMES
            .into_iter()
            .find(|file| file.to_ascii_lowercase() == asked);
        let found = match file {
            Some(file) if is_here(file) => Ok(Found::Procfile(file)),
            // `--from procfile` is whichever is there.
            Some(file) if file == plain && is_here(for_development) => {
                Ok(Found::Procfile(for_development))
            }
            Some(file) => Err(Problem::NoMarker {
                id: asked,
                marker: file.to_owned(),
                dir: dir.to_owned(),
            }),
            None => named(id, dir).map(Found::Framework),
        };
        let at = Where::Option("--from");
        return found
            .map_err(|problem| faults.push(Fault { at, problem }))
            .ok();
    }
    let mut all = Vec::new();
    if is_here(for_development) {
        all.push((
            Found::Procfile(for_development),
            for_development.to_owned(),
            "procfile.dev",
        ));
    }
    for found in recognise::recognise(dir) {
        let (origin, id) = (found.origin(), found.framework.id.as_str());
        all.push((Found::Framework(found), origin, id));
    }
    if is_here(plain) {
        all.push((Found::Procfile(plain), plain.to_owned(), "procfile"));
    }
    let mut all = all.into_iter();
    if let Some((first, _, _)) = all.next() {
        let runs_too = |other: &Found| match (other, &first) {
            (Found::Framework(other), Found::Framework(first)) => {
                is_beside(other.framework, first.framework, dir)
            }
            (Found::Procfile(_), _) | (_, Found::Procfile(_)) => false,
        };
        for (_, origin, id) in all.filter(|(other, _, _)| !runs_too(other)) {
            notes.push(format!(
                "{origin} is here too: `lbdev up --from {id}` takes that"
            ));
        }
        return Some(first);
    }
    faults.push(match source {
        Some(_) => Fault {
            at: Where::File(0..0),
            problem: Problem::NothingToRun,
        },
        None => Fault {
            at: Where::Nowhere,
            problem: no_project(dir),
        },
    });
    None
}

/// The framework of this name, which must be in the folder.
pub(super) fn named(id: &str, dir: &Path) -> Result<Recognised, Problem> {
    let ids = || {
        let ids = recognise::frameworks().iter().map(|f| f.id.as_str());
        ids.chain(["procfile", "procfile.dev"])
    };
    let Some(framework) = recognise::by_id(&id.to_ascii_lowercase()) else {
        return Err(Problem::NoFramework {
            id: id.to_owned(),
            known: list(ids()),
            like: alike(id, ids()).map(str::to_owned),
        });
    };
    recognise::recognise_as(framework, dir).ok_or_else(|| Problem::NoMarker {
        id: framework.id.clone(),
        marker: markers(framework),
        dir: dir.to_owned(),
    })
}

/// The files that give a framework away.
fn markers(framework: &Framework) -> String {
    let mut files: Vec<&str> = framework
        .seen
        .iter()
        .map(|seen| seen.file.as_str())
        .collect();
    files.dedup();
    files.join("` or `")
}

fn no_project(dir: &Path) -> Problem {
    let mut by_files: Vec<(String, Vec<&str>)> = Vec::new();
    for framework in recognise::frameworks() {
        let files = markers(framework);
        match by_files.iter_mut().find(|(known, _)| *known == files) {
            Some((_, names)) => names.push(&framework.name),
            None => by_files.push((files, vec![&framework.name])),
        }
    }
    let markers = by_files.into_iter();
    let markers = markers.map(|(files, names)| format!("`{files}` ({})", names.join(", ")));
    let looked: Vec<String> = std::iter::once(format!("`{FILE}`"))
        .chain(procfile::NAMES.map(|name| format!("`{name}`")))
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
    found: &Recognised,
    dir: &Path,
    python: Option<&Python>,
    around: &Surroundings<'_>,
) -> Option<Fault> {
    let framework = found.framework;
    if let Some(needed) = &framework.needs_file
        && !dir.join(&needed.file).exists()
    {
        return Some(Fault {
            at: Where::Nowhere,
            problem: Problem::NoFile {
                origin: found.origin(),
                file: needed.file.clone(),
                install: needed.install.clone(),
            },
        });
    }
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
            marker: found.file.clone(),
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
