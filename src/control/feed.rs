//! The event stream (Server-Sent Events, WHATWG HTML §9.2): one producer for all who read, and nobody waits for a slow one.
//!
//! A stream begins with what there is (a snapshot, then `live`), and goes on with what changes. Whoever is too far behind is
//! told so and let go: a new stream begins with a snapshot again.

mod produce;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::{Response, StatusCode, header};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio::time::Instant;

pub(super) use produce::produce;

use super::bodies::{Body, EventsAsked};
use super::refusal::Refusal;
use super::router::Control;
use super::seen;
use crate::error::Report;
use crate::process::output::TAIL;
use crate::wire::{BackendPulse, Event, LogLine, Logs, Pulse, SeenRequests, VERSION};

/// So many streams are open at once; a browser has one, however many tabs.
const STREAMS: usize = 64;
/// Chunks that a reader may be behind.
const BEHIND: usize = 256;
/// A stream begins with so many of the last events at most.
const EVENTS: usize = 500;
/// On a stream where nothing happens something is written all the same, so that its end is noticed.
const SILENCE: Duration = Duration::from_secs(15);

/// What a stream can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Events,
    Status,
    Pulse,
    Timeline,
    Requests,
    Logs,
}

impl Topic {
    pub(super) const NAMES: &[(&str, Topic)] = &[
        ("events", Topic::Events),
        ("status", Topic::Status),
        ("pulse", Topic::Pulse),
        ("timeline", Topic::Timeline),
        ("requests", Topic::Requests),
        ("logs", Topic::Logs),
    ];

    fn place(self) -> usize {
        self as usize
    }
}

#[derive(Debug, Clone)]
struct Chunk {
    topic: Topic,
    /// Of an event, its number.
    seq: u64,
    text: Bytes,
}

/// Where chunks go.
#[derive(Debug)]
pub struct Feed {
    chunks: broadcast::Sender<Chunk>,
    places: Arc<Semaphore>,
    somebody: Notify,
    /// Whoever produces hears of everything from now on.
    produces: watch::Sender<bool>,
    /// How many read of each topic.
    readers: [AtomicUsize; Topic::NAMES.len()],
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            chunks: broadcast::channel(BEHIND).0,
            places: Arc::new(Semaphore::new(STREAMS)),
            somebody: Notify::new(),
            produces: watch::Sender::new(false),
            readers: Default::default(),
        }
    }
}

impl Feed {
    fn wants(&self, topic: Topic) -> bool {
        self.readers[topic.place()].load(Ordering::Relaxed) > 0
    }

    fn send(&self, topic: Topic, text: Bytes) {
        let seq = 0;
        // Nobody may be listening.
        let _ = self.chunks.send(Chunk { topic, seq, text });
    }
}

impl Feed {
    fn send_event(&self, event: &Event) {
        let chunk = Chunk {
            topic: Topic::Events,
            seq: event.seq,
            text: event_text(event),
        };
        let _ = self.chunks.send(chunk);
    }
}

/// A reader's place. It is free again when this is dropped.
struct Seat {
    control: Arc<Control>,
    topics: Vec<Topic>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Seat {
    fn drop(&mut self) {
        for topic in &self.topics {
            self.control.feed.readers[topic.place()].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What a stream has not written yet.
struct Stream {
    first: VecDeque<Bytes>,
    chunks: broadcast::Receiver<Chunk>,
    seat: Seat,
    /// Events up to this number were among the first.
    seen: u64,
    over: bool,
}

impl Stream {
    fn wants(&self, chunk: &Chunk) -> bool {
        let is_old = chunk.topic == Topic::Events && chunk.seq <= self.seen;
        self.seat.topics.contains(&chunk.topic) && !is_old
    }

    async fn next(&mut self) -> Option<Bytes> {
        if let Some(text) = self.first.pop_front() {
            return Some(text);
        }
        if self.over {
            return None;
        }
        let silent = Instant::now() + SILENCE;
        loop {
            match tokio::time::timeout_at(silent, self.chunks.recv()).await {
                Ok(Ok(chunk)) if self.wants(&chunk) => return Some(chunk.text),
                Ok(Ok(_)) => {}
                Ok(Err(RecvError::Lagged(chunks))) => {
                    self.over = true;
                    return Some(sse(
                        "missed",
                        None,
                        &serde_json::json!({ "chunks": chunks }),
                    ));
                }
                Ok(Err(RecvError::Closed)) => return None,
                Err(_) => return Some(Bytes::from_static(b": nothing new\n\n")),
            }
        }
    }
}

/// Answers with a stream.
pub(super) async fn stream(
    control: &Arc<Control>,
    asked: EventsAsked,
) -> Result<Response<Body>, Refusal> {
    let feed = &control.feed;
    let Ok(permit) = feed.places.clone().try_acquire_owned() else {
        let message = format!("{STREAMS} event streams are open already");
        let report = Report::failed("LB040", message).hint("close some of them");
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, report));
    };
    for topic in &asked.topics {
        feed.readers[topic.place()].fetch_add(1, Ordering::Relaxed);
    }
    let seat = Seat {
        control: control.clone(),
        topics: asked.topics.clone(),
        _permit: permit,
    };
    // Before the snapshot, so that nothing falls between the two.
    let chunks = feed.chunks.subscribe();
    feed.somebody.notify_one();
    // Only the end of lbdev ends that.
    let _ = feed.produces.subscribe().wait_for(|on| *on).await;
    let (first, seen) = snapshot(control, &asked).await;
    let stream = Stream {
        first,
        chunks,
        seat,
        seen,
        over: false,
    };
    let frames = futures_util::stream::unfold(stream, |mut stream| async {
        let text = stream.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(text)), stream))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let headers = response.headers_mut();
    let value = header::HeaderValue::from_static;
    headers.insert(header::CONTENT_TYPE, value("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, value("no-store"));
    Ok(response)
}

/// What there is, and the number of the last event in it.
async fn snapshot(control: &Arc<Control>, asked: &EventsAsked) -> (VecDeque<Bytes>, u64) {
    let mut first = VecDeque::new();
    let mut seen = asked.after;
    for topic in &asked.topics {
        match topic {
            Topic::Status => first.push_back(sse("status", None, &control.status().await)),
            Topic::Timeline => first.push_back(sse("timeline", None, &control.timeline.document())),
            Topic::Pulse => first.push_back(sse("pulse", None, &pulse(control))),
            Topic::Requests => first.push_back(sse("requests", None, &requests(control, 0))),
            Topic::Logs => first.push_back(sse("logs", None, &tails(control, None, TAIL))),
            Topic::Events => {
                let (events, last) = control.journal.after(asked.after);
                let old = events.len().saturating_sub(EVENTS);
                first.extend(events[old..].iter().map(event_text));
                seen = last;
            }
        }
    }
    first.push_back(Bytes::from_static(b"event: live\ndata: {}\n\n"));
    (first, seen)
}

fn event_text(event: &Event) -> Bytes {
    sse("event", Some(event.seq), event)
}

/// The counters now.
fn pulse(control: &Control) -> Pulse {
    let mut pulse = Pulse::default();
    for pool in control.pools.all().iter() {
        pulse.waiting += pool.waiting() as u64;
        pulse.lost += pool.unanswered();
        let snapshot = pool.snapshot();
        pulse
            .backends
            .extend(snapshot.members.iter().map(|member| BackendPulse {
                id: member.id.to_string(),
                requests: member.tally.requests(),
                failures: member.tally.failures(),
                in_flight: u64::from(member.life.in_flight()),
            }));
    }
    pulse
}

/// Requests after this number.
pub(super) fn requests(control: &Control, after: u64) -> SeenRequests {
    let live = control.pools.live();
    let recent = control.access.recent(after);
    let last = recent.last().map_or(after, |(number, _)| *number);
    let requests = recent
        .into_iter()
        .map(|(number, access)| seen::request(number, access, &live));
    SeenRequests {
        version: VERSION,
        requests: requests.collect(),
        last,
    }
}

/// The last lines of these backends, or of all.
pub(super) fn tails(
    control: &Control,
    of: Option<&[crate::backend::BackendId]>,
    most: usize,
) -> Logs {
    let view = control.supervisor.view().borrow().clone();
    let ids = view.backends.iter().map(|backend| &backend.spec.id);
    let wanted = ids.filter(|id| of.is_none_or(|of| of.contains(id)));
    let lines = wanted.flat_map(|id| control.output.tail(id, most));
    let mut lines: Vec<LogLine> = lines.map(|line| seen::line(&line)).collect();
    lines.sort_by_key(|line| line.at);
    Logs {
        version: VERSION,
        lines,
        left_out: 0,
    }
}

/// One event of the stream. JSON has no line breaks outside its texts, where they are escaped.
fn sse(name: &str, id: Option<u64>, data: &impl Serialize) -> Bytes {
    // The documents have string keys and no maps that could fail.
    let data = serde_json::to_string(data).unwrap_or_default();
    let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
    Bytes::from(format!("{id}event: {name}\ndata: {data}\n\n"))
}
