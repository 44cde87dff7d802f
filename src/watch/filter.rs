//! Which files matter: those that the patterns name, but for what git ignores and what only programs write.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::WalkBuilder;
use ignore::gitignore::Gitignore;

use crate::config::Watching;

/// Folders that programs fill; with a `pyvenv.cfg` it is a virtual environment of Python.
const FILLED: [&str; 3] = ["node_modules", "__pycache__", "site-packages"];
const VENV: &str = "pyvenv.cfg";

/// Which files of a folder matter.
#[derive(Debug)]
pub(super) struct Filter {
    root: PathBuf,
    globs: GlobSet,
    /// Files that were named without any wildcard: ignored or not, they are meant.
    named: BTreeSet<PathBuf>,
}

impl Filter {
    pub(super) fn new(watching: &Watching) -> Self {
        // Events name files by the real path; a link to the project is as good.
        let root = dunce::canonicalize(&watching.dir).unwrap_or_else(|_| watching.dir.clone());
        let mut globs = GlobSetBuilder::new();
        let mut named = BTreeSet::new();
        for pattern in &watching.patterns {
            if !pattern.contains(['*', '?', '[', '{']) {
                named.insert(root.join(pattern).components().collect());
            } else if let Ok(glob) = GlobBuilder::new(pattern).literal_separator(true).build() {
                // The configuration refuses those that cannot be built.
                globs.add(glob);
            }
        }
        Self {
            globs: globs.build().unwrap_or_default(),
            root,
            named,
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether a change of this file matters. It may be gone by now.
    pub(super) fn wants(&self, file: &Path) -> bool {
        if self.named.contains(file) {
            return true;
        }
        let Ok(inner) = file.strip_prefix(&self.root) else {
            return false;
        };
        self.globs.is_match(inner) && !self.skips(inner) && !ignored(file, false)
    }

    /// Whether a folder can hold files that matter, or leads to one that was named.
    pub(super) fn matters(&self, dir: &Path) -> bool {
        self.enters(dir) || self.named.iter().any(|file| file.starts_with(dir))
    }

    fn enters(&self, dir: &Path) -> bool {
        match dir.strip_prefix(&self.root) {
            Ok(inner) => !self.skips(inner) && (dir == self.root || !ignored(dir, true)),
            Err(_) => false,
        }
    }

    /// Whether a path leads through what is hidden, or filled by programs.
    fn skips(&self, inner: &Path) -> bool {
        let mut so_far = self.root.clone();
        inner.components().any(|part| {
            so_far.push(part);
            let name = part.as_os_str().to_string_lossy();
            name.starts_with('.') || FILLED.contains(&&*name) || so_far.join(VENV).is_file()
        })
    }

    /// The folders to watch, from this one on down, those of files that were named among them.
    pub(super) fn dirs(&self, from: &Path) -> Vec<PathBuf> {
        let mut dirs: BTreeSet<PathBuf> = BTreeSet::new();
        if self.enters(from) {
            dirs.extend(self.walk(from, |_| ()).0);
        }
        // Whatever is on the way to a file that was named, as far as it is there.
        for file in &self.named {
            let above = file.ancestors().skip(1);
            let below = above.take_while(|dir| dir.starts_with(from));
            dirs.extend(below.filter(|dir| dir.is_dir()).map(Path::to_owned));
        }
        dirs.into_iter().collect()
    }

    /// The files that matter, from this folder on down, and what `look` makes of each.
    pub(super) fn files<T>(&self, from: &Path, look: impl Fn(&Path) -> T) -> Vec<(PathBuf, T)> {
        let mut files = match self.enters(from) {
            true => self.walk(from, &look).1,
            false => Vec::new(),
        };
        let named = self.named.iter().filter(|file| file.starts_with(from));
        let named = named.filter(|file| file.is_file());
        files.extend(named.map(|file| (file.clone(), look(file))));
        files
    }

    /// Links are not followed, so there are no circles. What cannot be read is left out.
    fn walk<T>(&self, from: &Path, look: impl Fn(&Path) -> T) -> (Vec<PathBuf>, Vec<(PathBuf, T)>) {
        let filled = |name: &str| FILLED.contains(&name);
        let walk = WalkBuilder::new(from)
            .require_git(false)
            .filter_entry(move |entry| {
                !filled(&entry.file_name().to_string_lossy()) && !entry.path().join(VENV).is_file()
            })
            .build();
        let (mut dirs, mut files) = (Vec::new(), Vec::new());
        for entry in walk.flatten() {
            let path = entry.into_path();
            if path.is_symlink() && path != from {
                continue;
            }
            if path.is_dir() {
                dirs.push(path);
            } else if let Ok(inner) = path.strip_prefix(&self.root)
                && self.globs.is_match(inner)
            {
                let seen = look(&path);
                files.push((path, seen));
            }
        }
        (dirs, files)
    }
}

/// Whether a `.gitignore` beside it or above it says so; the nearest that says anything does.
fn ignored(path: &Path, is_dir: bool) -> bool {
    for dir in path.ancestors().skip(1) {
        let rules = dir.join(".gitignore");
        if rules.is_file() {
            let (rules, _) = Gitignore::new(rules);
            let matched = rules.matched_path_or_any_parents(path, is_dir);
            if !matched.is_none() {
                return matched.is_ignore();
            }
        }
        if dir.join(".git").exists() {
            break;
        }
    }
    false
}
