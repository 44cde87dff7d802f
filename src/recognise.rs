//! What kind of project a folder holds. Each framework is one file of `templates/frameworks/`: a further one is a further
//! file and its line in [`frameworks`].

use std::path::Path;
use std::sync::OnceLock;

use serde::Deserialize;

/// A framework that lbdev knows how to run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Framework {
    /// What `--from` and `lbdev init` call it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The file in the project's folder that gives it away.
    pub marker: String,
    /// How one backend is run, as `command` of `lbdev.toml`.
    pub command: String,
    /// Whether a folder below is worth a hint.
    #[serde(default)]
    pub look_below: bool,
    /// What must be installed for the project's Python.
    pub python: Option<PythonModule>,
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

impl Framework {
    /// As the banner says it: `Django (manage.py)`.
    pub fn origin(&self) -> String {
        format!("{} ({})", self.name, self.marker)
    }
}

/// Every framework, in the order in which the first that is recognised wins.
pub fn frameworks() -> &'static [Framework] {
    static ALL: OnceLock<Vec<Framework>> = OnceLock::new();
    let texts = [
        include_str!("../templates/frameworks/django.toml"),
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

/// What a folder could be, the first choice first.
pub fn recognise(dir: &Path) -> Vec<&'static Framework> {
    let here = |framework: &&Framework| dir.join(&framework.marker).is_file();
    frameworks().iter().filter(here).collect()
}

/// A folder directly below `dir` that is recognised, for a hint; the first by name.
pub fn below(dir: &Path) -> Option<String> {
    let entries = std::fs::read_dir(dir).ok()?;
    let worth = |name: &String| {
        let folder = dir.join(name);
        !name.starts_with('.')
            && frameworks()
                .iter()
                .any(|framework| framework.look_below && folder.join(&framework.marker).is_file())
    };
    let names = entries
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok());
    names.filter(worth).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_descriptions_are_valid() {
        let ids: Vec<&str> = frameworks().iter().map(|f| f.id.as_str()).collect();
        assert_eq!(ids, ["django", "static"]);
        for framework in frameworks() {
            assert!(framework.command.contains("{port}"));
        }
    }

    #[test]
    fn folders() {
        let dir = tempfile::tempdir().unwrap();
        assert!(recognise(dir.path()).is_empty());
        assert_eq!(below(dir.path()), None);
        std::fs::create_dir(dir.path().join("site")).unwrap();
        std::fs::write(dir.path().join("site/manage.py"), "").unwrap();
        assert_eq!(below(dir.path()).as_deref(), Some("site"));
        std::fs::write(dir.path().join("index.html"), "").unwrap();
        std::fs::write(dir.path().join("manage.py"), "").unwrap();
        let ids: Vec<&str> = recognise(dir.path())
            .iter()
            .map(|f| f.id.as_str())
            .collect();
        assert_eq!(ids, ["django", "static"]);
    }
}
