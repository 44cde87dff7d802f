//! Single values as text: durations, ports, addresses, signals. Pure, and each error says what would be right.

mod limits;
mod service;

pub(super) use limits::{
    at_most, budget, budget_text, expected_body, expected_status, expected_status_text, limit,
    limit_text, retry_status, size, size_text,
};

pub(super) use service::{need, pattern, ready, ready_text};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::defaults::{LONGEST, MOST_BACKENDS};
use super::{HostError, HostPattern, Listen, ListenHost, Route};
use crate::backend::{RestartMode, Signal};
use crate::balance::HashKey;

/// A text that is not the value it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ValueError {
    #[error("`{text}` is not a duration; write for example `200ms`, `5s` or `1m`")]
    Duration { text: String },
    #[error("`{text}` is longer than a day")]
    TooLong { text: String },
    #[error("`{text}` is not two durations such as `200ms..10s`")]
    Backoff { text: String },
    #[error("`{text}` is not a port: ports are numbers from 1 to 65535")]
    Port { text: String },
    #[error("the range `{text}` runs backwards")]
    Backwards { text: String },
    #[error("`{text}` names port {port} twice")]
    Twice { text: String, port: u16 },
    #[error("`{text}` is {count} ports; a service has at most {MOST_BACKENDS} backends")]
    TooMany { text: String, count: usize },
    #[error(
        "`{text}` is not an address to listen on; write for example `localhost:8080`, `8080`, `0.0.0.0:8080` or `[::1]:8080`"
    )]
    Listen { text: String },
    #[error(
        "with `{text}` other machines could use the dashboard, which starts and ends processes: no file may say that, only `--dashboard-listen {text}`"
    )]
    Wide { text: String },
    #[error(
        "`{text}` is not a host that a browser could ask for; write for example `laptop.local` or `laptop.local:9090`"
    )]
    DashboardHost { text: String },
    #[error(
        "`{text}` is not a server's address; write for example `8000`, `8000-8003`, `127.0.0.1:7000` or `[::1]:7001`"
    )]
    Server { text: String },
    #[error("the host name `{host}` cannot be resolved")]
    Unresolved { host: String },
    #[error("`{text}` is neither a path that begins with `/` nor a host name")]
    Route { text: String },
    #[error("`{text}` is not a path that begins with `/`")]
    Path { text: String },
    #[error(
        "`{text}` is not a key to hash by; write `path`, or with a name `header:X-User` or `cookie:sessionid`"
    )]
    HashKey { text: String },
    #[error("`{text}` is not a size; write for example `16kb`, `1mb` or `0`")]
    Size { text: String },
    #[error("it must be at most {most}, not {found}")]
    TooLarge { most: String, found: String },
    #[error(
        "`{text}` is not a share of the requests; write for example `20%` (up to `100%`), or `off` for no limit"
    )]
    Budget { text: String },
    #[error("`{text}` is not a share of the requests; write for example `20%` or `0.5%`")]
    Rate { text: String },
    #[error("`{text}` is no speed; write for example `64kb`, which is so much a second")]
    Speed { text: String },
    #[error(
        "`{text}` is not a field of a request; write for example `X-User` or `X-User:alice`, without spaces"
    )]
    Field { text: String },
    #[error("it says nothing")]
    Blank,
    #[error("`{text}` is not {wanted}")]
    Shape { text: String, wanted: &'static str },
    #[error("`{text}` is not a status that an answer can have; write for example `503`")]
    FaultStatus { text: String },
    #[error(
        "{text} is not one of 502, 503 or 504; any other answer is the application's, and reaches the client"
    )]
    RetryStatus { text: String },
    #[error(
        "`{text}` is not a status that a check can end with; write for example `200` or `200-399`"
    )]
    Status { text: String },
    #[error("it is empty, and every answer holds that")]
    EmptyText,
    #[error("it is longer than {most} bytes")]
    LongText { most: usize },
    #[error(
        "`{text}` is neither a service nor an address; write for example `db`, or `tcp:127.0.0.1:5432` for something that lbdev does not start"
    )]
    Need { text: String },
    #[error(
        "`{text}` is not a way to be ready; write `http`, `tcp`, `exit`, or with a text that it writes `log:Listening on`"
    )]
    Ready { text: String },
    #[error("`{text}` is not a pattern: {why}")]
    Pattern { text: String, why: String },
    #[error(transparent)]
    Host(#[from] HostError),
    #[error("`{text}` is not one of {known}")]
    Choice {
        text: String,
        known: String,
        like: Option<&'static str>,
    },
}

/// Reads `200ms`, `5s`, `1m`, `1m30s`, `1.5s`.
pub(super) fn duration(text: &str) -> Result<Duration, ValueError> {
    let wrong = || ValueError::Duration {
        text: text.to_owned(),
    };
    let mut rest = text.trim();
    let mut total = 0.0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, after) = rest.split_at(digits.ok_or_else(wrong)?);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let unit = after.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, after) = after.split_at(unit.unwrap_or(after.len()));
        total += number
            * match unit {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(wrong()),
            };
        rest = after;
    }
    if total > LONGEST.as_secs_f64() {
        return Err(ValueError::TooLong {
            text: text.to_owned(),
        });
    }
    // Nobody writes less than a microsecond; rounding hides what binary fractions do to 0.1.
    Ok(Duration::from_micros((total * 1e6).round() as u64))
}

/// Reads the hosts of `allow_hosts` with a comma between two, as `set` has them; nothing is no host.
pub(super) fn hosts(text: &str) -> Result<Vec<HostPattern>, ValueError> {
    match text.trim() {
        "" => Ok(Vec::new()),
        text => text.split(',').map(host).collect(),
    }
}

/// Reads one entry of `allow_hosts`.
pub(super) fn host(text: &str) -> Result<HostPattern, ValueError> {
    Ok(text.parse::<HostPattern>()?)
}

/// Writes a duration so that [`duration`] reads the same.
pub(super) fn duration_text(duration: Duration) -> String {
    let micros = duration.as_micros();
    if micros.is_multiple_of(3_600_000_000) && micros > 0 {
        format!("{}h", micros / 3_600_000_000)
    } else if micros.is_multiple_of(60_000_000) && micros > 0 {
        format!("{}m", micros / 60_000_000)
    } else if micros.is_multiple_of(1_000_000) {
        format!("{}s", micros / 1_000_000)
    } else if micros.is_multiple_of(1000) {
        format!("{}ms", micros / 1000)
    } else {
        format!("{}.{:03}ms", micros / 1000, micros % 1000)
    }
}

/// Reads `200ms..10s`.
pub(super) fn backoff(text: &str) -> Result<(Duration, Duration), ValueError> {
    let (min, max) = text.split_once("..").ok_or_else(|| ValueError::Backoff {
        text: text.to_owned(),
    })?;
    let (min, max) = (duration(min)?, duration(max)?);
    if min > max {
        return Err(ValueError::Backwards {
            text: text.to_owned(),
        });
    }
    Ok((min, max))
}

/// Reads `path`, `header:NAME`, `cookie:NAME`.
pub(super) fn hash_key(text: &str) -> Result<HashKey, ValueError> {
    let (kind, name) = text.split_once(':').unwrap_or((text, ""));
    let is_name = !name.is_empty() && name.len() <= NAME_MAX && name.bytes().all(is_token);
    match kind {
        "path" if text == kind => Ok(HashKey::Path),
        "header" if is_name => Ok(HashKey::Header(name.to_ascii_lowercase())),
        "cookie" if is_name => Ok(HashKey::Cookie(name.to_owned())),
        _ => Err(ValueError::HashKey {
            text: text.to_owned(),
        }),
    }
}

/// The longest name of a header field or a cookie; nobody has longer ones.
const NAME_MAX: usize = 256;

/// What names of header fields and cookies are made of (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Reads one port.
pub(super) fn port(text: &str) -> Result<u16, ValueError> {
    let wrong = || ValueError::Port {
        text: text.to_owned(),
    };
    // `parse` would take a leading `+`.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(wrong()),
        Ok(port) => Ok(port),
    }
}

/// Reads `8000`, `8000-8003`, `8000,8005-8007`.
pub(super) fn ports(text: &str) -> Result<Vec<u16>, ValueError> {
    let mut all = Vec::new();
    for part in text.split(',') {
        let part = part.trim();
        let (first, last) = match part.split_once('-') {
            Some((first, last)) if !first.is_empty() && !last.is_empty() => {
                (port(first.trim())?, port(last.trim())?)
            }
            Some(_) | None => (port(part)?, port(part)?),
        };
        if first > last {
            return Err(ValueError::Backwards {
                text: part.to_owned(),
            });
        }
        let count = all.len() + usize::from(last - first) + 1;
        if count > MOST_BACKENDS {
            return Err(ValueError::TooMany {
                text: text.to_owned(),
                count,
            });
        }
        for port in first..=last {
            if all.contains(&port) {
                return Err(ValueError::Twice {
                    text: text.to_owned(),
                    port,
                });
            }
            all.push(port);
        }
    }
    Ok(all)
}

/// Writes ports so that [`ports`] reads the same.
pub(super) fn ports_text(ports: &[u16]) -> String {
    let runs = ports.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    let parts: Vec<String> = runs
        .map(|run| match run {
            [first, .., last] => format!("{first}-{last}"),
            [one] => one.to_string(),
            [] => String::new(),
        })
        .collect();
    parts.join(",")
}

/// Reads `localhost:8080`, `8080`, `:80`, `0.0.0.0:8080`, `[::1]:9000`. Without a host it is loopback: to serve other
/// machines somebody has to say so.
pub(super) fn listen(text: &str) -> Result<Listen, ValueError> {
    let text = text.trim();
    let wrong = || ValueError::Listen {
        text: text.to_owned(),
    };
    let local = |digits: &str| {
        Ok(Listen {
            host: ListenHost::Localhost,
            port: port(digits)?,
        })
    };
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        return local(text);
    }
    let (host, digits) = text.rsplit_once(':').ok_or_else(wrong)?;
    if host.is_empty() || host.eq_ignore_ascii_case("localhost") {
        return local(digits);
    }
    Ok(Listen {
        host: ListenHost::Address(ip(host).ok_or_else(wrong)?),
        port: port(digits)?,
    })
}

/// Writes what [`listen`] reads.
pub(super) fn listen_text(listen: Listen) -> String {
    match listen.host {
        ListenHost::Localhost => format!("localhost:{}", listen.port),
        ListenHost::Address(ip) => SocketAddr::new(ip, listen.port).to_string(),
    }
}

/// An IPv4 address, or an IPv6 address in brackets.
fn ip(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    }
}

/// A server that lbdev did not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub port: u16,
    /// In the order to try.
    pub addresses: Vec<SocketAddr>,
}

/// Both loopback addresses: some servers bind only one of them.
pub(super) fn loopback(port: u16) -> Vec<SocketAddr> {
    vec![
        SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
    ]
}

/// Reads one entry of `external`: `8000`, `8000-8003`, `localhost:7000`, `127.0.0.1:7000`, `[::1]:7001`,
/// `name:7000`. `lookup` resolves names.
pub(super) fn servers(
    text: &str,
    lookup: &dyn Fn(&str, u16) -> Vec<SocketAddr>,
) -> Result<Vec<Server>, ValueError> {
    let text = text.trim();
    let wrong = || ValueError::Server {
        text: text.to_owned(),
    };
    let Some((host, digits)) = text.rsplit_once(':') else {
        let is_ports = |c: char| c.is_ascii_digit() || matches!(c, '-' | ',' | ' ');
        if !text.starts_with(|c: char| c.is_ascii_digit()) || !text.chars().all(is_ports) {
            return Err(wrong());
        }
        let local = |port| Server {
            port,
            addresses: loopback(port),
        };
        return Ok(ports(text)?.into_iter().map(local).collect());
    };
    let port = port(digits)?;
    let addresses = if host.eq_ignore_ascii_case("localhost") {
        loopback(port)
    } else if let Some(ip) = ip(host) {
        vec![SocketAddr::new(ip, port)]
    } else if is_host_name(host) {
        lookup(host, port)
    } else {
        return Err(wrong());
    };
    if addresses.is_empty() {
        return Err(ValueError::Unresolved {
            host: host.to_owned(),
        });
    }
    Ok(vec![Server { port, addresses }])
}

/// RFC 1123, section 2.1: letters, digits and hyphens in labels of at most 63, and 253 in all.
pub(super) fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
        // All digits and dots is an address with a slip in it, not a name.
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Reads one entry of `routes`.
pub(super) fn route(text: &str) -> Result<Route, ValueError> {
    let wrong = || ValueError::Route {
        text: text.to_owned(),
    };
    if text.starts_with('/') {
        return Ok(Route::Prefix(path(text).map_err(|_| wrong())?));
    }
    match is_host_name(text) || text.parse::<Ipv4Addr>().is_ok() {
        true => Ok(Route::Host(text.to_ascii_lowercase())),
        false => Err(wrong()),
    }
}

/// Writes what [`route`] reads.
pub(super) fn route_text(route: &Route) -> &str {
    match route {
        Route::Prefix(text) | Route::Host(text) => text,
    }
}

/// A path as it stands in a request: visible ASCII, no fragment.
pub(super) fn path(text: &str) -> Result<String, ValueError> {
    let fits = text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    match text.starts_with('/') && fits {
        true => Ok(text.to_owned()),
        false => Err(ValueError::Path {
            text: text.to_owned(),
        }),
    }
}

/// Signals that may stop a backend. STOP and CONT would not, and lbdev could not tell.
pub(super) const STOP_SIGNALS: &[(&str, Signal)] = &[
    ("TERM", Signal::Term),
    ("INT", Signal::Int),
    ("QUIT", Signal::Quit),
    ("HUP", Signal::Hup),
    ("USR1", Signal::Usr1),
    ("USR2", Signal::Usr2),
    ("KILL", Signal::Kill),
];

/// Names of [`RestartMode`].
pub(super) const RESTART_MODES: &[(&str, RestartMode)] = &[
    ("on_failure", RestartMode::OnFailure),
    ("always", RestartMode::Always),
    ("never", RestartMode::Never),
];

/// Reads one of a list of names; `-` and `_`, upper and lower case are the same.
pub(super) fn choice<T: Copy>(text: &str, names: &[(&'static str, T)]) -> Result<T, ValueError> {
    let plain = |text: &str| text.trim().replace('-', "_").to_ascii_lowercase();
    let wanted = plain(text);
    let known = names.iter().find(|(name, _)| plain(name) == wanted);
    known
        .map(|&(_, value)| value)
        .ok_or_else(|| ValueError::Choice {
            text: text.to_owned(),
            known: list(names.iter().map(|&(name, _)| name)),
            like: alike(text, names.iter().map(|&(name, _)| name)),
        })
}

/// Reads a signal, with or without `SIG`.
pub(super) fn stop_signal(text: &str) -> Result<Signal, ValueError> {
    let upper = text.trim().to_ascii_uppercase();
    choice(upper.strip_prefix("SIG").unwrap_or(&upper), STOP_SIGNALS)
}

/// The name of a value in a list of names.
pub(super) fn name_of<T: PartialEq>(value: T, names: &[(&'static str, T)]) -> &'static str {
    let known = names.iter().find(|(_, other)| *other == value);
    known.map_or("", |&(name, _)| name)
}

/// The known word that was probably meant.
pub(super) fn alike<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_ascii_lowercase();
    // A third of the letters may be wrong: `algoritm` is like `algorithm`, `foo` is not like `env`.
    let near = |word: &&str| {
        let distance = strsim::damerau_levenshtein(&text, &word.to_ascii_lowercase());
        distance * 3 <= word.len().max(3)
    };
    known
        .filter(near)
        .min_by_key(|word| strsim::damerau_levenshtein(&text, &word.to_ascii_lowercase()))
}

/// `` `a`, `b` or `c` ``.
pub(super) fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests;
