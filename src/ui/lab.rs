//! A lab in words: question, verdict, explanation; the list of labs; grades.

use console::measure_text_width;
use serde_json::{Value, json};

use super::table::{Column, KEEP, render};
use super::{Paint, plural};
use crate::config::lab::Lab;
use crate::lab::{Done, Grade};
use crate::wire::VERSION;

/// Columns of running text: longer lines are hard to read.
const READABLE: usize = 88;

/// A text, wrapped. A blank line begins another paragraph; what begins with spaces stays as it is.
pub fn paragraph(text: &str, width: Option<usize>) -> String {
    let width = width.unwrap_or(READABLE).clamp(20, READABLE);
    let mut out = String::new();
    for part in text.trim().split("\n\n") {
        if !out.is_empty() {
            out.push('\n');
        }
        if part.lines().any(|line| line.starts_with("  ")) {
            out.push_str(part);
            out.push('\n');
            continue;
        }
        let mut used = 0;
        for word in part.split_whitespace() {
            let length = measure_text_width(word);
            if used > 0 && used + 1 + length > width {
                out.push('\n');
                used = 0;
            }
            if used > 0 {
                out.push(' ');
                used += 1;
            }
            out.push_str(word);
            used += length;
        }
        out.push('\n');
    }
    out
}

/// `── failover: one server dies … ──` and what one has to know.
pub fn opening(lab: &Lab, about: &str, width: Option<usize>, paint: Paint) -> String {
    format!(
        "{}\n\n{}",
        paint.strong(&format!("Lab {}: {}", lab.name, lab.title)),
        paragraph(about, width)
    )
}

/// The question and its choices, numbered.
pub fn question(question: &str, choices: &[String], width: Option<usize>, paint: Paint) -> String {
    let mut text = format!("\n{}", paint.strong(&paragraph(question, width)));
    for (place, choice) in choices.iter().enumerate() {
        text.push_str(&format!("  {}  {choice}\n", place + 1));
    }
    text
}

/// What can be typed.
pub fn prompt(choices: usize, hints: bool) -> String {
    let hint = if hints { ", h for a hint" } else { "" };
    format!("What do you predict? 1 to {choices}{hint}, q to stop")
}

/// Something begins.
pub fn does(what: &str, paint: Paint) -> String {
    paint.dim(&format!("$ {what}"))
}

/// A verb that was run.
pub fn ran(verb: &str, said: &[String], paint: Paint) -> String {
    let mut text = format!("{}\n", paint.strong(&format!("$ lbdev {verb}")));
    // Notes are for whoever typed it.
    let said = said.iter().filter(|line| !line.starts_with("note:"));
    for line in said.take(4) {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

/// Whether each check held, whether the prediction was right, and why it is so.
pub fn verdict(
    lab: &Lab,
    done: &Done,
    predicted: Option<usize>,
    width: Option<usize>,
    paint: Paint,
) -> String {
    let mut text = "\n".to_owned();
    for verdict in &done.verdicts {
        let mark = match verdict.held {
            true => paint.good("✓"),
            false => paint.bad("✗"),
        };
        text.push_str(&format!("{mark} {}: {}\n", verdict.that, verdict.shows));
    }
    let held = done.verdicts.iter().filter(|verdict| verdict.held).count();
    let all = done.verdicts.len();
    let headline = match held == all {
        true => paint.good(&format!("passed: {} held", plural(all, "check", "checks"))),
        false => paint.bad(&format!("failed: {held} of {all} checks held")),
    };
    text.push_str(&format!("\n{headline}\n"));
    if let Some(predicted) = predicted {
        let right = predicted == lab.answer + 1;
        text.push_str(&match right {
            true => format!("Your prediction ({predicted}) was right.\n"),
            false => format!("You predicted {predicted}; it is {}.\n", lab.answer + 1),
        });
    }
    text.push_str(&format!("\n{}", paragraph(&done.explanation, width)));
    if let Some(next) = &lab.next {
        text.push_str(&format!("\nnext  lbdev lab {next}\n"));
    }
    text
}

/// A lab that cannot be done here.
pub fn skipped(name: &str, program: &str, paint: Paint) -> String {
    format!(
        "{} {name}: it needs `{program}`, which is not installed here",
        paint.attention("skipped")
    )
}

/// The same for programs.
pub fn skipped_json(name: &str, program: &str) -> Value {
    json!({ "version": VERSION, "lab": name, "state": "skipped", "needs": program })
}

/// All labs, a line each.
pub fn list(
    labs: &[Lab],
    missing: impl Fn(&Lab) -> Option<String>,
    width: Option<usize>,
    paint: Paint,
) -> String {
    let columns = [
        Column::left("LAB", KEEP),
        Column::left("LESSON", KEEP),
        Column::left("WITH --app", 1),
        Column::left("NEEDS", 2),
    ];
    let row = |lab: &Lab| {
        let needs = match missing(lab) {
            Some(program) => paint.attention(&format!("{program} (not installed)")),
            None => lab.needs.join(", "),
        };
        let app = if lab.app { "yes" } else { "" };
        vec![lab.name.clone(), lab.lesson.clone(), app.to_owned(), needs]
    };
    let rows: Vec<Vec<String>> = labs.iter().map(row).collect();
    let mut text = render(&columns, &rows, width);
    text.push_str("\nnext  lbdev lab fair\n");
    text
}

/// The same for programs.
pub fn list_json(labs: &[Lab], missing: impl Fn(&Lab) -> Option<String>) -> Value {
    let row = |lab: &Lab| {
        json!({
            "name": lab.name, "title": lab.title, "lesson": lab.lesson, "app": lab.app,
            "needs": lab.needs, "missing": missing(lab),
        })
    };
    json!({ "version": VERSION, "labs": labs.iter().map(row).collect::<Vec<_>>() })
}

fn flags(grade: &Grade) -> String {
    let flags: Vec<String> = grade.flags.iter().map(ToString::to_string).collect();
    flags.join("; ")
}

fn result(grade: &Grade) -> &'static str {
    match grade.file {
        None => "missing",
        Some(_) if grade.passed() => "passed",
        Some(_) if grade.flags.is_empty() => "failed",
        Some(_) => "look",
    }
}

fn predicted(grade: &Grade) -> &'static str {
    match grade.predicted_right {
        Some(true) => "right",
        Some(false) => "wrong",
        None => "",
    }
}

fn file_of(grade: &Grade) -> String {
    let name = grade.file.as_ref().and_then(|file| file.file_name());
    name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// A row for each student and lab.
pub fn grades(grades: &[Grade], width: Option<usize>, paint: Paint) -> String {
    let columns = [
        Column::left("STUDENT", KEEP),
        Column::left("LAB", KEEP),
        Column::left("RESULT", KEEP),
        Column::right("CHECKS", 3),
        Column::left("PREDICTION", 2),
        Column::left("FILE", 1),
        Column::left("NOTES", KEEP),
    ];
    let row = |grade: &Grade| {
        let word = result(grade);
        let word = match word {
            "passed" => paint.good(&format!("✓ {word}")),
            "look" => paint.attention(&format!("! {word}")),
            word => paint.bad(&format!("✗ {word}")),
        };
        vec![
            grade.student.clone(),
            grade.lab.clone(),
            word,
            format!("{}/{}", grade.held.0, grade.held.1),
            predicted(grade).to_owned(),
            file_of(grade),
            flags(grade),
        ]
    };
    let rows: Vec<Vec<String>> = grades.iter().map(row).collect();
    let passed = grades.iter().filter(|grade| grade.passed()).count();
    format!(
        "{}\n{passed} of {} passed\n",
        render(&columns, &rows, width),
        plural(grades.len(), "result", "results")
    )
}

/// The same as CSV, with a head.
pub fn grades_csv(grades: &[Grade]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = [
        "student",
        "lab",
        "result",
        "checks_held",
        "checks",
        "prediction",
        "seconds",
        "file",
        "notes",
    ];
    // It is written to memory, which does not fail.
    let _ = writer.write_record(head);
    for grade in grades {
        let seconds = match grade.file {
            Some(_) => format!("{:.1}", grade.seconds),
            None => String::new(),
        };
        let _ = writer.write_record([
            &plain(&grade.student),
            &plain(&grade.lab),
            result(grade),
            &grade.held.0.to_string(),
            &grade.held.1.to_string(),
            predicted(grade),
            &seconds,
            &plain(&file_of(grade)),
            &plain(&flags(grade)),
        ]);
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

/// A spreadsheet takes what begins with these for a formula.
fn plain(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

/// The same for programs.
pub fn grades_json(grades: &[Grade]) -> Value {
    let row = |grade: &Grade| {
        let flags: Vec<String> = grade.flags.iter().map(ToString::to_string).collect();
        json!({
            "student": grade.student, "lab": grade.lab, "result": result(grade),
            "held": grade.held.0, "checks": grade.held.1, "predicted_right": grade.predicted_right,
            "seconds": grade.seconds, "file": grade.file, "flags": flags,
        })
    };
    json!({ "version": VERSION, "grades": grades.iter().map(row).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs() {
        let text = "one two three four five six\nseven\n\n  $ as it is\n  or not\n\nlast";
        assert_eq!(
            paragraph(text, Some(20)),
            "one two three four\nfive six seven\n\n  $ as it is\n  or not\n\nlast\n"
        );
        assert_eq!(paragraph("", None), "\n");
    }

    #[test]
    fn a_spreadsheet_gets_no_formulas() {
        assert_eq!(plain("=1+1"), "'=1+1");
        assert_eq!(plain("s123"), "s123");
    }
}
