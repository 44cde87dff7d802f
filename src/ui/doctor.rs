//! `lbdev doctor`, for eyes.

use super::{Paint, plural};
use crate::wire::{Doctor, Finding};

/// What was found, by what it is about; then how much of it.
pub fn render(found: &Doctor, paint: Paint) -> String {
    let mut text = String::new();
    let mut before = "";
    for one in &found.checks {
        if one.check != before {
            before = &one.check;
            text.push_str(&format!("{}\n", paint.strong(before)));
        }
        text.push_str(&finding(one, paint));
    }
    let count = |state: &str| found.checks.iter().filter(|one| one.state == state).count();
    let (problems, notes) = (count("problem"), count("note"));
    let sum = match (problems, notes) {
        (0, 0) => paint.good("all is well"),
        (0, notes) => format!("no problem, {}", plural(notes, "note", "notes")),
        (problems, 0) => paint.bad(&plural(problems, "problem", "problems")),
        (problems, notes) => format!(
            "{}, {}",
            paint.bad(&plural(problems, "problem", "problems")),
            plural(notes, "note", "notes")
        ),
    };
    match found.checks.len() {
        0 | 1 => {}
        _ => text.push_str(&format!("\n{sum}\n")),
    }
    text
}

fn finding(one: &Finding, paint: Paint) -> String {
    let glyph = match one.state.as_str() {
        "ok" => paint.good("✓"),
        "note" => paint.attention("!"),
        _ => paint.bad("✗"),
    };
    let mut text = format!("  {glyph} {}\n", one.text);
    if let Some(hint) = &one.hint {
        text.push_str(&format!("    {} {hint}\n", paint.link("hint:")));
    }
    if let Some(code) = &one.code {
        text.push_str(&format!(
            "    {}\n",
            paint.dim(&format!("lbdev explain {code}"))
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_stand_by_what_they_are_about() {
        let found = Doctor {
            version: 1,
            checks: vec![
                Finding::ok("project", "shop · Django (manage.py) · 4 backends"),
                Finding::problem("ports", "port 8000 is in use by `python3` (pid 42)")
                    .hint("stop it: `kill 42`")
                    .code("LB001"),
                Finding::note("limits", "only 256 files may be open at once"),
            ],
        };
        insta::assert_snapshot!(render(&found, Paint::new(false)), @"
        project
          ✓ shop · Django (manage.py) · 4 backends
        ports
          ✗ port 8000 is in use by `python3` (pid 42)
            hint: stop it: `kill 42`
            lbdev explain LB001
        limits
          ! only 256 files may be open at once

        1 problem, 1 note
        ");
    }
}
