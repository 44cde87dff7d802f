//! What lbdev itself answers: what happened, how the backends are, what to type next. As a page, as JSON or as plain
//! text, as the client likes it.

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::json;

use super::answer::attempts;
use super::body::Body;
use super::flight::Flight;
use super::headers::{SERVER_TIMING, X_LBDEV_ATTEMPTS, X_LBDEV_BACKEND};
use super::retry::Why;
use super::worker::Worker;
use crate::backend::Phase;
use crate::config::Route;
use crate::pool::{Attempt, AttemptFailure, Member, Pool, Pools, Unavailable};

/// The one page there is; its places are filled in by name.
const TEMPLATE: &str = include_str!("../../templates/pages/error.html");

/// The form in which a client wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accept {
    /// A browser.
    Html,
    /// A program.
    Json,
    /// curl, and whoever does not say.
    Text,
}

impl Accept {
    /// By `Accept`, where what is named first is liked best: nobody weighs these three against each other by `q`.
    fn of(accept: Option<&HeaderValue>) -> Self {
        let Some(accept) = accept.and_then(|value| value.to_str().ok()) else {
            return Accept::Text;
        };
        let html = accept.find("text/html");
        let json = accept.find("application/json").or(accept.find("+json"));
        match (html, json) {
            (Some(html), Some(json)) if json < html => Accept::Json,
            (Some(_), _) => Accept::Html,
            (None, Some(_)) => Accept::Json,
            (None, None) => Accept::Text,
        }
    }
}

/// One row of a table: a backend and its state, or a service and its routes.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    name: String,
    state: String,
    why: String,
}

/// An answer of lbdev's own.
#[derive(Debug)]
pub(super) struct Page {
    status: StatusCode,
    title: String,
    said: String,
    rows: Vec<Row>,
    /// What was tried in vain, in words.
    tried: Vec<String>,
    /// Commands to type next.
    next: Vec<String>,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Page {
    fn new(status: StatusCode, title: &str, said: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            status,
            title: title.to_owned(),
            said: said.into(),
            rows: Vec::new(),
            tried: Vec::new(),
            next: Vec::new(),
            fields: Vec::new(),
        })
    }

    /// The answer to `OPTIONS *` (RFC 9110 §9.3.7): the proxy itself is meant.
    pub(super) fn options() -> Box<Self> {
        let mut page = Self::new(StatusCode::OK, "", "");
        let methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";
        page.fields.push((ALLOW, HeaderValue::from_static(methods)));
        page
    }

    /// lbdev is a gateway to the project's own servers and opens tunnels to nowhere else.
    pub(super) fn no_connect() -> Box<Self> {
        let mut page = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "no tunnels here",
            "lbdev is not a forward proxy: `CONNECT` is not for it",
        );
        let methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";
        page.fields.push((ALLOW, HeaderValue::from_static(methods)));
        page
    }

    /// The client's request cannot be forwarded.
    pub(super) fn bad_request(why: &str) -> Box<Self> {
        Self::new(
            StatusCode::BAD_REQUEST,
            "a request that cannot be passed on",
            format!("lbdev did not pass this request on: {why}"),
        )
    }

    /// No service answers this host and path.
    pub(super) fn no_route(host: &str, path: &str, pools: &Pools) -> Box<Self> {
        let mut page = Self::new(
            StatusCode::NOT_FOUND,
            "no service answers here",
            format!("no route of this project has `{path}` on `{host}`"),
        );
        page.rows = pools
            .all()
            .iter()
            .filter(|pool| !pool.routes.is_empty())
            .map(|pool| Row {
                name: pool.service.to_string(),
                state: pool
                    .routes
                    .iter()
                    .map(|route| match route {
                        Route::Prefix(prefix) => prefix.as_str(),
                        Route::Host(host) => host.as_str(),
                    })
                    .collect::<Vec<_>>()
                    .join(", "),
                why: String::new(),
            })
            .collect();
        page.next.push("lbdev config".to_owned());
        page
    }

    /// A backend failed, and no other is tried.
    pub(super) fn gave_up(pool: &Arc<Pool>, failed: &[Attempt], why: Why) -> Box<Self> {
        pool.count_unanswered();
        let last = failed.last();
        let what = last.map_or_else(
            || "no backend answered".to_owned(),
            |last| format!("`{}` {}", last.backend, last.failure.words()),
        );
        let slow = last.is_some_and(|last| last.failure == AttemptFailure::HeadTimeout);
        let (status, title) = match slow {
            true => (StatusCode::GATEWAY_TIMEOUT, "a backend is too slow"),
            false => (StatusCode::BAD_GATEWAY, "a backend failed"),
        };
        let mut page = Self::new(
            status,
            title,
            format!("{what}; it was not tried again: {}", why.words()),
        );
        page.backends(pool, failed);
        if let Some(last) = last {
            page.next
                .push(format!("lbdev logs {}", last.backend.short()));
        }
        page.next.push("lbdev status".to_owned());
        page
    }

    /// No backend takes requests.
    pub(super) fn unavailable(
        pool: &Arc<Pool>,
        failed: &[Attempt],
        why: Unavailable,
        limit: std::time::Duration,
    ) -> Box<Self> {
        pool.count_unanswered();
        let said = match why {
            Unavailable::QueueFull => {
                "no backend takes requests, and as many requests wait already as may".to_owned()
            }
            Unavailable::TimedOut => format!(
                "no backend took requests for {} s, the longest that a request waits",
                limit.as_secs_f64()
            ),
        };
        let drained = pool.snapshot().members.iter().any(|one| one.is_drained());
        let (is, brings_back) = match drained {
            true => ("takes requests", "undrain"),
            false => ("is up", "start"),
        };
        let title = format!("no backend of `{}` {is}", pool.service);
        let mut page = Self::new(StatusCode::SERVICE_UNAVAILABLE, &title, said);
        page.backends(pool, failed);
        page.next
            .push(format!("lbdev {brings_back} {}", pool.service));
        let troubled = pool.snapshot();
        let troubled = troubled
            .members
            .iter()
            .find(|member| matches!(member.phase, Phase::Failed | Phase::Backoff));
        if let Some(member) = troubled.or(pool.snapshot().members.first()) {
            page.next.push(format!("lbdev logs {}", member.id.short()));
        }
        page.fields
            .push((RETRY_AFTER, HeaderValue::from_static("1")));
        page
    }

    /// Names the backend that was tried last.
    pub(super) fn after(
        mut self: Box<Self>,
        last: &Member,
        worker: &Worker,
        place: usize,
    ) -> Box<Self> {
        let name = worker.upstreams.name(place, last);
        self.fields.push((X_LBDEV_BACKEND.clone(), name));
        self
    }

    fn backends(&mut self, pool: &Pool, failed: &[Attempt]) {
        self.rows = pool
            .snapshot()
            .members
            .iter()
            .map(|member| Row {
                name: member.id.to_string(),
                state: member.phase.word().to_owned(),
                why: member.why.clone().unwrap_or_default(),
            })
            .collect();
        self.tried = failed
            .iter()
            .map(|attempt| format!("{} {}", attempt.backend, attempt.failure.words()))
            .collect();
    }

    /// The response, in the form that the client's `Accept` likes.
    pub(super) fn response(
        self,
        accept: Option<&HeaderValue>,
        mut flight: Box<Flight>,
    ) -> Response<Body> {
        flight.status(self.status.as_u16());
        let (text, kind) = match Accept::of(accept) {
            _ if self.title.is_empty() => (String::new(), None),
            Accept::Html => (self.html(), Some("text/html; charset=utf-8")),
            Accept::Json => (self.json(), Some("application/json")),
            Accept::Text => (self.text(), Some("text/plain; charset=utf-8")),
        };
        let tries = flight.attempts.len();
        let timing = flight.server_timing(None);
        let mut response = Response::new(Body::ours(Bytes::from(text), flight));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if tries > 0 {
            headers.insert(&X_LBDEV_ATTEMPTS, attempts(tries));
        }
        if let Some(timing) = timing {
            headers.insert(&SERVER_TIMING, timing);
        }
        for (name, value) in self.fields {
            headers.insert(name, value);
        }
        response
    }

    fn html(&self) -> String {
        let mut rows = String::new();
        for row in &self.rows {
            let _ = write!(
                rows,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>",
                escape(&row.name),
                escape(&row.state),
                escape(&row.why)
            );
        }
        let list = |items: &[String], tag: &str| {
            items.iter().fold(String::new(), |mut list, item| {
                let _ = write!(list, "<li><{tag}>{}</{tag}></li>", escape(item));
                list
            })
        };
        let section = |heading: &str, inside: String| match inside.is_empty() {
            true => String::new(),
            false => format!("<h2>{heading}</h2>{inside}"),
        };
        let wrap = |tag: &str, inside: String| match inside.is_empty() {
            true => inside,
            false => format!("<{tag}>{inside}</{tag}>"),
        };
        let table = match self.status {
            StatusCode::NOT_FOUND => "Routes",
            _ => "Backends",
        };
        // Filled in one pass over the template: no value can bring a place of its own.
        let mut page = String::with_capacity(TEMPLATE.len() + 1024);
        let mut rest = TEMPLATE;
        while let Some((before, after)) = rest.split_once("{{") {
            page.push_str(before);
            let (name, after) = after.split_once("}}").unwrap_or((after, ""));
            page.push_str(&match name {
                "status" => self.status.as_u16().to_string(),
                "title" => escape(&self.title.replace('`', "")),
                "said" => prose(&self.said),
                "heading" => prose(&self.title),
                "rows" => section(table, wrap("table", rows.clone())),
                "tried" => section("Tried", wrap("ol", list(&self.tried, "span"))),
                "next" => section("Type next", wrap("ul", list(&self.next, "code"))),
                _ => String::new(),
            });
            rest = after;
        }
        page.push_str(rest);
        page
    }

    fn json(&self) -> String {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| match self.status {
                StatusCode::NOT_FOUND => json!({"service": row.name, "routes": row.state}),
                _ => json!({"id": row.name, "state": row.state, "why": row.why}),
            })
            .collect();
        let key = match self.status {
            StatusCode::NOT_FOUND => "services",
            _ => "backends",
        };
        let mut document = json!({
            "version": crate::wire::VERSION,
            "status": self.status.as_u16(),
            "error": {"message": self.said, "hint": self.next.first()},
            "tried": self.tried,
        });
        document[key] = rows.into();
        format!("{document}\n")
    }

    fn text(&self) -> String {
        let mut text = format!("{} {}\n{}\n", self.status.as_u16(), self.title, self.said);
        for row in &self.rows {
            let line = format!("  {}  {}  {}", row.name, row.state, row.why);
            let _ = writeln!(text, "{}", line.trim_end());
        }
        for tried in &self.tried {
            let _ = writeln!(text, "tried: {tried}");
        }
        for next in &self.next {
            let _ = writeln!(text, "next: {next}");
        }
        text
    }
}

/// A sentence as HTML: what stands between backticks is set as code.
fn prose(text: &str) -> String {
    let mut html = String::new();
    for (place, part) in text.split('`').enumerate() {
        match place % 2 {
            0 => html.push_str(&escape(part)),
            _ => {
                let _ = write!(html, "<code>{}</code>", escape(part));
            }
        }
    }
    html
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept() {
        for (value, expected) in [
            ("*/*", Accept::Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Accept::Html),
            ("application/json, text/plain, */*", Accept::Json),
            ("application/json, text/html", Accept::Json),
            ("text/html, application/json", Accept::Html),
            ("application/problem+json", Accept::Json),
        ] {
            let accept = HeaderValue::from_static(value);
            assert_eq!(Accept::of(Some(&accept)), expected, "{value}");
        }
        assert_eq!(Accept::of(None), Accept::Text);
    }

    #[test]
    fn values_are_escaped_and_bring_no_places() {
        let mut page = Page::new(StatusCode::NOT_FOUND, "t", "<script>{{rows}}</script>");
        page.rows.push(Row {
            name: "a\"b".into(),
            state: "{{next}}".into(),
            why: "x & y".into(),
        });
        page.next.push("lbdev start all".into());
        let html = page.html();
        assert!(html.contains("&lt;script&gt;{{rows}}&lt;/script&gt;"));
        assert!(
            html.contains("a&quot;b") && html.contains("x &amp; y") && html.contains("{{next}}")
        );
        assert!(!html.contains("<script"));
        assert_eq!(html.matches("<code>lbdev start all</code>").count(), 1);
    }

    #[test]
    fn json_is_json_and_text_has_no_empty_tail() {
        let mut page = Page::new(StatusCode::BAD_GATEWAY, "t", "`web:8000` \"fell\"");
        page.rows.push(Row {
            name: "web:8000".into(),
            state: "up".into(),
            why: String::new(),
        });
        let value: serde_json::Value = serde_json::from_str(&page.json()).unwrap();
        assert_eq!(value["backends"][0]["state"], "up");
        assert_eq!(page.text(), "502 t\n`web:8000` \"fell\"\n  web:8000  up\n");
    }
}
