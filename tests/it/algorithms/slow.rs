//! One backend is slow: who gets how much of what ten clients ask for, and how much they get done.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::harness::Lbdev;
use crate::http::Connection;
use crate::wait::{at, s, work};

const CLIENTS: usize = 10;
const LASTS: Duration = s(4);

/// A server that answers `/load` after `delay`, everything else (lbdev's checks) at once. Ends with its runtime.
fn serve(port: u16, delay: Duration, asked: Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let asked = asked.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut first = String::new();
                let mut line = String::new();
                while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
                    if first.is_empty() {
                        first.clone_from(&line);
                    }
                    if line == "\r\n" {
                        if first.starts_with("GET /load ") {
                            asked.fetch_add(1, Ordering::SeqCst);
                            work(delay).await;
                        }
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                        if stream.write_all(answer).await.is_err() {
                            return;
                        }
                        first.clear();
                    }
                    line.clear();
                }
            });
        }
    });
}

/// What came of one run.
struct Outcome {
    /// Of all requests, the share that the slow backend had.
    slow: f64,
    /// Requests that were answered.
    answered: usize,
}

/// Four servers, the first of which is slow, and ten clients that each send the next request when the last is answered.
fn run(algorithm: &str) -> Outcome {
    let lbdev = Lbdev::new();
    let ports = lbdev.ports.four();
    let asked: [Arc<AtomicUsize>; 4] = Default::default();
    let servers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let _inside = servers.enter();
    for (index, (&port, asked)) in ports.iter().zip(&asked).enumerate() {
        let delay = Duration::from_millis(if index == 0 { 250 } else { 10 });
        serve(port, delay, asked.clone());
    }
    let (listen, range) = (lbdev.ports.listen().to_string(), lbdev.ports.range());
    let external = ["--external", &range, "--listen", &listen];
    let up = [
        &["up", "-d", "--wait", "--algorithm", algorithm],
        &external[..],
    ]
    .concat();
    lbdev.run(&up).ok();

    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let began = Instant::now();
    std::thread::scope(|threads| {
        for _ in 0..CLIENTS {
            threads.spawn(|| {
                let mut connection = Connection::open(lbdev.ports.listen()).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    let answer = connection.request("GET", "/load", &[], b"").unwrap();
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        at(began + LASTS);
        stop.store(true, Ordering::Relaxed);
    });
    lbdev.run(&["down"]).ok();
    let asked = asked.map(|one| one.load(Ordering::SeqCst));
    let all: usize = asked.iter().sum();
    let answered = answered.into_inner();
    assert_eq!(all, answered, "each once");
    let slow = asked[0] as f64 / all as f64;
    println!(
        "{algorithm}: {answered} answered in {LASTS:?}, {:.1} % by the slow one",
        slow * 100.0
    );
    Outcome { slow, answered }
}

#[test]
fn who_is_slow_gets_less_and_clients_get_more_done() {
    let in_turn = run("round_robin");
    assert!(
        (0.23..=0.27).contains(&in_turn.slow),
        "the slow one had {} of all",
        in_turn.slow
    );
    for algorithm in ["least_conn", "peak_ewma"] {
        // In turn it is the slow backend that everybody waits for, by load it is the machine's processor: a moment in which
        // that has other work is not the algorithm's fault. Shares hold all the same.
        let mut most = 0;
        for _ in 0..3 {
            let by_load = run(algorithm);
            assert!(by_load.slow < 0.05, "{algorithm}: {}", by_load.slow);
            most = most.max(by_load.answered);
            if most >= 3 * in_turn.answered {
                break;
            }
        }
        assert!(
            most >= 3 * in_turn.answered,
            "{algorithm}: {most} requests, in turn {}",
            in_turn.answered
        );
    }
}
