//! Clients that speak nonsense, and clients that leave: whatever they do, no backend is blamed for it, nothing stays in flight,
//! and the next client is answered.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::harness::Lbdev;
use crate::wait::{s, until};

/// So many of each.
const CLIENTS: usize = 10_000;
/// So many at once.
const AT_ONCE: usize = 16;
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(20);

fn long(byte: u8, length: usize) -> Vec<u8> {
    vec![byte; length]
}

/// Requests that are none, or that say two things at once.
fn nonsense() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        "\r\n\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r b\r\n\r\n",
        "GET  /  HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "G\tT / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /\u{7f} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        "GET http:// HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: abc\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX Y: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: +2\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2, 3\r\n\r\nabc",
        "POST / HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\nab\n0\n\n",
        "PRI * HTTP/2.0\r\n\r\nSM",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nthis is no frame, and far too long for one\r\n",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}",
        "EHLO example.org\r\n",
        "{\"jsonrpc\": \"2.0\"}\n",
        "",
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    let head = |fields: &[u8]| {
        [
            b"GET / HTTP/1.1\r\nHost: localhost\r\n".as_slice(),
            fields,
            b"\r\n",
        ]
        .concat()
    };
    all.push(
        [
            b"GET /".as_slice(),
            &long(b'a', 100_000),
            b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ]
        .concat(),
    );
    all.push(head(
        &[b"X: ".as_slice(), &long(b'a', 2_000_000), b"\r\n"].concat(),
    ));
    all.push(head(&b"X: a\r\n".repeat(5_000)));
    all.push(long(0xff, 3_000));
    all.push(long(0, 3_000));
    all
}

/// How a client leaves.
#[derive(Debug, Clone, Copy)]
enum Leaves {
    /// It says that it sends nothing more, and goes.
    Politely,
    /// Its connection is reset.
    Rudely,
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn leave(stream: TcpStream, how: Leaves) {
    match how {
        Leaves::Politely => {
            let _ = stream.shutdown(Shutdown::Write);
        }
        Leaves::Rudely => {
            let linger = Some(Duration::ZERO);
            let _ = rustix::net::sockopt::set_socket_linger(&stream, linger);
        }
    }
}

/// Does `client` so many times, some at once.
fn many(client: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= CLIENTS {
                        return;
                    }
                    client(number);
                }
            });
        }
    });
}

/// Nobody is blamed, nothing is left, and whoever comes next is answered.
fn unharmed(lbdev: &Lbdev, fds: usize) {
    until(s(60), "nothing is in flight", || {
        let status = lbdev.status();
        let rows = status["backends"].as_array().unwrap();
        rows.iter().all(|row| row["in_flight"] == 0) && status["balancer"]["waiting"] == 0
    });
    let status = lbdev.status();
    assert_eq!(status["state"], "serving", "{status:#}");
    assert_eq!(status["balancer"]["retries"], 0, "{status:#}");
    for row in status["backends"].as_array().unwrap() {
        assert_eq!(
            (&row["state"], &row["failures"], &row["restarts"]),
            (&"up".into(), &0.into(), &0.into()),
            "{row:#}"
        );
    }
    assert_eq!(lbdev.get("/").status, 200);
    until(s(60), "its sockets are closed", || {
        open_files(lbdev) <= fds + 64
    });
}

fn pid(lbdev: &Lbdev) -> u64 {
    lbdev.status()["pid"].as_u64().unwrap()
}

fn open_files(lbdev: &Lbdev) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", pid(lbdev))).map_or(0, Iterator::count)
}

/// Resident memory, in KiB.
fn memory(lbdev: &Lbdev) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", pid(lbdev))).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn ten_thousand_malformed_requests() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let (port, kinds, fds) = (lbdev.ports.listen(), nonsense(), open_files(&lbdev));
    let answered = AtomicUsize::new(0);
    many(|number| {
        let mut stream = connect(port);
        let kind = &kinds[number % kinds.len()];
        // It may be refused before it is whole.
        let _ = stream.write_all(kind);
        let _ = stream.shutdown(Shutdown::Write);
        let began = Instant::now();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(
            began.elapsed() < PATIENCE,
            "no end to {:?}",
            String::from_utf8_lossy(&kind[..kind.len().min(200)])
        );
        if !answer.is_empty() {
            // It is the client's fault, and said to be.
            let is_refusal = answer.starts_with(b"HTTP/1.1 4")
                || answer.starts_with(b"HTTP/1.1 505 ")
                // It said HTTP/2: SETTINGS, then GOAWAY.
                || (kind.starts_with(b"PRI ") && answer.get(3) == Some(&4));
            assert!(
                is_refusal,
                "{:?} to {:?}",
                String::from_utf8_lossy(&answer[..answer.len().min(200)]),
                String::from_utf8_lossy(&kind[..kind.len().min(200)])
            );
            answered.fetch_add(1, Ordering::Relaxed);
        }
    });
    let answered = answered.into_inner();
    assert!(answered > CLIENTS / 2, "only {answered} were told anything");
    unharmed(&lbdev, fds);
    assert!(memory(&lbdev) < 200 * 1024, "{} KiB", memory(&lbdev));
}

#[test]
fn ten_thousand_clients_that_leave_early() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let (port, fds) = (lbdev.ports.listen(), open_files(&lbdev));
    let post = |path: &str, said: usize, sent: usize| {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {said}\r\n\r\n");
        [head.into_bytes(), long(b'x', sent)].concat()
    };
    // What it sends, and how much of the answer it reads.
    let ways: [(Vec<u8>, usize); 12] = [
        (Vec::new(), 0),
        (b"GET / HT".to_vec(), 0),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n".to_vec(), 0),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), 0),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), 10),
        (
            b"GET /bytes/1000000 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            1000,
        ),
        (post("/echo", 100_000, 5_000), 0),
        (post("/echo", 5_000, 5_000), 0),
        // It is to be longer than what is kept.
        (post("/echo", 8_000_000, 200_000), 0),
        (
            b"PUT /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nff\r\nab".to_vec(),
            0,
        ),
        (b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), 10),
        (
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\xfe\x01"
                .to_vec(),
            10,
        ),
    ];
    many(|number| {
        let (bytes, reads) = &ways[number % ways.len()];
        let mut stream = connect(port);
        let _ = stream.write_all(bytes);
        if *reads > 0 {
            let _ = stream.read_exact(&mut long(0, *reads));
        }
        let how = match (number / ways.len()) % 2 {
            0 => Leaves::Politely,
            _ => Leaves::Rudely,
        };
        leave(stream, how);
    });
    unharmed(&lbdev, fds);
    assert!(memory(&lbdev) < 200 * 1024, "{} KiB", memory(&lbdev));
}
