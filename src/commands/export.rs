//! `export`: the set-up in the words of something else.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use crate::cli::ExportOptions;
use crate::config;
use crate::error::Report;
use crate::export::{self, Exported};
use crate::instance::tilde;
use crate::ui::Ui;
use crate::wire::VERSION;

/// Stands in the head of every file of ours.
const MARK: &str = "written by `lbdev export";

/// Writes it, and says what is lost.
pub(super) fn export(options: &ExportOptions, ui: &Ui) -> Result<u8, Vec<Report>> {
    let config = config::resolve(&options.request)?;
    let target = options.target;
    let made = export::export(&config, target).map_err(|error| vec![error.into()])?;
    if options.strict && !made.lost.is_empty() {
        let count = made.lost.len();
        let what = match count {
            1 => "one setting".to_owned(),
            n => format!("{n} settings"),
        };
        let message = format!("{} cannot say {what} of this project", target.called());
        let report = made
            .lost
            .iter()
            .fold(Report::failed("LB053", message), |report, lost| {
                report.detail(lost)
            });
        let hint = format!("run `lbdev export {}` to have it without", target.name());
        return Err(vec![report.hint(hint)]);
    }
    if let Some(file) = &options.output {
        write(file, &made.text).map_err(|report| vec![report])?;
    }
    tell(options, &made, ui);
    Ok(0)
}

fn tell(options: &ExportOptions, made: &Exported, ui: &Ui) {
    if ui.json {
        ui.json(&serde_json::json!({
            "version": VERSION,
            "target": options.target.name(),
            "wrote": options.output.as_ref().map(|file| file.to_string_lossy()),
            "text": made.text,
            "lost": made.lost,
            "differs": made.differs,
        }));
        return;
    }
    for lost in &made.lost {
        ui.note(&format!("not carried over: {lost}"));
    }
    match &options.output {
        None => ui.out(&made.text),
        Some(file) => ui.did(&format!("{} wrote {}", ui.out.check(), tilde(file))),
    }
    if !made.differs.is_empty() {
        let count = made.differs.len();
        let things = match count {
            1 => "1 thing is".to_owned(),
            n => format!("{n} things are"),
        };
        ui.note(&format!(
            "{things} another way there: the head of the file says which"
        ));
    }
}

/// Writes a file that is not there, or that an earlier export wrote. It is whole, or as it was.
fn write(file: &Path, text: &str) -> Result<(), Report> {
    let shown = tilde(file);
    let failed = |error: io::Error| {
        Report::failed("LB007", format!("cannot write `{shown}`: {error}"))
            .hint("choose another file with `-o FILE`")
    };
    match is_ours(file) {
        Ok(true) => {}
        Ok(false) => {
            return Err(Report::usage(
                "LB007",
                format!("`{shown}` is there already, and lbdev did not write it"),
            )
            .hint(format!("rename it first: `mv {shown} {shown}.old`")));
        }
        Err(error) => return Err(failed(error)),
    }
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder
        .unwrap_or(Path::new("."))
        .join(format!(".{name}.{}", std::process::id()));
    let written = fs::File::create(&beside)
        .and_then(|mut to| to.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&beside, file));
    written.map_err(|error| {
        let _ = fs::remove_file(&beside);
        failed(error)
    })
}

/// Nothing is there, or something of ours.
fn is_ours(file: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    match fs::File::open(file) {
        Ok(there) => there.take(1024).read_to_end(&mut head)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    Ok(String::from_utf8_lossy(&head).contains(MARK))
}
