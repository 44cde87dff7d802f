//! `lab`: lessons that check themselves, and what teachers do with their results.

mod grade;
mod hint;
mod server;
mod stage;

use std::path::Path;

use crate::cli::{LabOptions, Place};
use crate::config::lab::Lab;
use crate::engine;
use crate::error::Report;
use crate::lab::{Library, Record, RecordState, Setting, file_name, perform};
use crate::shutdown::{Level, Shutdown};
use crate::ui::Ui;
use crate::ui::lab as words;

pub(super) use server::demo;
use stage::{Stage, Typed};

/// The exit code of what Ctrl-C cut short.
const INTERRUPTED: u8 = 130;

/// Does what was typed.
pub(super) fn lab(place: &Place, options: &LabOptions, ui: &Ui) -> Result<u8, Vec<Report>> {
    let library = Library::of(&place.dir);
    let (first, rest) = match options.words.split_first() {
        Some((first, rest)) => (first.as_str(), rest),
        None => return Ok(0),
    };
    match first {
        "list" => list(&library, rest, ui),
        "hint" => hint::hint(&library, rest, ui),
        "show" => show(&library, rest, ui),
        "grade" => grade::grade(place, &library, rest, options, ui),
        _ => {
            // Every name and every file, before the first minute has gone by.
            let labs: Vec<Lab> = options
                .words
                .iter()
                .map(|name| library.read(name))
                .collect::<Result<_, _>>()?;
            if ui.json && !options.auto {
                let report = Report::usage("LB021", "`--json` cannot ask questions");
                return Err(vec![report.hint("add `--auto`")]);
            }
            let runtime = super::runtime().map_err(|error| vec![error])?;
            runtime.block_on(all(place, labs, options, ui))
        }
    }
}

fn list(library: &Library, rest: &[String], ui: &Ui) -> Result<u8, Vec<Report>> {
    nothing_more("list", rest)?;
    let mut broken = Vec::new();
    let mut labs = Vec::new();
    for (name, _) in library.all() {
        match library.read(name) {
            Ok(lab) => labs.push(lab),
            Err(reports) => broken.extend(reports),
        }
    }
    let missing = |lab: &Lab| missing(lab).map(str::to_owned);
    if ui.json {
        ui.json(&words::list_json(&labs, missing));
    } else {
        ui.out(&words::list(&labs, missing, ui.width(), ui.out));
    }
    match broken.is_empty() {
        true => Ok(0),
        false => Err(broken),
    }
}

fn show(library: &Library, rest: &[String], ui: &Ui) -> Result<u8, Vec<Report>> {
    let [name] = rest else {
        let report = Report::usage("LB021", "`lab show` needs the name of one lab");
        return Err(vec![report.hint("run `lbdev lab show fair`")]);
    };
    match library.text(name) {
        Some(text) => {
            ui.out(&text);
            Ok(0)
        }
        // It says which there are.
        None => library.read(name).map(|_| 0),
    }
}

fn nothing_more(verb: &str, rest: &[String]) -> Result<(), Vec<Report>> {
    match rest.first() {
        None => Ok(()),
        Some(word) => {
            let message = format!("`{word}` is one word too many for `lbdev lab {verb}`");
            Err(vec![Report::usage("LB021", message).hint("leave it out")])
        }
    }
}

/// The first program that a lab needs, and that is not here.
fn missing(lab: &Lab) -> Option<&str> {
    lab.needs
        .iter()
        .map(String::as_str)
        .find(|program| which::which(program).is_err())
}

async fn all(
    place: &Place,
    labs: Vec<Lab>,
    options: &LabOptions,
    ui: &Ui,
) -> Result<u8, Vec<Report>> {
    let shutdown = Shutdown::default();
    shutdown.listen().map_err(|error| {
        let message = format!("the machine refuses a signal handler: {error}");
        vec![Report::failed("LB008", message).hint("run it again")]
    })?;
    let mut code = 0;
    let mut typed = Typed::new();
    for lab in labs {
        let name = lab.name.clone();
        if let Some(program) = missing(&lab) {
            match ui.json {
                true => ui.json(&words::skipped_json(&name, program)),
                false => ui.out(&words::skipped(&name, program, ui.out)),
            }
            continue;
        }
        let done = tokio::select! {
            done = one(place, lab, options, &mut typed, &shutdown, ui) => done,
            _ = shutdown.reached(Level::Force) => std::process::exit(i32::from(INTERRUPTED)),
        };
        match done.map_err(|report| vec![report])? {
            0 => {}
            INTERRUPTED => return Ok(INTERRUPTED),
            failed => code = failed,
        }
    }
    Ok(code)
}

async fn one(
    place: &Place,
    lab: Lab,
    options: &LabOptions,
    typed: &mut Typed,
    shutdown: &Shutdown,
    ui: &Ui,
) -> Result<u8, Report> {
    let began = std::time::Instant::now();
    let lab = match options.broken {
        true => lab.broken(),
        false => lab,
    };
    if options.engine.is_foreign() {
        engine::find(options.engine)?;
    }
    let server = match options.app.as_deref() {
        Some(dir) => server::of_project(&lab, dir)?,
        None => server::demo()?,
    };
    let student = options.student.as_deref();
    let app = options.app.is_some();
    let setting = Setting::new(lab, student, &server, app, options.engine)?;
    let lab = setting.lab().clone();
    if !ui.json {
        let (about, question) = (setting.text(&lab.about)?, setting.text(&lab.question)?);
        let choices = lab.choices.iter().map(|text| setting.text(text));
        let choices: Vec<String> = choices.collect::<Result<_, _>>()?;
        ui.out(&words::opening(&lab, &about, ui.width(), ui.out));
        ui.out(&words::question(&question, &choices, ui.width(), ui.out));
    }
    hint::remember(&lab.name);
    let mut record = Record::begin(
        &setting,
        student.unwrap_or_default(),
        options.app.is_some(),
        options.auto,
    );
    let file = student.map(|student| place.dir.join(file_name(&lab.name, student)));
    write(&mut record, file.as_deref())?;
    if !options.auto {
        let Some(predicted) = stage::ask(&lab, typed, shutdown, ui).await? else {
            return Ok(INTERRUPTED);
        };
        record.predicted = Some(predicted + 1);
        record.predicted_right = Some(predicted == lab.answer);
    }
    let mut audience = Stage::new(*ui);
    let done = perform(setting, &mut audience, shutdown).await?;
    record.seconds = (began.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    record.measured = done.measured.clone();
    if done.interrupted {
        write(&mut record, file.as_deref())?;
        ui.note("the lab was interrupted; nothing of it is left running");
        return Ok(INTERRUPTED);
    }
    record.state = RecordState::Complete;
    record.checks = done.verdicts.iter().map(Into::into).collect();
    write(&mut record, file.as_deref())?;
    if ui.json {
        ui.json(&record);
    } else {
        ui.out(&words::verdict(
            &lab,
            &done,
            record.predicted,
            ui.width(),
            ui.out,
        ));
        if let Some(file) = &file {
            ui.note(&format!("the result is in `{}`", file.display()));
        }
    }
    Ok(u8::from(!record.passed()))
}

fn write(record: &mut Record, file: Option<&Path>) -> Result<(), Report> {
    let Some(file) = file else { return Ok(()) };
    record.write(file).map_err(|error| {
        let message = format!("cannot write `{}`: {error}", file.display());
        Report::failed("LB007", message).hint("go to a folder that you may write to")
    })
}
