//! Values as they are typed: times, signals, numbers. An error says what is wanted.

use std::time::Duration;

use crate::backend::Signal;
use crate::config::defaults::MOST_BACKENDS;
use crate::load::ErrorLimit;

/// Nothing that is typed by hand lasts longer.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// More than one thread could ever send.
const MOST_RPS: f64 = 1_000_000.0;

/// How many backends.
pub(super) fn replicas(typed: &str) -> Result<u32, String> {
    let count = typed
        .parse()
        .ok()
        .filter(|count| *count >= 1 && *count as usize <= MOST_BACKENDS);
    count.ok_or_else(|| format!("want a number from 1 to {MOST_BACKENDS}"))
}

/// A port.
pub(super) fn port(typed: &str) -> Result<u16, String> {
    let port = typed.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| "want a port, from 1 to 65535".to_owned())
}

/// How many threads.
pub(super) fn threads(typed: &str) -> Result<usize, String> {
    match typed.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(n) => Ok(n),
        Err(_) => Err("not a whole number".to_owned()),
    }
}

/// `60s`, `500ms`, `2m`, `1h`; a bare number is seconds.
pub(super) fn duration(typed: &str) -> Result<Duration, String> {
    let typed = typed.trim();
    let unit_at = typed
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(typed.len());
    let (number, unit) = typed.split_at(unit_at);
    let seconds = match unit.trim() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("want a time like `60s`, `500ms` or `2m`".to_owned()),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "want a time like `60s`, `500ms` or `2m`".to_owned())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| "too long a time".to_owned())
}

/// The same, and not nothing.
pub(super) fn some_time(typed: &str) -> Result<Duration, String> {
    match duration(typed)? {
        Duration::ZERO => Err("nothing can be so short".to_owned()),
        time if time > DAY => Err("longer than a day".to_owned()),
        time => Ok(time),
    }
}

/// Requests a second.
pub(super) fn rate(typed: &str) -> Result<f64, String> {
    let rate = typed.trim().parse::<f64>().ok();
    rate.filter(|rate| (0.01..=MOST_RPS).contains(rate))
        .ok_or_else(|| format!("want a number from 0.01 to {MOST_RPS}"))
}

/// How many connections.
pub(super) fn connections(typed: &str) -> Result<usize, String> {
    let count = typed.parse().ok().filter(|n| (1..=20_000).contains(n));
    count.ok_or_else(|| "want a number from 1 to 20000".to_owned())
}

/// How many virtual users.
pub(super) fn users(typed: &str) -> Result<usize, String> {
    let count = typed.parse().ok().filter(|n| *n <= 100_000);
    count.ok_or_else(|| "want a number up to 100000".to_owned())
}

/// A method (RFC 9110 §9.1): letters, in upper case as all that are registered.
pub(super) fn method(typed: &str) -> Result<String, String> {
    let method = typed.trim().to_ascii_uppercase();
    match !method.is_empty()
        && method.bytes().all(|b| b.is_ascii_uppercase())
        && method != "CONNECT"
    {
        true => Ok(method),
        false => Err("want a method like `POST`".to_owned()),
    }
}

/// A student's name or number.
pub(super) fn student(typed: &str) -> Result<String, String> {
    let name = typed.trim();
    match !name.is_empty() && name.len() <= 100 && !name.chars().any(char::is_control) {
        true => Ok(name.to_owned()),
        false => Err("want a name or a number".to_owned()),
    }
}

/// `0.1%`, `5`.
pub(super) fn errors(typed: &str) -> Result<ErrorLimit, String> {
    let typed = typed.trim();
    let limit = match typed.strip_suffix('%') {
        Some(percent) => percent
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|percent| (0.0..=100.0).contains(percent))
            .map(ErrorLimit::Percent),
        None => typed.parse().ok().map(ErrorLimit::Count),
    };
    limit.ok_or_else(|| "want a share like `0.1%`, or a number of requests like `5`".to_owned())
}

/// A span that is over (`5m`), a time of today (`18:00`), or a moment; without a zone it is the local one.
pub(super) fn since(typed: &str) -> Result<jiff::Timestamp, String> {
    let now = jiff::Zoned::now();
    let typed = typed.trim();
    if let Ok(span) = typed.parse::<jiff::Span>() {
        return now
            .checked_sub(span.abs())
            .map(|then| then.timestamp())
            .map_err(|_| "too long ago".to_owned());
    }
    if let Ok(moment) = typed.parse::<jiff::Timestamp>() {
        return Ok(moment);
    }
    // A moment has a time as well, so that it comes first.
    let local = typed.parse::<jiff::civil::DateTime>().or_else(|_| {
        let time = typed.parse::<jiff::civil::Time>();
        time.map(|time| now.date().to_datetime(time))
    });
    local
        .and_then(|local| local.to_zoned(now.time_zone().clone()))
        .map(|then| then.timestamp())
        .map_err(|_| "want a time like `5m`, `2h30m`, `18:00` or `2026-11-22T14:00`".to_owned())
}

/// `KILL`, `SIGKILL`, `kill`, `9`.
pub(super) fn signal(typed: &str) -> Result<Signal, String> {
    Signal::parse(typed).ok_or_else(|| {
        let names: Vec<&str> = Signal::names().collect();
        let upper = typed.trim().to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let like = names
            .iter()
            .map(|known| (strsim::damerau_levenshtein(name, known), known))
            .filter(|(distance, known)| distance * 3 <= known.len().max(3))
            .min();
        match like {
            Some((_, like)) => format!("did you mean `{like}`?"),
            None => format!("want one of {}, or its number", names.join(", ")),
        }
    })
}
