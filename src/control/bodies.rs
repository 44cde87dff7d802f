//! What comes with a request and goes with an answer: JSON, targets in paths, questions in queries.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::refusal::{Refusal, unfit};
use crate::error::Report;

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
    serde_json::from_slice(&bytes).map_err(|error| {
        bad(
            StatusCode::BAD_REQUEST,
            format!("not what was expected: {error}"),
        )
    })
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    // The documents have string keys and no maps that could fail; an empty body would be seen as broken by the client.
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
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

/// `after=7&wait_ms=20000`: events after which number, and how long to wait for one.
pub(super) fn asked_events(query: &str) -> Result<(u64, Duration), Refusal> {
    let (mut after, mut wait) = (0, Duration::ZERO);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let read = match pair.split_once('=') {
            Some(("after", number)) => number.parse().map(|number| after = number).is_ok(),
            Some(("wait_ms", ms)) => ms
                .parse()
                .map(|ms| wait = Duration::from_millis(ms).min(EVENTS_WAIT_MAX))
                .is_ok(),
            _ => false,
        };
        if !read {
            let message = format!("`{pair}` is nothing that events can be asked by");
            return Err(unfit(
                Report::usage("LB021", message).hint("send `after=7` and `wait_ms=20000`"),
            ));
        }
    }
    Ok((after, wait))
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
