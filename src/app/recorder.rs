//! Writes what happens into the journal: changes of state, and requests that did not go well at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jiff::tz::TimeZone;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::backend::{BackendId, By, Exit};
use crate::control::Journal;
use crate::error::Report;
use crate::pool::{Access, AccessLog, since_start};
use crate::supervisor::{Cause, Change, Handle, exit_words};
use crate::ui::changes::Teller;
use crate::ui::units::{timestamp, took};
use crate::ui::{Paint, plural};
use crate::wire::{Event, EventAttempt, EventRequest};

/// So many requests are told of one by one; of more that come together, one of each kind with their number.
const ONE_BY_ONE: usize = 8;
/// What comes within this time comes together.
const TOGETHER: Duration = Duration::from_secs(1);

/// Records until the supervisor ends.
/// `ours`: lbdev balances, and knows who gets requests.
pub(super) fn start(
    journal: &Arc<Journal>,
    supervisor: &Handle,
    access: &Arc<AccessLog>,
    ours: bool,
) {
    tokio::spawn(states(journal.clone(), supervisor.changes(), ours));
    tokio::spawn(requests(journal.clone(), access.clone()));
}

async fn states(journal: Arc<Journal>, mut changes: broadcast::Receiver<Change>, ours: bool) {
    let mut teller = Teller::default();
    loop {
        let change = match changes.recv().await {
            Ok(change) => change,
            // What was missed is missed; what comes is told.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        let ago = SystemTime::now()
            .duration_since(change.at)
            .unwrap_or_default();
        let at = since_start(Instant::now()).saturating_sub(ago);
        journal.state(&change.id, change.to, at);
        let said = teller.tell(&change, false, Paint::new(false), &TimeZone::UTC);
        // A change that is a part of another story is one all the same, for programs.
        if said.words.is_none() && change.from == change.to {
            continue;
        }
        let to = change.to.word();
        journal.push(Event {
            at: to_the_millisecond(change.at),
            kind: "state".to_owned(),
            backend: Some(change.id.to_string()),
            text: said.words.unwrap_or_else(|| plain(&change)),
            from: Some(change.from.word().to_owned()),
            to: Some(to.to_owned()),
            by: Some(by(&change.cause).to_owned()),
            pid: change.pid,
            after_ms: Some(ms(change.after)),
            rotation: rotation(&change).filter(|_| ours).map(str::to_owned),
            out_after_ms: change.out_after.filter(|_| ours).map(ms),
            ..Event::default()
        });
    }
}

/// What it means for the rotation, if anything.
fn rotation(change: &Change) -> Option<&'static str> {
    match change.out_after {
        // Without a port it is in no rotation.
        _ if change.id.port().is_none() => None,
        Some(_) => Some("out"),
        None => change.back.then_some("back"),
    }
}

/// What is said of a change that is told with another one on a screen.
fn plain(change: &Change) -> String {
    match &change.cause {
        Cause::Exited(exit) => format!("has ended: {}", exit_words(exit)),
        _ => format!("is {}", change.to.word()),
    }
}

fn by(cause: &Cause) -> &'static str {
    match cause {
        Cause::Asked(_) => "operator",
        Cause::Turn | Cause::Shutdown | Cause::Drained | Cause::TimeLimit => "lbdev",
        Cause::Exited(Exit { by, .. }) => match by {
            By::Operator => "operator",
            By::Lbdev => "lbdev",
            By::Itself => "self",
            By::Outside => "outside",
        },
        Cause::LaunchFailed(_) => "self",
        Cause::Ready | Cause::Checked(_) | Cause::FailTimeOver => "checks",
        Cause::Refused | Cause::Failing { .. } => "traffic",
    }
}

async fn requests(journal: Arc<Journal>, access: Arc<AccessLog>) {
    loop {
        let began = tokio::time::Instant::now();
        let (taken, more) = access.take_incidents().await;
        for event in told(taken, more) {
            journal.push(event);
        }
        tokio::time::sleep_until(began + TOGETHER / 4).await;
    }
}

/// A few one by one; many as one of each kind.
fn told(taken: Vec<Access>, more: u64) -> Vec<Event> {
    if taken.len() <= ONE_BY_ONE {
        return taken.into_iter().map(|access| event(access, 1)).collect();
    }
    let mut kinds: Vec<(Access, u64)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for access in taken {
        let key = course(&access);
        match places.get(&key) {
            Some(&place) => kinds[place].1 += 1,
            None => {
                places.insert(key, kinds.len());
                kinds.push((access, 1));
            }
        }
    }
    // They came too fast to be looked at: most likely they were like most.
    if let Some(most) = kinds.iter_mut().max_by_key(|(_, count)| *count) {
        most.1 += more;
    }
    let each = kinds
        .into_iter()
        .map(|(access, count)| event(access, count));
    each.collect()
}

fn event(access: Access, count: u64) -> Event {
    let lost = access.backend.is_none();
    let attempts = access.attempts.iter().map(|attempt| EventAttempt {
        backend: attempt.backend.to_string(),
        failure: attempt.failure.name().to_owned(),
        after_ms: ms(attempt.after),
    });
    let course = course(&access);
    let text = match count {
        1 => format!(
            "{} {} {} {course}",
            access.method, access.target, access.status
        ),
        n => format!(
            "{} {course}",
            plural(
                usize::try_from(n).unwrap_or(usize::MAX),
                "request",
                "requests"
            )
        ),
    };
    let text = match access.waited.is_zero() || count > 1 {
        true => text,
        false => format!("{text} · waited {}", took(access.waited)),
    };
    Event {
        at: to_the_millisecond(access.at + access.took),
        kind: if lost { "lost" } else { "failover" }.to_owned(),
        backend: access.backend.as_ref().map(BackendId::to_string),
        text: text.chars().filter(|c| !c.is_control()).collect(),
        count,
        request: Some(EventRequest {
            status: access.status,
            took_ms: ms(access.took),
            waited_ms: ms(access.waited),
            attempts: attempts.collect(),
            method: access.method,
            target: access.target,
        }),
        ..Event::default()
    }
}

/// What became of it, without times: alike for those that fared alike.
fn course(access: &Access) -> String {
    let steps = access
        .attempts
        .iter()
        .map(|attempt| format!("{} {}", attempt.backend.short(), attempt.failure.words()));
    let mut steps: Vec<String> = steps.collect();
    let last = access.attempts.last().map(|last| &last.backend);
    steps.push(match &access.backend {
        Some(by) if Some(by) == last => "the client got a part".to_owned(),
        Some(by) => format!("{} answered", by.short()),
        None => format!("lost: lbdev answered {}", access.status),
    });
    let fault = if access.fault { " (by a fault)" } else { "" };
    format!("{}{fault}", steps.join(" → "))
}

/// What lbdev itself has to say.
pub(super) fn note(text: &str) -> Event {
    Event {
        at: jiff::Timestamp::now(),
        kind: "note".to_owned(),
        text: text.to_owned(),
        ..Event::default()
    }
}

/// Of trouble.
pub(super) fn trouble(report: &Report) -> Event {
    Event {
        kind: "trouble".to_owned(),
        code: Some(report.code.to_owned()),
        ..note(&report.message)
    }
}

fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn to_the_millisecond(at: SystemTime) -> jiff::Timestamp {
    let at = timestamp(at).as_millisecond();
    jiff::Timestamp::from_millisecond(at).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Slot;
    use crate::pool::{Attempt, AttemptFailure};

    fn access(answered_by: Option<u16>, failed: &[u16]) -> Access {
        let id = |port| BackendId::new("web", Slot::Port(port));
        let attempt = |&port: &u16| Attempt {
            backend: id(port),
            failure: AttemptFailure::Closed,
            after: Duration::from_millis(3),
        };
        Access {
            at: SystemTime::UNIX_EPOCH,
            method: "GET".into(),
            target: "/a\u{1b}[2J".into(),
            status: if answered_by.is_some() { 200 } else { 502 },
            took: Duration::from_millis(12),
            waited: Duration::ZERO,
            fault: false,
            backend: answered_by.map(id),
            chosen: None,
            attempts: failed.iter().map(attempt).collect(),
        }
    }

    #[test]
    fn a_few_are_told_one_by_one_and_many_by_their_kind() {
        let text = |taken: Vec<Access>, more| -> String {
            let events = told(taken, more);
            let lines = events.iter().map(|event| {
                format!(
                    "{} {:?} ×{} {}\n",
                    event.kind, event.backend, event.count, event.text
                )
            });
            lines.collect()
        };
        let few = vec![
            access(Some(8001), &[8000]),
            access(None, &[8000, 8001]),
            access(Some(8000), &[8000]),
        ];
        insta::assert_snapshot!(text(few, 0), @r#"
        failover Some("web:8001") ×1 GET /a[2J 200 8000 closed the connection before it answered → 8001 answered
        lost None ×1 GET /a[2J 502 8000 closed the connection before it answered → 8001 closed the connection before it answered → lost: lbdev answered 502
        failover Some("web:8000") ×1 GET /a[2J 200 8000 closed the connection before it answered → the client got a part
        "#);
        let mut many = vec![access(None, &[8000])];
        many.extend((0..20).map(|_| access(Some(8001), &[8000])));
        insta::assert_snapshot!(text(many, 100), @r#"
        lost None ×1 GET /a[2J 502 8000 closed the connection before it answered → lost: lbdev answered 502
        failover Some("web:8001") ×120 120 requests 8000 closed the connection before it answered → 8001 answered
        "#);
    }
}
