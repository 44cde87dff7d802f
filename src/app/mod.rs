//! The top floor: reads the command line, does what it says, and ends with the right exit code.

mod detach;
mod instance_file;
mod preflight;
mod serve;
mod startup;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::cli::{self, Invocation, UpOptions, Verb};
use crate::config;
use crate::error::Report;
use crate::instance::Folder;
use crate::{commands, demo, process, ui};

/// The first word of a command line that runs in the background: what `up -d` starts.
const BACKGROUND: &str = "__background";

/// Everything, from the command line to the exit code.
pub fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = process::hidden(&args).or_else(|| demo::hidden(&args)) {
        return code;
    }
    let background = args.get(1).is_some_and(|word| word == BACKGROUND);
    if background {
        args.remove(1);
    }
    let invocation = match cli::parse(args) {
        Ok(invocation) => invocation,
        Err(code) => return code,
    };
    ui::set_color(invocation.color);
    let json = invocation.json();
    match run(invocation, background) {
        Ok(code) => ExitCode::from(code),
        Err(reports) => {
            let code = reports.first().map_or(1, |report| report.exit.code());
            ui::reports(&reports, json);
            ExitCode::from(code)
        }
    }
}

fn run(invocation: Invocation, background: bool) -> Result<u8, Vec<Report>> {
    match invocation.verb {
        Verb::Up(options) | Verb::Demo(options) => up(options, background),
        verb => commands::run(Invocation { verb, ..invocation }).map_err(|report| vec![report]),
    }
}

fn up(options: UpOptions, background: bool) -> Result<u8, Vec<Report>> {
    let config = config::resolve(&options.request)?;
    let folder = if options.request.demo { Folder::demo() } else { Folder::of(&config.dir) };
    let folder = folder.map_err(|error| vec![error.into()])?;
    match (options.detach, background) {
        (true, false) => detach::up(&options, &config, &folder),
        _ => serve::up(&options, config, &folder, background),
    }
}
