//! `lab grade`: what the results of a class are worth.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use crate::cli::{LabOptions, Place};
use crate::error::Report;
use crate::lab::{Grade, Library, grade as judge, names_of_roster};
use crate::ui::Ui;
use crate::ui::lab as words;

/// Files that are read at most: more is a mistake in a pattern.
const MOST: usize = 100_000;

pub(super) fn grade(
    place: &Place,
    library: &Library,
    patterns: &[String],
    options: &LabOptions,
    ui: &Ui,
) -> Result<u8, Vec<Report>> {
    if patterns.is_empty() {
        let report = Report::usage("LB021", "`lab grade` needs result files");
        return Err(vec![report.hint("run `lbdev lab grade 'results/*.json'`")]);
    }
    let files = files(&place.dir, patterns).map_err(|report| vec![report])?;
    let roster = match &options.roster {
        None => None,
        Some(file) => Some(names_of_roster(file).map_err(|why| {
            let message = format!("cannot use the roster `{}`: {why}", file.display());
            vec![Report::usage("LB021", message).hint("it is a CSV file with a column `student`")]
        })?),
    };
    let grades = judge(&files, roster.as_deref(), library);
    if ui.json {
        ui.json(&words::grades_json(&grades));
    } else if options.csv {
        ui.out(&words::grades_csv(&grades));
    } else {
        ui.out(&words::grades(&grades, ui.width(), ui.out));
    }
    Ok(u8::from(!grades.iter().all(Grade::passed)))
}

/// The files that are meant: names, or patterns of names where the shell has not filled them in.
fn files(dir: &Path, patterns: &[String]) -> Result<Vec<PathBuf>, Report> {
    let mut all = Vec::new();
    for pattern in patterns {
        let path = dir.join(pattern);
        if path.is_file() {
            all.push(path);
            continue;
        }
        let found = matching(&path).unwrap_or_default();
        if found.is_empty() {
            let message = format!("there is no file `{pattern}`");
            return Err(Report::failed("LB007", message)
                .hint("say for example `lbdev lab grade 'results/*.json'`"));
        }
        all.extend(found);
    }
    all.sort();
    all.dedup();
    all.truncate(MOST);
    Ok(all)
}

/// Files of one folder whose names fit; `None` where the pattern is none.
fn matching(path: &Path) -> Option<Vec<PathBuf>> {
    let (folder, name) = (path.parent()?, path.file_name()?.to_str()?);
    let glob: GlobMatcher = GlobBuilder::new(name).build().ok()?.compile_matcher();
    let entries = std::fs::read_dir(folder).ok()?;
    let files = entries.flatten().map(|entry| entry.path());
    let fits =
        |file: &PathBuf| file.is_file() && file.file_name().is_some_and(|name| glob.is_match(name));
    Some(files.filter(fits).collect())
}
