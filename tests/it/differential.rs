//! lbdev between a client and a backend changes nothing but what it says: the same generated exchanges go straight to a
//! backend and through lbdev, and both ends have to see the same, save what [`rules`] lists. `LBDEV_TEST_SEED` asks for
//! other exchanges; `tests/run --long` for ten times as many.

mod backend;
mod client;
mod generate;
mod h2;
mod hostile;
mod message;
mod rules;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};

use crate::harness::Lbdev;
use crate::wait::is_long;
use backend::{Asked, Backend};
use client::{Client, Got};
use generate::{Exchange, exchange};
use message::{Framing, Message};
use rules::{NOW, OF_ANSWERS, OF_REQUESTS, Said, Way, changed, idle};

/// Exchanges of a test.
fn count() -> u32 {
    if is_long() { 5000 } else { 500 }
}

fn seed() -> u64 {
    let said = std::env::var("LBDEV_TEST_SEED").ok();
    said.map_or(20_261_123, |seed| seed.parse().expect("a seed is a number"))
}

/// One pass of all exchanges: what the backend was asked, and what the clients got.
struct Pass {
    asked: Asked,
    backend: Backend,
}

impl Pass {
    /// A backend at `port`.
    fn new(exchanges: &Arc<Vec<Exchange>>, port: u16) -> Pass {
        let asked = Asked::default();
        let answers = backend::answers(exchanges.clone(), asked.clone());
        Pass {
            asked,
            backend: Backend::start(port, answers),
        }
    }

    /// The one request that the backend got.
    fn asked(&self, number: u32) -> Result<Message> {
        let mut asked = self.asked.lock().expect("nobody panics with it");
        let mut all = asked.remove(&number).context("the backend was not asked")?;
        ensure!(all.len() == 1, "the backend was asked {} times", all.len());
        all.pop().context("it is there")
    }
}

/// What clients get of a server at `port`, several of them at once, each on a connection that it keeps while it may.
fn ask_all(exchanges: &[Exchange], port: u16) -> Result<BTreeMap<u32, Got>> {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(BTreeMap::new());
    let work = || -> Result<()> {
        let mut client = Client::new(port);
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(exchange) = exchanges.get(number) else {
                return Ok(());
            };
            let got = client
                .ask(exchange)
                .with_context(|| about(number as u32, exchange))?;
            let mut all = all.lock().expect("nobody panics with it");
            all.insert(number as u32, got);
        }
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        let mut ends = clients.into_iter().map(|client| client.join());
        ends.try_for_each(|end| end.expect("it does not panic"))
    })?;
    Ok(all.into_inner().expect("nobody panics with it"))
}

fn about(number: u32, exchange: &Exchange) -> String {
    format!(
        "exchange {number} of seed {}:\n{:?}",
        seed(),
        exchange.request
    )
}

/// By the exchange's number: what the backend was asked, and what the client got.
type Seen = BTreeMap<u32, (Message, Got)>;

/// All exchanges, and what was seen of them without lbdev, which is what was meant.
fn straight() -> Result<(Arc<Vec<Exchange>>, Seen)> {
    let exchanges: Vec<_> = (0..count()).map(|n| exchange(seed(), n)).collect();
    let exchanges = Arc::new(exchanges);
    let pass = Pass::new(&exchanges, 0);
    let mut seen = BTreeMap::new();
    for (number, got) in ask_all(&exchanges, pass.backend.port)? {
        let exchange = &exchanges[number as usize];
        let asked = pass
            .asked(number)
            .with_context(|| about(number, exchange))?;
        let about = || about(number, exchange);
        same("the request", &exchange.request, &asked).with_context(about)?;
        same("the answer", &exchange.answer, &got.answer).with_context(about)?;
        ensure!(exchange.interims == got.interims, "{}", about());
        seen.insert(number, (asked, got));
    }
    Ok((exchanges, seen))
}

fn same(what: &str, expected: &Message, seen: &Message) -> Result<()> {
    let place = expected
        .body
        .iter()
        .zip(&seen.body)
        .position(|(a, b)| a != b);
    ensure!(
        expected == seen,
        "{what} is\n{seen:?}and not\n{expected:?}(the bodies differ from {place:?})"
    );
    Ok(())
}

/// A `Date` that was not the backend's is that of now.
fn mask_date(answer: &mut Message, of_backend: &Message) {
    if of_backend.get("date").is_none() {
        let dates = answer.fields.iter_mut();
        for (_, value) in dates.filter(|(name, _)| message::is(name, "date")) {
            let text = std::str::from_utf8(value).unwrap_or_default();
            let date = httpdate::parse_http_date(text);
            let age = date.ok().and_then(|date| date.elapsed().ok());
            if age.is_some_and(|age| age < crate::wait::s(120)) {
                *value = NOW.into();
            }
        }
    }
}

/// The instance between, and how its messages are to differ.
fn between(pass: &Pass, lbdev: &Lbdev, h2: bool) -> Way {
    let port = pass.backend.port.to_string();
    let listen = lbdev.ports.listen();
    let at = listen.to_string();
    let up = ["up", "-d", "--wait", "--external", &port, "--listen", &at];
    lbdev.run(&up).ok();
    let backend = lbdev.backend(pass.backend.port)["id"].clone();
    Way {
        h2,
        listen,
        backend: backend.as_str().expect("it has a name").to_owned(),
        closes: false,
    }
}

/// What went through is what went straight, save what has to change.
fn compare(
    way: &mut Way,
    pass: &Pass,
    (number, exchange): (u32, &Exchange),
    straight: &(Message, Got),
    mut got: Got,
) -> Result<Vec<Said>> {
    way.closes = exchange.closes;
    let (asked, answered) = straight;
    let mut through = pass.asked(number)?;
    through.trailers.sort_by(|a, b| a.0.cmp(&b.0));
    let (expected, mut used) = changed(asked.clone(), &OF_REQUESTS, way);
    same("the request", &expected, &through).with_context(|| format!("by {used:#?}"))?;
    let (expected, more) = changed(answered.answer.clone(), &OF_ANSWERS, way);
    mask_date(&mut got.answer, &answered.answer);
    got.answer.trailers.sort_by(|a, b| a.0.cmp(&b.0));
    same("the answer", &expected, &got.answer).with_context(|| format!("by {more:#?}"))?;
    used.extend(more);
    if !way.h2 {
        // hyper's client has no ear for them.
        let expected = answered.interims.iter().cloned().map(rules::interim);
        let expected: Vec<Message> = expected.collect();
        ensure!(
            expected == got.interims,
            "interim answers: {:?}",
            got.interims
        );
    }
    Ok(used)
}

#[test]
fn exchanges_in_http_1() -> Result<()> {
    let (exchanges, seen) = straight()?;
    let lbdev = Lbdev::new();
    let pass = Pass::new(&exchanges, lbdev.ports.first);
    let mut way = between(&pass, &lbdev, false);
    let mut used = Vec::new();
    for (number, got) in ask_all(&exchanges, way.listen)? {
        let exchange = &exchanges[number as usize];
        let rules = compare(&mut way, &pass, (number, exchange), &seen[&number], got);
        used.extend(rules.with_context(|| about(number, exchange))?);
    }
    assert_eq!(idle(&used, way.h2), [], "rules without a case");
    lbdev.run(&["down"]).ok();
    Ok(())
}

#[tokio::test]
async fn exchanges_in_http_2() -> Result<()> {
    let (exchanges, seen) = straight()?;
    let lbdev = Lbdev::new();
    let pass = Pass::new(&exchanges, lbdev.ports.first);
    let mut way = between(&pass, &lbdev, true);
    let mut used = Vec::new();
    let mut streams = tokio::task::JoinSet::new();
    let mut connections = Vec::new();
    for _ in 0..3 {
        connections.push(h2::Client::connect(way.listen).await?);
    }
    for at_once in 0..12 {
        // Four streams at once on each.
        let mut client = connections[at_once % 3].clone();
        let exchanges = exchanges.clone();
        streams.spawn(async move {
            let mut all = Vec::new();
            for (number, exchange) in exchanges.iter().enumerate().skip(at_once).step_by(12) {
                let got = client.ask(&exchange.request).await;
                let number = number as u32;
                all.push((number, got.with_context(|| about(number, exchange))?));
            }
            anyhow::Ok(all)
        });
    }
    while let Some(all) = streams.join_next().await {
        for (number, answer) in all?? {
            let got = Got {
                interims: Vec::new(),
                answer,
            };
            let exchange = &exchanges[number as usize];
            let rules = compare(&mut way, &pass, (number, exchange), &seen[&number], got);
            used.extend(rules.with_context(|| about(number, exchange))?);
        }
    }
    assert_eq!(idle(&used, way.h2), [], "rules without a case");
    lbdev.run(&["down"]).ok();
    Ok(())
}

/// What the tests above stand on: each kind of exchange is among them.
#[test]
fn the_exchanges_are_of_many_kinds() {
    let all: Vec<_> = (0..count()).map(|n| exchange(seed(), n)).collect();
    let share = |what: &str, least: usize, kind: &dyn Fn(&Exchange) -> bool| {
        let count = all.iter().filter(|exchange| kind(exchange)).count();
        assert!(count >= least, "only {count} exchanges have {what}");
    };
    share("a chunked request", 40, &|e| {
        e.request.framing == Framing::Chunked
    });
    share("a request with a length", 80, &|e| {
        e.request.framing == Framing::Length
    });
    share("trailers of a request", 8, &|e| {
        !e.request.trailers.is_empty()
    });
    share("a long request", 10, &|e| e.request.body.len() > 100_000);
    share("an expectation", 8, &|e| e.waits);
    share("an absolute target", 10, &|e| {
        e.request.start[1].starts_with(b"http")
    });
    share("an end by the client", 30, &|e| e.closes);
    share("an end by the backend", 60, &|e| e.ends);
    share("a chunked answer", 50, &|e| {
        e.answer.framing == Framing::Chunked
    });
    share("an answer until the end", 50, &|e| {
        e.answer.framing == Framing::UntilClose
    });
    share("trailers of an answer", 12, &|e| {
        !e.answer.trailers.is_empty()
    });
    share("a long answer", 10, &|e| e.answer.body.len() > 100_000);
    share("an interim answer", 60, &|e| !e.interims.is_empty());
    share("an empty reason", 40, &|e| e.answer.start[2].is_empty());
    share("several cookies set", 25, &|e| {
        e.answer.all("set-cookie").count() > 1
    });
    share("HEAD", 40, &|e| e.request.start[0] == b"HEAD");
    for class in 2..6 {
        share("each class of statuses", 30, &|e| {
            e.answer.status() / 100 == class
        });
    }
}
