//! Four demo backends under a load of GETs and POSTs, and what has to hold of each request when it is over.

use std::time::{Duration, Instant};

use super::{LIMIT, ledger};
use crate::harness::Lbdev;
use crate::load::{Ask, Load, Record, Report};
use crate::wait::{is_long, s, until};

const RATE: u32 = 300;
/// What a backend takes for each request, so that there always are some in flight.
const TAKES_MS: u64 = 40;
/// A request that took this long has waited for something: a queue, a start, the end of a freeze.
const WAITED: Duration = Duration::from_millis(150);

/// What a drill does to the backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// They die under requests: a POST that may have begun is lost, and told so.
    MayDie,
    /// They finish what they have, however late: nothing is lost.
    Lives,
}

/// The kinds of requests of a load, in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Get,
    /// Whose repetition could act twice.
    Post,
    /// Whose repetition the server recognises, as its `Idempotency-Key` says: it may be tried again.
    Keyed,
}

impl Kind {
    /// Moved on by one every four, so that with four backends in their order each gets each kind.
    fn of(number: u64) -> Kind {
        match (number + number / 4) % 3 {
            0 => Kind::Get,
            1 => Kind::Post,
            _ => Kind::Keyed,
        }
    }
}

/// The name under which a POST commits.
fn name(number: u64) -> String {
    format!("r{number}")
}

fn ask(number: u64) -> Ask {
    let kind = Kind::of(number);
    let mut ask = match kind {
        Kind::Get => Ask::get(&format!("/slow?ms={TAKES_MS}")),
        Kind::Post | Kind::Keyed => Ask {
            method: "POST",
            body: b"some=thing".to_vec(),
            ..Ask::get(&format!("/counter?ms={TAKES_MS}"))
        },
    };
    if kind != Kind::Get {
        ask.headers.push(("X-Request-Id", name(number)));
    }
    if kind == Kind::Keyed {
        ask.headers.push(("Idempotency-Key", name(number)));
    }
    // Kept connections and new ones, for each kind and backend.
    ask.afresh = (number / 24).is_multiple_of(4);
    ask
}

/// A drill under way.
pub struct Squad {
    lbdev: Lbdev,
    load: Load,
    what: &'static str,
    holds: Holds,
    begun: Instant,
    rounds: usize,
}

impl Squad {
    /// Four backends, all up, and the load on them by as many clients.
    pub fn new(what: &'static str, holds: Holds, clients: usize) -> Squad {
        Squad::with(what, holds, clients, "")
    }

    /// The same with further lines of the service's table.
    pub fn with(what: &'static str, holds: Holds, clients: usize, service: &str) -> Squad {
        let lbdev = Lbdev::new();
        // Whoever is killed over and over comes back soon each time, and is not given up.
        let restart = "restart = { backoff = \"50ms..200ms\", max = 1000 }";
        let service = format!("{restart}\n{service}");
        lbdev.service_file(&ledger::command(&lbdev), "", &service);
        lbdev.run(&["up", "-d", "--wait"]).ok();
        let load = Load::of(lbdev.ports.listen(), RATE, clients, ask);
        Squad {
            lbdev,
            load,
            what,
            holds,
            begun: Instant::now(),
            rounds: 0,
        }
    }

    /// Does `action` to one backend after the other until the time is over, and has shown what it is to show.
    pub fn drill(&mut self, mut action: impl FnMut(&Lbdev, u16, &Load)) {
        let length = if is_long() { s(30) } else { s(5) };
        let ports = self.lbdev.ports.four();
        while self.begun.elapsed() < length || !self.has_shown() {
            let left = (length + LIMIT).checked_sub(self.begun.elapsed());
            left.expect("whoever is killed over and over is met by a request some time");
            self.load.run_for(100, LIMIT);
            action(&self.lbdev, ports[self.rounds % ports.len()], &self.load);
            self.rounds += 1;
        }
        self.load.run_for(50, LIMIT);
    }

    /// Whether requests of each kind were in flight at one that died, if any dies.
    fn has_shown(&self) -> bool {
        let of = |kind, what: fn(&Record) -> bool| {
            self.load.any(|r| Kind::of(r.number) == kind && what(r))
        };
        match self.holds {
            Holds::Lives => true,
            Holds::MayDie => {
                of(Kind::Get, |r| r.attempts > Some(1))
                    && of(Kind::Post, |r| r.result != Ok(200))
                    && of(Kind::Keyed, |r| r.attempts > Some(1))
            }
        }
    }

    /// Ends the load, and asserts of each request what has to hold.
    pub fn ends(self) -> Report {
        let Squad {
            lbdev,
            load,
            what,
            holds,
            begun,
            rounds,
        } = self;
        let report = load.finish();
        let lasted = begun.elapsed();
        let gets = report.only(|r| Kind::of(r.number) == Kind::Get);
        let posts = report.only(|r| Kind::of(r.number) == Kind::Post);
        let keyed = report.only(|r| Kind::of(r.number) == Kind::Keyed);
        let longest = report.records.iter().map(|record| record.took).max();
        let longest = longest.unwrap_or_default();
        let line = format!(
            "{what}: {rounds} times in {:.1} s; {}; {}; {}; longest {} ms, longest pause {} ms",
            lasted.as_secs_f64(),
            numbers("GET", &gets),
            numbers("POST", &posts),
            numbers("POST with key", &keyed),
            longest.as_millis(),
            report.pause().as_millis(),
        );
        println!("{line}");
        gets.none_lost();
        keyed.none_lost();
        let lost = lost(&posts);
        match holds {
            Holds::Lives => posts.none_lost(),
            Holds::MayDie => {
                for record in &lost {
                    let page = record.page.as_deref().unwrap_or_default();
                    let said = record.result == Ok(502)
                        && page.contains("a repetition could act twice")
                        && record.backend.is_some();
                    assert!(said, "lost without its reason: {record:#?}");
                }
            }
        }
        committed(&lbdev, &posts, &keyed);
        let status = lbdev.status();
        let balancer = &status["balancer"];
        assert_eq!(balancer["failures"], lost.len(), "{status:#}");
        assert_eq!(balancer["waiting"], 0, "{status:#}");
        for port in lbdev.ports.four() {
            assert_eq!(lbdev.backend(port)["in_flight"], 0, "{status:#}");
        }
        crate::numbers::tell(&line);
        report
    }
}

fn lost(report: &Report) -> Vec<&Record> {
    let records = report.records.iter();
    records.filter(|record| record.result != Ok(200)).collect()
}

/// How many have waited for something.
pub fn waited(report: &Report) -> usize {
    let records = report.records.iter();
    records.filter(|record| record.took >= WAITED).count()
}

fn numbers(kind: &str, report: &Report) -> String {
    let count = |what: fn(&Record) -> bool| report.records.iter().filter(|r| what(r)).count();
    format!(
        "{kind}: {} sent, {} lost, {} tried again, {} waited",
        report.records.len(),
        lost(report).len(),
        count(|record| record.result == Ok(200) && record.attempts > Some(1)),
        waited(report),
    )
}

/// No POST ran twice, unless its key allows it, and no more often than it was tried; each that was answered with 200 ran at
/// the backend that the answer names; nothing else ran.
fn committed(lbdev: &Lbdev, posts: &Report, keyed: &Report) {
    let mut commits = ledger::read(lbdev);
    for record in &posts.records {
        let ran = commits.remove(&name(record.number)).unwrap_or_default();
        let named = Vec::from_iter(record.backend);
        let may = ran == named || record.result != Ok(200) && ran.is_empty();
        assert!(may, "it ran at {ran:?}: {record:#?}");
    }
    for record in &keyed.records {
        let ran = commits.remove(&name(record.number)).unwrap_or_default();
        let answered = record.backend.is_some_and(|backend| ran.contains(&backend));
        let tried = record.attempts.unwrap_or_default() as usize;
        assert!(
            answered && ran.len() <= tried,
            "it ran at {ran:?}: {record:#?}"
        );
    }
    assert!(commits.is_empty(), "nobody sent {commits:?}");
}

/// The process of a backend that has one.
pub fn pid(lbdev: &Lbdev, port: u16) -> u32 {
    let row = lbdev.backend(port);
    let pid = row["pid"].as_u64().and_then(|pid| pid.try_into().ok());
    pid.unwrap_or_else(|| panic!("no process: {row:#}"))
}

/// All four, by port.
pub fn pids(lbdev: &Lbdev) -> Vec<(u16, u32)> {
    let ports = lbdev.ports.four();
    ports.iter().map(|&port| (port, pid(lbdev, port))).collect()
}

/// Waits until each of these is up with another process.
pub fn until_replaced(lbdev: &Lbdev, before: &[(u16, u32)]) {
    for &(port, old) in before {
        until(LIMIT, "a new process was up", || {
            let row = lbdev.backend(port);
            row["state"] == "up" && row["pid"] != old
        });
    }
}
