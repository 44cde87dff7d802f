//! What was measured, as the document that `--json` prints and every picture is drawn from.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::drive::Driven;
use super::failover::failovers;
use super::plan::{Beat, Plan};
use super::tally::Tally;
use crate::wire::{
    LoadAction, LoadBackend, LoadEvenness, LoadLatency, LoadLimit, LoadReport, LoadTimeline,
    VERSION,
};

/// A verb that was run during the load.
#[derive(Debug, Clone, PartialEq)]
pub struct Acted {
    /// When, since the load began.
    pub at: Duration,
    /// As it was typed, without `lbdev`.
    pub command: String,
    /// Its exit code, if it ended.
    pub exit: Option<i32>,
    /// How long it took.
    pub took: Duration,
    /// The lines it printed.
    pub output: Vec<String>,
}

/// What must hold for the load to be a success.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Failed requests at most.
    pub errors: Option<ErrorLimit>,
    /// The 99th percentile of latencies at most.
    pub p99: Option<Duration>,
}

/// Failed requests at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ErrorLimit {
    /// In percent of all.
    Percent(f64),
    /// So many.
    Count(u64),
}

impl std::fmt::Display for ErrorLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ErrorLimit::Percent(percent) => write!(f, "{percent}%"),
            ErrorLimit::Count(count) => write!(f, "{count}"),
        }
    }
}

/// The whole of it.
pub fn report(plan: &Plan, driven: &Driven, limits: &Limits) -> LoadReport {
    let (measured, actions) = (&driven.measured, &driven.acted);
    let tally = &measured.tally;
    let since_1970 = measured.began.duration_since(std::time::UNIX_EPOCH);
    let began_ms = since_1970.unwrap_or_default().as_secs_f64() * 1e3;
    let failovers = failovers(&driven.events, began_ms, tally);
    let lasted = measured.lasted.as_secs_f64();
    let answered: u64 = tally.by_backend.iter().map(|of| of.len()).sum();
    let backends = tally.backends.iter().zip(&tally.by_backend);
    let mut backends: Vec<LoadBackend> = backends
        .map(|(id, of)| LoadBackend {
            id: id.clone(),
            requests: of.len(),
            share_pct: percent(of.len(), answered),
            p50_ms: ms(of.value_at_quantile(0.5)),
            p99_ms: ms(of.value_at_quantile(0.99)),
        })
        .collect();
    let mut order: Vec<usize> = (0..backends.len()).collect();
    order.sort_by_key(|&place| natural(&backends[place].id));
    backends.sort_by_key(|one| natural(&one.id));
    let first = actions
        .iter()
        .map(|action| action.at.as_secs_f64())
        .chain(failovers.iter().map(|one| one.at_s))
        .fold(f64::INFINITY, f64::min);
    LoadReport {
        version: VERSION,
        url: format!(
            "http://{}{}",
            plan.target.authority,
            plan.samples.first().map_or("/", |one| one.path.as_str())
        ),
        began: jiff::Timestamp::try_from(measured.began).unwrap_or_default(),
        mode: match plan.beat {
            Beat::Open(_) => "open".to_owned(),
            Beat::Closed => "closed".to_owned(),
        },
        rps: plan.rps(),
        #[allow(clippy::cast_precision_loss)] // of a rate
        rate: match lasted > 0.0 {
            true => tally.requests as f64 / lasted,
            false => 0.0,
        },
        connections: measured.connections,
        users: plan.users as u64,
        planned_s: plan.lasts.as_secs_f64(),
        lasted_s: lasted,
        stopped: measured.stopped,
        requests: tally.requests,
        ok: tally.requests - tally.failed,
        failed: tally.failed,
        failed_pct: percent(tally.failed, tally.requests),
        failures: tally
            .failures
            .iter()
            .map(|(failure, count)| (failure.to_string(), *count))
            .collect(),
        statuses: tally
            .statuses
            .iter()
            .map(|(status, count)| (status.to_string(), *count))
            .collect(),
        elsewhere: tally.elsewhere,
        bytes: tally.bytes,
        latency_ms: latency(&tally.latency),
        service_ms: latency(&tally.service),
        behind_ms: latency(&tally.behind),
        evenness: evenness(tally, first),
        timeline: timeline(tally, &order, lasted),
        backends,
        actions: actions.iter().map(action).collect(),
        limits: held(tally, limits),
        failovers,
    }
}

/// Numbers in names by their value: `web:900` before `web:8000`.
fn natural(id: &str) -> (String, u64, String) {
    let end = id.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let number = id[end..].parse().unwrap_or(u64::MAX);
    (id[..end].to_owned(), number, id.to_owned())
}

#[allow(clippy::cast_precision_loss)] // of a percentage
fn percent(part: u64, all: u64) -> f64 {
    match all {
        0 => 0.0,
        all => part as f64 * 100.0 / all as f64,
    }
}

#[allow(clippy::cast_precision_loss)] // of microseconds
fn ms(micros: u64) -> f64 {
    micros as f64 / 1e3
}

fn latency(of: &Histogram<u64>) -> Option<LoadLatency> {
    let at = |quantile| ms(of.value_at_quantile(quantile));
    (!of.is_empty()).then(|| LoadLatency {
        mean: of.mean().round() / 1e3,
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: ms(of.max()),
    })
}

/// `None` where one backend answered all, or none is known.
fn evenness(tally: &Tally, until: f64) -> Option<LoadEvenness> {
    if tally.backends.len() < 2 {
        return None;
    }
    let width = tally.width.as_secs_f64();
    let mut sums = vec![0; tally.backends.len()];
    let mut end = 0.0;
    for (place, part) in tally.parts.iter().enumerate() {
        #[allow(clippy::cast_precision_loss)] // of a place among a few hundred
        let after = (place + 1) as f64 * width;
        if after > until {
            break;
        }
        end = after;
        for (sum, n) in sums.iter_mut().zip(&part.by_backend) {
            *sum += n;
        }
    }
    let all: u64 = sums.iter().sum();
    let shares = || sums.iter().map(|&n| percent(n, all));
    (all > 0).then(|| LoadEvenness {
        until_s: end,
        least_pct: shares().fold(f64::INFINITY, f64::min),
        most_pct: shares().fold(0.0, f64::max),
    })
}

/// Parts in which nothing was due any more belong to the time, too.
fn timeline(tally: &Tally, order: &[usize], lasted: f64) -> LoadTimeline {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // it is a small count
    let count = (lasted / tally.width.as_secs_f64() - 1e-9).ceil().max(0.0) as usize;
    let nothing = super::tally::Part::default();
    let missing = count.saturating_sub(tally.parts.len());
    let parts: Vec<&super::tally::Part> = tally
        .parts
        .iter()
        .chain(std::iter::repeat_n(&nothing, missing))
        .collect();
    let quantile = |quantile: f64| {
        let of = move |part: &&super::tally::Part| {
            let took = part.took.as_ref()?;
            Some(ms(took.value_at_quantile(quantile)))
        };
        parts.iter().map(of).collect()
    };
    let of = |place: &usize| {
        let of = |part: &&super::tally::Part| part.by_backend.get(*place).copied();
        parts.iter().map(|part| of(part).unwrap_or(0)).collect()
    };
    LoadTimeline {
        width_s: tally.width.as_secs_f64(),
        requests: parts.iter().map(|part| part.all).collect(),
        failed: parts.iter().map(|part| part.failed).collect(),
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
        backends: order.iter().map(of).collect(),
    }
}

fn action(acted: &Acted) -> LoadAction {
    LoadAction {
        at_s: acted.at.as_secs_f64(),
        command: acted.command.clone(),
        exit: acted.exit,
        took_ms: acted.took.as_secs_f64() * 1e3,
        output: acted.output.clone(),
    }
}

fn held(tally: &Tally, limits: &Limits) -> Vec<LoadLimit> {
    let mut all = Vec::new();
    if let Some(errors) = limits.errors {
        let share = percent(tally.failed, tally.requests);
        let (measured, held) = match errors {
            ErrorLimit::Percent(limit) => (format!("{share:.2}%"), share <= limit),
            ErrorLimit::Count(limit) => (tally.failed.to_string(), tally.failed <= limit),
        };
        all.push(LoadLimit {
            name: "max_errors".to_owned(),
            limit: errors.to_string(),
            measured,
            // Of nothing nothing was shown.
            held: held && tally.requests > 0,
        });
    }
    if let Some(limit) = limits.p99 {
        let p99 = Duration::from_micros(tally.latency.value_at_quantile(0.99));
        all.push(LoadLimit {
            name: "max_p99".to_owned(),
            limit: format!("{} ms", limit.as_secs_f64() * 1e3),
            measured: match tally.latency.is_empty() {
                true => "no answer".to_owned(),
                false => format!("{:.1} ms", p99.as_secs_f64() * 1e3),
            },
            held: p99 <= limit && !tally.latency.is_empty(),
        });
    }
    all
}
