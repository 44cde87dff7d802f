//! For which host names lbdev answers: its own, those of `allow_hosts`, and those of routes.
//!
//! A page from anywhere can make a browser ask a name of its own that leads to 127.0.0.1 (DNS rebinding), and then read the
//! answer. Such a request carries that name in `Host`, so a name that nobody here chose is refused. Addresses cannot be
//! rebound, and nobody but this machine answers for `localhost` (RFC 6761 §6.3).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::Route;
use super::value::is_host_name;

/// The hosts whose requests are answered. Without an entry it has `localhost`, the names below it, and IP addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostList {
    said: Vec<HostPattern>,
    /// Host names of routes, lower-case.
    routes: Vec<String>,
}

impl HostList {
    /// The list with these for entries, in place of those it had. Names of routes stay.
    #[must_use]
    pub fn with_said(self, said: Vec<HostPattern>) -> Self {
        Self { said, ..self }
    }

    /// The list with the host names of these routes, in place of those it had: whoever routes a host wants its requests.
    #[must_use]
    pub fn with_routes<'a>(self, routes: impl IntoIterator<Item = &'a Route>) -> Self {
        let name = |route: &Route| match route {
            Route::Host(name) => Some(name.clone()),
            Route::Prefix(_) => None,
        };
        let routes = routes.into_iter().filter_map(name).collect();
        Self { routes, ..self }
    }

    /// The entries of `allow_hosts`, in the order in which they were said.
    pub fn said(&self) -> &[HostPattern] {
        &self.said
    }

    /// The same as texts, as a file has them.
    pub fn texts(&self) -> Vec<String> {
        self.said.iter().map(ToString::to_string).collect()
    }

    /// Whether requests for `host` are answered: lower-case, without a port, an IPv6 address in brackets. A name with the
    /// dot of the root at its end is the same host (RFC 1034 §3.1).
    pub fn allows(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        host == "localhost"
            || is_below(host, "localhost")
            || is_address(host)
            || self.said.iter().any(|pattern| pattern.fits(host))
            || self.routes.iter().any(|name| name == host)
    }
}

/// An IPv4 address of four numbers, or an IPv6 address in brackets (RFC 3986 §3.2.2). Browsers write the other forms of an
/// address, such as `127.1`, as these.
fn is_address(host: &str) -> bool {
    let v6 = host.strip_prefix('[').and_then(|v6| v6.strip_suffix(']'));
    match v6 {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv4Addr>().is_ok(),
    }
}

/// Whether `host` is a name below `name`, at any depth.
fn is_below(host: &str, name: &str) -> bool {
    let labels = host.strip_suffix(name).and_then(|x| x.strip_suffix('.'));
    labels.is_some_and(|labels| !labels.is_empty())
}

/// One entry of `allow_hosts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// `*`: every host.
    Any,
    /// `app.test`: this one. An IP address may stand here too, and changes nothing.
    Exact(String),
    /// `*.app.test`: every name below it, at any depth, but not `app.test` itself.
    Below(String),
    /// `.app.test`: it and every name below it, as in Django's `ALLOWED_HOSTS`.
    Within(String),
}

impl HostPattern {
    /// Whether `host` (lower-case, without a port and the root's dot) is one of those that this means.
    fn fits(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => host == name,
            Self::Below(name) => is_below(host, name),
            Self::Within(name) => host == name || is_below(host, name),
        }
    }
}

/// As a file has it; [`HostPattern::from_str`] reads the same.
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Within(name) => write!(f, ".{name}"),
        }
    }
}

impl FromStr for HostPattern {
    type Err = HostError;

    /// Reads `app.test`, `*.app.test`, `.app.test` or `*`. Upper case is lowered, a dot at the end is dropped.
    fn from_str(text: &str) -> Result<Self, HostError> {
        let plain = text.trim().to_ascii_lowercase();
        let text = || text.to_owned();
        if plain.is_empty() {
            return Err(HostError::Blank);
        }
        if plain.contains([',', ';']) || plain.contains(char::is_whitespace) {
            return Err(HostError::Several { text: text() });
        }
        if let Some((_, rest)) = plain.split_once("://") {
            let host = without_port(rest.split(['/', '?', '#']).next().unwrap_or_default());
            return Err(HostError::Url {
                text: text(),
                host: host.to_owned(),
            });
        }
        if let Some((host, _)) = plain.split_once(['/', '?', '#']) {
            return Err(HostError::Path {
                text: text(),
                host: without_port(host).to_owned(),
            });
        }
        if plain.parse::<Ipv6Addr>().is_ok() {
            return Ok(Self::Exact(format!("[{plain}]")));
        }
        if is_address(&plain) {
            return Ok(Self::Exact(plain));
        }
        let host = without_port(&plain);
        if host != plain {
            return Err(HostError::Port {
                text: text(),
                host: host.to_owned(),
            });
        }
        if plain == "*" {
            return Ok(Self::Any);
        }
        let name = plain.strip_suffix('.').unwrap_or(&plain);
        let (make, name): (fn(String) -> Self, &str) = match name.strip_prefix("*.") {
            Some(name) => (Self::Below, name),
            None => match name.strip_prefix('.') {
                Some(name) => (Self::Within, name),
                None => (Self::Exact, name),
            },
        };
        if name.contains('*') {
            return Err(HostError::Star { text: text() });
        }
        if !name.is_ascii() {
            return Err(HostError::Letters { text: text() });
        }
        match is_host_name(name) {
            true => Ok(make(name.to_owned())),
            false => Err(HostError::NoName { text: text() }),
        }
    }
}

/// What stands before a port, if there is one; else all of it.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit() || b == b'*') => name,
        _ => host,
    }
}

/// A text that names no hosts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages say what each is
pub enum HostError {
    #[error("a host name is empty")]
    Blank,
    #[error(
        "`{text}` is more than one host; in a file each is a string of its own, in `lbdev set` a comma stands between two"
    )]
    Several { text: String },
    #[error("`{text}` is a URL; write its host alone: `{host}`")]
    Url { text: String, host: String },
    #[error("`{text}` has a path; write the host alone: `{host}`")]
    Path { text: String, host: String },
    #[error("`{text}` has a port; a host is allowed whatever its port: write `{host}`")]
    Port { text: String, host: String },
    #[error(
        "`{text}` has a `*` in the wrong place; it can only be the first part, as in `*.app.test`, or stand alone for every host"
    )]
    Star { text: String },
    #[error(
        "`{text}` has letters that no request carries; write the name as browsers send it, with `xn--`"
    )]
    Letters { text: String },
    #[error(
        "`{text}` is not a host name; write for example `app.test`, `*.app.test` for the names below it, `.app.test` for both, or `*` for every host"
    )]
    NoName { text: String },
}

#[cfg(test)]
mod tests;
