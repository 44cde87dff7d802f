//! The last minute as one document.

use std::time::{Duration, Instant};

use super::journal::Journal;
use super::status::ms;
use crate::history::{Minute, SECONDS, Traffic, quantiles};
use crate::pool::{Pools, since_start};
use crate::supervisor::View;
use crate::wire::{BackendHistory, History, VERSION};

/// What percentiles are about: enough requests to mean something, and what has changed is soon seen.
const WINDOW: usize = 10;

/// Of every backend that there is now.
pub(super) fn history(view: &View, pools: &Pools, journal: &Journal, now: Instant) -> History {
    let now = since_start(now);
    let all = pools.all();
    let mut lost = vec![0; SECONDS];
    for pool in all.iter() {
        let minute = pool.lost();
        for (sum, one) in lost.iter_mut().zip(minute.last(SECONDS, now)) {
            *sum += one.copied().unwrap_or_default();
        }
    }
    let mut backends = Vec::with_capacity(view.backends.len());
    let mut tallies = Vec::new();
    for backend in &view.backends {
        let id = &backend.spec.id;
        let pool = all.iter().find(|pool| *pool.service == *id.service());
        let members = pool.map(|pool| pool.snapshot());
        let member = members
            .as_ref()
            .and_then(|snapshot| snapshot.members.iter().find(|member| member.id == *id));
        let none = Minute::default();
        let states = journal.states(id, SECONDS, now);
        backends.push(match member {
            Some(member) => one(id.to_string(), &member.tally.minute(), states, now),
            None => one(id.to_string(), &none, states, now),
        });
        tallies.extend(member.map(|member| member.tally.clone()));
    }
    let minutes: Vec<_> = tallies.iter().map(|tally| tally.minute()).collect();
    let recent = minutes
        .iter()
        .flat_map(|minute| minute.last(WINDOW, now).flatten());
    let [p50_ms, p99_ms] = in_ms(quantiles(recent, [0.5, 0.99]));
    History {
        version: VERSION,
        seconds: SECONDS,
        window_s: WINDOW,
        p50_ms,
        p99_ms,
        lost,
        backends,
    }
}

fn one(
    id: String,
    minute: &Minute<Traffic>,
    states: Vec<Option<crate::backend::Phase>>,
    now: Duration,
) -> BackendHistory {
    let count = |read: fn(&Traffic) -> u64| -> Vec<u64> {
        let seconds = minute.last(SECONDS, now);
        seconds.map(|second| second.map_or(0, read)).collect()
    };
    let [p50_ms, p99_ms] = in_ms(minute.latency(WINDOW, now));
    let p99s = minute.last(SECONDS, now).map(|second| {
        let [p99] = in_ms(quantiles(second, [0.99]));
        p99
    });
    let word = |phase: Option<crate::backend::Phase>| phase.map_or("", |phase| phase.word());
    BackendHistory {
        id,
        p50_ms,
        p99_ms,
        requests: count(|second| second.answered),
        errors: count(|second| second.errors),
        failed: count(|second| second.failed),
        elsewhere: count(|second| second.elsewhere),
        p99s_ms: p99s.collect(),
        states: states.into_iter().map(|one| word(one).to_owned()).collect(),
    }
}

fn in_ms<const N: usize>(durations: Option<[Duration; N]>) -> [Option<f64>; N] {
    match durations {
        Some(durations) => durations.map(|one| Some(ms(one))),
        None => [None; N],
    }
}
