//! `lab hint`: one hint after the other, of the lab that was begun last.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::error::Report;
use crate::instance;
use crate::lab::Library;
use crate::ui::Ui;

/// The file that remembers which lab was begun last, and how many of its hints were given.
fn file() -> Option<PathBuf> {
    Some(instance::labs_folder().ok()?.join("last.json"))
}

/// This lab was begun. Where that cannot be written, `lab hint` wants its name.
pub(super) fn remember(lab: &str) {
    keep(lab, 0);
}

fn keep(lab: &str, given: u64) {
    let Some(file) = file() else { return };
    if let Some(folder) = file.parent() {
        let _ = std::fs::create_dir_all(folder);
    }
    let text = json!({ "lab": lab, "given": given }).to_string();
    let _ = std::fs::write(file, text);
}

fn last() -> Option<(String, u64)> {
    let text = std::fs::read_to_string(file()?).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    let lab = value.get("lab")?.as_str()?.to_owned();
    Some((lab, value.get("given")?.as_u64()?))
}

/// The next hint of the lab that was begun last, or of the one that is named.
pub(super) fn hint(library: &Library, rest: &[String], ui: &Ui) -> Result<u8, Vec<Report>> {
    let (name, given) = match (rest, last()) {
        ([name], Some((last, given))) if last == *name => (name.clone(), given),
        ([name], _) => (name.clone(), 0),
        ([], Some((name, given))) => (name, given),
        ([], None) => {
            let report = Report::failed("LB051", "no lab was begun yet, so there is no hint");
            return Err(vec![report.hint("name one: `lbdev lab hint failover`")]);
        }
        ([_, word, ..], _) => {
            let message = format!("`{word}` is one word too many for `lbdev lab hint`");
            return Err(vec![Report::usage("LB021", message).hint("leave it out")]);
        }
    };
    let lab = library.read(&name)?;
    let count = lab.hints.len() as u64;
    let place = usize::try_from(given.min(count.saturating_sub(1))).unwrap_or(0);
    match lab.hints.get(place) {
        Some(hint) => {
            ui.out(&format!("hint {} of {count} ({name}): {hint}", place + 1));
            keep(&name, given + 1);
        }
        None => ui.out(&format!("`{name}` has no hints")),
    }
    Ok(0)
}
