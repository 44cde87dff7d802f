//! `explain`: what a code means.

use serde_json::json;

use crate::error::{CODES, Report, explanation};
use crate::ui::{Ui, explained};
use crate::wire::VERSION;

/// One code at length, or all of them, a line each.
pub(super) fn explain(code: Option<&str>, ui: &Ui) -> Result<u8, Report> {
    let Some(typed) = code else {
        if ui.json {
            let all: Vec<_> = (CODES.iter())
                .map(|(code, title)| json!({ "code": code, "title": title }))
                .collect();
            ui.json(&json!({ "version": VERSION, "codes": all }));
        } else {
            ui.out(&explained::all(ui.out));
        }
        return Ok(0);
    };
    let Some((code, title, text)) = explanation(typed) else {
        let message = format!("there is no code `{typed}`");
        return Err(Report::usage("LB021", message).hint("run `lbdev explain` to see all of them"));
    };
    if ui.json {
        ui.json(&json!({
            "version": VERSION,
            "code": code,
            "title": title,
            "happened": text.happened,
            "why": text.why,
            "do": text.to_do,
        }));
    } else {
        ui.out(&explained::one((code, title), text, ui.out, ui.width()));
    }
    Ok(0)
}
