//! What kind of project a folder holds. Each framework is one file of `templates/frameworks/`: a further one is a further
//! file and its line in [`frameworks`].

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use regex::{Regex, RegexSet};
use serde::Deserialize;

/// No more of a file is read to recognise something.
const MOST: u64 = 1 << 20;

/// A framework that lbdev knows how to run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Framework {
    /// What `--from` and `lbdev init` call it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What gives it away: any of these.
    pub seen: Vec<Seen>,
    /// How one backend is run, as `command` of `lbdev.toml`. `{NAME}` of [`Framework::finds`] and of `seen` are filled in.
    pub command: String,
    /// Variables that it needs.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// What is run once before it, such as a build.
    #[serde(default)]
    pub before: Vec<String>,
    /// Which saved files restart its backends.
    #[serde(default)]
    pub watch: Vec<String>,
    /// How many backends, where four make no sense.
    pub replicas: Option<u16>,
    /// A client has to stay with its backend if there are several.
    #[serde(default)]
    pub sticky: bool,
    /// Its own line about a request, a regular expression: lbdev says the same.
    pub access: Option<String>,
    /// Whether a folder below is worth a hint.
    #[serde(default)]
    pub look_below: bool,
    /// What must be installed for the project's Python.
    pub python: Option<PythonModule>,
    /// What must be installed in the folder.
    pub needs_file: Option<NeededFile>,
    /// What is to be found out for its commands.
    #[serde(default)]
    pub finds: Vec<Find>,
    /// Where another framework comes first, this one is a service beside it, which is not balanced.
    pub beside: Option<Beside>,
}

/// One way to recognise something.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// A file or folder; `*.war` is any file that ends so.
    pub file: String,
    /// The file matches this regular expression. What its named groups match can be used in commands.
    pub text: Option<String>,
    /// These are there, too.
    #[serde(default)]
    pub with: Vec<String>,
}

/// Something that a command names, such as a module.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Find {
    /// `{NAME}` in commands.
    pub name: String,
    /// Where it is looked for; the first file wins.
    pub files: Vec<String>,
    /// That matches this regular expression.
    pub text: Option<String>,
    /// What it then is: `{module}` is the file as a module of Python, `{1}` what the expression's first group matched.
    pub value: Option<String>,
    /// The same by the file.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

/// A module of Python that a framework is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PythonModule {
    /// What is imported.
    pub module: String,
    /// What is installed.
    pub package: String,
}

/// A file of the project that some command makes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeededFile {
    /// Which.
    pub file: String,
    /// By which command.
    pub install: String,
}

/// A service beside another framework.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beside {
    /// Its name.
    pub service: String,
    /// Its command.
    pub command: String,
}

/// A framework in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognised {
    /// Which.
    pub framework: &'static Framework,
    /// The file that gave it away.
    pub file: String,
    /// What was found out for its commands.
    values: BTreeMap<String, String>,
}

impl Recognised {
    /// As the banner says it: `Django (manage.py)`.
    pub fn origin(&self) -> String {
        format!("{} ({})", self.framework.name, self.file)
    }

    /// One of the framework's texts with all that was found out.
    ///
    /// # Errors
    /// What was to be found out, and where it was looked for.
    pub fn fill(&self, text: &str) -> Result<String, &'static Find> {
        let mut filled = text.to_owned();
        for (name, value) in &self.values {
            filled = filled.replace(&format!("{{{name}}}"), value);
        }
        let left = |find: &&Find| filled.contains(&format!("{{{}}}", find.name));
        match self.framework.finds.iter().find(left) {
            Some(find) => Err(find),
            None => Ok(filled),
        }
    }
}

/// Every framework, in the order in which the first that is recognised wins.
pub fn frameworks() -> &'static [Framework] {
    static ALL: OnceLock<Vec<Framework>> = OnceLock::new();
    let texts = [
        include_str!("../templates/frameworks/django.toml"),
        include_str!("../templates/frameworks/fastapi.toml"),
        include_str!("../templates/frameworks/starlette.toml"),
        include_str!("../templates/frameworks/flask.toml"),
        include_str!("../templates/frameworks/rails.toml"),
        include_str!("../templates/frameworks/laravel.toml"),
        include_str!("../templates/frameworks/spring-boot.toml"),
        include_str!("../templates/frameworks/tomcat.toml"),
        include_str!("../templates/frameworks/next.toml"),
        include_str!("../templates/frameworks/vite.toml"),
        include_str!("../templates/frameworks/node.toml"),
        include_str!("../templates/frameworks/go.toml"),
        include_str!("../templates/frameworks/rust.toml"),
        include_str!("../templates/frameworks/static.toml"),
    ];
    ALL.get_or_init(|| {
        let read = |text| toml::from_str(text).expect("embedded, and read by a test");
        texts.into_iter().map(read).collect()
    })
}

/// The framework of this name.
pub fn by_id(id: &str) -> Option<&'static Framework> {
    frameworks().iter().find(|framework| framework.id == id)
}

/// What matches the lines in which frameworks tell of requests themselves.
pub fn access_lines() -> &'static RegexSet {
    static ALL: OnceLock<RegexSet> = OnceLock::new();
    ALL.get_or_init(|| {
        let lines = frameworks()
            .iter()
            .filter_map(|framework| framework.access.as_ref());
        RegexSet::new(lines).expect("embedded, and compiled by a test")
    })
}

/// What a folder could be, the first choice first.
pub fn recognise(dir: &Path) -> Vec<Recognised> {
    let here = |framework| recognise_as(framework, dir);
    frameworks().iter().filter_map(here).collect()
}

/// Whether a folder holds this.
pub fn recognise_as(framework: &'static Framework, dir: &Path) -> Option<Recognised> {
    let (file, mut values) = framework.seen.iter().find_map(|seen| is_seen(seen, dir))?;
    for find in &framework.finds {
        if let Some(value) = find_out(find, dir) {
            values.insert(find.name.clone(), value);
        }
    }
    Some(Recognised {
        framework,
        file,
        values,
    })
}

fn is_seen(seen: &Seen, dir: &Path) -> Option<(String, BTreeMap<String, String>)> {
    let file = named(&seen.file, dir)?;
    if !seen.with.iter().all(|other| dir.join(other).exists()) {
        return None;
    }
    let mut values = BTreeMap::new();
    if let Some(text) = &seen.text {
        let regex = Regex::new(text).expect("embedded, and compiled by a test");
        let content = read(&dir.join(&file))?;
        let found = regex.captures(&content)?;
        for name in regex.capture_names().flatten() {
            if let Some(value) = found.name(name) {
                values.insert(name.to_owned(), value.as_str().to_owned());
            }
        }
    }
    Some((file, values))
}

/// The file's own name, if it is there.
fn named(pattern: &str, dir: &Path) -> Option<String> {
    let Some(ending) = pattern.strip_prefix('*') else {
        return dir.join(pattern).exists().then(|| pattern.to_owned());
    };
    let entries = std::fs::read_dir(dir).ok()?.flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.ends_with(ending)).min()
}

fn find_out(find: &Find, dir: &Path) -> Option<String> {
    find.files.iter().find_map(|file| {
        let path = dir.join(file);
        let template = find.values.get(file).or(find.value.as_ref())?;
        let Some(text) = &find.text else {
            return path.exists().then(|| template.clone());
        };
        let regex = Regex::new(text).expect("embedded, and compiled by a test");
        let content = read(&path)?;
        let found = regex.captures(&content)?;
        let first = found.get(1).map_or("", |group| group.as_str());
        Some(
            template
                .replace("{module}", &module(file))
                .replace("{1}", first),
        )
    })
}

/// `app/main.py` is `app.main`, and `app/__init__.py` is `app`.
fn module(file: &str) -> String {
    let path = file.strip_suffix(".py").unwrap_or(file);
    let path = path.strip_suffix("/__init__").unwrap_or(path);
    path.replace('/', ".")
}

/// A text of the project; what is no text, or too much, says nothing.
fn read(path: &Path) -> Option<String> {
    let small = path
        .metadata()
        .is_ok_and(|meta| meta.is_file() && meta.len() <= MOST);
    small.then(|| std::fs::read_to_string(path).ok()).flatten()
}

/// A folder directly below `dir` that is recognised, for a hint; the first by name.
pub fn below(dir: &Path) -> Option<String> {
    let entries = std::fs::read_dir(dir).ok()?;
    let worth = |name: &String| {
        let folder = dir.join(name);
        let mut those = frameworks().iter().filter(|framework| framework.look_below);
        !name.starts_with('.') && those.any(|one| recognise_as(one, &folder).is_some())
    };
    let names = entries
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok());
    names.filter(worth).min()
}

mod pitfalls;

pub use pitfalls::{Pitfall, pitfalls};

#[cfg(test)]
mod tests;
