//! A message, and the strictest reader of HTTP/1.1 that there is: what is not well-formed to the byte is an error.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use crate::wait::s;

/// A name and a value.
pub type Field = (Vec<u8>, Vec<u8>);

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    None,
    Length,
    Chunked,
    UntilClose,
}

/// A request or an answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Method, target, version; or version, status, reason.
    pub start: [Vec<u8>; 3],
    /// In their order and case, the framing's own too.
    pub fields: Vec<Field>,
    pub framing: Framing,
    pub body: Vec<u8>,
    pub trailers: Vec<Field>,
}

impl Message {
    pub fn new(start: [&[u8]; 3]) -> Message {
        Message {
            start: start.map(<[u8]>::to_vec),
            fields: Vec::new(),
            framing: Framing::None,
            body: Vec::new(),
            trailers: Vec::new(),
        }
    }

    /// The values of this name, in any case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.fields.iter().filter(move |(it, _)| is(it, name));
        named.map(|(_, value)| &value[..])
    }

    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let mut fields = self.fields.iter();
        fields.find_map(|(it, value)| is(it, name).then_some(&value[..]))
    }

    /// The words of the lists of this name, in lower case.
    pub fn words(&self, name: &str) -> Vec<Vec<u8>> {
        let words = self.all(name).flat_map(|value| value.split(|&b| b == b','));
        words
            .map(|word| word.trim_ascii().to_ascii_lowercase())
            .collect()
    }

    pub fn says(&self, name: &str, word: &str) -> bool {
        self.words(name).iter().any(|it| it == word.as_bytes())
    }

    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|(it, _)| !is(it, name));
    }

    pub fn push(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let field = (name.as_bytes().to_vec(), value.as_ref().to_vec());
        self.fields.push(field);
    }

    /// The number of the exchange that it belongs to.
    pub fn number(&self) -> Option<u32> {
        std::str::from_utf8(self.get("x-exchange")?)
            .ok()?
            .parse()
            .ok()
    }

    /// The status of an answer.
    pub fn status(&self) -> u16 {
        let status = std::str::from_utf8(&self.start[1]);
        status.ok().and_then(|s| s.parse().ok()).unwrap_or_default()
    }
}

pub fn is(name: &[u8], other: &str) -> bool {
    name.eq_ignore_ascii_case(other.as_bytes())
}

/// Long things are told by their beginning.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| match bytes.len() {
            0..=200 => bytes.escape_ascii().to_string(),
            length => format!("{}... ({length} bytes)", bytes[..100].escape_ascii()),
        };
        let [first, second, third] = &self.start;
        writeln!(f, "  {} | {} | {}", text(first), text(second), text(third))?;
        for (name, value) in &self.fields {
            writeln!(f, "  {}: {}", text(name), text(value))?;
        }
        writeln!(f, "  ({:?}) {}", self.framing, text(&self.body))?;
        for (name, value) in &self.trailers {
            writeln!(f, "  after it: {}: {}", text(name), text(value))?;
        }
        Ok(())
    }
}

/// Why a message cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The connection ended, or was reset, in the middle.
    #[error("the connection ended")]
    Ended,
    /// Nothing came for too long.
    #[error("nothing came any more")]
    Silent,
    /// It is not well-formed.
    #[error("{0}: {1}")]
    Wrong(&'static str, String),
}

fn wrong<T>(what: &'static str, bytes: &[u8]) -> Result<T, Trouble> {
    let shown = &bytes[..bytes.len().min(200)];
    Err(Trouble::Wrong(what, shown.escape_ascii().to_string()))
}

/// One end of a connection.
pub struct Peer {
    pub stream: TcpStream,
    input: Vec<u8>,
    /// What of `input` was taken.
    taken: usize,
}

impl Peer {
    pub fn new(stream: TcpStream) -> Peer {
        stream.set_nodelay(true).expect("a socket has options");
        for limit in [TcpStream::set_read_timeout, TcpStream::set_write_timeout] {
            limit(&stream, Some(s(20))).expect("a socket has options");
        }
        let (input, taken) = (Vec::new(), 0);
        Peer {
            stream,
            input,
            taken,
        }
    }

    pub fn connect(port: u16) -> io::Result<Peer> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map(Peer::new)
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    fn fill(&mut self) -> Result<(), Trouble> {
        if self.taken == self.input.len() {
            self.input.clear();
            self.taken = 0;
        }
        let mut part = [0; 16 * 1024];
        match self.stream.read(&mut part) {
            Ok(0) => Err(Trouble::Ended),
            Ok(count) => {
                self.input.extend_from_slice(&part[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Trouble::Silent),
            Err(_) => Err(Trouble::Ended),
        }
    }

    /// The connection has ended, and nothing came before that.
    pub fn has_ended(&mut self) -> bool {
        self.taken == self.input.len() && matches!(self.fill(), Err(Trouble::Ended))
    }

    /// Something came that was not taken.
    pub fn has_more(&self) -> bool {
        self.taken < self.input.len()
    }

    /// A line without its CR LF.
    fn line(&mut self) -> Result<Vec<u8>, Trouble> {
        let mut looked = 0;
        loop {
            let input = &self.input[self.taken..];
            let end = input[looked..].iter().position(|&byte| byte == b'\n');
            let Some(end) = end.map(|end| end + looked) else {
                looked = input.len();
                // What ends here is a line cut short.
                self.fill()?;
                continue;
            };
            let line = input[..end].to_vec();
            self.taken += end + 1;
            return match line.split_last() {
                Some((b'\r', line)) if !line.contains(&b'\r') => Ok(line.to_vec()),
                _ => wrong("a line does not end in CR LF", &line),
            };
        }
    }

    fn fields(&mut self) -> Result<Vec<Field>, Trouble> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let Some(colon) = line.iter().position(|&byte| byte == b':') else {
                return wrong("a line is no field", &line);
            };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.is_empty() || !name.iter().all(is_token) {
                return wrong("a name is no token", &line);
            }
            if value.iter().any(|&b| (b < b' ' && b != b'\t') || b == 0x7f) {
                return wrong("a value has a control character", &line);
            }
            fields.push((name.to_vec(), value.to_vec()));
        }
    }

    /// The next head; `None` where the connection ends before it begins.
    pub fn head(&mut self) -> Result<Option<Message>, Trouble> {
        if !self.has_more() {
            match self.fill() {
                Err(Trouble::Ended) => return Ok(None),
                other => other?,
            }
        }
        let line = self.line()?;
        let mut words = line.splitn(3, |&byte| byte == b' ');
        let (Some(one), Some(two), Some(three)) = (words.next(), words.next(), words.next()) else {
            return wrong("the first line has not three words", &line);
        };
        let mut message = Message::new([one, two, three]);
        message.fields = self.fields()?;
        Ok(Some(message))
    }

    /// The body of a request whose head was read.
    pub fn body_of_request(&mut self, message: &mut Message) -> Result<(), Trouble> {
        self.body(message, Framing::None)
    }

    /// The body of an answer to `method`. What came of it is in the message also where it is not whole.
    pub fn body_of_answer(&mut self, message: &mut Message, method: &[u8]) -> Result<(), Trouble> {
        let version = &message.start[0];
        let status = &message.start[1];
        if !matches!(&version[..], b"HTTP/1.1" | b"HTTP/1.0")
            || status.len() != 3
            || !status.iter().all(u8::is_ascii_digit)
        {
            return wrong("not the first line of an answer", &version[..]);
        }
        let bodiless = method == b"HEAD" || matches!(message.status(), 100..200 | 204 | 304);
        match bodiless {
            true => Ok(()),
            false => self.body(message, Framing::UntilClose),
        }
    }

    fn body(&mut self, message: &mut Message, otherwise: Framing) -> Result<(), Trouble> {
        let codings = message.words("transfer-encoding");
        let lengths: Vec<&[u8]> = message.all("content-length").collect();
        let length = match (&codings[..], &lengths[..]) {
            ([], []) => None,
            ([coding], []) if coding == b"chunked" => {
                message.framing = Framing::Chunked;
                return self.chunks(message);
            }
            ([], [length]) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
                std::str::from_utf8(length)
                    .ok()
                    .and_then(|length| length.parse::<u64>().ok())
            }
            _ => return wrong("two framings, or a strange one", b""),
        };
        message.framing = match length {
            Some(_) => Framing::Length,
            None => otherwise,
        };
        match (length, otherwise) {
            (Some(length), _) => self.take(length as usize, &mut message.body),
            (None, Framing::UntilClose) => match self.take(usize::MAX, &mut message.body) {
                Err(Trouble::Ended) => Ok(()),
                other => other,
            },
            (None, _) => Ok(()),
        }
    }

    fn take(&mut self, mut left: usize, to: &mut Vec<u8>) -> Result<(), Trouble> {
        loop {
            let here = (self.input.len() - self.taken).min(left);
            to.extend_from_slice(&self.input[self.taken..self.taken + here]);
            self.taken += here;
            left -= here;
            if left == 0 {
                return Ok(());
            }
            self.fill()?;
        }
    }

    fn chunks(&mut self, message: &mut Message) -> Result<(), Trouble> {
        loop {
            let line = self.line()?;
            let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
            let size = std::str::from_utf8(&line[..digits]).unwrap_or_default();
            let rest = line[digits..].trim_ascii_start();
            let Ok(size) = usize::from_str_radix(size, 16) else {
                return wrong("no size of a chunk", &line);
            };
            if !rest.is_empty() && rest[0] != b';' {
                return wrong("no extension of a chunk", &line);
            }
            if size == 0 {
                message.trailers = self.fields()?;
                return Ok(());
            }
            self.take(size, &mut message.body)?;
            if !self.line()?.is_empty() {
                return wrong("a chunk is longer than its size", b"");
            }
        }
    }
}

pub fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}
