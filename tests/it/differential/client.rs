//! A client that keeps its connection while it may, and reads to the byte.

use anyhow::{Context, Result, ensure};

use super::generate::Exchange;
use super::message::{Framing, Message, Peer};

/// What a client got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    pub interims: Vec<Message>,
    pub answer: Message,
}

/// A client of a server at `port`.
pub struct Client {
    port: u16,
    peer: Option<Peer>,
}

impl Client {
    pub fn new(port: u16) -> Client {
        Client { port, peer: None }
    }

    /// The request goes out, and its answer comes.
    pub fn ask(&mut self, exchange: &Exchange) -> Result<Got> {
        let mut peer = match self.peer.take() {
            Some(peer) => peer,
            None => Peer::connect(self.port)?,
        };
        let (head, body) = &exchange.request_bytes;
        let mut got = Got {
            interims: Vec::new(),
            answer: Message::new([b"", b"", b""]),
        };
        if exchange.waits {
            peer.write(head)?;
            let leave = peer.head()?.context("it ended before the body")?;
            ensure!(leave.status() == 100, "no leave to send a body:\n{leave:?}");
            got.interims.push(leave);
            peer.write(body)?;
        } else {
            peer.write(&[&head[..], body].concat())?;
        }
        loop {
            let mut answer = peer.head()?.context("it ended before the answer")?;
            let read = peer.body_of_answer(&mut answer, &exchange.request.start[0]);
            read.with_context(|| format!("in the middle of\n{answer:?}"))?;
            if !(100..200).contains(&answer.status()) {
                got.answer = answer;
                break;
            }
            got.interims.push(answer);
        }
        if exchange.closes || is_last(&got.answer) {
            ensure!(peer.has_ended(), "it goes on after it said that it ends");
        } else {
            ensure!(!peer.has_more(), "something follows the answer");
            self.peer = Some(peer);
        }
        Ok(got)
    }
}

/// Whether the connection ends with this answer (RFC 9112 §9.3).
fn is_last(answer: &Message) -> bool {
    answer.framing == Framing::UntilClose
        || answer.says("connection", "close")
        || answer.start[0] != b"HTTP/1.1"
}
