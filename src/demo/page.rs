//! Pages: templates that are part of the binary, their placeholders, and refusals in the words that the client accepts.

use std::fmt::Write as _;

use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};

use super::body::{self, Body};
use super::form::{self, Format};
use super::site::Site;

/// The frame around every page of the demo.
const FRAME: &str = include_str!("../../templates/demo/frame.html");
/// One page a topic, set into the frame.
pub(super) const HOME: &str = include_str!("../../templates/demo/home.html");
pub(super) const MESSAGE: &str = include_str!("../../templates/demo/message.html");
pub(super) const LOGIN: &str = include_str!("../../templates/demo/login.html");
pub(super) const COUNTER: &str = include_str!("../../templates/demo/counter.html");
pub(super) const CHAT: &str = include_str!("../../templates/demo/chat.html");

/// White on each of these has a contrast of at least 5.5:1 (WCAG 2.2 asks for 4.5). Neighbours differ in hue, so that a
/// reload is seen from the last row of a room; the number says the same to who sees no colour.
const COLOURS: [&str; 8] = [
    "#0b57a4", "#a8320a", "#0a6b3d", "#7a1f8a", "#7d5200", "#0b6470", "#a3123f", "#3d4450",
];

/// The colour of a backend, by its place in its service (from 0).
pub(super) fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

/// Fills `{{name}}` with the value of that name, escaped for HTML; `{{&name}}` as it is. Values are not looked into
/// again, so that nothing a client sends can become a placeholder. An unknown name leaves nothing.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((name, behind)) = after.split_once("}}") else {
            rest = after;
            break;
        };
        rest = behind;
        let raw = name.strip_prefix('&');
        let name = raw.unwrap_or(name);
        let value = values.iter().find(|(n, _)| *n == name).map_or("", |v| v.1);
        match raw {
            Some(_) => out.push_str(value),
            None => out.push_str(&escape(value)),
        }
    }
    out.push_str(rest);
    out
}

/// Text as HTML text or as an attribute's value in double quotes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A page of the demo: its template filled, in the frame, with the colour of its port.
pub(super) fn page(
    site: &Site,
    status: StatusCode,
    title: &str,
    template: &str,
    values: &[(&str, &str)],
) -> Response<Body> {
    let port = site.port.to_string();
    let pid = site.pid.to_string();
    let own = [
        ("port", port.as_str()),
        ("pid", pid.as_str()),
        ("colour", colour(site.index)),
        // In the address of the icon, `#` would begin a fragment.
        ("digits", &colour(site.index)[1..]),
        ("title", title),
    ];
    let content = fill(template, &[values, &own].concat());
    let whole = fill(
        FRAME,
        &[&own[..], &[("content", content.as_str())]].concat(),
    );
    html(status, whole)
}

/// HTML that is ready. Never stored by the browser: a reload has to come back here.
pub(super) fn html(status: StatusCode, text: String) -> Response<Body> {
    typed(status, "text/html; charset=utf-8", text)
}

/// Plain text; the line's end is added.
pub(super) fn text(status: StatusCode, mut text: String) -> Response<Body> {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    typed(status, "text/plain; charset=utf-8", text)
}

/// JSON; the line's end is added.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    typed(status, "application/json", format!("{value}\n"))
}

fn typed(status: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    with_type(status, content_type, body::full(text))
}

/// A response with a body of this type, not to be stored.
pub(super) fn with_type(
    status: StatusCode,
    content_type: &'static str,
    body: Body,
) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// Facts as a program or a terminal reads them: JSON where it is accepted, else a line each.
pub(super) fn facts(format: Format, facts: &[(&str, serde_json::Value)]) -> Response<Body> {
    if format == Format::Json {
        let object = facts.iter().map(|(n, v)| ((*n).to_owned(), v.clone()));
        return json(StatusCode::OK, &serde_json::Value::Object(object.collect()));
    }
    let mut lines = String::new();
    for (name, value) in facts {
        // Writing to a string cannot fail.
        let _ = match value {
            serde_json::Value::String(text) => writeln!(lines, "{name}: {text}"),
            other => writeln!(lines, "{name}: {other}"),
        };
    }
    text(StatusCode::OK, lines)
}

/// A request that gets no more than a status and a sentence.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
    header: Option<(header::HeaderName, HeaderValue)>,
}

impl Refusal {
    /// With this status.
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            header: None,
        }
    }

    /// 400.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// With a field that the status asks for.
    pub(super) fn with(mut self, name: header::HeaderName, value: &'static str) -> Self {
        self.header = Some((name, HeaderValue::from_static(value)));
        self
    }

    /// As the client likes to read it.
    pub(super) fn answer(self, site: &Site, headers: &HeaderMap) -> Response<Body> {
        let mut response = message(site, headers, self.status, &self.message);
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// A status and a sentence, as the client likes to read it.
pub(super) fn message(
    site: &Site,
    headers: &HeaderMap,
    status: StatusCode,
    sentence: &str,
) -> Response<Body> {
    match form::accepts(headers) {
        Format::Html => {
            let code = status.as_u16().to_string();
            let values = [("status", code.as_str()), ("message", sentence)];
            page(site, status, &code, MESSAGE, &values)
        }
        Format::Json => json(
            status,
            &serde_json::json!({ "status": status.as_u16(), "message": sentence, "port": site.port }),
        ),
        Format::Text | Format::Events => text(
            status,
            format!("{}: {sentence} (port {})", status.as_u16(), site.port),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders() {
        fn check(template: &str, expected: &str) {
            let values = [("a", "<1>"), ("b", "{{a}}")];
            assert_eq!(fill(template, &values), expected, "{template}");
        }
        check("", "");
        check("{{a}}", "&lt;1&gt;");
        check("{{&a}}", "<1>");
        check("x{{b}}y{{&b}}", "x{{a}}y{{a}}");
        check("{{unknown}}.", ".");
        check("a {{ open", "a  open");
        check("{}", "{}");
    }

    #[test]
    fn colours_carry_white_text() {
        for colour in COLOURS {
            let channel = |at| {
                let value = u8::from_str_radix(&colour[at..at + 2], 16).expect("hexadecimal");
                let value = f64::from(value) / 255.0;
                if value <= 0.04045 {
                    value / 12.92
                } else {
                    ((value + 0.055) / 1.055).powf(2.4)
                }
            };
            // WCAG 2.2, relative luminance and contrast ratio.
            let luminance = 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
            let contrast = 1.05 / (luminance + 0.05);
            assert!(contrast >= 5.5, "{colour}: {contrast:.2}");
        }
    }
}
