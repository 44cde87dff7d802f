//! `Procfile` and `Procfile.dev`: a line a process, `NAME: COMMAND`, as foreman and Heroku read them.

use super::defaults::{BACKENDS, FIRST_PORT};
use super::draft::{CommandDraft, Draft, PortsDraft, ServiceDraft};
use super::problem::{At, Fault, Problem, Where, reports};
use super::value::ports_text;
use crate::error::Report;

/// The process that gets requests.
const WEB: &str = "web";
/// The process that is run by hand, before a new version.
const RELEASE: &str = "release";

/// Its names, the one for development first.
pub(super) const NAMES: [&str; 2] = ["Procfile.dev", "Procfile"];

/// Reads the text of `file`. What could be read is in the draft even where there are faults.
pub(super) fn read(
    file: &str,
    text: &str,
    notes: &mut Vec<String>,
    faults: &mut Vec<Fault>,
) -> Draft {
    let mut services: Vec<ServiceDraft> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut fault = |what: String| {
            let line = line.to_owned();
            faults.push(Fault {
                at: Where::Nowhere,
                problem: Problem::Procfile {
                    place: format!("{file}:{number}"),
                    what,
                    line,
                },
            });
        };
        let Some((name, command)) = line.split_once(':') else {
            fault("a line is `NAME: COMMAND`, and this has no `:`".to_owned());
            continue;
        };
        let (name, command) = (name.trim(), command.trim());
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty()
            || !name.chars().all(plain)
            || !name.starts_with(|c: char| c.is_ascii_alphabetic())
        {
            fault(format!("`{name}` cannot be the name of a process"));
            continue;
        }
        if command.is_empty() {
            fault(format!("`{name}` has no command"));
            continue;
        }
        if services.iter().any(|known| known.name.value == name) {
            fault(format!("`{name}` is there twice"));
            continue;
        }
        if name == RELEASE {
            notes.push(format!(
                "`{RELEASE}` of {file} is never started by itself; run it by hand: `{command}`"
            ));
            continue;
        }
        if name == WEB && !says_port(command) {
            fault(format!(
                "the command of `{WEB}` has no `$PORT`, so that all its copies would want the same port"
            ));
            continue;
        }
        let mut service = ServiceDraft::new(At::nowhere(name.to_owned()));
        service.command = Some(At::nowhere(CommandDraft::Line(command.to_owned())));
        if name == WEB {
            let ports = (FIRST_PORT..).take(BACKENDS).collect();
            service.ports = Some(At::nowhere(PortsDraft::List(ports)));
        }
        services.push(service);
    }
    if services.is_empty() && faults.is_empty() {
        faults.push(Fault {
            at: Where::Nowhere,
            problem: Problem::ProcfileEmpty {
                file: file.to_owned(),
            },
        });
    }
    Draft {
        services,
        ..Draft::default()
    }
}

/// A process of a Procfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcfileLine {
    /// Its name.
    pub name: String,
    /// What is run, as it stands there.
    pub command: String,
    /// Ports, for the one that gets requests.
    pub ports: Option<String>,
}

/// The processes of a Procfile, and notes about what is left out.
///
/// # Errors
/// Every line that cannot be read.
pub fn procfile_lines(
    file: &str,
    text: &str,
) -> Result<(Vec<ProcfileLine>, Vec<String>), Vec<Report>> {
    let (mut notes, mut faults) = (Vec::new(), Vec::new());
    let draft = read(file, text, &mut notes, &mut faults);
    if !faults.is_empty() {
        return Err(reports(faults, None));
    }
    let line = |service: ServiceDraft| {
        let Some(CommandDraft::Line(command)) = service.command.map(|command| command.value) else {
            return None;
        };
        let ports = match service.ports.map(|ports| ports.value) {
            Some(PortsDraft::List(ports)) => Some(ports_text(&ports)),
            Some(PortsDraft::Auto) | None => None,
        };
        Some(ProcfileLine {
            name: service.name.value,
            command,
            ports,
        })
    };
    Ok((draft.services.into_iter().filter_map(line).collect(), notes))
}

fn says_port(command: &str) -> bool {
    ["$PORT", "${PORT", "{port}", "$LBDEV_PORT", "%PORT%"]
        .iter()
        .any(|way| command.contains(way))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, services: &[&str], told: &[&str]) {
        let (mut notes, mut faults) = (Vec::new(), Vec::new());
        let draft = read("Procfile", text, &mut notes, &mut faults);
        let names: Vec<&str> = draft.services.iter().map(|one| &*one.name.value).collect();
        assert_eq!(names, services, "{text}");
        let faults = faults.iter().map(|fault| fault.problem.to_string());
        let all: Vec<String> = notes.into_iter().chain(faults).collect();
        assert_eq!(all, told, "{text}");
    }

    #[test]
    fn lines_are_processes() {
        check(
            "web: srv $PORT\n\n# x\nworker: run\r\n",
            &["web", "worker"],
            &[],
        );
        check("web:srv -p ${PORT:-5000}", &["web"], &[]);
        check(
            "release: migrate\nweb: srv {port}",
            &["web"],
            &["`release` of Procfile is never started by itself; run it by hand: `migrate`"],
        );
        check(
            "web: srv\nworker run\nx y: z\nweb2:\nw: a\nw: b",
            &["w"],
            &[
                "Procfile:1: the command of `web` has no `$PORT`, so that all its copies would want the same port",
                "Procfile:2: a line is `NAME: COMMAND`, and this has no `:`",
                "Procfile:3: `x y` cannot be the name of a process",
                "Procfile:4: `web2` has no command",
                "Procfile:6: `w` is there twice",
            ],
        );
        check("# nothing\n", &[], &["`Procfile` has no process in it"]);
    }
}
