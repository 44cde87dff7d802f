//! A backend that answers what an exchange says, and keeps what it was asked.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::generate::Exchange;
use super::message::{Message, Peer};

/// What becomes of a connection after an answer.
pub enum After {
    Next,
    End,
    Reset,
}

/// Answers one request on a connection.
pub type Answers = dyn Fn(&mut Peer, Message) -> After + Send + Sync;

/// A listener with a thread for each connection. Dropped, it listens no more.
pub struct Backend {
    pub port: u16,
    over: Arc<AtomicBool>,
    accepting: Option<std::thread::JoinHandle<()>>,
}

impl Backend {
    /// `port` 0 is any.
    pub fn start(port: u16, answers: Arc<Answers>) -> Backend {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let over = Arc::new(AtomicBool::new(false));
        let is_over = over.clone();
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let answers = answers.clone();
                std::thread::spawn(move || serve(Peer::new(stream), &*answers));
            }
        });
        Backend {
            port,
            over,
            accepting: Some(accepting),
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // It waits for a connection, and looks then.
        let looks = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let (Ok(_), Some(accepting)) = (looks, self.accepting.take()) {
            // The port is free when it has ended, however it did.
            let _ = accepting.join();
        }
    }
}

fn serve(mut peer: Peer, answers: &Answers) {
    while let Ok(Some(head)) = peer.head() {
        if head.number().is_none() {
            // lbdev looks whether somebody is there.
            if peer
                .write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .is_err()
            {
                return;
            }
            continue;
        }
        match answers(&mut peer, head) {
            After::Next => {}
            After::End => break,
            After::Reset => {
                let socket = socket2::SockRef::from(&peer.stream);
                // Where that fails it ends in another way.
                let _ = socket.set_linger(Some(Duration::ZERO));
                return;
            }
        }
    }
    let _ = peer.stream.shutdown(Shutdown::Write);
    // With something unread in it, a socket that is closed is reset.
    peer.has_ended();
}

/// What was asked, by the exchange's number: once each, if all is well.
pub type Asked = Arc<Mutex<HashMap<u32, Vec<Message>>>>;

/// The answers that the exchanges say.
pub fn answers(exchanges: Arc<Vec<Exchange>>, asked: Asked) -> Arc<Answers> {
    Arc::new(move |peer, mut request| {
        let number = request.number().expect("it was looked at");
        let exchange = &exchanges[number as usize];
        let answered = answer(peer, &mut request, exchange);
        let closes = request.says("connection", "close");
        let mut asked = asked.lock().expect("nobody panics with it");
        asked.entry(number).or_default().push(request);
        // Whoever asked reads on only when it is noted.
        drop(asked);
        match answered.and_then(|()| write(peer, exchange)) {
            Ok(()) if !closes && !exchange.ends => After::Next,
            _ => After::End,
        }
    })
}

fn answer(peer: &mut Peer, request: &mut Message, exchange: &Exchange) -> anyhow::Result<()> {
    let (before, after) = exchange.interim_bytes.split_at(usize::from(exchange.waits));
    for interim in before {
        peer.write(interim)?;
    }
    peer.body_of_request(request)?;
    for interim in after {
        peer.write(interim)?;
    }
    Ok(())
}

fn write(peer: &mut Peer, exchange: &Exchange) -> anyhow::Result<()> {
    let all = &exchange.answer_bytes;
    for part in all.chunks(all.len().div_ceil(exchange.parts)) {
        peer.write(part)?;
    }
    Ok(())
}
