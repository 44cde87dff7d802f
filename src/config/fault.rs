//! A fault that the balancer puts in: from names and values, as somebody sends them, to a [`Fault`].

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::live::whole_number;
use super::problem::{Problem, Where};
use super::resolve::report_of;
use super::value::{self, ValueError, alike, duration_text, size_text};
use crate::error::Report;

/// Names of what a fault can be made of.
pub const FAULT_KEYS: [&str; 11] = [
    "latency",
    "jitter",
    "status",
    "rate",
    "reset",
    "hang",
    "bandwidth",
    "cut",
    "slow_close",
    "path",
    "header",
];

/// What a backend's requests meet instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// An answer with this status, which the backend never gave.
    Status(u16),
    /// The connection is reset.
    Reset,
    /// Nothing, for as long as the fault lasts.
    Hang,
}

/// What is done on purpose to requests that go to one backend.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// They wait so long before they are sent.
    pub latency: Duration,
    /// And up to so much longer or shorter, each differently.
    pub jitter: Duration,
    /// What they meet instead of an answer.
    pub instead: Option<Instead>,
    /// The answer's body comes with so many bytes a second at most.
    pub bandwidth: Option<u64>,
    /// The connection ends after so many bytes of the answer's body, where it has more.
    pub cut: Option<u64>,
    /// The end of the answer's body comes so much later.
    pub slow_close: Duration,
    /// So many of a thousand requests; the others meet nothing.
    pub per_mille: u32,
    /// Only those for this path or below it.
    pub path: Option<String>,
    /// Only those with this field in their head.
    pub header: Option<FieldMatch>,
}

/// A field of a request's head: that it is there, or what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldMatch {
    /// In any case of letters (RFC 9110 §5.1).
    pub name: String,
    /// The whole of what it says, or one of its parts between `,` or `;`.
    pub value: Option<String>,
}

impl FieldMatch {
    /// Whether a field that says `said` is meant; `None` is one that is not there.
    fn fits(&self, said: Option<&[u8]>) -> bool {
        let Some(said) = said else { return false };
        let Some(value) = self.value.as_deref().map(str::as_bytes) else {
            return true;
        };
        let mut parts = said.split(|byte| matches!(byte, b',' | b';'));
        said.trim_ascii() == value || parts.any(|part| part.trim_ascii() == value)
    }
}

/// As it is typed.
impl fmt::Display for FieldMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.value {
            Some(value) => write!(f, ":{value}"),
            None => Ok(()),
        }
    }
}

impl Fault {
    /// Reads a fault by the names of [`FAULT_KEYS`]. Each value is the text that `KEY=VALUE` has; `reset` and `hang` have
    /// `true`.
    ///
    /// # Errors
    /// LB021 for the first that is unknown, or whose value cannot be; also where there is none, or two that exclude each
    /// other.
    pub fn read(said: &Map<String, Value>) -> Result<Self, Report> {
        let mut fault = Self {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            instead: None,
            bandwidth: None,
            cut: None,
            slow_close: Duration::ZERO,
            per_mille: 1000,
            path: None,
            header: None,
        };
        let mut insteads = Vec::new();
        for (key, said) in said {
            match key.as_str() {
                "latency" => fault.latency = text(key, said, value::duration)?,
                "jitter" => fault.jitter = text(key, said, value::duration)?,
                "status" => insteads.push(Instead::Status(text(key, said, status)?)),
                "rate" => fault.per_mille = text(key, said, rate)?,
                "reset" if flag(key, said)? => insteads.push(Instead::Reset),
                "hang" if flag(key, said)? => insteads.push(Instead::Hang),
                "reset" | "hang" => {}
                "bandwidth" => fault.bandwidth = Some(text(key, said, bandwidth)?),
                "cut" => fault.cut = Some(text(key, said, value::size)?),
                "slow_close" => fault.slow_close = text(key, said, value::duration)?,
                "header" => fault.header = Some(text(key, said, field)?),
                "path" => fault.path = Some(text(key, said, path)?),
                _ => return Err(unknown(key)),
            }
        }
        if let [first, second, ..] = insteads[..] {
            let message = format!("a request cannot meet both `{first}` and `{second}`");
            return Err(Report::usage("LB021", message).hint("leave one of them out"));
        }
        fault.instead = insteads.pop();
        if fault.jitter > fault.latency {
            let (jitter, latency) = (duration_text(fault.jitter), duration_text(fault.latency));
            let message =
                format!("`jitter={jitter}` is more than `latency={latency}`: nothing can be early");
            return Err(Report::usage("LB021", message)
                .hint(format!("say `latency={jitter} jitter={jitter}`, or less")));
        }
        let body = fault.bandwidth.is_some() || fault.cut.is_some() || !fault.slow_close.is_zero();
        if body && let Some(instead) = fault.instead {
            let message = format!(
                "with `{instead}` there is no answer of the backend whose body could be slow or cut"
            );
            return Err(Report::usage("LB021", message).hint("leave one of them out"));
        }
        if fault.latency.is_zero() && fault.instead.is_none() && !body {
            return Err(nothing());
        }
        Ok(fault)
    }

    /// The wait before this request is sent. `dice` is from 0 to 1.
    pub fn wait(&self, dice: f64) -> Duration {
        let jitter = self.jitter.as_secs_f64() * (2.0 * dice - 1.0);
        Duration::try_from_secs_f64(self.latency.as_secs_f64() + jitter).unwrap_or_default()
    }

    /// Something happens to the bodies of answers.
    pub fn impairs_bodies(&self) -> bool {
        self.bandwidth.is_some() || self.cut.is_some() || !self.slow_close.is_zero()
    }

    /// Whether it is about a request for `path` with the fields that `field` finds. `dice` is from 0 to 1.
    pub fn strikes<'a>(
        &self,
        path: &str,
        field: impl Fn(&str) -> Option<&'a [u8]>,
        dice: f64,
    ) -> bool {
        let of_path = self.path.as_deref().is_none_or(|prefix| {
            let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
            let rest = path.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        });
        let with_field = |wanted: &FieldMatch| wanted.fits(field(&wanted.name));
        of_path
            && self.header.as_ref().is_none_or(with_field)
            && dice * 1000.0 < f64::from(self.per_mille)
    }
}

impl fmt::Display for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Instead::Status(status) => write!(f, "status={status}"),
            Instead::Reset => f.write_str("reset"),
            Instead::Hang => f.write_str("hang"),
        }
    }
}

/// As it is typed.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if !self.latency.is_zero() {
            words.push(format!("latency={}", duration_text(self.latency)));
        }
        if !self.jitter.is_zero() {
            words.push(format!("jitter={}", duration_text(self.jitter)));
        }
        if let Some(instead) = self.instead {
            words.push(instead.to_string());
        }
        if let Some(bandwidth) = self.bandwidth {
            words.push(format!("bandwidth={}", size_text(bandwidth)));
        }
        if let Some(cut) = self.cut {
            words.push(format!("cut={}", size_text(cut)));
        }
        if !self.slow_close.is_zero() {
            words.push(format!("slow_close={}", duration_text(self.slow_close)));
        }
        match (self.per_mille / 10, self.per_mille % 10) {
            (100.., _) => {}
            (percent, 0) => words.push(format!("rate={percent}%")),
            (percent, tenths) => words.push(format!("rate={percent}.{tenths}%")),
        }
        if let Some(path) = &self.path {
            words.push(format!("path={path}"));
        }
        if let Some(header) = &self.header {
            words.push(format!("header={header}"));
        }
        f.write_str(&words.join(" "))
    }
}

/// A fault that does nothing.
fn nothing() -> Report {
    Report::usage("LB021", "this fault would do nothing to any request")
        .hint("say what is to happen: `latency=250ms`, `status=503`, `reset`, `hang`, `bandwidth=64kb`, `cut=1kb` or `slow_close=2s`; `off` ends it")
}

/// The report of a key that no fault has.
pub(super) fn unknown(key: &str) -> Report {
    let known = value::list(FAULT_KEYS.into_iter());
    let report = Report::usage(
        "LB021",
        format!("`{key}` is nothing that a fault can be; known: {known}"),
    );
    match alike(key, FAULT_KEYS.into_iter()) {
        Some(like) => report.hint(format!("did you mean `{like}`?")),
        None => report.hint("run `lbdev fault --help` to see what each does"),
    }
}

fn text<T>(
    key: &str,
    said: &Value,
    read: impl Fn(&str) -> Result<T, ValueError>,
) -> Result<T, Report> {
    let text = match said {
        Value::String(text) => text.clone(),
        Value::Number(number) => match whole_number(number) {
            Some(whole) => whole.to_string(),
            None => number.to_string(),
        },
        Value::Bool(true) | Value::Null => String::new(),
        Value::Bool(false) | Value::Array(_) | Value::Object(_) => said.to_string(),
    };
    read(&text).map_err(|source| {
        let key = key.to_owned();
        report_of(Problem::Value { key, source }, Where::Nowhere)
    })
}

fn flag(key: &str, said: &Value) -> Result<bool, Report> {
    match said {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        _ => {
            let message = format!("`{key}` stands alone, without a value");
            Err(Report::usage("LB021", message).hint(format!("say `{key}`")))
        }
    }
}

fn status(text: &str) -> Result<u16, ValueError> {
    let status = text
        .parse()
        .ok()
        .filter(|status| (200..=599).contains(status));
    status.ok_or_else(|| ValueError::FaultStatus {
        text: text.to_owned(),
    })
}

fn bandwidth(text: &str) -> Result<u64, ValueError> {
    let bytes = value::size(text).ok().filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| ValueError::Speed {
        text: text.to_owned(),
    })
}

/// Reads `20%`, `0.5%`.
fn rate(text: &str) -> Result<u32, ValueError> {
    let number = text.trim().strip_suffix('%').map(str::trim_end);
    let percent = number.and_then(|number| number.parse::<f64>().ok());
    let percent = percent.filter(|percent| (0.1..=100.0).contains(percent));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // it is from 1 to 1000
    let per_mille = percent.map(|percent| (percent * 10.0).round() as u32);
    per_mille.ok_or_else(|| ValueError::Rate {
        text: text.to_owned(),
    })
}

/// Reads `X-User` or `X-User:alice`: no value is any.
fn field(text: &str) -> Result<FieldMatch, ValueError> {
    let (name, value) = match text.split_once(':') {
        Some((name, value)) => (name.trim(), Some(value.trim().to_owned())),
        None => (text.trim(), None),
    };
    // RFC 9110 §5.6.2: what a name may be made of. A value with a space could not be written as one word of the fault.
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let visible = |value: &String| !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic());
    match !name.is_empty() && name.bytes().all(token) && value.as_ref().is_none_or(visible) {
        true => Ok(FieldMatch {
            name: name.to_owned(),
            value,
        }),
        false => Err(ValueError::Field {
            text: text.to_owned(),
        }),
    }
}

fn path(text: &str) -> Result<String, ValueError> {
    match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err(ValueError::Path {
            text: text.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(words: &str) -> Result<Fault, Report> {
        let pair = |word: &str| match word.split_once('=') {
            Some((key, value)) => (key.to_owned(), Value::from(value)),
            None => (word.to_owned(), Value::Bool(true)),
        };
        Fault::read(&words.split_whitespace().map(pair).collect())
    }

    #[test]
    fn what_is_read_is_written_the_same() {
        for words in [
            "latency=250ms",
            "latency=250ms jitter=50ms rate=20% path=/api",
            "status=503 rate=0.5%",
            "latency=1s reset",
            "hang path=/slow",
            "bandwidth=64kb",
            "cut=1kb",
            "bandwidth=64kb cut=0 slow_close=2s",
            "latency=1s header=X-User",
            "status=500 path=/api header=Cookie:user=7",
        ] {
            assert_eq!(read(words).unwrap().to_string(), words);
        }
        assert_eq!(
            read("status=503 rate=100%").unwrap().to_string(),
            "status=503"
        );
    }

    #[test]
    fn what_cannot_be_says_what_can() {
        let text: String = [
            "latancy=1s",
            "zzz=1",
            "latency=fast",
            "jitter=50ms",
            "latency=10ms jitter=50ms",
            "status=99",
            "rate=20%",
            "status=503 rate=20",
            "status=503 reset",
            "reset=now",
            "bandwidth=0",
            "hang path=api",
            "hang cut=1kb",
            "cut=half",
            "hang header=",
            "hang header=a b",
            "hang header=X-User:",
            "",
        ]
        .iter()
        .map(|words| format!("{}\n", read(words).unwrap_err()))
        .collect();
        insta::assert_snapshot!(text, @"
        error[LB021]: `latancy` is nothing that a fault can be; known: `latency`, `jitter`, `status`, `rate`, `reset`, `hang`, `bandwidth`, `cut`, `slow_close`, `path` or `header`
          hint: did you mean `latency`?
        error[LB021]: `zzz` is nothing that a fault can be; known: `latency`, `jitter`, `status`, `rate`, `reset`, `hang`, `bandwidth`, `cut`, `slow_close`, `path` or `header`
          hint: run `lbdev fault --help` to see what each does
        error[LB021]: `latency`: `fast` is not a duration; write for example `200ms`, `5s` or `1m`
        error[LB021]: `jitter=50ms` is more than `latency=0s`: nothing can be early
          hint: say `latency=50ms jitter=50ms`, or less
        error[LB021]: `jitter=50ms` is more than `latency=10ms`: nothing can be early
          hint: say `latency=50ms jitter=50ms`, or less
        error[LB021]: `status`: `99` is not a status that an answer can have; write for example `503`
        error[LB021]: this fault would do nothing to any request
          hint: say what is to happen: `latency=250ms`, `status=503`, `reset`, `hang`, `bandwidth=64kb`, `cut=1kb` or `slow_close=2s`; `off` ends it
        error[LB021]: `rate`: `20` is not a share of the requests; write for example `20%` or `0.5%`
        error[LB021]: a request cannot meet both `reset` and `status=503`
          hint: leave one of them out
        error[LB021]: `reset` stands alone, without a value
          hint: say `reset`
        error[LB021]: `bandwidth`: `0` is no speed; write for example `64kb`, which is so much a second
        error[LB021]: `path`: `api` is not a path that begins with `/`
        error[LB021]: with `hang` there is no answer of the backend whose body could be slow or cut
          hint: leave one of them out
        error[LB021]: `cut`: `half` is not a size; write for example `16kb`, `1mb` or `0`
        error[LB021]: `header`: `` is not a field of a request; write for example `X-User` or `X-User:alice`, without spaces
        error[LB021]: `b` is nothing that a fault can be; known: `latency`, `jitter`, `status`, `rate`, `reset`, `hang`, `bandwidth`, `cut`, `slow_close`, `path` or `header`
          hint: run `lbdev fault --help` to see what each does
        error[LB021]: `header`: `X-User:` is not a field of a request; write for example `X-User` or `X-User:alice`, without spaces
        error[LB021]: this fault would do nothing to any request
          hint: say what is to happen: `latency=250ms`, `status=503`, `reset`, `hang`, `bandwidth=64kb`, `cut=1kb` or `slow_close=2s`; `off` ends it
        ");
    }

    #[test]
    fn whom_it_strikes() {
        let api = read("status=503 path=/api rate=50%").unwrap();
        for (path, dice, struck) in [
            ("/api", 0.4, true),
            ("/api", 0.6, false),
            ("/api/", 0.0, true),
            ("/api?a=1", 0.0, true),
            ("/apis", 0.0, false),
            ("/", 0.0, false),
        ] {
            assert_eq!(api.strikes(path, |_| None, dice), struck, "{path} {dice}");
        }
        assert!(read("hang").unwrap().strikes("*", |_| None, 0.999));
        for (header, said, struck) in [
            ("X-User", Some("alice"), true),
            ("X-User", Some(""), true),
            ("X-User", None, false),
            ("X-User:alice", Some("alice"), true),
            ("X-User:alice", Some(" alice "), true),
            ("X-User:alice", Some("bob, alice"), true),
            ("X-User:alice", Some("alice2"), false),
            ("X-User:alice", None, false),
            ("Cookie:user=7", Some("a=b; user=7"), true),
            ("Cookie:user=7", Some("a=b; user=77"), false),
        ] {
            let fault = read(&format!("hang header={header}")).unwrap();
            let field = |name: &str| match name == header.split(':').next().unwrap() {
                true => said.map(str::as_bytes),
                false => None,
            };
            assert_eq!(fault.strikes("/", field, 0.0), struck, "{header} {said:?}");
        }
    }

    proptest! {
        #[test]
        fn a_wait_stays_within_its_jitter(dice in 0.0f64..=1.0) {
            let wait = read("latency=250ms jitter=50ms").unwrap().wait(dice);
            let (least, most) = (Duration::from_millis(200), Duration::from_millis(300));
            prop_assert!(wait >= least && wait <= most, "{:?}", wait);
        }
    }
}
