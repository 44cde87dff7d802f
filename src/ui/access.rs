//! One line an answered request; where there are too many of them, one line a second.

use std::collections::BTreeMap;
use std::time::SystemTime;

use jiff::tz::TimeZone;

use super::Paint;
use super::lines::Names;
use super::units::{clock, count, latency, timestamp, took};
use crate::pool::{Access, AttemptFailure, Count};

/// More requests in one second than a person can read: they are counted instead.
pub const READABLE: u64 = 200;

/// `14:02:11 GET / 200  12ms 8000`, with what was tried in vain. The time is that of the answer's end, when the line is
/// written: the times of a stream never run backwards.
pub fn line(access: &Access, paint: Paint, zone: &TimeZone) -> String {
    let status = access.status.to_string();
    let status = match access.status {
        500.. => paint.bad(&status),
        400.. => paint.attention(&status),
        _ => paint.good(&status),
    };
    let mut text = format!(
        "{} {} {} {status} {:>5} {}",
        paint.dim(&clock(timestamp(access.at + access.took), zone)),
        printable(&access.method),
        printable(&access.target),
        latency(access.took),
        course(access, paint),
    );
    if access.fault {
        text.push_str(" · by a fault");
    }
    if !access.waited.is_zero() {
        text.push_str(&format!(" · waited {} for a backend", took(access.waited)));
    }
    text.push('\n');
    text
}

/// Who answered, and who before it did not: `8000 refused the connection after 0.2 ms → 8001 answered`.
fn course(access: &Access, paint: Paint) -> String {
    let by = access.backend.as_ref().map(|id| id.short());
    if access.attempts.is_empty() {
        return by.unwrap_or_else(|| "lbdev itself".to_owned());
    }
    let mut steps: Vec<String> = access
        .attempts
        .iter()
        .map(|attempt| {
            let step = format!(
                "{} {} after {}",
                attempt.backend.short(),
                attempt.failure.words(),
                took(attempt.after)
            );
            paint.attention(&step)
        })
        .collect();
    // One that was held when it was cut is another's answer in the end.
    let cut = access.attempts.last().is_some_and(|last| {
        last.failure == AttemptFailure::CutBody && access.backend.as_ref() == Some(&last.backend)
    });
    match by {
        // Its answer had begun: nobody else could give the rest.
        Some(_) if cut => steps.push(paint.bad("the client got the part before")),
        Some(by) => steps.push(format!("{by} answered")),
        None => steps.push(paint.bad("lbdev itself answered")),
    }
    steps.join(" → ")
}

/// A client can send what it likes; a terminal must not obey it.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|char| {
            let control = char.is_control();
            let escaped = control.then(|| char.escape_default()).into_iter().flatten();
            escaped.chain((!control).then_some(char))
        })
        .collect()
}

/// What the requests of a second, or of its rest, had in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sum {
    requests: u64,
    /// The first of that second were shown one by one.
    rest: bool,
    statuses: BTreeMap<u16, u64>,
    backends: BTreeMap<String, u64>,
    elsewhere: u64,
    unseen: u64,
}

impl Sum {
    fn add(&mut self, access: &Access) {
        self.requests += 1;
        *self.statuses.entry(access.status).or_default() += 1;
        if let Some(backend) = &access.backend {
            *self.backends.entry(backend.short()).or_default() += 1;
            self.elsewhere += u64::from(!access.attempts.is_empty());
        }
    }

    fn add_count(&mut self, count: &Count) {
        self.requests += count.requests;
        *self.statuses.entry(count.status).or_default() += count.requests;
        if let Some(backend) = &count.backend {
            *self.backends.entry(backend.short()).or_default() += count.requests;
            self.elsewhere += u64::from(count.retried) * count.requests;
        }
    }

    fn is_empty(&self) -> bool {
        self.requests == 0 && self.unseen == 0
    }

    /// `14:02:16 1,204 requests/s · 200: 1,204 · 8000 301 8001 301`.
    pub fn render(&self, at: SystemTime, names: &Names, paint: Paint, zone: &TimeZone) -> String {
        let all = count(self.requests + self.unseen);
        let mut parts = vec![match self.rest {
            true => format!("{all} more requests in this second"),
            false => format!("{all} requests/s"),
        }];
        let statuses = self.statuses.iter().map(|(status, n)| {
            let text = format!("{status}: {}", count(*n));
            match status {
                500.. => paint.bad(&text),
                _ => text,
            }
        });
        parts.extend(statuses);
        let mut backends: Vec<_> = self.backends.iter().collect();
        backends.sort_by_key(|(name, _)| names.place(name));
        let backends: Vec<_> = backends
            .into_iter()
            .map(|(name, n)| format!("{name} {}", count(*n)))
            .collect();
        if !backends.is_empty() {
            parts.push(backends.join(" "));
        }
        if self.elsewhere > 0 {
            let text = format!("{} after a failover", count(self.elsewhere));
            parts.push(paint.attention(&text));
        }
        if self.unseen > 0 {
            parts.push(format!("{} came too fast to look at", count(self.unseen)));
        }
        let clock = paint.dim(&clock(timestamp(at), zone));
        format!("{clock} {}\n", parts.join(" · "))
    }
}

/// Decides what is shown one by one and what is summed up.
#[derive(Debug, Default)]
pub struct Meter {
    second: u64,
    seen: u64,
    summing: bool,
    sum: Sum,
}

/// What is to be shown.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown {
    /// This request.
    One(Access),
    /// The requests of the second that began then.
    Sum(SystemTime, Sum),
}

impl Meter {
    /// A request whose response ended `now`.
    pub fn push(&mut self, access: Access, now: SystemTime, show: &mut impl FnMut(Shown)) {
        self.turn(now, show);
        self.seen += 1;
        if self.seen > READABLE && !self.summing {
            self.summing = true;
            self.sum.rest = true;
        }
        if self.summing {
            self.sum.add(&access);
        } else {
            show(Shown::One(access));
        }
    }

    /// Requests of which not more is known. Those that came while nobody wanted to know more are a part of that second's
    /// sum, those that ended later of the sum of the rest.
    pub fn count(&mut self, count: &Count, now: SystemTime, show: &mut impl FnMut(Shown)) {
        self.turn(now, show);
        self.seen += count.requests;
        self.sum.rest |= !self.summing;
        self.sum.add_count(count);
    }

    /// Requests that were dropped on their way here.
    pub fn unseen(&mut self, n: u64) {
        self.seen += n;
        self.sum.unseen += n;
    }

    /// If the second has passed: what it came to.
    pub fn turn(&mut self, now: SystemTime, show: &mut impl FnMut(Shown)) {
        let second = seconds(now);
        if second == self.second {
            return;
        }
        if !self.sum.is_empty() {
            let began = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(self.second);
            show(Shown::Sum(began, std::mem::take(&mut self.sum)));
        }
        self.summing = self.seen > READABLE;
        self.second = second;
        self.seen = 0;
    }

    /// Whether [`Meter::turn`] has to be called soon.
    pub fn pending(&self) -> bool {
        !self.sum.is_empty() || self.summing
    }

    /// Whether nothing of a request will be shown but its part in a sum.
    pub fn sums(&self) -> bool {
        self.summing
    }
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{BackendId, Slot};
    use crate::pool::Attempt;
    use std::time::Duration;

    fn id(port: u16) -> BackendId {
        BackendId::new("web", Slot::Port(port))
    }

    fn access(backend: Option<u16>, status: u16, attempts: &[(u16, AttemptFailure)]) -> Access {
        Access {
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(50_531),
            method: "GET".into(),
            target: "/".into(),
            status,
            took: Duration::from_millis(12),
            waited: Duration::ZERO,
            fault: false,
            backend: backend.map(id),
            chosen: None,
            attempts: attempts
                .iter()
                .map(|&(port, failure)| Attempt {
                    backend: id(port),
                    failure,
                    after: Duration::from_millis(3),
                })
                .collect(),
        }
    }

    fn shown(access: &Access) -> String {
        line(access, Paint::new(false), &TimeZone::UTC)
    }

    #[test]
    fn lines() {
        use AttemptFailure::{Closed, CutBody, Refused};
        let mut waited = access(Some(8001), 200, &[]);
        waited.waited = Duration::from_millis(1100);
        waited.took = Duration::from_millis(1112);
        let mut evil = access(Some(8000), 404, &[]);
        evil.target = "/\u{1b}[2J".into();
        let text: String = [
            access(Some(8000), 200, &[]),
            access(Some(8001), 200, &[(8000, Closed)]),
            access(Some(8002), 200, &[(8000, Refused), (8001, Refused)]),
            access(None, 502, &[(8000, Refused)]),
            access(None, 503, &[]),
            access(Some(8000), 200, &[(8000, CutBody)]),
            access(Some(8001), 200, &[(8000, CutBody)]),
            waited,
            evil,
        ]
        .iter()
        .map(shown)
        .collect();
        insta::assert_snapshot!(text, @r"
        14:02:11 GET / 200  12ms 8000
        14:02:11 GET / 200  12ms 8000 closed the connection before it answered after 3.0 ms → 8001 answered
        14:02:11 GET / 200  12ms 8000 refused the connection after 3.0 ms → 8001 refused the connection after 3.0 ms → 8002 answered
        14:02:11 GET / 502  12ms 8000 refused the connection after 3.0 ms → lbdev itself answered
        14:02:11 GET / 503  12ms lbdev itself
        14:02:11 GET / 200  12ms 8000 ended in the middle of its answer after 3.0 ms → the client got the part before
        14:02:11 GET / 200  12ms 8000 ended in the middle of its answer after 3.0 ms → 8001 answered
        14:02:12 GET / 200  1.1s 8001 · waited 1.1 s for a backend
        14:02:11 GET /\u{1b}[2J 404  12ms 8000
        ");
    }

    #[test]
    fn a_flood_becomes_one_line_a_second() {
        let at = |second: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(50_000 + second);
        let mut meter = Meter::default();
        let mut text = String::new();
        let mut ones = 0;
        let names = Names::new(["8000", "8001"]);
        let mut show = |shown: Shown| match shown {
            Shown::One(_) => ones += 1,
            Shown::Sum(at, sum) => {
                text.push_str(&sum.render(at, &names, Paint::new(false), &TimeZone::UTC));
            }
        };
        for (second, requests) in [(1, 200), (2, 1204), (3, 1000), (4, 5), (5, 7)] {
            for n in 0..requests {
                let failover = [(8001, AttemptFailure::Refused)];
                let tried = if second == 3 && n < 2 {
                    &failover[..]
                } else {
                    &[]
                };
                let port = 8000 + (n % 2);
                meter.push(access(Some(port), 200, tried), at(second), &mut show);
            }
        }
        meter.unseen(9);
        assert!(meter.pending());
        meter.turn(at(6), &mut show);
        assert!(!meter.pending());
        assert_eq!(ones, 200 + 200 + 7);
        insta::assert_snapshot!(text, @"
        13:53:22 1,004 more requests in this second · 200: 1,004 · 8000 502 8001 502
        13:53:23 1,000 requests/s · 200: 1,000 · 8000 500 8001 500 · 2 after a failover
        13:53:24 5 requests/s · 200: 5 · 8000 3 8001 2
        13:53:25 9 requests/s · 9 came too fast to look at
        ");
    }

    #[test]
    fn requests_that_were_only_counted_are_in_the_sums_and_end_with_the_flood() {
        let at = |second: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(50_000 + second);
        let names = Names::new(["8000", "8001"]);
        let mut text = String::new();
        let mut show = |shown: Shown| match shown {
            Shown::One(_) => {}
            Shown::Sum(at, sum) => {
                text.push_str(&sum.render(at, &names, Paint::new(false), &TimeZone::UTC));
            }
        };
        let count = |backend: Option<u16>, status, retried, requests| Count {
            backend: backend.map(id),
            status,
            retried,
            requests,
        };
        let mut meter = Meter::default();
        for _ in 0..=READABLE {
            meter.push(access(Some(8000), 200, &[]), at(1), &mut show);
        }
        assert!(meter.sums(), "from here on counts will do");
        for n in [
            count(Some(8000), 200, false, 500),
            count(Some(8001), 200, false, 40),
        ] {
            meter.count(&n, at(1), &mut show);
        }
        for n in [
            count(Some(8001), 200, true, 600),
            count(None, 503, false, 7),
        ] {
            meter.count(&n, at(2), &mut show);
        }
        meter.turn(at(3), &mut show);
        assert!(meter.pending(), "the second after a flood is looked at too");
        meter.turn(at(4), &mut show);
        assert!(!meter.pending() && !meter.sums());
        // It began before that, and ended after.
        meter.count(&count(Some(8000), 200, false, 1), at(4), &mut show);
        meter.turn(at(5), &mut show);
        insta::assert_snapshot!(text, @"
        13:53:21 541 more requests in this second · 200: 541 · 8000 501 8001 40
        13:53:22 607 requests/s · 200: 600 · 503: 7 · 8001 600 · 600 after a failover
        13:53:24 1 more requests in this second · 200: 1 · 8000 1
        ");
    }
}
