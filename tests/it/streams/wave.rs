//! A thousand idle connections, a thousand WebSockets and two hundred slow-loris clients come at once: others do not feel
//! them, and when they have gone nothing of them is left.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
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

/// A demo, and how its waves come and go.
struct Shore {
    lbdev: Lbdev,
    runtime: Runtime,
    pid: u64,
    /// What it has open while nobody is there.
    files: usize,
}

impl Shore {
    fn new() -> Result<Shore> {
        raise_file_limit()?;
        let lbdev = Lbdev::new();
        lbdev.demo();
        let (runtime, pid) = (runtime()?, pid(&lbdev)?);
        // What is opened once is open.
        p99(&lbdev, 100, 100);
        let files = open_files(pid);
        Ok(Shore {
            lbdev,
            runtime,
            pid,
            files,
        })
    }

    /// A whole wave; `beside` is done while all of it is there.
    fn wave(&self, beside: impl FnOnce()) -> Result<()> {
        let crowd = Crowd::gather(self.lbdev.ports.listen(), IDLE, WEBSOCKETS, SLOW);
        let crowd = self.runtime.block_on(crowd)?;
        let open = open_files(self.pid);
        assert!(open > IDLE + 2 * WEBSOCKETS, "only {open} files are open");
        assert_eq!(in_flight(&self.lbdev), WEBSOCKETS as u64);
        beside();
        self.runtime.block_on(crowd.leave())?;
        until(s(60), "the wave has gone", || {
            open_files(self.pid) <= self.files + 64 && in_flight(&self.lbdev) == 0
        });
        Ok(())
    }
}

#[test]
fn others_do_not_feel_a_wave() -> Result<()> {
    let shore = Shore::new()?;
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        let mut beside = Beside::default();
        for _ in 0..RUNS {
            beside.without.push(p99(&shore.lbdev, 100, 300));
            shore.wave(|| beside.with.push(p99(&shore.lbdev, 100, 300)))?;
        }
        eprintln!("{:.2} times: {beside:?}", beside.ratio());
        if beside.ratio() < BAR {
            return Ok(());
        }
        seen.push(beside);
    }
    panic!("others' p99 without a wave and beside it: {seen:#?}");
}

#[test]
fn the_third_wave_takes_no_more_than_the_first() -> Result<()> {
    let shore = Shore::new()?;
    let (mut taken, mut kept) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        shore.wave(|| taken.push(memory(shore.pid, "VmRSS")))?;
        kept.push(memory(shore.pid, "VmRSS")?);
    }
    eprintln!("{taken:?} {kept:?}");
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
    for row in status["backends"].as_array().context("rows")? {
        assert_eq!((&row["requests"], &row["failures"]), (&0.into(), &0.into()));
    }
    assert_eq!(lbdev.get("/").status, 200);
    Ok(())
}

/// The tool that the tests above rely on: it talks until the other side has had enough, and hears why.
#[tokio::test]
async fn a_slow_one_sees_its_end() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let every = Duration::from_millis(5);
    let server = async {
        let (mut stream, _) = listener.accept().await?;
        let mut head = [0; 60];
        stream.read_exact(&mut head).await?;
        stream.write_all(b"HTTP/1.1 408 Enough\r\n\r\n").await?;
        Ok::<_, anyhow::Error>(head)
    };
    let (head, end) = tokio::join!(server, slow_loris(port, every, || ()));
    assert!(head?.starts_with(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: aaa"));
    let end = end?;
    assert!(end.after > 50 * every, "{end:?}");
    // It may be reset before it has read why.
    assert!(end.answer.is_empty() || end.answer.starts_with(b"HTTP/1.1 408 "));
    Ok(())
}
