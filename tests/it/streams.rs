//! What lasts: streams, bodies without an end in sight, and clients that are slow, silent or many.

mod chat;
mod crowd;
mod events;
mod large;
mod resume;
mod slow;
mod vite;
mod wave;

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::harness::Lbdev;
use crate::load::Load;
use crate::wait::s;

/// An answer whose body is read bit by bit.
struct Answer {
    status: u16,
    /// Its lines, in lower case.
    head: Vec<String>,
    body: BufReader<TcpStream>,
}

impl Answer {
    /// Sends these bytes on a connection of their own, and reads a head.
    fn to(port: u16, request: &str) -> Result<Answer> {
        Answer::on(open(port)?, request.as_bytes())
    }

    /// The same on this connection.
    fn on(mut socket: TcpStream, bytes: &[u8]) -> Result<Answer> {
        socket.write_all(bytes)?;
        let mut body = BufReader::new(socket);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            ensure!(body.read_line(&mut line)? > 0, "it ended in {head:?}");
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_ascii_lowercase()),
            }
        }
        let first = head.first().context("no status line")?;
        let status = first.split(' ').nth(1).context("no status")?.parse()?;
        Ok(Answer { status, head, body })
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.iter();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn length(&self) -> Result<u64> {
        Ok(self.field("content-length").context("no length")?.parse()?)
    }

    /// So many bytes of the body.
    fn take(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.body.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

fn open(port: u16) -> Result<TcpStream> {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(s(40)))?;
    socket.set_write_timeout(Some(s(40)))?;
    Ok(socket)
}

/// A line of `/proc/PID/status` of lbdev's own process, in KiB: `VmRSS` (resident now), `VmHWM` (the most so far).
fn memory(pid: u64, what: &str) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(what));
    let words = line.with_context(|| format!("no {what}"))?;
    let number = words.split_whitespace().nth(1).context("no number")?;
    Ok(number.parse()?)
}

fn pid(lbdev: &Lbdev) -> Result<u64> {
    lbdev.status()["pid"].as_u64().context("no pid")
}

/// Requests in flight at all backends together.
fn in_flight(lbdev: &Lbdev) -> u64 {
    let status = lbdev.status();
    let rows = status["backends"].as_array().into_iter().flatten();
    rows.filter_map(|row| row["in_flight"].as_u64()).sum()
}

/// The p99 of `count` requests of the demo's page at `rate` a second, all of which are to be answered.
fn p99(lbdev: &Lbdev, rate: u32, count: usize) -> Duration {
    let load = Load::start(lbdev.ports.listen(), "/", rate, 8);
    load.run_for(count, s(120));
    let report = load.finish();
    report.none_lost();
    report.quantile(0.99)
}

/// The p99 of others without something and beside it: five interleaved runs of each.
#[derive(Debug, Default)]
struct Beside {
    without: Vec<Duration>,
    with: Vec<Duration>,
}

impl Beside {
    /// How much longer the median of those beside it is. A machine that is busy with something else delays both.
    fn ratio(&self) -> f64 {
        median(&self.with).as_secs_f64() / median(&self.without).as_secs_f64()
    }
}

fn median(of: &[Duration]) -> Duration {
    let mut sorted = of.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}
