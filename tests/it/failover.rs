//! A backend dies under load, and the page goes on.

use std::time::Instant;

use anyhow::Result;

use crate::harness::Lbdev;
use crate::http::Connection;
use crate::load::Load;
use crate::rotation::goes_round;
use crate::up_django::django_site;
use crate::wait::{drill, s, until};

const RATE: u32 = 200;
const CLIENTS: usize = 16;

#[test]
fn a_kill_under_load_loses_nothing() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    kill_one_under_load(&lbdev);
}

#[test]
fn a_kill_under_load_loses_nothing_with_django() -> Result<()> {
    let Some(lbdev) = django_site()? else {
        return Ok(());
    };
    lbdev.up(&[]);
    kill_one_under_load(&lbdev);
    Ok(())
}

fn kill_one_under_load(lbdev: &Lbdev) {
    let [first, others @ ..] = lbdev.ports.four();
    let name = first.to_string();
    let load = Load::start(lbdev.ports.listen(), "/", RATE, CLIENTS);
    let rounds = drill(s(1)).as_secs();
    let mut killed = Vec::new();
    for _ in 0..rounds {
        load.run_for(200, s(60));
        lbdev.run(&["kill", &name]).ok().says(&name);
        let down_from = Instant::now();
        load.run_for(300, s(60));
        let row = lbdev.backend(first);
        assert_eq!(row["state"], "stopped", "{row:#}");
        assert_eq!(row["last_exit"]["signal"], "SIGKILL", "{row:#}");
        assert_eq!(row["last_exit"]["by"], "operator", "{row:#}");
        killed.push((down_from, Instant::now()));
        if killed.len() < rounds as usize {
            lbdev.run(&["start", &name]).ok();
        }
    }
    let report = load.finish();
    report.none_lost();
    for (from, to) in killed {
        let wrong = report.records.iter().find(|record| {
            record.sent > from && record.sent + record.latency < to && record.backend == Some(first)
        });
        assert!(
            wrong.is_none(),
            "answered by {first} while it was down: {wrong:#?}"
        );
    }
    for port in others {
        assert!(report.by(port) > 50, "{port} answered {}", report.by(port));
    }
    println!(
        "{} requests, none lost; p50 {:?}, p99 {:?}, longest {:?}",
        report.records.len(),
        report.quantile(0.5),
        report.quantile(0.99),
        report.quantile(1.0)
    );

    goes_round(&lbdev.next_ports(12), &others);
    lbdev.run(&["start", &name]).ok();
    lbdev.until_state(first, "up", s(30));
    goes_round(&lbdev.next_ports(12), &lbdev.ports.four());
}

/// SIGKILL from outside, which no verb announces: the policy brings the backend back.
#[test]
fn a_kill_from_outside_loses_nothing_and_is_made_good() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let first = lbdev.ports.first;
    let load = Load::start(lbdev.ports.listen(), "/", RATE, CLIENTS);
    load.run_for(100, s(60));
    let pid = lbdev.backend(first)["pid"]
        .as_u64()
        .expect("it has a process") as u32;
    crate::harness::kill(pid, rustix::process::Signal::KILL);
    until(s(30), "it was up again", || {
        let row = lbdev.backend(first);
        row["state"] == "up" && row["pid"] != pid
    });
    load.run_for(100, s(60));
    load.finish().none_lost();
    let row = lbdev.backend(first);
    assert_eq!(row["restarts"], 1, "{row:#}");
    assert_eq!(row["last_exit"]["by"], "outside", "{row:#}");
    goes_round(&lbdev.next_ports(8), &lbdev.ports.four());
}

/// While nobody is eligible, requests wait; none fails.
#[test]
fn all_killed_at_once_then_started() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    all_down_then_up(&lbdev);
}

#[test]
fn all_killed_at_once_then_started_with_django() -> Result<()> {
    let Some(lbdev) = django_site()? else {
        return Ok(());
    };
    lbdev.up(&[]);
    all_down_then_up(&lbdev);
    Ok(())
}

fn all_down_then_up(lbdev: &Lbdev) {
    let load = Load::start(lbdev.ports.listen(), "/", RATE, CLIENTS);
    load.run_for(200, s(60));
    lbdev.run(&["kill", "all"]).ok();
    let down_from = Instant::now();
    until(s(5), "requests waited", || {
        lbdev.status()["balancer"]["waiting"].as_u64() >= Some(1)
    });
    let status = lbdev.run(&["status"]);
    assert_eq!(status.code, Some(4), "nothing serves: {status}");
    let down_for = down_from.elapsed();
    lbdev.run(&["start", "all"]).ok();
    load.run_for(200, s(60));
    let report = load.finish();
    report.none_lost();
    let waited = report
        .records
        .iter()
        .filter(|record| record.latency >= down_for / 2);
    assert!(waited.count() > 0, "no request has waited");
    for port in lbdev.ports.four() {
        lbdev.until_state(port, "up", s(30));
    }
    goes_round(&lbdev.next_ports(12), &lbdev.ports.four());
    assert_eq!(lbdev.status()["balancer"]["failures"], 0);
}

/// A backend that dies in the middle of a request: what may be sent again is, what may not gets an honest 502.
#[test]
fn a_crash_in_the_middle_of_a_request() {
    let lbdev = Lbdev::new();
    // Three further tries would crash all four: one only here.
    lbdev.demo_file("retries = 1", "restart = { policy = \"never\" }");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let port = lbdev.ports.listen();
    let posted = crate::http::send(port, "POST", "/crash", &[], b"x=1").expect("an answer");
    assert_eq!(posted.status, 502, "{}", posted.text());
    let victim = posted.backend_port().expect("the answer names the backend");
    assert_eq!(posted.header("x-lbdev-attempts"), Some("1"));
    lbdev.until_state(victim, "failed", s(10));

    let gotten = crate::http::get(port, "/crash").expect("an answer");
    assert_eq!(gotten.status, 502, "both tries ended so: {}", gotten.text());
    assert_eq!(gotten.header("x-lbdev-attempts"), Some("2"));
    // Its connection ends a moment before lbdev learns of the process's death.
    let up = || -> Vec<u16> {
        (lbdev.status()["backends"].as_array().unwrap().iter())
            .filter(|row| row["state"] == "up")
            .filter_map(|row| row["port"].as_u64()?.try_into().ok())
            .collect()
    };
    until(s(10), "both were seen to be gone", || up().len() <= 1);
    let left = up();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(lbdev.next_ports(3), [left[0]; 3]);
}

/// A request that ends whoever gets it is not handed round for ever: `retries` bounds how many may fall, also where the
/// policy brings them back meanwhile.
#[test]
fn a_deadly_request_ends_no_more_than_it_may() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let gotten = crate::http::get(lbdev.ports.listen(), "/crash").expect("an answer");
    assert_eq!(gotten.status, 502, "{}", gotten.text());
    assert_eq!(
        gotten.header("x-lbdev-attempts"),
        Some("4"),
        "{}",
        gotten.text()
    );
    until(s(30), "the policy had brought them back", || {
        let status = lbdev.status();
        let restarts = status["backends"].as_array().unwrap().iter();
        let restarts: u64 = restarts.filter_map(|row| row["restarts"].as_u64()).sum();
        assert!(restarts <= 4, "{status:#}");
        restarts == 4 && status["state"] == "serving"
    });
}

/// What was cut in the middle of its body never looks whole.
#[test]
fn a_cut_answer_is_seen_as_cut() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let cut = crate::http::get(lbdev.ports.listen(), "/crash?after=head");
    assert!(
        cut.is_err(),
        "half an answer passed for a whole one: {cut:?}"
    );
    until(s(30), "the policy had brought it back", || {
        let status = lbdev.status();
        let restarts = status["backends"].as_array().unwrap().iter();
        let restarts: u64 = restarts.filter_map(|row| row["restarts"].as_u64()).sum();
        restarts == 1 && status["state"] == "serving"
    });
    goes_round(&lbdev.next_ports(8), &lbdev.ports.four());
}

/// A POST whose backend dies under it is answered with 502, or was never sent: it is not sent twice.
#[test]
fn no_post_runs_twice_under_a_kill() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let (port, first) = (lbdev.ports.listen(), lbdev.ports.first);
    let client = |who: u32| {
        std::thread::spawn(move || {
            let mut connection = None;
            let mut answers = Vec::new();
            for number in 0..150 {
                let id = format!("{who}-{number}");
                let mut kept = match connection.take() {
                    Some(kept) => kept,
                    None => Connection::open(port).expect("the balancer accepts"),
                };
                let response = kept
                    .request(
                        "POST",
                        "/counter",
                        &[("X-Request-Id", &id), ("Accept", "application/json")],
                        b"",
                    )
                    .expect("the balancer answers");
                connection = Some(kept).filter(Connection::is_usable);
                answers.push((id, response.status, response.backend_port()));
            }
            answers
        })
    };
    let clients: Vec<_> = (0..8).map(client).collect();
    let name = first.to_string();
    until(s(30), "POSTs were under way", || {
        lbdev.backend(first)["requests"].as_u64() > Some(20)
    });
    lbdev.run(&["kill", &name]).ok();
    let answers: Vec<_> = clients
        .into_iter()
        .flat_map(|client| client.join().unwrap())
        .collect();
    let mut ran = std::collections::BTreeMap::<String, u64>::new();
    for backend in &lbdev.ports.four()[1..] {
        let ledger = crate::http::get(*backend, "/counter?json").unwrap().json();
        for (id, times) in ledger["requests"].as_object().expect("it remembers names") {
            *ran.entry(id.clone()).or_default() += times.as_u64().unwrap();
        }
    }
    let twice: Vec<_> = ran.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "ran more than once: {twice:?}");
    let (mut fine, mut failed) = (0, 0);
    for (id, status, backend) in answers {
        if status < 400 {
            fine += 1;
            assert!(
                backend == Some(first) || ran.get(&id) == Some(&1),
                "{id}: {status}, but it did not run"
            );
        } else {
            failed += 1;
            assert_eq!(status, 502, "{id}");
            assert!(!ran.contains_key(&id), "{id} failed, but ran elsewhere");
        }
    }
    // At most those that were in flight at the one backend.
    assert!(failed <= 8, "{failed} of {} POSTs failed", fine + failed);
}

/// Requests that wait longer than `queue.timeout` get a 503 that says when to come back.
#[test]
fn waiting_has_an_end() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("queue = { timeout = \"300ms\" }", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    lbdev.run(&["kill", "all"]).ok();
    let begun = Instant::now();
    let answer = lbdev.get("/");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(
        answer.header("retry-after").is_some(),
        "{:?}",
        answer.headers
    );
    assert!(begun.elapsed() >= std::time::Duration::from_millis(250));
    lbdev.run(&["start", "all"]).ok();
    assert_eq!(lbdev.get("/").status, 200);
}
