//! The environment of a backend's process, and its command, for one backend at a time.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Command;
use super::platform::SHELL;
use super::problem::{At, Fault, Problem, Where};
use super::python::{LOOKED, Python};
use super::words::{FillError, Line, Scene, Word, expand, expand_value};
use crate::backend::BackendId;

/// Set by lbdev for itself: the processes of a backend are found by them.
pub(super) const RESERVED: [&str; 5] = [
    "LBDEV_PORT",
    "LBDEV_INDEX",
    "LBDEV_SERVICE",
    "LBDEV_BACKEND",
    "LBDEV_INSTANCE",
];

/// Variables by name; a later one of the same name takes the earlier one's place.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables(Vec<(String, String)>);

impl Variables {
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What every backend is told about itself.
pub(super) fn own_variables(id: &BackendId, index: u32) -> Vec<(&'static str, String)> {
    let mut own = vec![
        // Without it Python keeps its output back, as a pipe is no terminal.
        ("PYTHONUNBUFFERED", "1".to_owned()),
        ("LBDEV_INDEX", index.to_string()),
        ("LBDEV_SERVICE", id.service().to_owned()),
        ("LBDEV_BACKEND", id.to_string()),
    ];
    if let Some(port) = id.port() {
        own.push(("PORT", port.to_string()));
        own.push(("LBDEV_PORT", port.to_string()));
    }
    own
}

/// PATH with the project's own folders first; `None` where there are none, or PATH is not text.
pub(super) fn project_path(
    dir: &Path,
    python: Option<&Python>,
    path: Option<OsString>,
) -> Option<String> {
    let mut first: Vec<PathBuf> = python.and_then(|p| p.bin.clone()).into_iter().collect();
    let modules = dir.join("node_modules").join(".bin");
    first.extend(modules.is_dir().then_some(modules));
    if first.is_empty() {
        return None;
    }
    let path = path.unwrap_or_default();
    let all = first.into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(all).ok()?.into_string().ok()
}

/// What the backends of a service have in common.
pub(super) struct Recipe<'a> {
    pub service: &'a str,
    pub line: &'a Line,
    pub python: Option<&'a str>,
    pub lbdev: &'a str,
    pub path: Option<&'a str>,
    pub env: &'a [(At<String>, At<String>)],
    pub env_file: &'a [(String, String)],
    pub cwd: Option<&'a At<String>>,
    pub pty: bool,
    /// Where the command was said.
    pub command: &'a Where,
    /// By which key.
    pub key: &'a str,
    pub dir: &'a Path,
    pub inherited: &'a dyn Fn(&str) -> Option<OsString>,
}

/// A command, and the variables in it that are not set.
pub(super) struct Cooked {
    pub command: Command,
    pub unset: Vec<String>,
}

impl Recipe<'_> {
    /// The command of one backend, or what is wrong with it.
    pub(super) fn cook(&self, id: &BackendId, index: u32) -> Result<Cooked, Vec<Fault>> {
        let mut faults = Vec::new();
        let scene = Scene {
            port: id.port(),
            index,
            python: self.python,
            lbdev: self.lbdev,
        };
        let mut env = self.variables(id, index, &scene, &mut faults);
        let cwd = self.folder(&scene, &mut faults);
        let mut unset = Vec::new();
        let argv = match self.argv(&scene, &mut env, &mut unset) {
            Ok(argv) => argv,
            Err(source) => {
                faults.push(self.fault(self.command, self.fill_problem(self.key, source)));
                Vec::new()
            }
        };
        if faults.is_empty() && argv.first().is_none_or(String::is_empty) {
            let service = self.service.to_owned();
            faults.push(self.fault(self.command, Problem::EmptyCommand { service }));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        // One order, however it was said: set-ups are compared.
        env.0.sort();
        Ok(Cooked {
            command: Command {
                argv: rooted(argv, &cwd),
                env: env.0,
                cwd,
                pty: self.pty,
                awaits: None,
            },
            unset,
        })
    }

    fn fault(&self, at: &Where, problem: Problem) -> Fault {
        Fault {
            at: at.clone(),
            problem,
        }
    }

    fn fill_problem(&self, key: &str, source: FillError) -> Problem {
        let service = self.service.to_owned();
        match source {
            FillError::NoPython => Problem::NoPython {
                service,
                looked: LOOKED.to_owned(),
            },
            source => Problem::Fill {
                service,
                key: key.to_owned(),
                source,
            },
        }
    }

    /// Later ones win: what a file shared with other tools says, then what lbdev says, then what was said for lbdev.
    fn variables(
        &self,
        id: &BackendId,
        index: u32,
        scene: &Scene<'_>,
        faults: &mut Vec<Fault>,
    ) -> Variables {
        let mut env = Variables::default();
        if let Some(path) = self.path {
            env.set("PATH", path);
        }
        let own = own_variables(id, index);
        let (unbuffered, own) = own.split_at(1);
        for (name, value) in unbuffered {
            env.set(name, value.clone());
        }
        for (name, value) in self.env_file {
            env.set(name, value.clone());
        }
        for (name, value) in own {
            env.set(name, value.clone());
        }
        for (name, value) in self.env {
            match scene.fill(&value.value) {
                Ok(filled) => env.set(&name.value, filled),
                Err(source) => {
                    let key = format!("env.{}", name.value);
                    faults.push(self.fault(&value.at, self.fill_problem(&key, source)));
                }
            }
        }
        env
    }

    fn folder(&self, scene: &Scene<'_>, faults: &mut Vec<Fault>) -> PathBuf {
        let Some(cwd) = self.cwd else {
            return self.dir.to_owned();
        };
        let filled = match scene.fill(&cwd.value) {
            Ok(filled) => filled,
            Err(source) => {
                faults.push(self.fault(&cwd.at, self.fill_problem("cwd", source)));
                return self.dir.to_owned();
            }
        };
        // Without the `.` parts: the path is shown to people.
        let path: PathBuf = self.dir.join(&filled).components().collect();
        let why = match path.metadata() {
            Ok(meta) if meta.is_dir() => return path,
            Ok(_) => "is not a folder",
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "does not exist",
            Err(_) => "cannot be read",
        };
        let problem = Problem::Cwd {
            service: self.service.to_owned(),
            dir: filled,
            why,
        };
        faults.push(self.fault(&cwd.at, problem));
        path
    }

    fn argv(
        &self,
        scene: &Scene<'_>,
        env: &mut Variables,
        unset: &mut Vec<String>,
    ) -> Result<Vec<String>, FillError> {
        let (assigns, words): (&[(String, Word)], &[Word]) = match self.line {
            Line::Shell(text) => {
                let [shell, flag] = SHELL;
                return Ok(vec![shell.into(), flag.into(), scene.fill_shell(text)?]);
            }
            Line::Words { assigns, words } => (assigns, words),
        };
        let before = env.clone();
        let mut look = |name: &str| {
            let own = before.get(name).map(str::to_owned);
            let value = own.or_else(|| (self.inherited)(name)?.into_string().ok());
            if value.is_none() && !unset.iter().any(|known| known == name) {
                unset.push(name.to_owned());
            }
            value
        };
        let argv = expand(words, scene, &mut look)?;
        for (name, value) in assigns {
            let value = expand_value(value, scene, &mut look)?;
            env.set(name, value);
        }
        Ok(argv)
    }
}

/// A program named by a relative path is meant from the working directory, whoever resolves it.
fn rooted(mut argv: Vec<String>, cwd: &Path) -> Vec<String> {
    if let Some(program) = argv.first_mut()
        && program.contains(std::path::is_separator)
        && !Path::new(program).is_absolute()
        && let Some(absolute) = cwd
            .join(&*program)
            .components()
            .collect::<PathBuf>()
            .to_str()
    {
        *program = absolute.to_owned();
    }
    argv
}
