//! The event stream (Server-Sent Events, WHATWG HTML §9.2): one producer for all who read, and nobody waits for a slow one.
//!
//! A stream begins with what there is (a snapshot, then `live`), and goes on with what changes. Whoever is too far behind is
//! told so and let go: a new stream begins with a snapshot again.

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
use tokio::time::{Instant, MissedTickBehavior};

use super::bodies::{Body, EventsAsked};
use super::refusal::Refusal;
use super::router::Control;
use super::seen;
use crate::error::Report;
use crate::process::output::{Line, TAIL};
use crate::wire::{BackendPulse, Event, LogLine, Logs, Pulse, SeenRequests, VERSION};

/// So many streams are open at once; a browser has one, however many tabs.
const STREAMS: usize = 64;
/// Chunks that a reader may be behind.
const BEHIND: usize = 256;
/// How often the counters are looked at.
const TICK: Duration = Duration::from_millis(200);
/// The whole status comes at least so often.
const STATUS: Duration = Duration::from_secs(1);
/// Lines sent in one tick; nobody reads more.
const LINES: usize = 40;
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

/// Produces while anybody reads, for as long as there is anybody who could ask.
pub(super) async fn produce(control: Arc<Control>) {
    loop {
        control.feed.somebody.notified().await;
        while control.feed.chunks.receiver_count() > 0 {
            produce_for_some(&control).await;
            control.feed.produces.send_replace(false);
        }
    }
}

async fn produce_for_some(control: &Arc<Control>) {
    let feed = &control.feed;
    let mut events = control.journal.subscribe();
    let mut seconds = control.timeline.subscribe();
    let mut lines = control.output.subscribe();
    let mut view = control.supervisor.view();
    let mut seen = control
        .access
        .recent(0)
        .last()
        .map_or(0, |(number, _)| *number);
    let (_, mut last) = control.journal.after(u64::MAX);
    let mut before = Pulse::default();
    feed.produces.send_replace(true);
    let mut status_due = Instant::now();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            one = events.recv() => {
                match one {
                    // One that was told already, see below.
                    Ok(one) if one.seq <= last => {}
                    Ok(one) => {
                        last = one.seq;
                        feed.send_event(&one);
                    }
                    // They came too fast: those that are kept are told all the same.
                    Err(_) => {
                        events = control.journal.subscribe();
                        let (missed, newest) = control.journal.after(last);
                        missed.iter().for_each(|one| feed.send_event(one));
                        last = newest;
                    }
                }
                // Whatever happened, the status may show it.
                status_due = status_due.min(Instant::now());
            }
            second = seconds.recv() => if let Ok(second) = second {
                feed.send(Topic::Timeline, sse("second", None, &*second));
            },
            _ = tick.tick() => {
                if feed.chunks.receiver_count() == 0 {
                    return;
                }
                if feed.wants(Topic::Pulse) {
                    let now = pulse(control);
                    if now != before {
                        feed.send(Topic::Pulse, sse("pulse", None, &now));
                        before = now;
                    }
                }
                if feed.wants(Topic::Requests) {
                    let new = requests(control, seen);
                    if !new.requests.is_empty() {
                        seen = new.last;
                        feed.send(Topic::Requests, sse("requests", None, &new));
                    }
                }
                if feed.wants(Topic::Logs) {
                    let new = take_lines(&mut lines);
                    if !new.lines.is_empty() || new.left_out > 0 {
                        feed.send(Topic::Logs, sse("logs", None, &new));
                    }
                }
                let changed = view.has_changed().unwrap_or(false);
                if feed.wants(Topic::Status) && (changed || status_due <= Instant::now()) {
                    view.mark_unchanged();
                    status_due = Instant::now() + STATUS;
                    feed.send(Topic::Status, sse("status", None, &control.quick_status()));
                }
            }
        }
    }
}

/// The lines that have come, as many as anybody could read.
fn take_lines(from: &mut broadcast::Receiver<Line>) -> Logs {
    let mut taken = Logs {
        version: VERSION,
        lines: Vec::new(),
        left_out: 0,
    };
    let waiting = from.len();
    for _ in 0..waiting.min(LINES) {
        match from.try_recv() {
            Ok(one) => taken.lines.push(seen::line(&one)),
            Err(broadcast::error::TryRecvError::Lagged(lost)) => taken.left_out += lost,
            Err(_) => break,
        }
    }
    if waiting > LINES {
        taken.left_out += from.len() as u64;
        *from = from.resubscribe();
    }
    taken
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
