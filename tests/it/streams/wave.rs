//! A thousand idle connections, a thousand WebSockets and two hundred slow-loris clients come at once: others do not feel
//! them, and when they have gone nothing of them is left.

use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::harness::Lbdev;
use crate::wait::{s, until};

use super::crowd::{Crowd, raise_file_limit, slow_loris};
use super::{Beside, in_flight, memory, p99, pid};

const IDLE: usize = 1_000;
const WEBSOCKETS: usize = 1_000;
const SLOW: usize = 200;
const RUNS: usize = 5;
const TRIES: usize = 3;
/// Others' p99 may be this much longer.
const BAR: f64 = 3.0;
/// What lbdev keeps after the third wave, against the first.
const KEPT: f64 = 1.1;

/// The crowd lives on a thread of its own, while the others are measured.
fn runtime() -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(1).enable_all().build()?)
}

fn open_files(pid: u64) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

#[test]
fn others_do_not_feel_a_wave_and_nothing_of_it_stays() -> Result<()> {
    raise_file_limit()?;
    let lbdev = Lbdev::new();
    lbdev.demo();
    let (runtime, pid, port) = (runtime()?, pid(&lbdev)?, lbdev.ports.listen());
    let mut seen = Vec::new();
    let mut kept = Vec::new();
    // What is opened once is open.
    p99(&lbdev, 100, 100);
    let files = open_files(pid);
    for _ in 0..TRIES {
        let mut beside = Beside::default();
        for _ in 0..RUNS {
            beside.without.push(p99(&lbdev, 100, 300));
            let crowd = runtime.block_on(Crowd::gather(port, IDLE, WEBSOCKETS, SLOW))?;
            let open = open_files(pid);
            assert!(
                open > IDLE + 2 * WEBSOCKETS + SLOW,
                "only {open} files are open"
            );
            assert_eq!(in_flight(&lbdev), WEBSOCKETS as u64);
            beside.with.push(p99(&lbdev, 100, 300));
            runtime.block_on(crowd.leave())?;
            until(s(60), "the wave has gone", || {
                open_files(pid) <= files + 64 && in_flight(&lbdev) == 0
            });
            kept.push(memory(pid, "VmRSS")?);
        }
        if beside.ratio() < BAR {
            break;
        }
        seen.push(beside);
    }
    assert!(
        seen.len() < TRIES,
        "others' p99 without a wave and beside it: {seen:#?}"
    );
    let grown = kept[2] as f64 / kept[0] as f64;
    assert!(grown <= KEPT, "resident after each wave, in KiB: {kept:?}");
    Ok(())
}

/// Their bytes do not buy them time: a head has `timeouts.client_head` as a whole.
#[test]
fn slow_loris_clients_are_ended() -> Result<()> {
    raise_file_limit()?;
    let lbdev = Lbdev::new();
    lbdev.demo_file("timeouts = { client_head = \"1s\" }", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let (runtime, port) = (runtime()?, lbdev.ports.listen());
    let ends = runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..SLOW {
            let every = Duration::from_millis(200);
            let end = slow_loris(port, every, || ());
            tasks.spawn(tokio::time::timeout(s(20), end));
        }
        tasks.join_all().await
    });
    for end in ends {
        let end = end.expect("it is ended within 20 s")?;
        assert!(
            end.after > Duration::from_millis(900) && end.after < s(8),
            "{end:?}"
        );
        let text = String::from_utf8_lossy(&end.answer);
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 408 "),
            "{text}"
        );
    }
    // No backend has seen any of them.
    let status = lbdev.status();
    assert_eq!(status["balancer"]["requests"], 0, "{status:#}");
    assert_eq!(lbdev.get("/").status, 200);
    Ok(())
}
