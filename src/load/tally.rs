//! Everything that was counted.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::answer::{Answer, Failure};

/// So many answers are kept one by one; of a longer load only counts are. They are what sequences and gaps are read from.
pub(super) const KEPT: usize = 500_000;
/// So many parts of the whole time are counted apart.
const PARTS: u32 = 120;
/// Requests of a part at least, if it can be.
const FEW: f64 = 20.0;
/// Lengths of parts that a person can read.
const WIDTHS_MS: [u64; 13] = [
    50, 100, 200, 250, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 3_600_000,
];

/// A part of the time, by when requests were due.
#[derive(Debug, Default)]
pub struct Part {
    /// Requests by who answered them: places in [`Tally::backends`].
    pub by_backend: Vec<u64>,
    /// That failed.
    pub failed: u64,
    /// All.
    pub all: u64,
    /// How long answers took, in microseconds since they were due.
    pub took: Option<Histogram<u32>>,
}

/// Everything that was counted.
#[derive(Debug)]
pub struct Tally {
    /// Requests that have ended.
    pub requests: u64,
    /// Of those, how many failed.
    pub failed: u64,
    /// Failures by reason.
    pub failures: BTreeMap<Failure, u64>,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests that were answered after more than one try, as the balancer says.
    pub elsewhere: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Who answered, in the order in which they were first seen.
    pub backends: Vec<String>,
    /// Answers of each of them.
    pub by_backend: Vec<Histogram<u64>>,
    /// Microseconds from due to done, of answers.
    pub latency: Histogram<u64>,
    /// Microseconds from sent to done, of answers.
    pub service: Histogram<u64>,
    /// Microseconds from due to when the load came to it: its own lateness, which no server is to blame for.
    pub behind: Histogram<u64>,
    /// Every answer, in the order in which they ended, as long as there are not too many.
    pub answers: Vec<Answer>,
    /// How long each of `parts` is.
    pub width: Duration,
    /// Parts of the time.
    pub parts: Vec<Part>,
}

/// Microseconds, of which three digits are kept. It grows as it needs.
fn histogram() -> Histogram<u64> {
    match Histogram::new(3) {
        Ok(histogram) => histogram,
        Err(_) => unreachable!("three digits are fewer than five"),
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros())
        .unwrap_or(u64::MAX)
        .max(1)
}

/// A duration beyond a histogram's range would need months.
pub(super) fn note<C: hdrhistogram::Counter>(histogram: &mut Histogram<C>, micros: u64) {
    let _ = histogram.record(micros);
}

impl Tally {
    /// Of a load that is to last so long. Each part has room for a few requests of each backend, where it is known how many a
    /// second there will be: with fewer its bars would show chance.
    pub fn new(lasts: Duration, rps: Option<f64>) -> Self {
        let few = Duration::from_secs_f64(rps.map_or(0.0, |rps| FEW / rps)).min(lasts / 10);
        let fits = |ms: &&u64| {
            let width = Duration::from_millis(**ms);
            width * PARTS >= lasts && width >= few
        };
        let width = WIDTHS_MS.iter().find(fits).copied();
        Self {
            requests: 0,
            failed: 0,
            failures: BTreeMap::new(),
            statuses: BTreeMap::new(),
            elsewhere: 0,
            bytes: 0,
            backends: Vec::new(),
            by_backend: Vec::new(),
            latency: histogram(),
            service: histogram(),
            behind: histogram(),
            answers: Vec::new(),
            width: Duration::from_millis(width.unwrap_or(WIDTHS_MS[WIDTHS_MS.len() - 1])),
            parts: Vec::new(),
        }
    }

    /// The place of this backend.
    pub(super) fn backend(&mut self, id: &str) -> u16 {
        let known = self.backends.iter().position(|known| known == id);
        let place = known.unwrap_or_else(|| {
            self.backends.push(id.to_owned());
            self.by_backend.push(histogram());
            self.backends.len() - 1
        });
        u16::try_from(place).unwrap_or(u16::MAX)
    }

    /// Counts a request that has ended, with the bytes of its answer.
    pub(super) fn add(&mut self, answer: Answer, bytes: u64) {
        self.requests += 1;
        self.bytes += bytes;
        let part = self.part(answer.due);
        part.all += 1;
        if let Some(backend) = answer.backend {
            let place = usize::from(backend);
            if part.by_backend.len() <= place {
                part.by_backend.resize(place + 1, 0);
            }
            part.by_backend[place] += 1;
        }
        // What came whole has a latency, whatever it says.
        let latency = match answer.failure {
            None | Some(Failure::Status(_)) => Some(micros(answer.latency())),
            Some(_) => None,
        };
        if answer.failure.is_some() {
            part.failed += 1;
        }
        if let Some(latency) = latency {
            let took = part.took.get_or_insert_with(|| match Histogram::new(2) {
                Ok(histogram) => histogram,
                Err(_) => unreachable!("two digits are fewer than five"),
            });
            note(took, latency);
            note(&mut self.latency, latency);
            note(&mut self.service, micros(answer.service()));
            if let Some(of) = answer
                .backend
                .and_then(|b| self.by_backend.get_mut(usize::from(b)))
            {
                note(of, latency);
            }
        }
        if let Some(failure) = answer.failure {
            self.failed += 1;
            *self.failures.entry(failure).or_default() += 1;
        }
        if answer.status != 0 {
            *self.statuses.entry(answer.status).or_default() += 1;
        }
        if answer.attempts > 1 && answer.failure.is_none() {
            self.elsewhere += 1;
        }
        if self.answers.len() < KEPT {
            self.answers.push(answer);
        }
    }

    /// Every answer is kept one by one.
    pub fn is_complete(&self) -> bool {
        self.answers.len() as u64 == self.requests
    }

    fn part(&mut self, due: Duration) -> &mut Part {
        let place = due.as_nanos() / self.width.as_nanos().max(1);
        let place = usize::try_from(place).unwrap_or(usize::MAX).min(100_000);
        if self.parts.len() <= place {
            self.parts.resize_with(place + 1, Part::default);
        }
        &mut self.parts[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn answer(due: u64, sent: u64, done: u64) -> Answer {
        Answer {
            due: ms(due),
            sent: ms(sent),
            done: ms(done),
            sample: 0,
            backend: Some(0),
            attempts: 1,
            status: 200,
            failure: None,
        }
    }

    #[test]
    fn a_wait_before_it_is_sent_is_a_part_of_the_latency() {
        let mut tally = Tally::new(ms(10_000), None);
        tally.backend("web:8000");
        tally.add(answer(0, 900, 1000), 10);
        assert!((990..=1010).contains(&(tally.latency.max() / 1000)));
        assert!((99..=101).contains(&(tally.service.max() / 1000)));
    }

    #[test]
    fn what_is_counted() {
        let mut tally = Tally::new(ms(10_000), None);
        assert_eq!(tally.width, ms(100));
        tally.backend("web:8000");
        assert_eq!(tally.backend("web:8001"), 1);
        assert_eq!(tally.backend("web:8000"), 0);
        tally.add(answer(0, 0, 1), 10);
        tally.add(
            Answer {
                attempts: 2,
                ..answer(250, 250, 260)
            },
            10,
        );
        tally.add(
            Answer {
                status: 503,
                failure: Some(Failure::Status(503)),
                backend: None,
                ..answer(260, 260, 300)
            },
            10,
        );
        tally.add(
            Answer {
                status: 0,
                failure: Some(Failure::Refused),
                backend: None,
                ..answer(270, 270, 271)
            },
            0,
        );
        assert_eq!((tally.requests, tally.failed, tally.elsewhere), (4, 2, 1));
        assert_eq!(tally.latency.len(), 3, "a refused one has no latency");
        assert_eq!(tally.statuses, BTreeMap::from([(200, 2), (503, 1)]));
        assert_eq!(tally.parts.len(), 3);
        assert_eq!(tally.parts[2].by_backend, [1]);
        assert_eq!((tally.parts[2].all, tally.parts[2].failed), (3, 2));
        assert!(tally.is_complete());
    }

    #[test]
    fn parts_are_as_long_as_a_person_can_read() {
        for (lasts, width) in [
            (1, 50),
            (6_000, 50),
            (6_001, 100),
            (30_000, 250),
            (60_000, 500),
            (3_600_000, 30_000),
            (u64::from(u32::MAX) * 1000, 3_600_000),
        ] {
            assert_eq!(Tally::new(ms(lasts), None).width, ms(width), "{lasts}");
        }
        for (lasts, rps, width) in [(6_000, 200.0, 100), (6_000, 1.0, 1000), (6_000, 1e5, 50)] {
            assert_eq!(Tally::new(ms(lasts), Some(rps)).width, ms(width), "{rps}");
        }
    }
}
