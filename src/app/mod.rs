//! The top floor: reads the command line, does what it says, and ends with the right exit code.

mod again;
mod detach;
mod elsewhere;
mod ending;
mod files;
mod given_up;
mod guard;
mod keys;
mod last_words;
mod notes;
mod order;
mod pitfalls;
mod preflight;
mod recorder;
mod reload;
mod run;
mod saves;
mod serve;
mod sessions;
mod startup;
mod tasks;
mod texts;
mod watch_start;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::{self, Invocation, UpOptions, Verb};
use crate::config::{self, Config};
use crate::error::Report;
use crate::instance::{self, Folder};
use crate::ui::{self, Ui};
use crate::{commands, demo, engine, lab, process, tomcat};

/// The first word of a command line that runs in the background: what `up -d` starts.
const BACKGROUND: &str = "__background";

/// Everything, from the command line to the exit code.
pub fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    let hidden = args.get(1..).and_then(|args| {
        process::hidden(args)
            .or_else(|| demo::hidden(args))
            .or_else(|| tomcat::hidden(args))
            .or_else(|| lab::hidden(args))
    });
    if let Some(code) = hidden {
        return code;
    }
    if cli::completions_asked(&args) {
        return ExitCode::SUCCESS;
    }
    let background = args.get(1).is_some_and(|word| word == BACKGROUND);
    if background {
        args.remove(1);
    }
    let invocation = cli::parse(&args);
    // In the background nobody reads data; who started it does, and has its own.
    let ui = Ui::new(invocation.color, invocation.json && !background);
    let ended = run(invocation, background, ui);
    // Before the last words, and whatever thread still has it.
    ui::terminal::give_back();
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(reports) => {
            ui.reports(&reports);
            ExitCode::from(reports.first().map_or(1, |report| report.exit.code()))
        }
    }
}

fn run(invocation: Invocation, background: bool, ui: Ui) -> Result<u8, Vec<Report>> {
    let Invocation { verb, place, .. } = invocation;
    let options = match verb {
        Verb::Up(options) => options,
        Verb::Task(task) => return commands::run(task, &place, &ui),
        Verb::Completions(shell) => return texts::completions(shell, &ui),
        Verb::Man => return texts::man(&ui),
    };
    let mut config = config::resolve(&options.request)?;
    let folder = if options.request.demo {
        Folder::demo()
    } else {
        instance::folder_of(&config.dir)
    };
    let folder = folder.map_err(|error| vec![error.into()])?;
    if config.balancer.engine.is_foreign() {
        let said = engine::announce(config.balancer.engine, &folder.engine_dir());
        config.notes.push(said.map_err(|report| vec![report])?);
    }
    let start = Start {
        options,
        config,
        folder,
        ui,
    };
    if start.options.detach && !background {
        let code = detach::up(&start)?;
        if ui.json {
            detach::tell_status(&start)?;
        }
        Ok(code)
    } else {
        serve::up(start, background)
    }
}

/// Tells this set-up from another, wherever it was typed: a folder has one name, and the demo belongs to none.
fn setup(config: &Config, folder: &Folder) -> String {
    let plain = |dir: &Path| match folder.is_demo() {
        true => PathBuf::new(),
        false => dunce::canonicalize(dir).unwrap_or_else(|_| dir.to_owned()),
    };
    let mut config = config.clone();
    config.dir = plain(&config.dir);
    // It is the folder's.
    config.project.clear();
    // Made of the rest.
    config
        .services
        .retain(|service| !service.backends.iter().any(|one| one.id.is_engine()));
    for backend in config.services.iter_mut().flat_map(|s| &mut s.backends) {
        if let Some(command) = &mut backend.command {
            command.cwd = plain(&command.cwd);
        }
    }
    config::fingerprint(&config)
}

/// What a start needs to know.
struct Start {
    options: Box<UpOptions>,
    config: Config,
    folder: Folder,
    ui: Ui,
}

impl Start {
    /// What was typed without the options of these names: for a hint that adds others.
    fn typed_without(&self, names: &[&str]) -> String {
        let args = std::env::args().skip(1).filter(|arg| arg != BACKGROUND);
        let mut kept = vec!["lbdev".to_owned()];
        let mut skip = false;
        for arg in args {
            let alone = !skip && names.contains(&arg.as_str());
            // `--listen=8080`, `-n6`.
            let joined = names.iter().any(|name| {
                let rest = arg.strip_prefix(name).unwrap_or_default();
                rest.starts_with('=') || (!name.starts_with("--") && !rest.is_empty())
            });
            if !skip && !alone && !joined {
                kept.push(arg);
            }
            skip = alone;
        }
        // Only a NUL byte cannot be quoted, and no argument can hold one.
        shlex::try_join(kept.iter().map(String::as_str)).unwrap_or_default()
    }

    /// The verb that was typed, for a hint to type it again.
    fn command(&self) -> &'static str {
        match self.options.request.demo {
            true => "lbdev demo",
            false => "lbdev up",
        }
    }
}
