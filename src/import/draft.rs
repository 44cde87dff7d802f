//! What was found out, as text of `lbdev.toml`.

use std::fmt::Write;

use super::{Commands, Missed};

/// Settings of the balancer that were said, in TOML.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Key and value, in the order in which they are written.
    pub balancer: Vec<(&'static str, String)>,
    pub services: Vec<Service>,
}

#[derive(Debug)]
pub(super) struct Service {
    pub name: String,
    pub servers: Vec<Server>,
    pub routes: Vec<String>,
    pub max_connections: u32,
    /// Quoted.
    pub slow_start: Option<String>,
}

/// One server of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// A name or an address, in brackets where it has colons.
    pub host: String,
    pub port: u16,
    pub weight: u32,
    pub backup: bool,
    pub max_connections: u32,
}

impl Server {
    fn is_here(&self) -> bool {
        matches!(self.host.as_str(), "localhost" | "127.0.0.1" | "[::1]")
    }
}

impl Draft {
    /// The text. Where there is a command for a service, lbdev starts its servers.
    pub(super) fn text(&self, file: &str, commands: &Commands, missed: &[Missed]) -> String {
        let mut out = format!("# From {}, by `lbdev import`.\n", one_line(file));
        if !missed.is_empty() {
            out.push_str("#\n# Not in here:\n");
            for one in missed {
                let _ = writeln!(out, "#   {}", one_line(&one.to_string()));
            }
        }
        if !self.balancer.is_empty() {
            out.push_str("\n[balancer]\n");
            for (key, value) in &self.balancer {
                let _ = writeln!(out, "{key} = {value}");
            }
        }
        for service in &self.services {
            let command = commands.get(&service.name).or_else(|| commands.get(""));
            let here = service.servers.iter().all(Server::is_here);
            let _ = writeln!(out, "\n[services.{}]", service.name);
            match command.filter(|_| here) {
                Some(command) => {
                    let _ = writeln!(out, "command = {}", quoted(command));
                    let _ = writeln!(out, "ports = {}", quoted(&ports(&service.servers)));
                }
                None => {
                    let servers: Vec<String> = (service.servers.iter())
                        .map(|one| quoted(&format!("{}:{}", one.host, one.port)))
                        .collect();
                    let _ = writeln!(out, "external = [{}]", servers.join(", "));
                    if here {
                        out.push_str(
                            "# To have lbdev start them, put these in place of `external`:\n",
                        );
                        out.push_str("# command = \"{python} manage.py runserver --noreload 127.0.0.1:{port}\"\n");
                        let _ = writeln!(out, "# ports = {}", quoted(&ports(&service.servers)));
                    }
                }
            }
            let routes: Vec<String> = service.routes.iter().map(|route| quoted(route)).collect();
            let _ = writeln!(out, "routes = [{}]", routes.join(", "));
            if let Some(slow_start) = &service.slow_start {
                let _ = writeln!(out, "slow_start = {slow_start}");
            }
            if service.max_connections > 0 {
                let _ = writeln!(out, "max_connections = {}", service.max_connections);
            }
            for one in &service.servers {
                let own = one.max_connections != service.max_connections;
                let said: Vec<String> = [
                    (one.weight != 1).then(|| format!("weight = {}", one.weight)),
                    one.backup.then(|| "backup = true".to_owned()),
                    own.then(|| format!("max_connections = {}", one.max_connections)),
                ]
                .into_iter()
                .flatten()
                .collect();
                if !said.is_empty() {
                    let _ = writeln!(out, "backends.{} = {{ {} }}", one.port, said.join(", "));
                }
            }
        }
        out
    }
}

/// `8000-8003`, or a list.
fn ports(servers: &[Server]) -> String {
    let row = servers
        .windows(2)
        .all(|two| two[0].port.checked_add(1) == Some(two[1].port));
    match (servers.first(), servers.last()) {
        (Some(first), Some(last)) if row && first.port != last.port => {
            format!("{}-{}", first.port, last.port)
        }
        _ => {
            let all: Vec<String> = servers.iter().map(|one| one.port.to_string()).collect();
            all.join(",")
        }
    }
}

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// For a comment: TOML has no control characters in one (its specification, "Comment").
fn one_line(text: &str) -> String {
    let plain = |c: char| match c.is_control() {
        true => ' ',
        false => c,
    };
    text.chars().map(plain).collect()
}
