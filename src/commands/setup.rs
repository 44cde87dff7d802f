//! `init` and `config`.

use std::fs::OpenOptions;
use std::io::{self, Write};

use crate::cli::Place;
use crate::config::{self, request::Request};
use crate::error::Report;
use crate::instance::tilde;
use crate::ui::Ui;
use crate::wire::VERSION;

/// Writes `lbdev.toml` for what is recognised, or for `framework`. One that is there is left alone.
pub(super) fn init(place: &Place, framework: Option<&str>, ui: &Ui) -> Result<u8, Report> {
    let path = place.dir.join("lbdev.toml");
    let there = || {
        Report::usage("LB007", format!("`{}` is there already", tilde(&path)))
            .hint("run `lbdev config` to see what it says, or rename it first: `mv lbdev.toml lbdev.toml.old`")
    };
    if path.symlink_metadata().is_ok() {
        return Err(there());
    }
    let text = config::init(&place.dir, framework)?;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Ok(()) => {
            let line = text
                .lines()
                .position(|line| line.contains(config::PLACEHOLDER));
            let next = match line {
                Some(line) => format!(
                    "put your command into line {}, then run `lbdev up`",
                    line + 1
                ),
                None => "start it with `lbdev up`".to_owned(),
            };
            ui.did(&format!(
                "{} wrote {} · {next}",
                ui.out.check(),
                tilde(&path)
            ));
            if ui.json {
                let wrote = path.to_string_lossy();
                ui.json(&serde_json::json!({ "version": VERSION, "wrote": wrote }));
            }
            Ok(0)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(there()),
        Err(error) => Err(Report::failed(
            "LB007",
            format!("cannot write `{}`: {error}", tilde(&path)),
        )
        .hint("make the folder writable, or choose another: `lbdev init -C DIR`")),
    }
}

/// Shows the set-up with every default filled in.
pub(super) fn config(request: &Request, ui: &Ui) -> Result<u8, Vec<Report>> {
    let (config, origins) = config::resolve_with_origins(request)?;
    if ui.json {
        ui.json(&config::json_with_origins(&config, &origins));
    } else {
        ui.out(&config::render_with_origins(&config, &origins));
    }
    Ok(0)
}
