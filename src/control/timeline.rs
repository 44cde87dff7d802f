//! The last ten minutes, second by second: percentiles are read from the histograms of that second while they are there.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, watch};

use super::journal::Journal;
use super::status::{ms, round};
use crate::history::quantiles;
use crate::pool::{Pools, since_start};
use crate::supervisor::View;
use crate::wire::{BackendSecond, BackendTimeline, Second, Timeline as Document, VERSION};

/// So many seconds are kept.
const KEPT: usize = 600;
/// A second is looked at when it has been over for so long: what began in it was counted by then.
const AFTER: Duration = Duration::from_millis(30);

/// The last seconds, and whoever wants the next one.
#[derive(Debug)]
pub struct Timeline {
    kept: Mutex<VecDeque<Arc<Second>>>,
    new: broadcast::Sender<Arc<Second>>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            new: broadcast::channel(8).0,
        }
    }
}

impl Timeline {
    /// Keeps a record of each second until the supervisor ends.
    pub fn start(
        view: watch::Receiver<Arc<View>>,
        pools: Arc<Pools>,
        journal: Arc<Journal>,
    ) -> Arc<Self> {
        let timeline = Arc::new(Self::default());
        let kept = timeline.clone();
        tokio::spawn(async move {
            loop {
                let now = since_start(Instant::now());
                let next = Duration::from_secs(now.as_secs() + 1) + AFTER;
                tokio::time::sleep(next.saturating_sub(now)).await;
                if view.has_changed().is_err() {
                    return;
                }
                let now = Instant::now();
                // The second that is over began so long ago.
                let part = since_start(now).as_secs_f64().fract();
                let wall = jiff::Timestamp::now().as_millisecond() as f64 / 1e3;
                let at = round(wall - part - 1.0, 3);
                let seen = view.borrow().clone();
                kept.push(second(at, &seen, &pools, &journal, now));
            }
        });
        timeline
    }

    fn push(&self, second: Second) {
        let second = Arc::new(second);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(second.clone());
        drop(kept);
        // Nobody may be listening.
        let _ = self.new.send(second);
    }

    /// Each second that is over from now on.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<Second>> {
        self.new.subscribe()
    }

    /// What is kept, in columns. A second that was missed, as while the machine slept, is an empty one.
    pub(super) fn document(&self) -> Document {
        let kept: Vec<Arc<Second>> = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.iter().cloned().collect()
        };
        columns(&kept)
    }
}

fn columns(kept: &[Arc<Second>]) -> Document {
    let ends = kept.first().zip(kept.last());
    let (first, count) = ends.map_or((0.0, 0), |(first, last)| {
        let seconds = whole(last.at - first.at).min(KEPT - 1);
        let oldest = last.at - seconds as f64;
        (first.at.max(oldest), seconds + 1)
    });
    let mut document = Document {
        version: VERSION,
        first,
        p50_ms: vec![None; count],
        p99_ms: vec![None; count],
        lost: vec![0; count],
        backends: Vec::new(),
    };
    for second in kept {
        let place = whole(second.at - first);
        // Too old, or of a clock that was set back.
        if second.at < first - 0.5 || place >= count {
            continue;
        }
        document.p50_ms[place] = second.p50_ms;
        document.p99_ms[place] = second.p99_ms;
        document.lost[place] = second.lost;
        for one in &second.backends {
            let known = document
                .backends
                .iter()
                .position(|known| known.id == one.id);
            let index = known.unwrap_or_else(|| {
                document.backends.push(BackendTimeline {
                    id: one.id.clone(),
                    requests: vec![0; count],
                    errors: vec![0; count],
                    failed: vec![0; count],
                    states: vec![String::new(); count],
                });
                document.backends.len() - 1
            });
            let column = &mut document.backends[index];
            column.requests[place] = one.requests;
            column.errors[place] = one.errors;
            column.failed[place] = one.failed;
            column.states[place].clone_from(&one.state);
        }
    }
    document
}

/// The nearest whole number of seconds; none below zero.
fn whole(seconds: f64) -> usize {
    seconds.round().clamp(0.0, 1e9) as usize
}

/// The last whole second.
fn second(at: f64, view: &View, pools: &Pools, journal: &Journal, now: Instant) -> Second {
    let now = since_start(now);
    let all = pools.all();
    let mut lost = 0;
    for pool in all.iter() {
        lost += pool.lost().last(1, now).flatten().sum::<u64>();
    }
    let mut tallies = Vec::new();
    let mut backends = Vec::with_capacity(view.backends.len());
    for backend in &view.backends {
        let id = &backend.spec.id;
        let phase = journal.states(id, 1, now).pop().flatten();
        let mut one = BackendSecond {
            id: id.to_string(),
            state: phase.unwrap_or(backend.phase).word().to_owned(),
            ..BackendSecond::default()
        };
        let pool = all.iter().find(|pool| *pool.service == *id.service());
        let snapshot = pool.map(|pool| pool.snapshot());
        let mut members = snapshot.iter().flat_map(|snapshot| &snapshot.members);
        if let Some(member) = members.find(|member| member.id == *id) {
            let minute = member.tally.minute();
            if let Some(traffic) = minute.last(1, now).flatten().next() {
                one.requests = traffic.answered;
                one.errors = traffic.errors;
                one.failed = traffic.failed;
            }
            drop(minute);
            tallies.push(member.tally.clone());
        }
        backends.push(one);
    }
    let minutes: Vec<_> = tallies.iter().map(|tally| tally.minute()).collect();
    let seconds = minutes
        .iter()
        .flat_map(|minute| minute.last(1, now).flatten());
    let took = quantiles(seconds, [0.5, 0.99]);
    Second {
        at,
        p50_ms: took.map(|[p50, _]| ms(p50)),
        p99_ms: took.map(|[_, p99]| ms(p99)),
        lost,
        backends,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(at: f64, ids: &[(&str, u64)]) -> Arc<Second> {
        let backends = ids.iter().map(|(id, requests)| BackendSecond {
            id: (*id).to_owned(),
            requests: *requests,
            state: "up".to_owned(),
            ..BackendSecond::default()
        });
        Arc::new(Second {
            at,
            p50_ms: Some(1.0),
            lost: 1,
            backends: backends.collect(),
            ..Second::default()
        })
    }

    #[test]
    fn seconds_become_columns_and_gaps_are_empty() {
        assert_eq!(columns(&[]).p50_ms.len(), 0);
        let kept = [
            at(100.0, &[("a", 1)]),
            at(101.0, &[("a", 2), ("b", 3)]),
            at(104.0, &[("b", 4)]),
        ];
        let document = columns(&kept);
        assert_eq!(document.first, 100.0);
        assert_eq!(document.lost, [1, 1, 0, 0, 1]);
        assert_eq!(document.backends[0].requests, [1, 2, 0, 0, 0]);
        assert_eq!(document.backends[1].requests, [0, 3, 0, 0, 4]);
        assert_eq!(document.backends[1].states, ["", "up", "", "", "up"]);
    }

    #[test]
    fn a_long_sleep_is_no_long_document() {
        let kept = [at(100.0, &[("a", 1)]), at(100_000.0, &[("a", 2)])];
        let document = columns(&kept);
        assert_eq!(document.lost.len(), KEPT);
        assert_eq!(document.backends[0].requests[KEPT - 1], 2);
        assert_eq!(
            document.backends[0].requests[..KEPT - 1]
                .iter()
                .sum::<u64>(),
            0
        );
        // A clock that was set back breaks nothing.
        let document = columns(&[at(100.0, &[("a", 1)]), at(90.0, &[("a", 2)])]);
        assert_eq!(document.lost.len(), 1);
    }

    #[test]
    fn ten_minutes_are_kept() {
        let timeline = Timeline::default();
        for n in 0..KEPT + 50 {
            // The clocks are not quite the same.
            let began = 7.25 + n as f64 * 1.000_01;
            timeline.push(Second::clone(&at(began, &[("a", 1)])));
        }
        let document = timeline.document();
        assert_eq!(document.lost.len(), KEPT);
        assert_eq!(document.lost.iter().sum::<u64>(), KEPT as u64);
    }
}
