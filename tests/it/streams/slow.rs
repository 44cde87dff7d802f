//! Slow clients take their time, and nobody else's.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::harness::Lbdev;
use crate::wait::{self, s, until};

use super::{Beside, in_flight, open, p99};

/// So many of each kind: every backend has one.
const EACH: u64 = 4;
const RUNS: usize = 5;
const TRIES: usize = 3;
/// Others may take this much longer beside them.
const BAR: f64 = 3.0;

/// Slow clients at work, until they are told to go.
struct Slow {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Result<()>>>,
}

impl Slow {
    fn start(lbdev: &Lbdev) -> Result<Slow> {
        let port = lbdev.ports.listen();
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        for _ in 0..EACH {
            let (reader, sender) = (open(port)?, open(port)?);
            // Otherwise the system would take megabytes in advance.
            rustix::net::sockopt::set_socket_recv_buffer_size(&reader, 16 * 1024)?;
            let (one, two) = (Arc::clone(&stop), Arc::clone(&stop));
            clients.push(std::thread::spawn(move || read(reader, &one)));
            clients.push(std::thread::spawn(move || send(sender, &two)));
        }
        let slow = Slow { stop, clients };
        until(s(20), "they are all in flight", || {
            in_flight(lbdev) == 2 * EACH
        });
        Ok(slow)
    }

    /// They leave in the middle; what they have read until then was right.
    fn stop(self, lbdev: &Lbdev) -> Result<()> {
        assert_eq!(in_flight(lbdev), 2 * EACH, "they are not through");
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a client does not panic")?;
        }
        until(s(20), "they are gone", || in_flight(lbdev) == 0);
        Ok(())
    }
}

/// Each time `every` has passed, until it is to stop.
fn paced(every: Duration, stop: &AtomicBool, mut step: impl FnMut() -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        step()?;
        number += 1;
        // It is looked at more often than a byte is sent.
        let due = begun + every * number;
        while Instant::now() < due && !stop.load(Ordering::Relaxed) {
            wait::at(due.min(Instant::now() + Duration::from_millis(50)));
        }
    }
    Ok(())
}

/// 10 kB/s of 50 MB.
fn read(mut socket: TcpStream, stop: &AtomicBool) -> Result<()> {
    socket.write_all(b"GET /bytes/50000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    ensure!(head.starts_with(b"HTTP/1.1 200"));
    let mut offset: usize = 0;
    paced(Duration::from_millis(100), stop, || {
        let mut bytes = [0; 1000];
        socket.read_exact(&mut bytes)?;
        // The demo's pattern: byte i is i mod 251.
        let right = bytes.iter().enumerate();
        let right = right.fold(true, |right, (i, byte)| {
            right && (offset + i) % 251 == usize::from(*byte)
        });
        ensure!(right, "other bytes from {offset} on");
        offset += bytes.len();
        Ok(())
    })
}

/// A byte a second of a form.
fn send(mut socket: TcpStream, stop: &AtomicBool) -> Result<()> {
    socket.write_all(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")?;
    paced(s(1), stop, || Ok(socket.write_all(b"x")?))
}

#[test]
fn others_do_not_wait_for_them() -> Result<()> {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        let mut beside = Beside::default();
        for _ in 0..RUNS {
            beside.without.push(p99(&lbdev, 50, 150));
            let slow = Slow::start(&lbdev)?;
            beside.with.push(p99(&lbdev, 50, 150));
            slow.stop(&lbdev)?;
        }
        eprintln!("{:.2} times: {beside:?}", beside.ratio());
        if beside.ratio() < BAR {
            return Ok(());
        }
        seen.push(beside);
    }
    panic!("others' p99 without slow clients and beside them: {seen:#?}");
}

/// A slow one gets all of its answer in the end, and all of its body arrives.
#[test]
fn they_are_served_to_the_end() -> Result<()> {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let mut socket = open(lbdev.ports.listen())?;
    let body = b"a byte at a time";
    let head = format!(
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes())?;
    let begun = Instant::now();
    for (number, byte) in (1..).zip(body) {
        socket.write_all(&[*byte])?;
        wait::at(begun + number * Duration::from_millis(100));
    }
    let mut answer = super::Answer::on(socket, b"")?;
    let length = usize::try_from(answer.length()?)?;
    let text = String::from_utf8(answer.take(length)?)?;
    assert!(text.trim_end().ends_with("\na byte at a time"), "{text}");
    Ok(())
}
