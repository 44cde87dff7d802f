//! The dashboard: its page in a real browser, its API, and everybody who is not to get in.

use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::harness::Lbdev;
use crate::http::{Connection, Response};

mod api;
mod attacks;
mod page;
mod streams;

/// Where a running dashboard is, and what it asks for.
#[derive(Debug, Clone)]
pub struct Door {
    pub port: u16,
    pub token: String,
}

impl Door {
    /// The one of the instance that runs here.
    pub fn of(lbdev: &Lbdev) -> Result<Door> {
        let printed = lbdev.run(&["open", "--print"]).ok().stdout;
        let (url, token) = printed.trim().split_once('#').context("a token")?;
        let port = url.trim_end_matches('/').rsplit(':').next();
        Ok(Door {
            port: port.context("a port")?.parse()?,
            token: token.to_owned(),
        })
    }

    /// The address with the token.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/#{}", self.port, self.token)
    }

    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    pub fn connect(&self) -> Result<Connection> {
        Ok(Connection::open(self.port)?)
    }

    /// A request with exactly these fields (and `Host`, if they have none).
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response> {
        Ok(self.connect()?.request(method, path, fields, body)?)
    }

    /// One that is let in.
    pub fn get(&self, path: &str) -> Result<Response> {
        let bearer = self.bearer();
        self.ask("GET", path, &[("Authorization", &bearer)], b"")
    }

    /// The same for a change.
    pub fn post(&self, path: &str, body: &Value) -> Result<Response> {
        self.change("POST", path, body)
    }

    pub fn change(&self, method: &str, path: &str, body: &Value) -> Result<Response> {
        let bearer = self.bearer();
        let fields = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
        ];
        self.ask(method, path, &fields, body.to_string().as_bytes())
    }

    /// Opens an event stream; nothing of it is read yet.
    pub fn stream(&self, with: &str) -> Result<TcpStream> {
        use std::io::Write;
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(
            stream,
            "GET /v1/events?with={with} HTTP/1.1\r\nHost: localhost:{}\r\nAccept: text/event-stream\r\n\
             Authorization: {}\r\n\r\n",
            self.port,
            self.bearer()
        )?;
        Ok(stream)
    }
}

/// The demo, and its dashboard.
pub fn demo() -> Result<(Lbdev, Door)> {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let door = Door::of(&lbdev)?;
    Ok((lbdev, door))
}
