//! Backends that do next to nothing: the whole answer is ready before it is asked for.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::rc::Rc;

use rustix::event::epoll::EventFlags;

use crate::epoll::Epoll;
use crate::message::{field, head_length};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
/// The longest body.
const BODY_MOST: usize = 16 << 20;
/// The body of paths that name no length.
const BODY: usize = 100;

/// A client's connection.
struct Connection {
    stream: TcpStream,
    port: u16,
    input: Vec<u8>,
    /// The answer under way, and how much of it is sent.
    output: Option<(Rc<[u8]>, usize)>,
    /// Bytes of a request's body that are to come.
    skip: usize,
    waits_to_write: bool,
    closes: bool,
}

/// Serves `count` ports from `first` until it is killed. The moment from which it listens goes to `file`: nanoseconds of the
/// monotonic clock.
pub(crate) fn serve(first: u16, count: u16, file: Option<&str>) -> io::Result<()> {
    let mut epoll = Epoll::new()?;
    let mut listeners = Vec::new();
    for port in first..first.saturating_add(count) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        rustix::net::listen(&listener, BACKLOG)?;
        listener.set_nonblocking(true)?;
        epoll.add(&listener, listeners.len() as u64, EventFlags::IN)?;
        listeners.push(listener);
    }
    if let Some(file) = file {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let moment = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
        std::fs::write(file, moment.to_string())?;
    }
    let mut answers = Answers::default();
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        for (number, flags) in epoll.wait(None)? {
            let number = usize::try_from(number).unwrap_or(usize::MAX);
            if let Some(listener) = listeners.get(number) {
                let port = listener.local_addr()?.port();
                while let Ok((stream, _)) = listener.accept() {
                    accept(&epoll, listeners.len(), &mut connections, stream, port)?;
                }
                continue;
            }
            let place = number - listeners.len();
            let Some(slot) = connections.get_mut(place) else {
                continue;
            };
            let Some(connection) = slot else { continue };
            if connection.go_on(flags, &mut buffer, &mut answers).is_err() {
                *slot = None;
                continue;
            }
            let waits = connection.output.is_some();
            if waits != connection.waits_to_write {
                connection.waits_to_write = waits;
                let interest = match waits {
                    true => EventFlags::IN | EventFlags::OUT,
                    false => EventFlags::IN,
                };
                epoll.modify(&connection.stream, number as u64, interest)?;
            }
        }
    }
}

fn accept(
    epoll: &Epoll,
    listeners: usize,
    connections: &mut Vec<Option<Connection>>,
    stream: TcpStream,
    port: u16,
) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let place = connections.iter().position(Option::is_none);
    let place = place.unwrap_or_else(|| {
        connections.push(None);
        connections.len() - 1
    });
    epoll.add(&stream, (place + listeners) as u64, EventFlags::IN)?;
    connections[place] = Some(Connection {
        stream,
        port,
        input: Vec::new(),
        output: None,
        skip: 0,
        waits_to_write: false,
        closes: false,
    });
    Ok(())
}

impl Connection {
    /// Reads, answers, writes, as far as that goes. An error is the end of the connection.
    fn go_on(
        &mut self,
        flags: EventFlags,
        buffer: &mut [u8],
        answers: &mut Answers,
    ) -> io::Result<()> {
        if flags != EventFlags::OUT {
            match (&self.stream).read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    let skipped = self.skip.min(count);
                    self.skip -= skipped;
                    self.input.extend_from_slice(&buffer[skipped..count]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        loop {
            if let Some((answer, sent)) = &mut self.output {
                match (&self.stream).write(&answer[*sent..]) {
                    Ok(count) => *sent += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                }
                if *sent < answer.len() {
                    continue;
                }
                self.output = None;
                if self.closes {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
            }
            if self.skip > 0 || !self.take_request(answers) {
                return Ok(());
            }
        }
    }

    /// Takes a request off the input, if a whole head is there.
    fn take_request(&mut self, answers: &mut Answers) -> bool {
        let Some(length) = head_length(&self.input) else {
            return false;
        };
        let head = &self.input[..length];
        let path = head.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
        let size = path
            .strip_prefix(b"/b/")
            .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
            .unwrap_or(BODY)
            .min(BODY_MOST);
        let body = field(head, "content-length").and_then(|value| value.parse().ok());
        let body: usize = body.unwrap_or(0);
        self.closes =
            field(head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let here = body.min(self.input.len() - length);
        self.skip = body - here;
        self.input.drain(..length + here);
        self.output = Some((answers.of(self.port, size), 0));
        true
    }
}

/// Answers that were asked for before.
#[derive(Default)]
struct Answers(HashMap<(u16, usize), Rc<[u8]>>);

impl Answers {
    /// Of the size and with the fields that a framework's page has.
    fn of(&mut self, port: u16, size: usize) -> Rc<[u8]> {
        let make = || {
            let mut answer = format!(
                "HTTP/1.1 200 OK\r\nServer: load\r\nDate: Sun, 22 Nov 2026 07:00:00 GMT\r\n\
                 Content-Type: text/html; charset=utf-8\r\nX-Frame-Options: DENY\r\nX-Backend: {port}\r\n\
                 Content-Length: {size}\r\n\r\n"
            )
            .into_bytes();
            answer.resize(answer.len() + size, b'x');
            answer.into()
        };
        self.0.entry((port, size)).or_insert_with(make).clone()
    }
}
