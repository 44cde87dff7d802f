//! What lbdev itself answers: what happened, how the backends are and what they wrote last, what to type next. As a page,
//! as JSON or as plain text, as the client likes it.

mod form;

use std::sync::Arc;

use super::answer::attempts;
use super::body::Body;
use super::flight::Flight;
use super::headers::{SERVER_TIMING, X_LBDEV_ATTEMPTS, X_LBDEV_BACKEND};
use super::lent::LastLines;
use super::retry::Why;
use super::worker::Worker;
use crate::backend::{BackendId, Phase};
use crate::config::Route;
use crate::pool::{Attempt, AttemptFailure, Lack, Member, Pool, Pools, Unavailable};
use crate::process::strip_escapes;
use bytes::Bytes;
use form::Accept;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
};
use hyper::{Response, StatusCode};

/// Lines of a backend's output that are shown.
const LAST_LINES: usize = 6;
/// Characters of each; what is longer is cut there.
const LINE_MAX: usize = 200;

/// One row of a table: a backend and its state, or a service and its routes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Row {
    name: String,
    state: String,
    why: String,
    /// The backend whose last lines may say more.
    ask: Option<BackendId>,
    /// They, as plain text.
    lines: Vec<String>,
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

    /// The client did not send the rest of its request within `timeouts.idle` (RFC 9110 §15.5.9).
    pub(super) fn client_too_slow() -> Box<Self> {
        let mut page = Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "a request that did not come whole",
            "the rest of this request's body did not come in time (`timeouts.idle`)",
        );
        page.fields
            .push((CONNECTION, HeaderValue::from_static("close")));
        page
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
                ..Row::default()
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
        let (Unavailable::QueueFull(lack) | Unavailable::TimedOut(lack)) = why;
        let snapshot = pool.snapshot();
        let drained = snapshot.members.iter().any(|one| one.is_drained());
        let service = &pool.service;
        let (title, all, next) = match lack {
            Lack::Room => (
                format!("every backend of `{service}` is at its limit"),
                "all are at `max_connections`",
                "lbdev status".to_owned(),
            ),
            Lack::Weight => (
                format!("every backend of `{service}` has weight 0"),
                "all have weight 0",
                format!("lbdev set {service} weight=1"),
            ),
            Lack::Eligible if drained => (
                format!("no backend of `{service}` takes requests"),
                "",
                format!("lbdev undrain {service}"),
            ),
            Lack::Eligible => (
                format!("no backend of `{service}` is up"),
                "",
                format!("lbdev start {service}"),
            ),
        };
        let mut said = match why {
            Unavailable::QueueFull(_) => {
                "no backend takes requests, and as many requests wait already as may".to_owned()
            }
            Unavailable::TimedOut(_) => format!(
                "no backend took requests for {} s, the longest that a request waits",
                limit.as_secs_f64()
            ),
        };
        if !all.is_empty() {
            said.push_str(": ");
            said.push_str(all);
        }
        let mut page = Self::new(StatusCode::SERVICE_UNAVAILABLE, &title, said);
        page.backends(pool, failed);
        page.next.push(next);
        let troubled = (snapshot.members.iter())
            .find(|member| matches!(member.phase, Phase::Failed | Phase::Backoff));
        if lack == Lack::Eligible
            && let Some(member) = troubled.or(snapshot.members.first())
        {
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

    /// Every backend; with its last lines those that failed, or where nobody is to be had, those that are not up.
    fn backends(&mut self, pool: &Pool, failed: &[Attempt]) {
        let nobody = self.status == StatusCode::SERVICE_UNAVAILABLE;
        let to_blame = |member: &Member| match nobody {
            true => member.phase != Phase::Up,
            false => failed.iter().any(|attempt| attempt.backend == member.id),
        };
        self.rows = pool
            .snapshot()
            .members
            .iter()
            .map(|member| Row {
                name: member.id.to_string(),
                state: member.phase.word().to_owned(),
                why: member.why.clone().unwrap_or_default(),
                ask: to_blame(member).then(|| member.id.clone()),
                lines: Vec::new(),
            })
            .collect();
        self.tried = failed
            .iter()
            .map(|attempt| format!("{} {}", attempt.backend, attempt.failure.words()))
            .collect();
    }

    fn ask(&mut self, last_lines: &LastLines) {
        for row in &mut self.rows {
            if let Some(id) = &row.ask {
                let lines = last_lines.of(id, LAST_LINES);
                row.lines = lines.iter().filter_map(|line| plain(line)).collect();
            }
        }
    }

    /// The response, in the form that the client's `Accept` likes.
    pub(super) fn response(
        mut self,
        accept: Option<&HeaderValue>,
        mut flight: Box<Flight>,
    ) -> Response<Body> {
        if let Some(last_lines) = &flight.worker().last_lines {
            self.ask(last_lines);
        }
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
}

/// A line without terminal escapes, as long as it may be; `None` for a blank one.
fn plain(line: &str) -> Option<String> {
    let line = strip_escapes(line);
    let line = line.trim_end();
    if line.is_empty() {
        return None;
    }
    Some(match line.char_indices().nth(LINE_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_plain_and_short() {
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(plain(line).as_deref(), expected, "{line:?}");
        };
        check("\u{1b}[31mred\u{1b}[0m  ", Some("red"));
        check("  File \"x.py\", line 1", Some("  File \"x.py\", line 1"));
        check("", None);
        check(" \u{1b}[0m ", None);
        let long = "ü".repeat(LINE_MAX);
        check(&long, Some(&long));
        check(&format!("{long}ü"), Some(&format!("{long}…")));
    }
}
