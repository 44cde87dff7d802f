//! What became of backends during a load, from the events of the running lbdev and the load's own answers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::answer::Answer;
use super::tally::Tally;
use crate::wire::{Event, LoadFailover};

/// Times of events are whole milliseconds: what was sent within this time after one may have been sent before it.
const GRAIN: Duration = Duration::from_millis(2);

/// Every time a backend left the rotation, or should have, in the order in which they happened. `began` is when the load did,
/// in milliseconds since 1970.
pub(super) fn failovers(events: &[Event], began_ms: f64, tally: &Tally) -> Vec<LoadFailover> {
    let mut open: BTreeMap<&str, LoadFailover> = BTreeMap::new();
    let mut all: Vec<LoadFailover> = Vec::new();
    for event in events.iter().filter(|event| event.kind == "state") {
        let (Some(id), Some(to)) = (event.backend.as_deref(), event.to.as_deref()) else {
            continue;
        };
        #[allow(clippy::cast_precision_loss)] // of milliseconds
        let at_ms = event.at.as_millisecond() as f64 - began_ms;
        let out = event.rotation.as_deref() == Some("out");
        let back = event.rotation.as_deref() == Some("back");
        let leaves = event.from.as_deref() == Some("up") && to != "up";
        if let Some(one) = open.get_mut(id) {
            let since = at_ms - one.at_s * 1e3;
            if out && one.noticed_ms.is_none() {
                one.noticed_ms = Some(since + event.out_after_ms.unwrap_or(0.0));
            }
            if to == "starting" && one.restarted_ms.is_none() {
                one.restarted_ms = Some(since);
            }
            let is_up = to == "up" && event.from.as_deref() != Some("up");
            if is_up && one.restarted_ms.is_some() {
                one.ready_ms = Some(since);
            }
            let ends = back || (is_up && one.noticed_ms.is_none());
            if ends && let Some(mut one) = open.remove(id) {
                one.back_ms = Some(since);
                all.push(one);
            }
        } else if leaves || out {
            let one = LoadFailover {
                backend: id.to_owned(),
                at_s: at_ms / 1e3,
                what: event.text.clone(),
                by: event.by.clone().unwrap_or_default(),
                noticed_ms: out.then_some(event.out_after_ms.unwrap_or(0.0)),
                restarted_ms: None,
                ready_ms: None,
                back_ms: None,
                first_request_ms: None,
                answered_while_out: None,
            };
            open.insert(id, one);
        }
    }
    all.extend(open.into_values());
    all.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    for one in &mut all {
        look_at_answers(one, tally);
    }
    all
}

fn look_at_answers(one: &mut LoadFailover, tally: &Tally) {
    let place = tally.backends.iter().position(|id| *id == one.backend);
    let Some(place) = place.and_then(|place| u16::try_from(place).ok()) else {
        return;
    };
    if !tally.is_complete() {
        return;
    }
    let of_it = || tally.answers.iter().filter(|a| a.backend == Some(place));
    let after = |ms: f64| {
        let since = Duration::try_from_secs_f64(one.at_s + ms / 1e3);
        since.unwrap_or_default()
    };
    let back = one.back_ms.map(after);
    if let Some(back) = back {
        let first = of_it().filter(|answer| answer.sent >= back);
        let first = first.map(|answer| answer.done).min();
        one.first_request_ms = first.map(|done| (done - back).as_secs_f64() * 1e3);
    }
    if let Some(noticed) = one.noticed_ms {
        let out = after(noticed) + GRAIN;
        let back = back.unwrap_or(Duration::MAX);
        let meanwhile = |answer: &&Answer| answer.sent > out && answer.done < back;
        one.answered_while_out = Some(of_it().filter(meanwhile).count() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(ms: i64, from: &str, to: &str, rotation: Option<&str>) -> Event {
        Event {
            at: jiff::Timestamp::from_millisecond(1_000_000 + ms).unwrap(),
            kind: "state".to_owned(),
            backend: Some("web:8000".to_owned()),
            from: Some(from.to_owned()),
            to: Some(to.to_owned()),
            rotation: rotation.map(str::to_owned),
            out_after_ms: (rotation == Some("out")).then_some(0.4),
            ..Event::default()
        }
    }

    fn tally(done: &[u64]) -> Tally {
        let mut tally = Tally::new(Duration::from_secs(10), None);
        tally.backend("web:8000");
        for &ms in done {
            let sent = Duration::from_millis(ms);
            let answer = Answer {
                due: sent,
                sent,
                done: sent + Duration::from_millis(1),
                sample: 0,
                backend: Some(0),
                attempts: 1,
                status: 200,
                failure: None,
            };
            tally.add(answer, 0);
        }
        tally
    }

    fn check(events: &[Event], answers: &[u64], expected: &[&str]) {
        let found = failovers(events, 1_000_000.0, &tally(answers));
        let texts = found.iter().map(|one| {
            format!(
                "at {} noticed {:?} restarted {:?} ready {:?} back {:?} first {:?} while out {:?}",
                one.at_s,
                one.noticed_ms,
                one.restarted_ms,
                one.ready_ms,
                one.back_ms,
                one.first_request_ms.map(f64::round),
                one.answered_while_out
            )
        });
        assert_eq!(texts.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn killed_and_started() {
        check(
            &[
                event(1000, "up", "stopping", Some("out")),
                event(1001, "stopping", "stopped", None),
                event(3000, "stopped", "starting", None),
                event(3500, "starting", "up", Some("back")),
            ],
            &[900, 3510],
            &[
                "at 1 noticed Some(0.4) restarted Some(2000.0) ready Some(2500.0) back Some(2500.0) first Some(11.0) while out Some(0)",
            ],
        );
    }

    #[test]
    fn found_out_by_traffic() {
        check(
            &[
                event(1000, "up", "stopped", None),
                event(1400, "stopped", "stopped", Some("out")),
            ],
            &[900, 2000],
            &[
                "at 1 noticed Some(400.4) restarted None ready None back None first None while out Some(1)",
            ],
        );
    }

    #[test]
    fn back_before_anybody_noticed() {
        check(
            &[
                event(1000, "up", "backoff", None),
                event(1200, "backoff", "starting", None),
                event(1500, "starting", "up", None),
            ],
            &[],
            &[
                "at 1 noticed None restarted Some(200.0) ready Some(500.0) back Some(500.0) first None while out None",
            ],
        );
    }

    #[test]
    fn twice() {
        let mut events = Vec::new();
        for at in [1000, 5000] {
            events.push(event(at, "up", "draining", Some("out")));
            events.push(event(at + 1000, "draining", "up", Some("back")));
        }
        let found = failovers(&events, 1_000_000.0, &tally(&[]));
        let times: Vec<_> = found.iter().map(|one| (one.at_s, one.back_ms)).collect();
        assert_eq!(times, [(1.0, Some(1000.0)), (5.0, Some(1000.0))]);
    }
}
