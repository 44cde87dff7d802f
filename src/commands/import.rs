//! `import`: a set-up of something else becomes `lbdev.toml`.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use globset::Glob;

use crate::cli::{ImportOptions, Place};
use crate::config;
use crate::error::Report;
use crate::import::{self, Commands, Imported};
use crate::instance::tilde;
use crate::ui::Ui;
use crate::wire::VERSION;

/// No configuration is longer than this, in bytes.
const MOST: u64 = 4 << 20;

/// Reads the file, writes `lbdev.toml`, and lists what has no place in it.
pub(super) fn import(place: &Place, options: &ImportOptions, ui: &Ui) -> Result<u8, Vec<Report>> {
    let one = |report| vec![report];
    let text = read(&options.file).map_err(one)?;
    let name = options
        .file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let printed = options
        .output
        .as_ref()
        .is_some_and(|file| file.as_os_str() == "-");
    let to = match &options.output {
        _ if printed => None,
        Some(file) => Some(file.clone()),
        None => Some(place.dir.join("lbdev.toml")),
    };
    // What cannot be written is told before anybody is asked anything.
    if let Some(to) = &to {
        free(to).map_err(one)?;
    }
    let made = match is_procfile(&name, &text) {
        true => import::procfile(&name, &text)?,
        false => {
            let folder = options.file.parent().unwrap_or(Path::new("."));
            let included = |pattern: &str| included(folder, pattern);
            let commands = match options.run.is_empty() && asks(ui, printed) {
                true => ask(&import::upstreams(&name, &text, &included), ui),
                false => commands(&options.run).map_err(one)?,
            };
            import::nginx(&name, &text, &commands, &included).map_err(one)?
        }
    };
    if let Some(to) = &to {
        write(to, &made.text).map_err(one)?;
    }
    tell(&made, to.as_deref(), ui);
    // What lbdev would say of it when it is started, now that somebody looks.
    match config::resolve_text(&place.dir, &made.text) {
        Ok(_) => Ok(0),
        Err(reports) => Err(reports),
    }
}

fn tell(made: &Imported, to: Option<&Path>, ui: &Ui) {
    if ui.json {
        let missed: Vec<_> = (made.missed.iter())
            .map(|one| {
                serde_json::json!({
                    "file": one.file,
                    "line": one.line,
                    "text": one.said,
                    "why": one.why,
                })
            })
            .collect();
        ui.json(&serde_json::json!({
            "version": VERSION,
            "wrote": to.map(|file| file.to_string_lossy()),
            "text": made.text,
            "not_understood": missed,
            "notes": made.notes,
        }));
        return;
    }
    for missed in &made.missed {
        ui.note(&format!("not understood: {missed}"));
    }
    for note in &made.notes {
        ui.note(note);
    }
    match to {
        None => ui.out(&made.text),
        Some(to) => ui.did(&format!(
            "{} wrote {} · start it with `lbdev up`",
            ui.out.check(),
            tilde(to)
        )),
    }
}

fn read(file: &Path) -> Result<String, Report> {
    let shown = tilde(file);
    let failed = |why: String| {
        Report::usage("LB007", format!("cannot read `{shown}`: {why}"))
            .hint("give it an nginx.conf or a Procfile: `lbdev import nginx.conf`")
    };
    let size = fs::metadata(file).map_err(|error| failed(why(&error)))?;
    if size.len() > MOST {
        return Err(failed("it is longer than 4 MiB".to_owned()));
    }
    let bytes = fs::read(file).map_err(|error| failed(why(&error)))?;
    String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8 text".to_owned()))
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is nothing of that name".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}

/// By its name, or since its lines are `NAME: COMMAND` and nothing in it is a block.
fn is_procfile(name: &str, text: &str) -> bool {
    let line = |line: &str| line.trim().is_empty() || line.starts_with('#') || line.contains(": ");
    name.starts_with("Procfile")
        || (!text.contains('{') && !text.contains(';') && text.lines().all(line))
}

/// The files that an `include` names, from the folder of the file that was given.
fn included(folder: &Path, pattern: &str) -> Vec<(String, String)> {
    let path = folder.join(pattern);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = match Glob::new(&name.to_string_lossy()) {
        Ok(glob) if pattern.contains(['*', '?', '[']) => {
            let matcher = glob.compile_matcher();
            let entries = fs::read_dir(parent).into_iter().flatten().flatten();
            let names = entries.filter(|entry| matcher.is_match(entry.file_name()));
            names.map(|entry| entry.path()).collect()
        }
        _ => vec![path.clone()],
    };
    files.sort();
    let text = |file: &PathBuf| {
        let short = fs::metadata(file).ok()?.len() <= MOST;
        let text = short.then(|| fs::read_to_string(file).ok()).flatten()?;
        let shown = file.strip_prefix(folder).unwrap_or(file);
        Some((shown.display().to_string(), text))
    };
    files.iter().filter_map(text).collect()
}

/// Somebody is there to answer.
fn asks(ui: &Ui, printed: bool) -> bool {
    !ui.json && !printed && ui.err_terminal && io::stdin().is_terminal()
}

/// Asks for the command of each service. No answer: its servers run already.
fn ask(upstreams: &[(String, usize)], ui: &Ui) -> Commands {
    let mut commands = Commands::new();
    for (name, count) in upstreams {
        ui.progress(&format!(
            "`{name}` has {count} servers. The command that starts one of them, with {{port}} for its port"
        ));
        ui.progress("(Enter: they run already, somebody else starts them)");
        let mut line = String::new();
        // Ctrl-D is no answer.
        let _ = io::stderr().flush();
        match io::stdin().lock().read_line(&mut line) {
            Ok(read) if read > 0 && !line.trim().is_empty() => {
                commands.insert(name.clone(), line.trim().to_owned());
            }
            Ok(_) | Err(_) => {}
        }
    }
    commands
}

fn commands(typed: &[String]) -> Result<Commands, Report> {
    let name = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    let mut commands = Commands::new();
    for text in typed {
        // `FLAG=1 server` would be a service's name as well: then it is one, and `=FLAG=1 server` is for all.
        let (service, command) = match text.split_once('=') {
            Some((service, command)) if service.is_empty() || name(service) => (service, command),
            _ => ("", text.as_str()),
        };
        if command.trim().is_empty() {
            let message = format!("`--run {text}` has no command");
            return Err(Report::usage("LB021", message)
                .hint("write it whole: `--run '{python} manage.py runserver --noreload {port}'`"));
        }
        commands.insert(service.to_owned(), command.to_owned());
    }
    Ok(commands)
}

fn free(to: &Path) -> Result<(), Report> {
    match to.symlink_metadata() {
        Ok(_) => {
            let shown = tilde(to);
            Err(Report::usage("LB007", format!("`{shown}` is there already"))
                .hint("see what it would be: `lbdev import FILE -o -`, or write it elsewhere: `-o other.toml`"))
        }
        Err(_) => Ok(()),
    }
}

fn write(to: &Path, text: &str) -> Result<(), Report> {
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(to)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        Report::failed("LB007", format!("cannot write `{}`: {error}", tilde(to)))
            .hint("choose another file with `-o FILE`")
    })
}
