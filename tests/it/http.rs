//! A small HTTP/1.1 client over plain sockets, so that a test sees every byte that matters and no proxy setting can get in
//! the way.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// One whole response.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The first field of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        fields
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// All fields of this name.
    pub fn headers_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let fields = self.headers.iter().filter(move |(known, _)| known == name);
        fields.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    /// The port that `X-Lbdev-Backend: web:8000` names.
    pub fn backend_port(&self) -> Option<u16> {
        self.header("x-lbdev-backend")?
            .rsplit(':')
            .next()?
            .parse()
            .ok()
    }
}

/// A connection that is kept.
#[derive(Debug)]
pub struct Connection {
    reader: BufReader<TcpStream>,
    host: String,
    usable: bool,
}

impl Connection {
    /// To a port of 127.0.0.1, with `Host: localhost:PORT`.
    pub fn open(port: u16) -> io::Result<Connection> {
        // More than a minute, for which one test stops lbdev.
        Self::open_for(port, Duration::from_secs(80))
    }

    /// The same, with a limit for each read.
    pub fn open_for(port: u16, limit: Duration) -> io::Result<Connection> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        Ok(Connection {
            reader: BufReader::new(stream),
            host: format!("localhost:{port}"),
            usable: true,
        })
    }

    /// Whether another request may be sent.
    pub fn is_usable(&self) -> bool {
        self.usable
    }

    /// Sends a request and reads the whole response. A body gets a `Content-Length`; `headers` may replace `Host`.
    pub fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        // Until the response is whole, the connection is in the middle of something.
        self.usable = false;
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            head += &format!("Host: {}\r\n", self.host);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        head += "\r\n";
        let stream = self.reader.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        self.response(method)
    }

    /// Sends bytes as they are, for requests that are not right.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.usable = false;
        self.reader.get_mut().write_all(bytes)
    }

    /// Reads the next response; 1xx ones are passed over.
    pub fn response(&mut self, method: &str) -> io::Result<Response> {
        let (version, status, headers) = loop {
            let head = self.head()?;
            if !(100..200).contains(&head.1) || head.1 == 101 {
                break head;
            }
        };
        let mut response = Response {
            status,
            headers,
            body: Vec::new(),
        };
        let said = |name: &str, word: &str| {
            let mut values = response.headers_named(name);
            values.any(|value| {
                value
                    .split(',')
                    .any(|part| part.trim().eq_ignore_ascii_case(word))
            })
        };
        let closes = said("connection", "close")
            || version == "HTTP/1.0" && !said("connection", "keep-alive");
        let chunked = said("transfer-encoding", "chunked");
        let length = match response.header("content-length") {
            Some(text) => Some(text.parse().map_err(|_| bad("content-length"))?),
            None => None,
        };
        let mut to_the_end = false;
        if method == "HEAD" || matches!(status, 101 | 204 | 304) {
        } else if chunked {
            response.body = self.chunks()?;
        } else if let Some(length) = length {
            response.body = vec![0; length];
            self.reader.read_exact(&mut response.body)?;
        } else {
            to_the_end = true;
            self.reader.read_to_end(&mut response.body)?;
        }
        self.usable = !closes && !to_the_end && status != 101;
        Ok(response)
    }

    #[allow(clippy::type_complexity)] // read once, right below its only caller
    fn head(&mut self) -> io::Result<(String, u16, Vec<(String, String)>)> {
        let first = self.line()?;
        let mut words = first.splitn(3, ' ');
        let version = words.next().unwrap_or_default().to_owned();
        let status = words.next().and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| bad("status line"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok((version, status, headers));
            }
            let (name, value) = line.split_once(':').ok_or_else(|| bad("header"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(digits, 16).map_err(|_| bad("chunk size"))?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(body);
            }
            let start = body.len();
            body.resize(start + size, 0);
            self.reader.read_exact(&mut body[start..])?;
            if !self.line()?.is_empty() {
                return Err(bad("chunk end"));
            }
        }
    }

    /// One line without its end. The end of the stream is an error: a response is whole or it is none.
    pub fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        let Some(rest) = line.strip_suffix(b"\r\n") else {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection ended in the middle of a response",
            ));
        };
        Ok(String::from_utf8_lossy(rest).into_owned())
    }

    /// One byte, whatever it belongs to.
    pub fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.reader.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    /// The socket, for half-closes and the like.
    pub fn socket(&self) -> &TcpStream {
        self.reader.get_ref()
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the response's {what} is malformed"),
    )
}

/// GET on a connection of its own.
pub fn get(port: u16, path: &str) -> io::Result<Response> {
    Connection::open(port)?.request("GET", path, &[("Connection", "close")], b"")
}

/// Any request on a connection of its own.
pub fn send(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Response> {
    Connection::open(port)?.request(method, path, headers, body)
}
