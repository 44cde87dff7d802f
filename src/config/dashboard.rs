//! `[dashboard]`: where the page and its API listen, and under which names a browser may ask for them.

use std::net::IpAddr;

use toml::de::DeValue;

use super::defaults::DASHBOARD;
use super::draft::DashboardDraft;
use super::problem::{At, Fault, Where};
use super::request::Request;
use super::schema::Shape;
use super::table::{Table, place};
use super::value::{self, ValueError};
use super::{Listen, ListenHost, flags};

/// The dashboard's part of a set-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dashboard {
    /// There is one.
    pub enabled: bool,
    /// Where browsers connect.
    pub listen: Listen,
    /// Somebody said where: then it is there or nowhere. Else the next free port does.
    pub named: bool,
    /// Further `Host` values that are answered, besides the loopback's own: `NAME:PORT`, or `NAME` for whichever port it has.
    pub hosts: Vec<String>,
}

/// Nothing was said.
impl Default for Dashboard {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: DASHBOARD,
            named: false,
            hosts: Vec::new(),
        }
    }
}

impl Dashboard {
    /// What was said, over the defaults.
    pub(super) fn made(draft: &DashboardDraft) -> Self {
        let mut made = Self::default();
        if let Some(said) = &draft.enabled {
            made.enabled = said.value;
        }
        if let Some(said) = &draft.listen {
            made.listen = said.value;
            made.named = true;
        }
        if let Some(said) = &draft.hosts {
            made.hosts.clone_from(&said.value);
        }
        made
    }

    /// Whether other machines can reach it.
    pub fn is_wide(&self) -> bool {
        !is_loopback(self.listen)
    }
}

fn is_loopback(listen: Listen) -> bool {
    match listen.host {
        ListenHost::Localhost => true,
        ListenHost::Address(ip) => ip.is_loopback(),
    }
}

/// Reads `[dashboard]`.
pub(super) fn read(table: Table<'_>) -> DashboardDraft {
    let draft = DashboardDraft {
        enabled: table.boolean("enabled"),
        listen: listen(&table),
        hosts: None,
    };
    table.close();
    draft
}

fn listen(table: &Table<'_>) -> Option<At<Listen>> {
    let key = "listen";
    table.shape(key, || {
        Shape::AnyOf(vec![Shape::Integer(0, 65535), Shape::Text])
    });
    let found = table.get(key)?;
    match found.get_ref() {
        DeValue::Integer(number) => {
            let text = number.to_string();
            table.parse_text(key, place(found), &text, at_home)
        }
        _ => table.parse_value(
            key,
            found,
            "an address such as \"localhost:8090\" or a port",
            at_home,
        ),
    }
}

/// An address of this machine alone. What opens the page to others is typed by a person, and not found in a file that came
/// with a project.
fn at_home(text: &str) -> Result<Listen, ValueError> {
    let listen = value::listen(text)?;
    match is_loopback(listen) {
        true => Ok(listen),
        false => Err(ValueError::Wide {
            text: text.to_owned(),
        }),
    }
}

/// Lets the flags overrule the draft.
pub(super) fn apply(request: &Request, draft: &mut DashboardDraft, faults: &mut Vec<Fault>) {
    if request.no_dashboard {
        let at = Where::Option("--no-dashboard");
        draft.enabled = Some(At { value: false, at });
    }
    let option = "--dashboard-listen";
    if let Some(text) = &request.dashboard_listen {
        match value::listen(text) {
            Ok(value) => {
                let at = Where::Option(option);
                draft.listen = Some(At { value, at });
            }
            Err(source) => faults.push(flags::bad(option, source)),
        }
    }
    let option = "--dashboard-host";
    let mut hosts = Vec::new();
    for text in &request.dashboard_hosts {
        match host(text) {
            Ok(host) => hosts.push(host),
            Err(source) => faults.push(flags::bad(option, source)),
        }
    }
    if !hosts.is_empty() {
        let at = Where::Option(option);
        draft.hosts = Some(At { value: hosts, at });
    }
}

/// `NAME` or `NAME:PORT`, as a browser sends it: lower-case.
fn host(text: &str) -> Result<String, ValueError> {
    let wrong = || ValueError::DashboardHost {
        text: text.to_owned(),
    };
    let plain = text.trim().to_ascii_lowercase();
    let (name, port) = match plain.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        Some((_, "")) => (plain.as_str(), None),
        Some((v6, rest)) => (&plain[..v6.len() + 2], rest.strip_prefix(':')),
        None => match plain.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (plain.as_str(), None),
        },
    };
    let v6 = name.strip_prefix('[').and_then(|v6| v6.strip_suffix(']'));
    let is_name = match v6 {
        Some(v6) => v6.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()),
        None => name.parse::<IpAddr>().is_ok() || value::is_host_name(name),
    };
    let is_whole = name.len() == plain.len() || port.is_some();
    if !is_name || !is_whole || port.is_some_and(|port| value::port(port).is_err()) {
        return Err(wrong());
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_addresses() {
        for (text, expected) in [
            ("laptop.local", Some("laptop.local")),
            ("Laptop.Local:9000", Some("laptop.local:9000")),
            ("192.168.1.5:8090", Some("192.168.1.5:8090")),
            ("[fe80::1]", Some("[fe80::1]")),
            ("[fe80::1]:8090", Some("[fe80::1]:8090")),
            ("", None),
            ("*", None),
            ("http://x", None),
            ("x:0", None),
            ("x:", None),
            ("[::1]x", None),
            ("[zz]:1", None),
            ("a b", None),
        ] {
            assert_eq!(host(text).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_file_keeps_it_at_home() {
        for (text, fits) in [
            ("8090", true),
            ("localhost:8090", true),
            ("127.0.0.1:8090", true),
            ("[::1]:8090", true),
            ("0.0.0.0:8090", false),
            ("192.168.1.5:8090", false),
            ("nonsense", false),
        ] {
            assert_eq!(at_home(text).is_ok(), fits, "{text}");
        }
    }
}
