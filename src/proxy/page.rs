//! What lbdev itself answers: what happened, how the backends are and what they wrote last, what to type next. As a page,
//! as JSON or as plain text, as the client likes it.

mod form;

use std::sync::Arc;

use super::answer::{Answer, attempts};
use super::body::Body;
use super::fields::Fields;
use super::flight::Flight;
use super::h1::Refusal;
use super::lent::LastLines;
use super::retry::Why;
use super::worker::Worker;
use crate::backend::{BackendId, Phase};
use crate::config::{Fault, Route};
use crate::pool::{Attempt, AttemptFailure, Lack, Member, Pool, Pools, Unavailable};
use crate::process::strip_escapes;
use bytes::Bytes;
use form::Accept;
use hyper::StatusCode;

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
    fields: Fields,
    /// The connection is of no further use.
    closes: bool,
    /// Where the answer counts as one: with it.
    attempts: Option<usize>,
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
            fields: Fields::default(),
            closes: false,
            attempts: None,
        })
    }

    /// The answer to `OPTIONS *` (RFC 9110 §9.3.7): the proxy itself is meant.
    pub(super) fn options() -> Box<Self> {
        let mut page = Self::new(StatusCode::OK, "", "");
        let methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";
        page.fields.add("Allow", methods.as_bytes());
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
        page.fields.add("Allow", methods.as_bytes());
        page
    }

    /// The client's request cannot be forwarded.
    pub(super) fn bad_request(why: &str) -> Box<Self> {
        let mut page = Self::new(
            StatusCode::BAD_REQUEST,
            "a request that cannot be passed on",
            format!("lbdev did not pass this request on: {why}"),
        );
        // Who sends one such may mean something else by what follows.
        page.closes = true;
        page
    }

    /// What came in the place of a request is none.
    pub(super) fn refused(refusal: Refusal) -> Box<Self> {
        let mut page = Self::bad_request(refusal.why);
        page.status = refusal.status;
        page
    }

    /// The client asks for a host that is not this machine (DNS rebinding looks like that), or one that nobody has named yet.
    pub(super) fn strange_host(host: &str) -> Box<Self> {
        let mut page = Self::new(
            StatusCode::FORBIDDEN,
            "a host that is not known here",
            format!(
                "lbdev answers for `localhost`, `*.localhost` and IP addresses; `{host}` could be somebody else's page that \
                 reaches for this machine"
            ),
        );
        page.next.push(format!("lbdev set allow_hosts={host}"));
        page
    }

    /// The client did not send the rest of its request within `timeouts.body` (RFC 9110 §15.5.9).
    pub(super) fn client_too_slow() -> Box<Self> {
        let mut page = Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "a request that did not come whole",
            "the rest of this request's body did not come in time (`timeouts.body`)",
        );
        page.closes = true;
        page
    }

    /// No service answers this host and path.
    pub(super) fn no_route(host: &str, path: &str, pools: &Pools) -> Box<Self> {
        let mut page = Self::new(
            StatusCode::NOT_FOUND,
            "no service answers here",
            format!("no route of this project has `{path}` on `{host}`"),
        );
        let table = pools.all();
        let text = |route: &Route| match route {
            Route::Prefix(prefix) => prefix.clone(),
            Route::Host(host) => host.clone(),
        };
        let row = |(place, pool): (usize, &std::sync::Arc<Pool>)| Row {
            name: pool.service.to_string(),
            state: table.routes(place).map(text).collect::<Vec<_>>().join(", "),
            ..Row::default()
        };
        let rows = table.iter().enumerate().map(row);
        page.rows = rows.filter(|row| !row.state.is_empty()).collect();
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
        page.fields.add("Retry-After", b"1");
        page
    }

    /// Names the backend that was tried last.
    pub(super) fn after(
        mut self: Box<Self>,
        last: &Member,
        worker: &Worker,
        place: usize,
    ) -> Box<Self> {
        let fields = &mut self.fields;
        worker
            .upstreams
            .name_line(place, last, |line| fields.add_lines(line));
        self
    }

    /// An answer that a fault gives in the place of a backend.
    pub(super) fn fault(status: u16, backend: &BackendId, fault: &Fault) -> Box<Self> {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let said = format!(
            "`{backend}` has a fault that somebody put in ({fault}); its server never saw this request"
        );
        let mut page = Self::new(status, "a fault on purpose", said);
        page.fields
            .add("X-Lbdev-Fault", fault.to_string().as_bytes());
        page.next
            .push(format!("lbdev fault {} off", backend.short()));
        page
    }

    /// How many attempts there were, where the last one is the answer.
    pub(super) fn attempted(mut self: Box<Self>, attempts: usize) -> Box<Self> {
        self.attempts = Some(attempts);
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

    /// The answer, in the form that the client's `Accept` likes.
    pub(super) fn answer(mut self, accept: Option<&[u8]>, mut flight: Box<Flight>) -> Answer {
        let last_lines = flight.worker().last_lines.borrow().clone();
        if let Some(last_lines) = last_lines {
            self.ask(&last_lines);
        }
        flight.status(self.status.as_u16());
        let (text, kind) = match Accept::of(accept) {
            _ if self.title.is_empty() => (String::new(), None),
            Accept::Html => (self.html(), Some("text/html; charset=utf-8")),
            Accept::Json => (self.json(), Some("application/json")),
            Accept::Text => (self.text(), Some("text/plain; charset=utf-8")),
        };
        let tries = self.attempts.unwrap_or(flight.attempts.len());
        let timing = flight.server_timing(None);
        let mut fields = self.fields;
        if let Some(kind) = kind {
            fields.add("Content-Type", kind.as_bytes());
        }
        fields.add("Cache-Control", b"no-store");
        // For programs: what follows is nobody's answer but lbdev's.
        if !self.title.is_empty() && fields.named(b"X-Lbdev-Fault").is_none() {
            fields.add("X-Lbdev-Error", self.title.as_bytes());
        }
        match tries {
            0 => {}
            tries => match attempts(tries) {
                Ok(line) => fields.add_lines(line),
                Err(count) => fields.add("X-Lbdev-Attempts", count.to_string().as_bytes()),
            },
        }
        if let Some(timing) = timing {
            fields.add("Server-Timing", timing.as_bytes());
        }
        Answer {
            status: self.status,
            reason: None,
            fields,
            body: Body::ours(Bytes::from(text), flight),
            closes: self.closes,
            switched: None,
        }
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
