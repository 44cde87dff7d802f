//! `/stream`: an answer that comes bit by bit. A balancer that collects answers shows here.

use bytes::Bytes;
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

use super::body::{self, Body};
use super::form::{self, Fields, Format};
use super::page::{self, Refusal};
use super::site::Site;

/// The most lines.
const LINES_LIMIT: u64 = 100_000;

/// `n` lines, one every `ms` milliseconds, each with the port: as server-sent events where they are accepted, else as
/// text in chunks. The first goes out at once.
pub(super) fn answer(site: &Site, parts: &Parts) -> Result<Response<Body>, Refusal> {
    let query = Fields::query(&parts.uri);
    let lines = query.number("n", 20, LINES_LIMIT)?;
    let pause = query.millis("ms", 250)?;
    let events = form::accepts(&parts.headers) == Format::Events;
    let port = site.port;
    let (sender, body) = body::pushed();
    tokio::spawn(async move {
        for line in 1..=lines {
            if line > 1 {
                tokio::time::sleep(pause).await;
            }
            let text = format!("{line} of {lines} from port {port}\n");
            let piece = if events {
                format!("id: {line}\ndata: {text}\n")
            } else {
                text
            };
            // A closed channel: the client has gone.
            if sender.send(Bytes::from(piece)).await.is_err() {
                return;
            }
        }
        if events {
            // An EventSource connects again by itself unless it is told that this is the end.
            let _ = sender.send(Bytes::from("event: end\ndata: \n\n")).await;
        }
    });
    let content_type = if events {
        "text/event-stream"
    } else {
        "text/plain; charset=utf-8"
    };
    Ok(page::with_type(StatusCode::OK, content_type, body))
}
