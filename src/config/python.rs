//! Which Python a project uses.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::platform::{PYTHON_BIN, PYTHON_IN_BIN, PYTHON_NAMES};
use super::surroundings::Surroundings;

/// A Python that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Python {
    /// The interpreter, absolute.
    pub path: PathBuf,
    /// The environment's own folder of programs, which leads PATH. `None` for the system's Python: its folder has
    /// everything else, and stands on PATH where the person wants it.
    pub bin: Option<PathBuf>,
}

/// Where [`find`] looks, in words.
pub(super) const LOOKED: &str =
    "`$VIRTUAL_ENV`, `.venv`, `venv`, `env`, `$CONDA_PREFIX`, poetry, `python3` and `python`";

/// The interpreter for a project's folder. Environments in a folder above count up to the repository's root, since one
/// environment often serves several projects of a repository.
pub(super) fn find(dir: &Path, around: &Surroundings<'_>) -> Option<Python> {
    let named = |name| (around.var)(name).map(PathBuf::from);
    let folders = up_to_root(dir);
    let beside = folders
        .iter()
        .flat_map(|folder| [".venv", "venv", "env"].map(|name| folder.join(name)));
    let environments = named("VIRTUAL_ENV")
        .into_iter()
        .chain(beside)
        .chain(named("CONDA_PREFIX"));
    if let Some(found) = environments
        .into_iter()
        .find_map(|env| in_environment(&env))
    {
        return Some(found);
    }
    if uses_poetry(dir)
        && let Some(found) = (around.poetry)(dir).and_then(|env| in_environment(&env))
    {
        return Some(found);
    }
    let path = (around.var)("PATH")?;
    PYTHON_NAMES.iter().find_map(|name| {
        let path = which::which_in(name, Some(&path), dir).ok()?;
        // The Windows store puts programs there that only open the store.
        let stub = path.iter().any(|part| part == OsStr::new("WindowsApps"));
        (!stub).then_some(Python { path, bin: None })
    })
}

fn in_environment(env: &Path) -> Option<Python> {
    if !env.is_absolute() {
        return None;
    }
    let bin = env.join(PYTHON_BIN);
    let path = bin.join(PYTHON_IN_BIN);
    path.is_file().then_some(Python {
        path,
        bin: Some(bin),
    })
}

/// The folder, and those above it up to the one with `.git`; only the folder itself outside of a repository.
fn up_to_root(dir: &Path) -> Vec<&Path> {
    match dir
        .ancestors()
        .position(|above| above.join(".git").exists())
    {
        Some(root) => dir.ancestors().take(root + 1).collect(),
        None => vec![dir],
    }
}

/// Asking poetry takes half a second, so only where the project says that it uses it.
fn uses_poetry(dir: &Path) -> bool {
    let text = std::fs::read_to_string(dir.join("pyproject.toml")).unwrap_or_default();
    text.lines()
        .any(|line| line.trim().starts_with("[tool.poetry"))
}

/// Whether a module is there. A look into the environment's folder first, as starting Python costs more than all the rest
/// of `resolve`; Python itself where the look finds nothing (a parent environment, an editable install).
pub(super) fn has_module(
    python: &Python,
    module: &str,
    dir: &Path,
    around: &Surroundings<'_>,
) -> bool {
    let quick = python
        .bin
        .as_deref()
        .and_then(Path::parent)
        .is_some_and(|env| {
            site_packages(env)
                .iter()
                .any(|site| site.join(module).join("__init__.py").is_file())
        });
    quick || (around.imports)(&python.path, module, dir)
}

fn site_packages(env: &Path) -> Vec<PathBuf> {
    let mut all = vec![env.join("Lib").join("site-packages")];
    for lib in ["lib", "lib64"] {
        let versions = std::fs::read_dir(env.join(lib)).into_iter().flatten();
        let versions = versions.flatten().map(|entry| entry.path());
        all.extend(versions.map(|version| version.join("site-packages")));
    }
    all
}
