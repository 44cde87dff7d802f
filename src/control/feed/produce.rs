//! What streams tell, made once for all who read.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::{Instant, MissedTickBehavior};

use super::{Topic, pulse, requests, sse};
use crate::control::router::Control;
use crate::control::seen;
use crate::process::output::Line;
use crate::wire::{Logs, Pulse, VERSION};

/// How often the counters are looked at.
const TICK: Duration = Duration::from_millis(200);
/// The whole status comes at least so often.
const STATUS: Duration = Duration::from_secs(1);
/// Lines sent in one tick; nobody reads more.
const LINES: usize = 40;

/// Produces while anybody reads, for as long as there is anybody who could ask.
pub(in crate::control) async fn produce(control: Arc<Control>) {
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
