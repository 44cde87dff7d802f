//! `doctor`: what will go wrong, looked for before it does.

mod django;
mod machine;

use std::collections::BTreeSet;
use std::path::Path;

use crate::backend::Kind;
use crate::cli::Place;
use crate::config::{self, Config, Request};
use crate::error::Report;
use crate::instance;
use crate::process::ports::{self, Wanted};
use crate::recognise::pitfalls;
use crate::ui::{Ui, doctor as shown};
use crate::wire::{Doctor, Finding, Instance, VERSION};

/// Looks at everything, or at one port. 1 where something keeps it from working.
pub(super) fn doctor(place: &Place, port: Option<u16>, ui: &Ui) -> Result<u8, Vec<Report>> {
    let checks = match port {
        Some(port) => vec![one_port(port)],
        None => all(place),
    };
    let code = u8::from(checks.iter().any(|check| check.state == "problem"));
    let version = VERSION;
    let found = Doctor { version, checks };
    match ui.json {
        true => ui.json(&found),
        false => ui.out(&shown::render(&found, ui.out)),
    }
    Ok(code)
}

fn all(place: &Place) -> Vec<Finding> {
    let mut found = Vec::new();
    let running = instance::find(Some(&place.dir), None).ok();
    let running = running.map(|running| running.instance);
    match config::resolve(&Request {
        dir: place.dir.clone(),
        ..Request::default()
    }) {
        Ok(config) => {
            found.push(project(&config));
            found.extend(programs(&config));
            found.extend(taken(&config, running.as_ref()));
            found.extend(machine::all());
            found.extend(code(&config.dir));
            found.extend(django::settings(&config));
        }
        Err(reports) => {
            let unclear = reports.iter().map(|report| {
                let finding = Finding::problem("project", &report.message).code(report.code);
                match &report.hint {
                    Some(hint) => finding.hint(hint),
                    None => finding,
                }
            });
            found.extend(unclear);
            found.extend(machine::all());
        }
    }
    found
}

fn project(config: &Config) -> Finding {
    let backends = config.services.iter().map(|service| service.backends.len());
    let backends = crate::ui::plural(backends.sum(), "backend", "backends");
    let text = format!("{} · {} · {backends}", config.project, config.origin);
    Finding::ok("project", text)
}

/// Whether the first word of each command is a program.
fn programs(config: &Config) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for backend in config.services.iter().flat_map(|service| &service.backends) {
        let Some(command) = &backend.command else {
            continue;
        };
        let Some(program) = command.argv.first() else {
            continue;
        };
        if !seen.insert(program.clone()) {
            continue;
        }
        let path = command.env.iter().find(|(name, _)| name == "PATH");
        let path = path.map(|(_, value)| value.clone());
        let path = path.or_else(|| std::env::var("PATH").ok());
        found.push(match which::which_in(program, path, &command.cwd) {
            Ok(at) => Finding::ok(
                "programs",
                match at.to_string_lossy() == program.as_str() {
                    true => instance::tilde(&at),
                    false => format!("{program} is {}", instance::tilde(&at)),
                },
            ),
            Err(_) => Finding::problem("programs", format!("there is no program `{program}`"))
                .hint("install it, or correct the command: `lbdev config` shows it")
                .code("LB013"),
        });
    }
    found
}

/// Ports that somebody else has.
fn taken(config: &Config, running: Option<&Instance>) -> Vec<Finding> {
    let managed = config.services.iter().flat_map(|service| &service.backends);
    let managed = managed.filter(|backend| backend.kind == Kind::Managed);
    let mut wanted: Vec<u16> = managed.filter_map(|backend| backend.id.port()).collect();
    wanted.push(config.balancer.listen.port);
    if let Some(running) = running {
        let text = format!(
            "ports are in use by the lbdev of this folder (pid {}, {})",
            running.pid, running.url
        );
        return vec![Finding::ok("ports", text)];
    }
    let taken: Vec<u16> = wanted
        .iter()
        .copied()
        .filter(|port| !ports::is_free(*port))
        .collect();
    if taken.is_empty() {
        let text = format!("ports {} are free", crate::ui::units::ranges(&wanted));
        return vec![Finding::ok("ports", text)];
    }
    taken
        .into_iter()
        .map(|port| holder(port, &wanted))
        .collect()
}

fn one_port(port: u16) -> Finding {
    if ports::is_free(port) {
        return Finding::ok("ports", format!("port {port} is free on 127.0.0.1 and ::1"));
    }
    holder(port, &[])
}

/// Who has a port, and how to get it free.
fn holder(port: u16, wanted: &[u16]) -> Finding {
    let wanted = Wanted {
        command: match wanted.is_empty() {
            true => String::new(),
            false => "lbdev up".to_owned(),
        },
        backends: wanted.to_vec(),
        listen: None,
    };
    let report = ports::report(&[port], &wanted, instance::home().as_deref());
    let finding = Finding::problem("ports", report.message).code(report.code);
    match report.hint {
        Some(hint) => finding.hint(hint),
        None => finding,
    }
}

/// What stands in the project's own text.
fn code(dir: &Path) -> Vec<Finding> {
    let all = pitfalls(dir);
    let each = all.iter().map(|one| {
        let (file, line) = (one.file.display(), one.line);
        let text = format!("{} ({file}:{line})", one.said);
        Finding::problem("code", text).hint(one.what).code(one.code)
    });
    each.collect()
}
