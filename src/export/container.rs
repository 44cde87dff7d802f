//! A service as a container: the same command, in a folder of its own, on every address.

use std::path::Path;

use serde::Serialize;

use super::ExportError;
use super::loss::Losses;
use super::model::label;
use crate::backend::{BackendId, Kind, RestartMode, signal_name};
use crate::config::{Config, Service};

/// Where the project's folder is in it.
pub(super) const HOME: &str = "/app";

#[derive(Debug, Clone, Serialize)]
pub(super) struct Container {
    pub name: String,
    /// Unique among the services, for names in DNS.
    pub label: String,
    pub argv: Vec<String>,
    /// The command on one line, for a shell.
    pub line: String,
    pub env: Vec<(String, String)>,
    pub env_file: Option<String>,
    pub workdir: String,
    /// In the container; 0 without one.
    pub port: u16,
    pub replicas: usize,
    pub balanced: bool,
    /// `always`, `on-failure`, `no`.
    pub restart: &'static str,
    /// The same as Swarm has it: `any`, `on-failure`, `none`.
    pub condition: &'static str,
    pub signal: String,
    /// How long it has to end, in whole seconds.
    pub grace: u64,
    /// Times in seconds.
    pub path: Option<String>,
    /// What asks for it inside the container.
    pub check: Vec<String>,
    pub interval: u64,
    pub timeout: u64,
    pub rise: u32,
    pub fall: u32,
    /// Labels of services that come first.
    pub needs: Vec<String>,
}

/// Every service that has a command. What cannot be said of it goes to the losses.
pub(super) fn containers(
    config: &Config,
    target: &'static str,
    losses: &mut Losses<'_>,
) -> Result<Vec<Container>, ExportError> {
    let mut made: Vec<Container> = Vec::new();
    // That one stands in front of them.
    let mut labels = vec![(String::new(), "balancer".to_owned())];
    for service in &config.services {
        let plain = label(&service.name);
        let mut names = std::iter::once(plain.clone()).chain((2..).map(|n| format!("{plain}-{n}")));
        let taken = |name: &String| labels.iter().all(|(_, known)| known != name);
        let free = names.find(taken).unwrap_or(plain);
        labels.push((service.name.clone(), free));
    }
    labels.remove(0);
    for (service, (_, label)) in config.services.iter().zip(&labels) {
        let Some(first) = service.backends.first() else {
            continue;
        };
        let (Some(more), Kind::Managed) = (&service.more, first.kind) else {
            let servers: Vec<String> = (service.backends.iter())
                .filter_map(|one| one.addresses.first().map(ToString::to_string))
                .collect();
            losses.lost(format!(
                "external service `{}`: {} run somewhere else, and stay there",
                service.name,
                servers.join(", ")
            ));
            continue;
        };
        let elsewhere = more.elsewhere(slot(&first.id)).map_err(|reports| {
            let service = service.name.clone();
            ExportError::Command {
                service,
                target,
                reports,
            }
        })?;
        if elsewhere.needs_lbdev {
            losses.lost(format!(
                "the command of `{}` is lbdev's own (`lbdev __…`): put a server of your own in its place",
                service.name
            ));
        }
        let place = |path: &Path| match path.strip_prefix(&config.dir) {
            Ok(below) if below.as_os_str().is_empty() => HOME.to_owned(),
            Ok(below) => format!("{HOME}/{}", below.to_string_lossy().replace('\\', "/")),
            Err(_) => HOME.to_owned(),
        };
        let port = first.id.port().unwrap_or(0);
        let inside = |word: &String| {
            let dir = config.dir.to_string_lossy();
            let word = match word.strip_prefix(&*dir) {
                Some(rest) if rest.starts_with(['/', '\\']) => format!("{HOME}{rest}"),
                Some("") => HOME.to_owned(),
                _ => word.clone(),
            };
            everywhere(&word)
        };
        let argv: Vec<String> = elsewhere.command.argv.iter().map(inside).collect();
        if port != 0
            && argv
                .iter()
                .zip(&elsewhere.command.argv)
                .all(|(new, old)| new == old)
        {
            losses.differs(format!(
                "the server of `{}` has to listen on 0.0.0.0 in its container: its command does not say where it does",
                service.name
            ));
        }
        tell(service, losses);
        let (health, stop) = (&first.health, &first.stop);
        made.push(Container {
            name: service.name.clone(),
            label: label.clone(),
            line: shlex::try_join(argv.iter().map(String::as_str)).unwrap_or_default(),
            env: (elsewhere.command.env.into_iter())
                // It is set for every backend, and says something to Python alone.
                .filter(|(name, _)| {
                    name != "PYTHONUNBUFFERED"
                        || argv.first().is_some_and(|first| first == "python")
                })
                .collect(),
            argv,
            env_file: elsewhere.env_file,
            workdir: place(&elsewhere.command.cwd),
            port,
            replicas: service.backends.len(),
            balanced: !service.routes.is_empty(),
            restart: match first.restart.mode {
                RestartMode::Always => "always",
                RestartMode::OnFailure => "on-failure",
                RestartMode::Never => "no",
            },
            condition: match first.restart.mode {
                RestartMode::Always => "any",
                RestartMode::OnFailure => "on-failure",
                RestartMode::Never => "none",
            },
            signal: format!(
                "SIG{}",
                signal_name(stop.signal.number()).trim_start_matches("SIG")
            ),
            grace: stop.timeout.as_secs().max(1),
            path: health.path.clone(),
            check: check(&elsewhere.command.argv, port, health.path.as_deref()),
            interval: health.interval.as_secs().max(1),
            timeout: health.timeout.as_secs().max(1),
            rise: health.rise,
            fall: health.fall,
            needs: (service.needs.iter())
                .filter_map(|need| {
                    let need = need.to_string();
                    let known = labels.iter().find(|(name, _)| *name == need);
                    known.map(|(_, label)| label.clone())
                })
                .collect(),
        });
    }
    match made.is_empty() {
        true => Err(ExportError::NothingManaged { target }),
        false => Ok(made),
    }
}

fn slot(id: &BackendId) -> crate::backend::Slot {
    match id.port() {
        Some(port) => crate::backend::Slot::Port(port),
        None => crate::backend::Slot::Number(1),
    }
}

/// A health check with what the image has: Python where the server is one, else wget or curl. Without a path any answer will
/// do, as with lbdev.
fn check(argv: &[String], port: u16, path: Option<&str>) -> Vec<String> {
    let url = format!("http://127.0.0.1:{port}{}", path.unwrap_or("/"));
    let is_python = argv.first().is_some_and(|program| program == "python");
    let words: Vec<String> = match (is_python, path) {
        (true, Some(_)) => {
            let code = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1])";
            vec!["CMD".into(), "python".into(), "-c".into(), code.into(), url]
        }
        (true, None) => {
            let code = "import socket, sys; socket.create_connection((\"127.0.0.1\", int(sys.argv[1])), 1)";
            let port = port.to_string();
            vec![
                "CMD".into(),
                "python".into(),
                "-c".into(),
                code.into(),
                port,
            ]
        }
        (false, path) => {
            let url = shlex::try_quote(&url).unwrap_or_default();
            let line = match path {
                Some(_) => format!("wget -q -O /dev/null {url} || curl -fsS -o /dev/null {url}"),
                None => format!(
                    "curl -sS -o /dev/null {url} || wget -S -O /dev/null {url} 2>&1 | grep -q HTTP/"
                ),
            };
            vec!["CMD-SHELL".into(), line]
        }
    };
    words
}

/// What has no place in a container.
fn tell(service: &Service, losses: &mut Losses<'_>) {
    let name = &service.name;
    for (key, tasks) in [("before", &service.before), ("after", &service.after)] {
        for task in tasks {
            losses.lost(format!(
                "{key} of `{name}`: run `{}` yourself, once a release",
                task.line
            ));
        }
    }
    for need in &service.needs {
        if let crate::config::Need::Tcp { .. } = need {
            losses.lost(format!(
                "needs of `{name}`: `{need}` is on this machine; give the container its address"
            ));
        }
    }
    if service
        .backends
        .iter()
        .any(|one| one.weight != 1 || one.backup)
    {
        losses.lost(format!(
            "weight and backup of `{name}`: copies of one image are alike"
        ));
    }
}

/// A word of a command that names this machine's own address, for a container: there it has to be every address.
fn everywhere(word: &str) -> String {
    for own in ["127.0.0.1", "localhost", "[::1]"] {
        if let Some((before, behind)) = word.split_once(own)
            && (before.is_empty() || before.ends_with('='))
            && (behind.is_empty()
                || (behind.starts_with(':') && behind[1..].bytes().all(|b| b.is_ascii_digit())))
        {
            return format!("{before}0.0.0.0{behind}");
        }
    }
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::everywhere;

    #[test]
    fn an_own_address_becomes_every_address_and_nothing_else_changes() {
        let check = |word: &str, expected: &str| assert_eq!(everywhere(word), expected);
        check("127.0.0.1:8000", "0.0.0.0:8000");
        check("127.0.0.1", "0.0.0.0");
        check("--host=localhost", "--host=0.0.0.0");
        check("[::1]:80", "0.0.0.0:80");
        check("http://127.0.0.1:5432/db", "http://127.0.0.1:5432/db");
        check("localhosts", "localhosts");
        check("127.0.0.1:x", "127.0.0.1:x");
    }
}
