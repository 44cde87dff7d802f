//! Work that takes a place: what a server with so many threads does, however long its queue is; and a start that is cold.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::http::request::Parts;
use tokio::sync::{Semaphore, oneshot};

use super::body::Body;
use super::form::Fields;
use super::page::{self, Refusal};
use super::site::Site;
use hyper::Response;

/// The variable that says how many requests of `/work` are worked on at once. Without it: all.
const SLOTS: &str = "DEMO_SLOTS";

/// The places in which work is done.
#[derive(Debug)]
pub(super) struct Slots(Arc<Semaphore>);

impl Slots {
    /// As many as the environment says.
    pub(super) fn from_environment() -> Self {
        let said = std::env::var(SLOTS).ok();
        Self::of(said.and_then(|text| text.parse().ok()))
    }

    /// So many.
    pub(super) fn of(count: Option<usize>) -> Self {
        let count = count.unwrap_or(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(
            count.clamp(1, Semaphore::MAX_PERMITS),
        )))
    }
}

/// Waits in line for a place, then takes `ms` in it. Where that is not done after `patience`, the answer is a 503. Whoever has stopped waiting meanwhile is worked for all the same: a thread
/// that runs a query does not know that nobody reads the answer any more.
pub(super) async fn work(site: &Arc<Site>, parts: &Parts) -> Result<Response<Body>, Refusal> {
    let query = Fields::query(&parts.uri);
    let (time, patience) = (query.millis("ms", 20)?, query.millis("patience", 0)?);
    let (done, answer) = oneshot::channel();
    let slots = Arc::clone(&site.slots.0);
    tokio::spawn(async move {
        // It is never closed.
        let place = slots.acquire_owned().await;
        tokio::time::sleep(time).await;
        drop(place);
        let _ = done.send(());
    });
    let waited = match patience {
        Duration::ZERO => answer.await.is_ok(),
        patience => tokio::time::timeout(patience, answer).await.is_ok(),
    };
    if !waited {
        let text = format!("port {} is too busy, and works on", site.port);
        return Ok(page::text(StatusCode::SERVICE_UNAVAILABLE, text));
    }
    let text = format!(
        "port {} has done {} ms of work",
        site.port,
        time.as_millis()
    );
    Ok(page::text(StatusCode::OK, text))
}

/// Takes `ms` while this process is younger than `for` milliseconds, as one whose caches are empty; then it is fast.
pub(super) async fn cold(site: &Site, parts: &Parts) -> Result<Response<Body>, Refusal> {
    let query = Fields::query(&parts.uri);
    let (time, youth) = (query.millis("ms", 400)?, query.millis("for", 3000)?);
    let is_cold = is_cold(site.since, Instant::now(), youth);
    if is_cold {
        tokio::time::sleep(time).await;
    }
    let word = if is_cold { "cold" } else { "warm" };
    Ok(page::text(
        StatusCode::OK,
        format!("port {} is {word}", site.port),
    ))
}

fn is_cold(since: Instant, now: Instant, youth: Duration) -> bool {
    now.saturating_duration_since(since) < youth
}
