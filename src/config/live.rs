//! What is changed while requests are answered: from names and values, as somebody sends them, to a [`LiveChange`].

use serde_json::{Map, Number, Value};

use super::defaults::{RETRIES_RANGE, WEIGHT_RANGE};
use super::problem::{Problem, Where};
use super::resolve::report_of;
use super::value::{self, ValueError, alike};
use super::{HostPattern, Live};
use crate::backend::Detect;
use crate::balance::{Algorithm, HashKey, Sequence, Sticky};
use crate::error::Report;

/// Names of the settings of [`Live`], as in `[balancer]`.
pub const LIVE_KEYS: [&str; 7] = [
    "algorithm",
    "hash_key",
    "sequence",
    "sticky",
    "detect",
    "retries",
    "allow_hosts",
];
/// The setting of one backend that can be changed live.
pub const WEIGHT_KEY: &str = "weight";

/// Keys of `[balancer]` that hold from one start to the next.
const FILE_KEYS: [&str; 8] = [
    "listen",
    "passive",
    "retry",
    "hold",
    "queue",
    "timeouts",
    "trust_forwarded",
    "workers",
];
/// The same of a service.
const SERVICE_FILE_KEYS: [&str; 21] = [
    "command",
    "ports",
    "replicas",
    "env",
    "env_file",
    "cwd",
    "routes",
    "health",
    "slow_start",
    "max_connections",
    "restart",
    "stop",
    "external",
    "backup",
    "pty",
    "ready",
    "watch",
    "watch_mode",
    "before",
    "after",
    "needs",
];

/// The table of the file that has this key, which was said in another one.
pub(super) fn table_of(key: &str) -> Option<&'static str> {
    if FILE_KEYS.contains(&key) || LIVE_KEYS.contains(&key) {
        Some("[balancer]")
    } else if SERVICE_FILE_KEYS.contains(&key) {
        Some("[services.NAME]")
    } else {
        None
    }
}

/// Some settings of [`Live`], each checked. What is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveChange {
    /// How the next backend is chosen.
    pub algorithm: Option<Algorithm>,
    /// What a hash goes by.
    pub hash_key: Option<HashKey>,
    /// What moves the choice on.
    pub sequence: Option<Sequence>,
    /// Whether a client stays with its backend.
    pub sticky: Option<Sticky>,
    /// How a death is noticed.
    pub detect: Option<Detect>,
    /// Further backends tried.
    pub retries: Option<u32>,
    /// Hosts that are allowed besides those that always are.
    pub allow_hosts: Option<Vec<HostPattern>>,
}

impl LiveChange {
    /// Reads settings by their names in `[balancer]`. Each value is the text that a file or `KEY=VALUE` has; `retries` may
    /// be a number too, and `allow_hosts` a list of strings.
    ///
    /// # Errors
    /// LB021 for the first that is unknown, or whose value cannot be; also where there is none.
    pub fn read(settings: &Map<String, Value>) -> Result<Self, Report> {
        if settings.is_empty() {
            let message = format!("there is nothing to set; known: {}", known());
            return Err(Report::usage("LB021", message));
        }
        let mut change = Self::default();
        for (key, said) in settings {
            match key.as_str() {
                "algorithm" => change.algorithm = Some(choice(key, said, Algorithm::NAMES)?),
                "hash_key" => change.hash_key = Some(text(key, said, value::hash_key)?),
                "sequence" => change.sequence = Some(choice(key, said, Sequence::NAMES)?),
                "sticky" => change.sticky = Some(choice(key, said, Sticky::NAMES)?),
                "detect" => change.detect = Some(choice(key, said, Detect::NAMES)?),
                "retries" => change.retries = Some(number(key, said, &RETRIES_RANGE)?),
                "allow_hosts" => change.allow_hosts = Some(hosts(key, said)?),
                _ => return Err(unknown_setting(key)),
            }
        }
        Ok(change)
    }

    /// `live` with this change made to it.
    pub fn over(&self, live: &Live) -> Live {
        Live {
            algorithm: self.algorithm.unwrap_or(live.algorithm),
            hash_key: self.hash_key.as_ref().unwrap_or(&live.hash_key).clone(),
            sequence: self.sequence.unwrap_or(live.sequence),
            sticky: self.sticky.unwrap_or(live.sticky),
            detect: self.detect.unwrap_or(live.detect),
            retries: self.retries.unwrap_or(live.retries),
            allow_hosts: match &self.allow_hosts {
                Some(said) => live.allow_hosts.clone().with_said(said.clone()),
                None => live.allow_hosts.clone(),
            },
            // Whoever debugs changes that.
            debugged: live.debugged.clone(),
        }
    }
}

/// Every setting at once.
impl From<Live> for LiveChange {
    fn from(live: Live) -> Self {
        Self {
            algorithm: Some(live.algorithm),
            hash_key: Some(live.hash_key),
            sequence: Some(live.sequence),
            sticky: Some(live.sticky),
            detect: Some(live.detect),
            retries: Some(live.retries),
            allow_hosts: Some(live.allow_hosts.said().to_vec()),
        }
    }
}

/// Reads `{"weight": 3}`: what can be set of one backend.
///
/// # Errors
/// LB021 where it is missing, out of its range, or anything else is there.
pub fn read_weight(settings: &Map<String, Value>) -> Result<u32, Report> {
    if let Some(other) = settings.keys().find(|key| *key != WEIGHT_KEY) {
        return Err(unknown_of_backend(other));
    }
    let Some(said) = settings.get(WEIGHT_KEY) else {
        let message = format!("there is nothing to set; known for a backend: `{WEIGHT_KEY}`");
        return Err(Report::usage("LB021", message));
    };
    number(WEIGHT_KEY, said, &WEIGHT_RANGE)
}

/// The report of a key that is no setting of the whole balancer.
pub fn unknown_setting(key: &str) -> Report {
    if key == WEIGHT_KEY {
        let message = format!("`{WEIGHT_KEY}` is a setting of a backend, and none is named");
        return Report::usage("LB021", message)
            .hint("name it first, as in `lbdev set 8000 weight=3`");
    }
    unknown(key, &known(), LIVE_KEYS.into_iter().chain([WEIGHT_KEY]))
}

/// The report of a key that is no setting of a backend.
pub fn unknown_of_backend(key: &str) -> Report {
    if LIVE_KEYS.contains(&key) {
        let message = format!("`{key}` is a setting of the whole balancer, not of a backend");
        return Report::usage("LB021", message).hint(format!("run `lbdev set {key}=…`"));
    }
    unknown(key, &format!("`{WEIGHT_KEY}`"), std::iter::once(WEIGHT_KEY))
}

fn unknown<'a>(key: &str, known: &str, words: impl Iterator<Item = &'a str>) -> Report {
    let report = Report::usage("LB021", format!("`{key}` cannot be set; known: {known}"));
    let hint = match alike(key, words) {
        Some(like) => Some(format!("did you mean `{like}`?")),
        None => elsewhere(key),
    };
    match hint {
        Some(hint) => report.hint(hint),
        None => report,
    }
}

/// What to do about a key that is right, but not here.
fn elsewhere(key: &str) -> Option<String> {
    // `retry.body` is `body` in the table `retry`.
    let table = key.split('.').next().unwrap_or(key);
    if table == "replicas" {
        return Some("run `lbdev scale 6` to have six".into());
    }
    let section = if FILE_KEYS.contains(&table) {
        "[balancer]"
    } else if SERVICE_FILE_KEYS.contains(&table) {
        "[services.NAME]"
    } else {
        return None;
    };
    // What a reload takes over, and what is made once.
    let then = match table {
        "workers" | "passive" => "lbdev down && lbdev up",
        _ => "lbdev reload",
    };
    Some(format!(
        "write it into lbdev.toml below `{section}`, then run `{then}`"
    ))
}

fn known() -> String {
    value::list(LIVE_KEYS.into_iter())
}

fn choice<T: Copy>(key: &str, said: &Value, names: &[(&'static str, T)]) -> Result<T, Report> {
    text(key, said, |text| value::choice(text, names))
}

fn text<T>(
    key: &str,
    said: &Value,
    read: impl Fn(&str) -> Result<T, ValueError>,
) -> Result<T, Report> {
    let Value::String(text) = said else {
        return Err(wrong_type(key, "a string", said));
    };
    read(text).map_err(|source| {
        let key = key.to_owned();
        report_of(Problem::Value { key, source }, Where::Nowhere)
    })
}

/// A list of strings, or a text with commas.
fn hosts(key: &str, said: &Value) -> Result<Vec<HostPattern>, Report> {
    match said {
        Value::Array(entries) => {
            let entries = entries.iter();
            entries.map(|entry| text(key, entry, value::host)).collect()
        }
        Value::String(_) => text(key, said, value::hosts),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err(wrong_type(key, "a list of strings", said))
        }
    }
}

/// A whole number, or the text of one.
fn number(key: &str, said: &Value, range: &std::ops::RangeInclusive<u64>) -> Result<u32, Report> {
    let read = match said {
        Value::Number(number) => whole_number(number),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        Value::String(_) => None,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return Err(wrong_type(key, "a whole number", said));
        }
    };
    let number = read.filter(|number| range.contains(number));
    number.and_then(|n| u32::try_from(n).ok()).ok_or_else(|| {
        let problem = Problem::OutOfRange {
            key: key.to_owned(),
            least: *range.start(),
            most: *range.end(),
            found: match said {
                Value::String(text) => format!("`{text}`"),
                other => other.to_string(),
            },
        };
        report_of(problem, Where::Nowhere)
    })
}

/// A number that has no fraction is a whole one, however it is written (JSON Schema 2020-12 §6.1.1): `4.0` is 4.
pub fn whole_number(number: &Number) -> Option<u64> {
    let float = || {
        let float = number.as_f64().filter(|float| float.fract() == 0.0)?;
        // Beyond that not every whole number is one.
        (0.0..=9e15).contains(&float).then_some(float as u64)
    };
    number.as_u64().or_else(float)
}

fn wrong_type(key: &str, wanted: &'static str, said: &Value) -> Report {
    let found = match said {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    let problem = Problem::WrongType {
        key: key.to_owned(),
        wanted,
        found: found.to_owned(),
    };
    report_of(problem, Where::Nowhere)
}

#[cfg(test)]
mod tests;
