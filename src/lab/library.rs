//! Every lab there is: those that lbdev brings, and those of the project's folder `labs`.

use std::path::{Path, PathBuf};

use crate::config::lab::{Lab, read_lab};
use crate::error::Report;

/// In the order in which they build on each other.
const BROUGHT: [(&str, &str); 12] = [
    ("fair", include_str!("../../templates/labs/fair.toml")),
    (
        "failover",
        include_str!("../../templates/labs/failover.toml"),
    ),
    (
        "detection",
        include_str!("../../templates/labs/detection.toml"),
    ),
    (
        "all-down",
        include_str!("../../templates/labs/all-down.toml"),
    ),
    (
        "slow-one",
        include_str!("../../templates/labs/slow-one.toml"),
    ),
    (
        "sqlite-lock",
        include_str!("../../templates/labs/sqlite-lock.toml"),
    ),
    ("sticky", include_str!("../../templates/labs/sticky.toml")),
    ("drain", include_str!("../../templates/labs/drain.toml")),
    ("rolling", include_str!("../../templates/labs/rolling.toml")),
    ("herd", include_str!("../../templates/labs/herd.toml")),
    (
        "retry-storm",
        include_str!("../../templates/labs/retry-storm.toml"),
    ),
    (
        "post-twice",
        include_str!("../../templates/labs/post-twice.toml"),
    ),
];
/// Files that labs may need beside their set-ups, in `lab_dir`.
pub(super) const FILES: [(&str, &str); 1] = [(
    "sqlite_lock.py",
    include_str!("../../templates/labs/sqlite_lock.py"),
)];
/// Where a project has its own.
const FOLDER: &str = "labs";
/// A file that is longer is no lab.
const LONGEST: u64 = 1 << 20;

/// Where a lab is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// lbdev brings it.
    Brought(&'static str),
    /// A file of the project's.
    File(PathBuf),
}

/// Every lab there is.
#[derive(Debug)]
pub struct Library {
    labs: Vec<(String, Source)>,
}

impl Library {
    /// Those of the project in `dir`, and those that lbdev brings; where both have a name, the project's is meant.
    pub fn of(dir: &Path) -> Self {
        let mut labs: Vec<(String, Source)> = BROUGHT
            .iter()
            .map(|(name, text)| ((*name).to_owned(), Source::Brought(text)))
            .collect();
        let files = std::fs::read_dir(dir.join(FOLDER)).into_iter().flatten();
        let mut own: Vec<PathBuf> = files.flatten().map(|entry| entry.path()).collect();
        own.retain(|path| path.extension().is_some_and(|kind| kind == "toml"));
        own.sort();
        for file in own {
            let Some(name) = file.file_stem().and_then(|name| name.to_str()) else {
                continue;
            };
            let name = name.to_owned();
            labs.retain(|(known, _)| *known != name);
            labs.push((name, Source::File(file)));
        }
        Self { labs }
    }

    /// Names and places, in their order.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.labs
            .iter()
            .map(|(name, source)| (name.as_str(), source))
    }

    /// The lab of this name.
    ///
    /// # Errors
    /// LB051: it is not known, or its file has errors, which are all told.
    pub fn read(&self, name: &str) -> Result<Lab, Vec<Report>> {
        let known = self.labs.iter().find(|(known, _)| known == name);
        let Some((_, source)) = known else {
            let report = Report::usage("LB051", format!("there is no lab `{name}`"));
            let near = |known: &str| strsim::damerau_levenshtein(name, known);
            let names = self.labs.iter().map(|(name, _)| name.as_str());
            let like = names.min_by_key(|known| near(known));
            return Err(vec![match like.filter(|known| near(known) <= 3) {
                Some(like) => report.hint(format!("did you mean `lbdev lab {like}`?")),
                None => report.hint("run `lbdev lab list` to see all of them"),
            }]);
        };
        match source {
            Source::Brought(text) => read_lab(name, &format!("{name}.toml"), text),
            Source::File(file) => {
                let shown = format!("{FOLDER}/{name}.toml");
                let text = text_of(file).map_err(|why| {
                    let report = Report::failed("LB051", format!("cannot read `{shown}`: {why}"));
                    vec![report.hint("it is a text file in the project's folder `labs`")]
                })?;
                read_lab(name, &shown, &text)
            }
        }
    }

    /// The text of a lab that lbdev brings or the project has.
    pub fn text(&self, name: &str) -> Option<String> {
        let (_, source) = self.labs.iter().find(|(known, _)| known == name)?;
        match source {
            Source::Brought(text) => Some((*text).to_owned()),
            Source::File(file) => text_of(file).ok(),
        }
    }
}

fn text_of(file: &Path) -> Result<String, String> {
    let about = std::fs::metadata(file).map_err(|error| error.to_string())?;
    if about.len() > LONGEST {
        return Err("it is longer than 1 MB".to_owned());
    }
    std::fs::read_to_string(file).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lab_that_is_brought_can_be_read() {
        let library = Library::of(Path::new("/nowhere"));
        assert_eq!(library.all().count(), 12);
        for (name, _) in library.all() {
            let lab = library.read(name).unwrap_or_else(|reports| {
                let text: String = reports.iter().map(|one| format!("{one}\n")).collect();
                panic!("{text}")
            });
            assert!(!lab.hints.is_empty(), "{name} has no hint");
            assert!(!lab.broken.is_empty(), "{name} cannot be broken");
            let next = lab.next.unwrap();
            assert!(
                library.all().any(|(name, _)| name == next),
                "{name}: {next}"
            );
        }
    }

    #[test]
    fn what_is_not_known() {
        let library = Library::of(Path::new("/nowhere"));
        let said = |name: &str| library.read(name).unwrap_err()[0].to_string();
        assert!(said("failver").contains("did you mean `lbdev lab failover`?"));
        assert!(said("something").contains("lbdev lab list"));
    }
}
