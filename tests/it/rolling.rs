//! New processes one after the other, and backends that get no requests, while the page goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;

use crate::harness::Lbdev;
use crate::http::{self, Connection};
use crate::load::Load;
use crate::rotation::goes_round;
use crate::up_django::django_site;
use crate::wait::{s, until};

const RATE: u32 = 200;
const CLIENTS: usize = 16;

fn pids(lbdev: &Lbdev) -> Vec<u64> {
    let status = lbdev.status();
    let rows = status["backends"].as_array().unwrap().iter();
    rows.filter_map(|row| row["pid"].as_u64()).collect()
}

#[test]
fn a_rolling_restart_under_load_is_not_noticed() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    restart_all_under_load(&lbdev);
}

#[test]
fn a_rolling_restart_under_load_is_not_noticed_with_django() -> Result<()> {
    let Some(lbdev) = django_site()? else {
        return Ok(());
    };
    lbdev.up(&[]);
    restart_all_under_load(&lbdev);
    Ok(())
}

fn restart_all_under_load(lbdev: &Lbdev) {
    let before = pids(lbdev);
    let load = Load::start(lbdev.ports.listen(), "/", RATE, CLIENTS);
    load.run_for(100, s(60));
    let done = lbdev.run(&["restart", "all", "--rolling"]).ok();
    load.run_for(100, s(60));
    let report = load.finish();
    report.none_lost();
    // One that had run into a restart would have been tried again elsewhere, or would have waited.
    let again = report.records.iter().find(|r| r.attempts != Some(1));
    assert!(again.is_none(), "{again:?}");
    let status = lbdev.status();
    assert_eq!(status["balancer"]["retries"], 0, "{status:#}");
    assert_eq!(status["state"], "serving", "{status:#}");
    for row in status["backends"].as_array().unwrap() {
        assert_eq!((&row["restarts"], &row["failures"]), (&1.into(), &0.into()));
    }
    assert!(pids(lbdev).iter().all(|pid| !before.contains(pid)));
    let order: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(order.len(), 4, "{done}");
    for (line, port) in order.iter().zip(lbdev.ports.four()) {
        assert!(line.starts_with(&format!("● {port} up after ")), "{done}");
    }
    println!(
        "{} requests, p99 {:?}, longest {:?}",
        report.records.len(),
        report.quantile(0.99),
        report.quantile(1.0)
    );
    goes_round(&lbdev.next_ports(8), &lbdev.ports.four());
}

/// Two that take 3 s to start: a request that waited for one of them would show it.
#[test]
fn nobody_waits_for_a_start() {
    let lbdev = Lbdev::new();
    let server = lbdev.script(
        "server",
        &format!(
            "#!/bin/sh\n[ -e slow ] && sleep 3\nexec {} __demo --port \"$1\"\n",
            crate::harness::LBDEV
        ),
    );
    let command = format!("{} {{port}}", server.display());
    lbdev.up(&["-c", &command, "-n", "2"]);
    lbdev.write("slow", "");
    // Few, so that a busy machine's own slowness is not taken for waiting.
    let load = Load::start(lbdev.ports.listen(), "/", 60, CLIENTS);
    let done = lbdev.run(&["restart", "web", "--rolling"]).ok();
    assert!(done.took > s(6), "one after the other: {done}");
    let report = load.finish();
    report.none_lost();
    let longest = report.quantile(1.0);
    assert!(longest < Duration::from_millis(2500), "{longest:?}");
    done.says_not("they wait while");

    // With nobody else there, they do wait, and none fails.
    std::fs::remove_file(lbdev.dir.join("slow")).unwrap();
    let [first, second, ..] = lbdev.ports.four();
    lbdev.run(&["kill", &second.to_string()]).ok();
    let load = Load::start(lbdev.ports.listen(), "/", RATE, CLIENTS);
    lbdev
        .run(&["restart", &first.to_string(), "--rolling"])
        .ok()
        .says(&format!("they wait while {first} restarts"));
    load.run_for(50, s(60));
    load.finish().none_lost();
}

/// Commits of each named POST so far, at one backend itself.
fn ledger(port: u16) -> BTreeMap<String, u64> {
    let ledger = http::get(port, "/counter?json").unwrap().json();
    let names = ledger["requests"].as_object().expect("it remembers names");
    let counts = names
        .iter()
        .map(|(id, n)| (id.clone(), n.as_u64().unwrap()));
    counts.collect()
}

/// A new process remembers nothing: those who answered before a restart are told by their answers, the others by their
/// ledgers. Each POST must be answered, at its first attempt, by one backend, where it ran once.
#[test]
fn posts_run_exactly_once_during_a_rolling_restart() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let port = lbdev.ports.listen();
    let stop = Arc::new(AtomicBool::new(false));
    let client = |who: usize| {
        let stop = stop.clone();
        std::thread::spawn(move || {
            let (mut connection, mut answers) = (None, Vec::new());
            while !stop.load(Ordering::Relaxed) {
                let id = format!("{who}-{}", answers.len());
                let kept = connection.take();
                let mut kept = kept.unwrap_or_else(|| Connection::open(port).unwrap());
                let headers = [
                    ("X-Request-Id", id.as_str()),
                    ("Accept", "application/json"),
                ];
                let response = kept.request("POST", "/counter", &headers, b"");
                let response = response.expect("the balancer answers");
                let attempts = response.header("x-lbdev-attempts").map(str::to_owned);
                let times = response.json()["times"].as_u64();
                answers.push((
                    id,
                    response.status,
                    attempts,
                    times,
                    response.backend_port(),
                ));
                connection = Some(kept).filter(Connection::is_usable);
            }
            answers
        })
    };
    let clients: Vec<_> = (0..CLIENTS).map(client).collect();
    until(s(30), "POSTs were under way", || {
        lbdev.backend(lbdev.ports.first)["requests"].as_u64() > Some(20)
    });
    lbdev.run(&["restart", "all", "--rolling"]).ok();
    stop.store(true, Ordering::Relaxed);
    let clients = clients.into_iter().map(|client| client.join().unwrap());
    let answers: BTreeMap<_, _> = clients
        .flatten()
        .map(|(id, status, attempts, times, by)| (id, (status, attempts, times, by)))
        .collect();
    for (id, (status, attempts, times, _)) in &answers {
        let got = (*status, attempts.as_deref(), *times);
        assert_eq!(got, (200, Some("1"), Some(1)), "{id}");
    }
    for backend in lbdev.ports.four() {
        for (id, times) in ledger(backend) {
            assert_eq!(times, 1, "{id} at {backend}");
            assert_eq!(answers[&id].3, Some(backend), "{id} ran elsewhere too");
        }
    }
    assert_eq!(lbdev.status()["balancer"]["retries"], 0);
    println!("{} POSTs", answers.len());
}

/// What cannot start any more is found out by one backend; the others go on with what they have.
#[test]
fn a_rolling_restart_stops_at_the_first_that_does_not_come_up() {
    let lbdev = Lbdev::new();
    let [first, second, third, fourth] = lbdev.ports.four();
    let (listen, range) = (lbdev.ports.listen(), lbdev.ports.range());
    // Fails as soon as `broken` is there: a saved file with an error in it.
    let server = format!(
        "#!/bin/sh\n[ -e broken ] && {{ echo 'syntax error' >&2; exit 3; }}\nexec {} __demo --port \"$1\"\n",
        crate::harness::LBDEV
    );
    let server = lbdev.script("server", &server);
    lbdev.write(
        "lbdev.toml",
        &format!(
            "[balancer]\nlisten = \"localhost:{listen}\"\n\n[services.web]\ncommand = \"{} {{port}}\"\n\
             ports = \"{range}\"\n",
            server.display()
        ),
    );
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let before = pids(&lbdev);
    lbdev.write("broken", "");
    let load = Load::start(listen, "/", RATE, CLIENTS);
    lbdev
        .run(&["restart", "all", "--rolling"])
        .fails(1, "LB010")
        .says(&format!("web:{first}"))
        .says("exited with status 3")
        .says(&format!("not touched: `{second}`, `{third}`, `{fourth}`"));
    load.finish().none_lost();
    let after = pids(&lbdev);
    assert!(
        before[1..].iter().all(|pid| after.contains(pid)),
        "{before:?} {after:?}"
    );

    // What is down comes first: it is tried before anybody who serves is asked to give way.
    lbdev.run(&["stop", &third.to_string()]).ok();
    std::fs::remove_file(lbdev.dir.join("broken")).unwrap();
    lbdev.until_state(first, "up", s(30));
    let done = lbdev.run(&["restart", "web", "--rolling"]).ok();
    let line = done.stdout.lines().next().unwrap_or_default();
    assert!(line.contains(&third.to_string()), "{done}");
    goes_round(&lbdev.next_ports(8), &lbdev.ports.four());
}

/// The present one is finished, the others are left alone.
#[test]
fn an_interrupted_rolling_restart_leaves_no_half() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let [first, others @ ..] = lbdev.ports.four();
    let row = |port| lbdev.backend(port)["pid"].as_u64();
    let (old, kept) = (row(first), others.map(row));
    // Something in flight holds the first step until the command is gone.
    let port = lbdev.ports.listen();
    let slow = std::thread::spawn(move || http::get(port, "/slow?ms=1200").map(|r| r.status));
    until(s(10), "the slow one was in flight", || {
        lbdev.backend(first)["in_flight"] == 1
    });
    let mut command = lbdev.start(&["restart", "all", "--rolling"]);
    until(s(10), "the first drained", || {
        lbdev.backend(first)["state"] == "draining"
    });
    command.signal_group(Signal::INT);
    command.wait_exit(s(5));
    assert_eq!(slow.join().unwrap().unwrap(), 200);
    until(s(30), "the first was finished", || {
        let row = lbdev.backend(first);
        row["state"] == "up" && row["pid"].as_u64() != old
    });
    assert_eq!(others.map(row), kept);
    goes_round(&lbdev.next_ports(8), &lbdev.ports.four());
}

#[test]
fn a_drained_backend_finishes_its_requests_and_gets_no_new_ones() {
    let lbdev = Lbdev::new();
    let mut up = lbdev.start(&lbdev.with_ports("demo", &[]));
    up.wait_line("lbdev: ready", s(60));
    let [first, others @ ..] = lbdev.ports.four();
    let name = first.to_string();
    let port = lbdev.ports.listen();
    let slow = std::thread::spawn(move || http::get(port, "/slow?ms=1200"));
    until(s(10), "the slow one was in flight", || {
        lbdev.backend(first)["in_flight"] == 1
    });
    let pid = lbdev.backend(first)["pid"].clone();
    lbdev
        .run(&["drain", &name])
        .ok()
        .says("1 request in flight finishes, no new ones")
        .says(&format!("lbdev undrain {first} brings it back"));
    up.wait_line(&format!("◑ {first} drained by you"), s(5));
    goes_round(&lbdev.next_ports(9), &others);
    let slow = slow.join().unwrap().unwrap();
    assert_eq!((slow.status, slow.backend_port()), (200, Some(first)));
    let row = lbdev.backend(first);
    assert_eq!((&row["state"], &row["pid"]), (&"draining".into(), &pid));
    let status = lbdev.run(&["status"]);
    assert_eq!(status.code, Some(3), "{status}");
    status
        .says("◑ draining")
        .says(&format!("lbdev undrain {first}"));
    lbdev.run(&["drain", &name]).ok().says("is drained already");

    // It holds across a new process, and nobody waits for ever for that.
    lbdev.run(&["restart", &name]).ok().says("still drained");
    lbdev.run(&["start", &name]).ok().says("but drained");
    goes_round(&lbdev.next_ports(6), &others);
    lbdev
        .run(&["drain", "--off", &name])
        .ok()
        .says("back in the rotation");
    up.wait_line(&format!("● {first} undrained by you"), s(5));
    goes_round(&lbdev.next_ports(8), &lbdev.ports.four());
    lbdev.run(&["undrain", &name]).ok().says("is not drained");
    up.signal_group(Signal::INT);
    up.wait_exit(s(20));
}

#[test]
fn the_last_one_may_be_drained_and_requests_wait() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    lbdev
        .run(&["drain", "all"])
        .ok()
        .says("note: no backend of `web` takes requests now");
    assert_eq!(lbdev.run(&["status"]).code, Some(4));
    let port = lbdev.ports.listen();
    let waits = std::thread::spawn(move || http::get(port, "/"));
    until(s(5), "a request waited", || {
        lbdev.status()["balancer"]["waiting"] == 1
    });
    lbdev
        .run(&["undrain", "all"])
        .ok()
        .says_not("takes requests now");
    assert_eq!(waits.join().unwrap().unwrap().status, 200);
    lbdev.run(&["drain", "9"]).fails(2, "LB030");
}

#[test]
fn a_page_of_drained_backends_says_how_to_undo_it() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("queue = { timeout = \"200ms\" }", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    lbdev.run(&["drain", "web"]).ok();
    let answer = lbdev.get("/");
    let text = answer.text();
    assert_eq!(answer.status, 503, "{text}");
    assert!(
        text.contains("lbdev undrain web") && text.contains("drained by you"),
        "{text}"
    );
    lbdev.run(&["kill", "web"]).ok();
    let text = lbdev.get("/").text();
    assert!(text.contains("lbdev start web"), "{text}");
}

/// What lbdev did not start can be drained, and not restarted.
#[test]
fn external_ones_are_drained_without_a_signal() {
    let theirs = Lbdev::new();
    theirs.demo();
    let lbdev = Lbdev::new();
    let listen = lbdev.ports.listen().to_string();
    let range = theirs.ports.range();
    let args = [
        "up",
        "-d",
        "--wait",
        "--external",
        &range,
        "--listen",
        &listen,
    ];
    lbdev.run(&args).ok();
    let [first, others @ ..] = theirs.ports.four();
    let before = pids(&theirs);
    lbdev.run(&["drain", &first.to_string()]).ok();
    goes_round(&lbdev.next_ports(9), &others);
    assert_eq!(lbdev.backend(first)["state"], "draining");
    lbdev
        .run(&["restart", "all", "--rolling"])
        .fails(1, "LB031");
    lbdev.run(&["undrain", "all"]).ok();
    goes_round(&lbdev.next_ports(8), &theirs.ports.four());
    assert_eq!(pids(&theirs), before);
}

/// Without a port there are no requests: alone that is an error, among others it is passed over.
#[test]
fn what_gets_no_requests_is_not_drained() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "\n[services.worker]\ncommand = \"sleep 1000\"\n");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    lbdev
        .run(&["drain", "worker.1"])
        .fails(2, "LB021")
        .says("worker.1");
    lbdev.run(&["drain", "all"]).ok().says_not("worker");
    lbdev.run(&["undrain", "all"]).ok();
    lbdev
        .run(&["restart", "all", "--rolling"])
        .ok()
        .says("worker.1 up after");
}
