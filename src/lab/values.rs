//! What was measured, as texts and checks of a lab see it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::lab::LoadStep;
use crate::load::{Answer, Driven, Plan};
use crate::wire::LoadReport;

/// So many answers are told of one by one.
const ORDER: usize = 2000;

/// Everything that a lab knows by now.
#[derive(Debug, Clone, Default)]
pub(super) struct Values {
    all: BTreeMap<String, Value>,
}

impl Values {
    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.all.insert(name.to_owned(), value);
    }

    /// For texts and expressions.
    pub(super) fn filled(&self) -> minijinja::Value {
        minijinja::value::Serde(&self.all).into()
    }
}

/// A load: its report, and what labs ask for besides.
///
/// `counts` and `peaks` are of the lab's backends in the order of `ports`; `samples` and `windows` are as the lab says them.
pub(super) fn of_load(
    step: &LoadStep,
    plan: &Plan,
    driven: &Driven,
    report: &LoadReport,
    ports: &[u16],
) -> Value {
    let tally = &driven.measured.tally;
    let mut by_time: Vec<&Answer> = tally.answers.iter().collect();
    by_time.sort_by_key(|answer| answer.sent);
    let port_of = |answer: &Answer| {
        let id = tally.backends.get(usize::from(answer.backend?))?;
        id.rsplit(':').next()?.parse::<u16>().ok()
    };
    let order: Vec<u16> = by_time
        .iter()
        .filter_map(|answer| port_of(answer))
        .collect();
    let count = |port: &u16| {
        let of_it = |answer: &&Answer| answer.failure.is_none() && port_of(answer) == Some(*port);
        tally.answers.iter().filter(of_it).count()
    };
    let back = report.failovers.iter().filter_map(|one| {
        let back = one.at_s + one.back_ms? / 1e3;
        Some((one.backend.rsplit(':').next()?.parse::<u16>().ok()?, back))
    });
    let back: BTreeMap<u16, f64> = back.collect();
    let peak = |port: &u16| {
        let since = back.get(port).copied().unwrap_or(0.0);
        let of_it = |answer: &&&Answer| {
            port_of(answer) == Some(*port) && answer.sent.as_secs_f64() >= since
        };
        peak(by_time.iter().filter(of_it).copied())
    };
    let samples = plan.samples.iter().enumerate().map(|(place, _)| {
        let of_it = |answer: &&Answer| usize::from(answer.sample) == place;
        group(tally.answers.iter().filter(of_it), &port_of)
    });
    let windows = step.windows.iter().map(|(name, from, to)| {
        let within = |answer: &&Answer| answer.due >= *from && answer.due < *to;
        let mut value = group(tally.answers.iter().filter(within), &port_of);
        let length = to.saturating_sub(*from).as_secs_f64();
        value["ok_rate"] = json!(value["ok"].as_f64().unwrap_or(0.0) / length);
        (name.clone(), value)
    });
    let windows: Map<String, Value> = windows.collect();
    let Ok(Value::Object(mut all)) = serde_json::to_value(report) else {
        return Value::Null;
    };
    all.insert("ok_rate".to_owned(), json!(rate(report)));
    all.insert("ok_pct".to_owned(), json!(100.0 - report.failed_pct));
    all.insert("counts".to_owned(), ports.iter().map(count).collect());
    all.insert("peaks".to_owned(), ports.iter().map(peak).collect());
    all.insert("samples".to_owned(), samples.collect());
    all.insert("longest_run".to_owned(), json!(longest_run(&order)));
    all.insert("last_backend".to_owned(), json!(order.last()));
    all.insert("order".to_owned(), order.into_iter().take(ORDER).collect());
    all.extend(windows);
    Value::Object(all)
}

/// Answered requests a second.
#[allow(clippy::cast_precision_loss)] // of a rate
fn rate(report: &LoadReport) -> f64 {
    match report.lasted_s > 0.0 {
        true => report.ok as f64 / report.lasted_s,
        false => 0.0,
    }
}

fn group<'a>(
    answers: impl Iterator<Item = &'a Answer>,
    port_of: &impl Fn(&Answer) -> Option<u16>,
) -> Value {
    let (mut requests, mut failed, mut elsewhere) = (0_u64, 0_u64, 0_u64);
    let mut ports: Vec<u16> = Vec::new();
    let mut longest = Duration::ZERO;
    for answer in answers {
        requests += 1;
        failed += u64::from(answer.failure.is_some());
        elsewhere += u64::from(answer.attempts > 1 && answer.failure.is_none());
        longest = longest.max(answer.latency());
        ports.extend(port_of(answer).filter(|_| answer.failure.is_none()));
    }
    ports.sort_unstable();
    ports.dedup();
    #[allow(clippy::cast_precision_loss)] // of a percentage
    let ok_pct = match requests {
        0 => 0.0,
        all => (all - failed) as f64 * 100.0 / all as f64,
    };
    json!({
        "requests": requests, "ok": requests - failed, "failed": failed, "ok_pct": ok_pct,
        "elsewhere": elsewhere, "backends": ports, "longest_ms": longest.as_secs_f64() * 1e3,
    })
}

/// The longest time one backend answered without another in between, in requests.
fn longest_run(order: &[u16]) -> usize {
    let runs = order.chunk_by(|a, b| a == b);
    runs.map(<[u16]>::len).max().unwrap_or(0)
}

/// Requests that were in flight at once, at most.
fn peak<'a>(answers: impl Iterator<Item = &'a Answer>) -> usize {
    let mut moments: Vec<(Duration, bool)> = Vec::new();
    for answer in answers {
        moments.extend([(answer.sent, true), (answer.done, false)]);
    }
    // An end before a beginning at the same moment.
    moments.sort_unstable();
    let (mut now, mut most) = (0_usize, 0);
    for (_, begins) in moments {
        match begins {
            true => now += 1,
            false => now = now.saturating_sub(1),
        }
        most = most.max(now);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs() {
        assert_eq!(longest_run(&[]), 0);
        assert_eq!(longest_run(&[1, 2, 3, 1]), 1);
        assert_eq!(longest_run(&[1, 1, 2, 2, 2, 1]), 3);
    }

    #[test]
    fn peaks() {
        let answer = |sent: u64, done: u64| Answer {
            due: Duration::from_millis(sent),
            sent: Duration::from_millis(sent),
            done: Duration::from_millis(done),
            sample: 0,
            backend: Some(0),
            attempts: 1,
            status: 200,
            failure: None,
        };
        let check = |spans: &[(u64, u64)], expected: usize| {
            let answers: Vec<Answer> = spans.iter().map(|&(a, b)| answer(a, b)).collect();
            assert_eq!(peak(answers.iter()), expected, "{spans:?}");
        };
        check(&[], 0);
        check(&[(0, 10), (10, 20)], 1);
        check(&[(0, 10), (5, 20), (6, 7)], 3);
    }
}
