//! What comes with a request and goes with an answer: JSON, targets in paths, questions in queries.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::feed::Topic;
use super::refusal::{Refusal, unfit};
use crate::error::Report;
use crate::process::output::TAIL;

/// The body of an answer: a document, or a stream of events.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A longer request body is refused.
const BODY_MAX: usize = 64 * 1024;
/// The longest that somebody may wait for an event.
const EVENTS_WAIT_MAX: Duration = Duration::from_secs(30);

/// A body that has to be a JSON object; an empty one is an empty object.
pub(super) async fn object(request: Request<Incoming>) -> Result<Map<String, Value>, Refusal> {
    body(request).await
}

/// An empty body is the default.
pub(super) async fn body<T: Default + for<'de> Deserialize<'de>>(
    request: Request<Incoming>,
) -> Result<T, Refusal> {
    let bad = |status, message: String| Refusal::new(status, Report::usage("LB021", message));
    let collected = Limited::new(request.into_body(), BODY_MAX)
        .collect()
        .await
        .map_err(|error| {
            let status = match error.downcast_ref::<LengthLimitError>() {
                Some(_) => StatusCode::PAYLOAD_TOO_LARGE,
                None => StatusCode::BAD_REQUEST,
            };
            bad(
                status,
                format!("the request's body cannot be read: {error}"),
            )
        })?;
    let bytes = collected.to_bytes();
    if bytes.is_empty() {
        return Ok(T::default());
    }
    // An array of its values would do for a struct as well, by serde's rules.
    let read = serde_json::from_slice::<Map<String, Value>>(&bytes)
        .and_then(|object| T::deserialize(Value::Object(object)));
    read.map_err(|error| {
        bad(
            StatusCode::BAD_REQUEST,
            format!("not what was expected: {error}"),
        )
    })
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    // The documents have string keys and no maps that could fail; an empty body would be seen as broken by the client.
    let body = serde_json::to_vec(value).unwrap_or_default();
    whole(status, "application/json", body)
}

/// A whole body of this type.
pub(super) fn whole(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Undoes percent-encoding; what is no valid escape stays as it is.
pub(super) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while place < bytes.len() {
        let escape = (bytes[place] == b'%')
            .then(|| text.get(place + 1..place + 3))
            .flatten();
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                place += 3;
            }
            None => {
                decoded.push(bytes[place]);
                place += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// What events are asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventsAsked {
    /// Those after this number.
    pub(super) after: u64,
    /// How long to wait for the first.
    pub(super) wait: Duration,
    /// What a stream is about.
    pub(super) topics: Vec<Topic>,
}

/// `after=7`, of a document `wait_ms=20000`, of a stream `with=events,status`.
pub(super) fn asked_events(query: &str) -> Result<EventsAsked, Refusal> {
    let mut asked = EventsAsked {
        after: 0,
        wait: Duration::ZERO,
        topics: vec![Topic::Events],
    };
    let wait = |ms| Duration::from_millis(ms).min(EVENTS_WAIT_MAX);
    for (key, value) in pairs(query) {
        let read = match key {
            "after" => number(&value).map(|number| asked.after = number),
            "wait_ms" => number(&value).map(|ms| asked.wait = wait(ms)),
            "with" => topics(&value).map(|topics| asked.topics = topics),
            _ => None,
        };
        if read.is_none() {
            let hint = "send `after=7`, `wait_ms=20000`, or for a stream \
                        `with=events,status,pulse,timeline,requests,logs`";
            return Err(not_asked("events", key, &value, hint));
        }
    }
    Ok(asked)
}

fn topics(text: &str) -> Option<Vec<Topic>> {
    let mut topics = Vec::new();
    for name in text.split(',') {
        let (_, topic) = Topic::NAMES.iter().find(|(known, _)| *known == name)?;
        if !topics.contains(topic) {
            topics.push(*topic);
        }
    }
    Some(topics)
}

/// `after=7`: requests after which number.
pub(super) fn asked_requests(query: &str) -> Result<u64, Refusal> {
    let mut after = 0;
    for (key, value) in pairs(query) {
        match (key, number(&value)) {
            ("after", Some(number)) => after = number,
            _ => return Err(not_asked("requests", key, &value, "send `after=7`")),
        }
    }
    Ok(after)
}

/// `target=8000&lines=20`: whose lines, and how many of each.
pub(super) fn asked_logs(query: &str) -> Result<(Option<String>, usize), Refusal> {
    let (mut target, mut lines) = (None, TAIL);
    for (key, value) in pairs(query) {
        let most = |number: &u64| (1..=TAIL as u64).contains(number);
        match key {
            "target" => target = Some(value),
            "lines" if number(&value).is_some_and(|number| most(&number)) => {
                lines = number(&value)
                    .and_then(|number| usize::try_from(number).ok())
                    .unwrap_or(TAIL);
            }
            _ => {
                let hint = "send `target=8000` and `lines=20`, which is at most 50";
                return Err(not_asked("logs", key, &value, hint));
            }
        }
    }
    Ok((target, lines))
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key, percent_decode(value))
    })
}

/// Digits only: what is too large for anything is as much as there is.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn not_asked(what: &str, key: &str, value: &str, hint: &str) -> Refusal {
    let message = format!("`{key}={value}` is nothing that {what} can be asked by");
    unfit(Report::usage("LB021", message).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_nonsense_stays() {
        for (text, plain) in [
            ("8000", "8000"),
            ("web%3A8000%2C8001", "web:8000,8001"),
            ("%zz%4", "%zz%4"),
            ("%C3%A4", "ä"),
        ] {
            assert_eq!(percent_decode(text), plain);
        }
    }
}
