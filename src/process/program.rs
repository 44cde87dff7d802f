//! Which file a command's first word is: looked up before anything starts, so that "no such command" is said at once and
//! with the names that are there.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::config::Command;

/// Why a command cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Unstartable {
    #[error("the command is empty")]
    Empty,
    #[error("the folder `{}` does not exist", .0.display())]
    NoFolder(PathBuf),
    #[error("`{}` is not a folder", .0.display())]
    NotAFolder(PathBuf),
    #[error("no such command: `{name}`{}", did_you_mean(.close))]
    NoCommand { name: String, close: Vec<String> },
    #[error("no such file: `{name}` (looked in `{}`)", .cwd.display())]
    NoFile { name: String, cwd: PathBuf },
    #[cfg_attr(unix, error("`{0}` is not executable; `chmod +x {0}` makes it so"))]
    #[cfg_attr(
        windows,
        error("`{0}` is no program by its name, which would end with `.exe`, `.cmd` or the like")
    )]
    NotExecutable(String),
    #[error("`{name}` is run by `{interpreter}` (its first line), which does not exist")]
    NoInterpreter { name: String, interpreter: String },
}

fn did_you_mean(close: &[String]) -> String {
    match close {
        [] => String::new(),
        names => format!("; did you mean `{}`?", names.join("` or `")),
    }
}

/// The file to execute for `command`, found with the command's own PATH and folder.
pub(super) fn resolve(command: &Command) -> Result<PathBuf, Unstartable> {
    let name = match command.argv.first() {
        Some(name) if !name.is_empty() => name,
        _ => return Err(Unstartable::Empty),
    };
    match fs::metadata(&command.cwd) {
        Ok(folder) if folder.is_dir() => {}
        Ok(_) => return Err(Unstartable::NotAFolder(command.cwd.clone())),
        Err(_) => return Err(Unstartable::NoFolder(command.cwd.clone())),
    }
    let path = search_path(command);
    let found = which::which_in(name, path.as_ref(), &command.cwd)
        .map_err(|_| not_found(name, path.as_ref(), &command.cwd))?;
    match missing_interpreter(&found) {
        Some(interpreter) => Err(Unstartable::NoInterpreter {
            name: name.clone(),
            interpreter,
        }),
        None => Ok(found),
    }
}

/// The last PATH that is set for it wins, as it will in its environment.
fn search_path(command: &Command) -> Option<OsString> {
    let own = command.env.iter().rev().find(|(name, _)| name == "PATH");
    own.map_or_else(|| env::var_os("PATH"), |(_, value)| Some(value.into()))
}

fn not_found(name: &str, path: Option<&OsString>, cwd: &Path) -> Unstartable {
    if name.contains(std::path::is_separator) {
        return if cwd.join(name).is_file() {
            Unstartable::NotExecutable(name.to_owned())
        } else {
            Unstartable::NoFile {
                name: name.to_owned(),
                cwd: cwd.to_owned(),
            }
        };
    }
    Unstartable::NoCommand {
        name: name.to_owned(),
        close: close_names(name, path),
    }
}

/// At most three names on the search path that differ by a slip of the finger, the nearest first.
fn close_names(name: &str, path: Option<&OsString>) -> Vec<String> {
    let allowed = (name.chars().count() / 3).clamp(1, 2);
    let mut close: Vec<(usize, String)> = path
        .into_iter()
        .flat_map(env::split_paths)
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .flatten()
        .filter_map(|entry| typed_name(&entry.path()))
        .filter_map(|known| {
            let distance = strsim::damerau_levenshtein(name, &known);
            (distance <= allowed).then_some((distance, known))
        })
        .collect();
    close.sort();
    close.dedup();
    close.into_iter().take(3).map(|(_, name)| name).collect()
}

/// What is typed to run a program: without `.exe` on Windows.
fn typed_name(path: &Path) -> Option<String> {
    let name = match cfg!(windows) {
        true => path.file_stem(),
        false => path.file_name(),
    };
    name?.to_str().map(str::to_owned)
}

/// The interpreter that a script names in its first line, if there is no such file. The kernel would only say "no such
/// file", as if of the script; it is what a virtual environment that was moved looks like.
fn missing_interpreter(program: &Path) -> Option<String> {
    let mut first = Vec::new();
    let mut file = BufReader::new(File::open(program).ok()?.take(256));
    file.read_until(b'\n', &mut first).ok()?;
    let line = std::str::from_utf8(first.strip_prefix(b"#!")?).ok()?;
    let interpreter = line.split_ascii_whitespace().next()?;
    (interpreter.starts_with('/') && !Path::new(interpreter).exists())
        .then(|| interpreter.to_owned())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_command_is_found_or_the_reason_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        write(&bin.join("flask"), "#!/bin/sh\n", 0o755);
        write(&bin.join("moved"), "#!/no/such/python -s\n", 0o755);
        write(&dir.path().join("plain"), "x", 0o644);
        write(&dir.path().join("start.sh"), "true", 0o755);
        let here = dir.path().display().to_string();
        let check = |name: &str, cwd: &Path, expected: Result<PathBuf, &str>| {
            let command = Command {
                argv: vec![name.to_owned()],
                env: vec![("PATH".into(), bin.display().to_string())],
                cwd: cwd.to_owned(),
                pty: false,
                awaits: None,
            };
            assert_eq!(
                resolve(&command).map_err(|error| error.to_string()),
                expected.map_err(|text| text.replace("DIR", &here)),
                "{name}"
            );
        };
        check("flask", dir.path(), Ok(bin.join("flask")));
        check("./start.sh", dir.path(), Ok(dir.path().join("start.sh")));
        check(
            "flsk",
            dir.path(),
            Err("no such command: `flsk`; did you mean `flask`?"),
        );
        check("gunicorn", dir.path(), Err("no such command: `gunicorn`"));
        check("", dir.path(), Err("the command is empty"));
        check(
            "./none",
            dir.path(),
            Err("no such file: `./none` (looked in `DIR`)"),
        );
        check(
            "./plain",
            dir.path(),
            Err("`./plain` is not executable; `chmod +x ./plain` makes it so"),
        );
        check(
            "moved",
            dir.path(),
            Err("`moved` is run by `/no/such/python` (its first line), which does not exist"),
        );
        check(
            "flask",
            &dir.path().join("no"),
            Err("the folder `DIR/no` does not exist"),
        );
        check(
            "flask",
            &dir.path().join("plain"),
            Err("`DIR/plain` is not a folder"),
        );
    }
}
