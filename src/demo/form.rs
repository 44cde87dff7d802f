//! Names and values as a query string or a form's body carries them, and what a client accepts.

use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::{HeaderMap, StatusCode, header};

use super::page::Refusal;

/// Bytes of a form that are read.
const FORM_LIMIT: usize = 64 * 1024;
/// The longest wait that a request can ask for.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// Decoded names and values, in the order sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// `a=1&b=x+y%21`, as the URL standard's `application/x-www-form-urlencoded` parser reads it: nothing is an error.
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(
            text.split(|&b| b == b'&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let mut halves = pair.splitn(2, |&b| b == b'=');
                    let mut half = || decode(halves.next().unwrap_or_default());
                    (half(), half())
                })
                .collect(),
        )
    }

    /// The fields of a query string, if there is one.
    pub(super) fn query(uri: &hyper::Uri) -> Self {
        Self::parse(uri.query().unwrap_or_default().as_bytes())
    }

    /// Reads a form to its end; 413 if it is too long, 400 if it breaks off.
    pub(super) async fn read<B>(body: B) -> Result<Self, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match Limited::new(body, FORM_LIMIT).collect().await {
            Ok(whole) => Ok(Self::parse(&whole.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("a form here has at most {FORM_LIMIT} bytes"),
            )),
            Err(_) => Err(Refusal::bad("the form broke off")),
        }
    }

    /// The first value of a name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// A whole number, or `default` where the name is not there.
    pub(super) fn number(&self, name: &str, default: u64, most: u64) -> Result<u64, Refusal> {
        let Some(text) = self.get(name) else {
            return Ok(default);
        };
        match text.parse() {
            Ok(n) if n <= most => Ok(n),
            _ => Err(Refusal::bad(format!(
                "`{name}` is a whole number from 0 to {most}, not `{text}`"
            ))),
        }
    }

    /// Milliseconds; what is longer than a minute is a minute.
    pub(super) fn millis(&self, name: &str, default: u64) -> Result<Duration, Refusal> {
        let millis = self.number(name, default, u64::MAX)?;
        Ok(Duration::from_millis(millis).min(WAIT_LIMIT))
    }
}

fn decode(text: &[u8]) -> String {
    let hex = |b: Option<&u8>| b.and_then(|&b| char::from(b).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let byte = match (text[at], hex(text.get(at + 1)), hex(text.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                at += 2;
                // Two hexadecimal digits fit a byte.
                (high * 16 + low) as u8
            }
            (b'+', ..) => b' ',
            (other, ..) => other,
        };
        out.push(byte);
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// For a browser.
    Html,
    /// For a program.
    Json,
    /// For a terminal: also where nothing was said, as curl does.
    Text,
    /// For an `EventSource`.
    Events,
}

/// What `Accept` asks for most: the highest `q`, among equals the first (RFC 9110 §12.5.1).
pub(super) fn accepts(headers: &HeaderMap) -> Format {
    let mut best = (0.0, Format::Text);
    for value in headers.get_all(header::ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next().unwrap_or_default() {
                "text/html" | "application/xhtml+xml" => Format::Html,
                "application/json" => Format::Json,
                "text/event-stream" => Format::Events,
                "text/plain" => Format::Text,
                _ => continue,
            };
            let q = parts
                .find_map(|p| p.strip_prefix("q="))
                .and_then(|q| q.parse::<f32>().ok())
                .unwrap_or(1.0);
            if q > best.0 {
                best = (q, format);
            }
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields() {
        fn check(text: &str, expected: &[(&str, &str)]) {
            let expected = expected.iter().map(|&(n, v)| (n.to_owned(), v.to_owned()));
            assert_eq!(
                Fields::parse(text.as_bytes()),
                Fields(expected.collect()),
                "{text}"
            );
        }
        check("", &[]);
        check("&&", &[]);
        check("ms=500", &[("ms", "500")]);
        check("a=1&b=2&a=3", &[("a", "1"), ("b", "2"), ("a", "3")]);
        check("json", &[("json", "")]);
        check("=x", &[("", "x")]);
        check("n=Ada+L%C3%B6%21", &[("n", "Ada Lö!")]);
        check("a=b=c", &[("a", "b=c")]);
        check(
            "bad=%&x=%z1&y=%4",
            &[("bad", "%"), ("x", "%z1"), ("y", "%4")],
        );
        check("v=%ff", &[("v", "\u{fffd}")]);
    }

    #[test]
    fn numbers() {
        let fields = Fields::parse(b"ms=70000&bad=-1&huge=99999999999999999999&none=");
        assert_eq!(fields.millis("ms", 0).ok(), Some(WAIT_LIMIT));
        assert_eq!(
            fields.millis("missing", 5).ok(),
            Some(Duration::from_millis(5))
        );
        for name in ["bad", "huge", "none"] {
            assert!(fields.millis(name, 0).is_err(), "{name}");
        }
        assert!(fields.number("ms", 0, 69_999).is_err());
    }

    #[test]
    fn accept() {
        fn check(value: &'static str, expected: Format) {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, header::HeaderValue::from_static(value));
            assert_eq!(accepts(&headers), expected, "{value}");
        }
        assert_eq!(accepts(&HeaderMap::new()), Format::Text);
        check("*/*", Format::Text);
        check("text/html,application/xhtml+xml,*/*;q=0.8", Format::Html);
        check("application/json", Format::Json);
        check("text/html;q=0.2, application/json;q=0.9", Format::Json);
        check("text/event-stream", Format::Events);
        check("text/html;q=nonsense", Format::Html);
        check(",;,;q=,", Format::Text);
    }

    proptest! {
        #[test]
        fn any_bytes_are_fields(bytes: Vec<u8>) {
            Fields::parse(&bytes);
        }
    }
}
