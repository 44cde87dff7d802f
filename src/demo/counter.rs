//! `/counter`: a POST that commits, and remembers that it did. It is how a person, or a test, sees that a balancer never
//! runs a POST twice.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::body::Body;
use super::form::{self, Fields, Format};
use super::page::{self, Refusal, escape};
use super::site::Site;

/// The field that names a request: the same name twice is one request that ran twice.
const REQUEST_ID: &str = "x-request-id";
/// Names of requests that one process remembers; the oldest goes first.
const REMEMBERED: usize = 100_000;
/// Letters of a name.
const NAME_LIMIT: usize = 100;
/// Commits that the page shows.
const SHOWN: usize = 10;

/// What was committed to this process.
#[derive(Debug, Default)]
pub(super) struct Counter(Mutex<Ledger>);

#[derive(Debug, Default)]
struct Ledger {
    count: u64,
    times: HashMap<String, u64>,
    order: VecDeque<String>,
    last: VecDeque<(u64, Uuid)>,
}

/// One commit.
struct Commit {
    number: u64,
    transaction: Uuid,
    /// How often a request of this name has run here, this one included.
    times: Option<u64>,
}

impl Counter {
    fn commit(&self, name: Option<&str>) -> Commit {
        let mut ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.count += 1;
        let (number, transaction) = (ledger.count, Uuid::new_v4());
        ledger.last.push_front((number, transaction));
        ledger.last.truncate(SHOWN);
        let times = name.map(|name| ledger.remember(name));
        Commit {
            number,
            transaction,
            times,
        }
    }
}

impl Ledger {
    fn remember(&mut self, name: &str) -> u64 {
        if let Some(times) = self.times.get_mut(name) {
            *times += 1;
            return *times;
        }
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.times.remove(&oldest);
        }
        self.order.push_back(name.to_owned());
        self.times.insert(name.to_owned(), 1);
        1
    }
}

/// The number, and what made it. `?json` or `Accept` ask for JSON.
pub(super) fn show(site: &Site, parts: &Parts) -> Response<Body> {
    let format = form::accepts(&parts.headers);
    let ledger = site
        .counter
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if format == Format::Json || Fields::query(&parts.uri).get("json").is_some() {
        let answer = json!({
            "port": site.port,
            "pid": site.pid,
            "count": ledger.count,
            "requests": ledger.times,
        });
        return page::json(StatusCode::OK, &answer);
    }
    if format != Format::Html {
        let text = format!("{} commits on port {}", ledger.count, site.port);
        return page::text(StatusCode::OK, text);
    }
    let mut commits = String::new();
    for (number, transaction) in &ledger.last {
        // Writing to a string cannot fail.
        let _ = write!(
            commits,
            "<li>number {number}, transaction {transaction}</li>"
        );
    }
    let count = ledger.count.to_string();
    let values = [("count", count.as_str()), ("commits", commits.as_str())];
    page::page(site, StatusCode::OK, "Counter", page::COUNTER, &values)
}

/// Adds one and says so: in the log before the answer, so that a commit whose answer was lost can still be counted.
///
/// `?ms=N` makes it take that long, half of it before the commit and half after: a process that ends meanwhile may have
/// committed or not, which is what nobody outside can tell.
pub(super) async fn commit(
    site: &Site,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let (parts, body) = request.into_parts();
    let half = Fields::query(&parts.uri).millis("ms", 0)? / 2;
    let fields = Fields::read(body).await?;
    let name = parts
        .headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .or_else(|| fields.get("request_id"))
        .filter(|name| !name.is_empty());
    if let Some(name) = name
        && (name.chars().count() > NAME_LIMIT || name.chars().any(char::is_control))
    {
        return Err(Refusal::bad(format!(
            "a request's name is at most {NAME_LIMIT} letters on one line"
        )));
    }
    pause(half).await;
    let done = site.counter.commit(name);
    let mut line = format!("commit {} transaction {}", done.number, done.transaction);
    if let (Some(name), Some(times)) = (name, done.times) {
        // Writing to a string cannot fail.
        let _ = write!(line, " request {name} time {times}");
    }
    (site.log)(&line);
    pause(half).await;
    Ok(match form::accepts(&parts.headers) {
        Format::Html => {
            let count = done.number.to_string();
            let list = format!("<li><b>just now: {}</b></li>", escape(&line));
            let values = [("count", count.as_str()), ("commits", list.as_str())];
            page::page(site, StatusCode::OK, "Counter", page::COUNTER, &values)
        }
        Format::Json => page::json(
            StatusCode::OK,
            &json!({
                "port": site.port,
                "pid": site.pid,
                "committed": done.number,
                "transaction": done.transaction.to_string(),
                "request": name,
                "times": done.times,
            }),
        ),
        Format::Text | Format::Events => {
            page::text(StatusCode::OK, format!("{line} on port {}", site.port))
        }
    })
}

/// Nothing at all for no time: even the shortest sleep waits for the timer's next tick.
async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted() {
        let counter = Counter::default();
        assert_eq!(counter.commit(None).times, None);
        assert_eq!(counter.commit(Some("a")).times, Some(1));
        assert_eq!(counter.commit(Some("b")).times, Some(1));
        let again = counter.commit(Some("a"));
        assert_eq!((again.times, again.number), (Some(2), 4));
    }

    #[test]
    fn names_are_bounded() {
        let mut ledger = Ledger::default();
        for n in 0..=REMEMBERED {
            ledger.remember(&n.to_string());
        }
        assert_eq!(ledger.times.len(), REMEMBERED);
        assert_eq!(ledger.remember("1"), 2);
        assert_eq!(ledger.remember("0"), 1);
    }
}
