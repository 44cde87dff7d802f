//! Clients in a closed loop: each sends its next request when it has the answer to the last one.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::cpu;
use crate::epoll::Epoll;
use crate::message::{Body, field, head_length};

/// What is to be done.
pub(crate) struct Course {
    pub(crate) port: u16,
    pub(crate) path: String,
    pub(crate) connections: usize,
    pub(crate) warmup: Duration,
    pub(crate) measured: Duration,
    /// A new connection for each request.
    pub(crate) close: bool,
    /// The processes whose cost is measured.
    pub(crate) pids: Vec<u32>,
}

impl Default for Course {
    fn default() -> Self {
        Self {
            port: 0,
            path: "/b/100".to_owned(),
            connections: 64,
            warmup: Duration::from_millis(200),
            measured: Duration::from_secs(1),
            close: false,
            pids: Vec::new(),
        }
    }
}

/// What came of it, in the measured time.
#[derive(Default)]
pub(crate) struct Outcome {
    elapsed: Duration,
    bytes: u64,
    /// Connections that broke or were refused.
    broken: u64,
    /// Answers that were no 200.
    not_200: u64,
    cpu: u64,
    /// In tenths of a microsecond.
    latencies: Vec<u32>,
}

impl Outcome {
    /// One line: times in microseconds.
    pub(crate) fn json(mut self) -> String {
        self.latencies.sort_unstable();
        let count = self.latencies.len();
        let percentile = |hundredths: usize| match count {
            0 => 0.0,
            _ => f64::from(self.latencies[(count - 1) * hundredths / 100]) / 10.0,
        };
        let seconds = self.elapsed.as_secs_f64();
        let each = self.cpu as f64 / 1000.0 / count.max(1) as f64;
        format!(
            "{{\"requests\":{count},\"per_second\":{:.1},\"mb_per_second\":{:.1},\"cpu_us\":{each:.3},\
             \"p50_us\":{:.1},\"p99_us\":{:.1},\"broken\":{},\"not_200\":{}}}",
            count as f64 / seconds,
            self.bytes as f64 / seconds / 1e6,
            percentile(50),
            percentile(99),
            self.broken,
            self.not_200,
        )
    }
}

/// One client.
struct Client {
    stream: TcpStream,
    /// Tells the news of this connection from that of the one before in its place.
    life: u32,
    connecting: bool,
    since: Instant,
    head: Vec<u8>,
    body: Option<Body>,
    closes: bool,
}

/// What became of a request.
enum Step {
    Waits,
    Answered { ok: bool },
    Broken,
}

/// Runs the course.
pub(crate) fn run(course: &Course) -> io::Result<Outcome> {
    let connection = if course.close {
        "Connection: close\r\n"
    } else {
        ""
    };
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: app.localhost\r\nUser-Agent: load\r\nAccept: */*\r\n{connection}\r\n",
        course.path
    );
    let mut epoll = Epoll::new()?;
    let mut life = 0;
    let mut clients = (0..course.connections)
        .map(|place| Client::connect(&epoll, course, place, &mut life))
        .collect::<io::Result<Vec<_>>>()?;
    let begin = Instant::now() + course.warmup;
    let end = begin + course.measured;
    let mut outcome = Outcome::default();
    let mut before = None;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let now = Instant::now();
        if before.is_none() && now >= begin {
            before = Some(cpu::spent(&course.pids));
            outcome = Outcome::default();
            outcome.latencies.reserve(1 << 20);
        }
        if now >= end {
            break;
        }
        let until = if before.is_none() { begin } else { end };
        for (number, flags) in epoll.wait(Some(until - now))? {
            let place = (number & u64::from(u32::MAX)) as usize;
            let client = &mut clients[place];
            if u64::from(client.life) != number >> 32 {
                continue;
            }
            if client.connecting && !flags.intersects(EventFlags::ERR | EventFlags::HUP) {
                client.connecting = false;
                epoll.modify(&client.stream, number, EventFlags::IN)?;
                client.send(request.as_bytes());
                continue;
            }
            let mut renew = course.close;
            match client.go_on(&mut buffer, &mut outcome.bytes) {
                Step::Waits => continue,
                Step::Answered { ok } => {
                    outcome.not_200 += u64::from(!ok);
                    let tenths = client.since.elapsed().as_nanos() / 100;
                    outcome
                        .latencies
                        .push(u32::try_from(tenths).unwrap_or(u32::MAX));
                    renew |= client.closes;
                }
                Step::Broken => {
                    outcome.broken += 1;
                    renew = true;
                }
            }
            if renew {
                *client = Client::connect(&epoll, course, place, &mut life)?;
            } else {
                client.since = Instant::now();
                client.send(request.as_bytes());
            }
        }
    }
    outcome.elapsed = begin.elapsed();
    outcome.cpu = cpu::spent(&course.pids) - before.unwrap_or_default();
    Ok(outcome)
}

impl Client {
    /// Begins to connect. Clients with a connection a request come from many addresses, as the ports of one would run out.
    fn connect(epoll: &Epoll, course: &Course, place: usize, life: &mut u32) -> io::Result<Self> {
        let since = Instant::now();
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        *life = life.wrapping_add(1);
        if course.close {
            let last = u8::try_from(*life % 200).unwrap_or(0) + 1;
            sockopt::set_socket_reuseaddr(&socket, true)?;
            rustix::net::bind(
                &socket,
                &SocketAddrV4::new(Ipv4Addr::new(127, 0, 1, last), 0),
            )?;
        }
        match rustix::net::connect(
            &socket,
            &SocketAddrV4::new(Ipv4Addr::LOCALHOST, course.port),
        ) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let number = u64::from(*life) << 32 | place as u64;
        epoll.add(&socket, number, EventFlags::IN | EventFlags::OUT)?;
        Ok(Self {
            stream: socket.into(),
            life: *life,
            connecting: true,
            since,
            head: Vec::new(),
            body: None,
            closes: false,
        })
    }

    /// A request is short: it is taken whole, or the connection is broken, which the next read tells.
    fn send(&mut self, request: &[u8]) {
        let _ = (&self.stream).write(request);
    }

    fn go_on(&mut self, buffer: &mut [u8], bytes: &mut u64) -> Step {
        let count = match (&self.stream).read(buffer) {
            Ok(0) => return Step::Broken,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Step::Waits,
            Err(_) => return Step::Broken,
        };
        *bytes += count as u64;
        let came = &buffer[..count];
        if let Some(body) = &mut self.body {
            return match body.take(came) {
                true => self.answered(true),
                false => Step::Waits,
            };
        }
        if self.head.is_empty() {
            // The ordinary case: the head comes in one piece, and need not be kept.
            return self.head_came(came);
        }
        let mut head = std::mem::take(&mut self.head);
        head.extend_from_slice(came);
        self.head_came(&head)
    }

    fn head_came(&mut self, came: &[u8]) -> Step {
        let Some(length) = head_length(came) else {
            self.head = came.to_vec();
            return Step::Waits;
        };
        let head = &came[..length];
        self.closes =
            field(head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let Some(mut body) = Body::of(head) else {
            return Step::Broken;
        };
        if head.get(9..12) != Some(b"200") {
            return self.answered(false);
        }
        match body.take(&came[length..]) {
            true => self.answered(true),
            false => {
                self.body = Some(body);
                Step::Waits
            }
        }
    }

    /// What follows an answer that is no 200 does not matter: the measurement is void.
    fn answered(&mut self, ok: bool) -> Step {
        self.body = None;
        self.closes |= !ok;
        Step::Answered { ok }
    }
}
