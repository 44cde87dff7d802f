//! Very many clients at once: idle connections, WebSockets, and some that never get their request said.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::SinkExt as _;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::wait::{s, until_async, work};
use crate::websocket;

/// So many connect at the same time: a real crowd does not arrive in one instant either.
const AT_ONCE: usize = 50;

/// Allows this process, and what it starts from now on, as many files as the system does.
pub(super) fn raise_file_limit() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    if let Some(most) = limit.maximum {
        ensure!(most >= 8192, "at most {most} files may be open here");
    }
    // No system refuses this many where its limit is higher or none.
    let enough = limit.maximum.unwrap_or(10_240).min(10_240);
    limit.current = limit.current.map(|current| current.max(enough));
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Everybody who is there at once.
pub(super) struct Crowd {
    idle: Vec<TcpStream>,
    sockets: Vec<WebSocketStream<TcpStream>>,
    slow: JoinSet<()>,
}

impl Crowd {
    /// So many of each kind, all connected.
    pub(super) async fn gather(
        port: u16,
        idle: usize,
        sockets: usize,
        slow: usize,
    ) -> Result<Crowd> {
        let begun = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..slow {
            let begun = Arc::clone(&begun);
            tasks.spawn(async move {
                loop {
                    // Whoever is ended comes again. A connection that is refused or reset is an end like another.
                    let _ = slow_loris(port, s(1), || {
                        begun.fetch_add(1, Ordering::Relaxed);
                    })
                    .await;
                }
            });
        }
        let crowd = Crowd {
            idle: many(idle, move || async move {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
                ask(&mut stream).await?;
                Ok(stream)
            })
            .await?,
            sockets: many(sockets, move || async move {
                let mut socket = websocket::connect(port).await?.0;
                echo(&mut socket).await?;
                Ok(socket)
            })
            .await?,
            slow: tasks,
        };
        until_async(s(30), "the slow ones have begun", || {
            begun.load(Ordering::Relaxed) >= slow
        })
        .await;
        Ok(crowd)
    }

    /// Each of those who can be is answered once more; then all of them go.
    pub(super) async fn leave(mut self) -> Result<()> {
        for stream in &mut self.idle {
            ask(stream).await.context("an idle connection")?;
        }
        for socket in &mut self.sockets {
            echo(socket).await.context("a WebSocket")?;
        }
        self.slow.shutdown().await;
        Ok(())
    }
}

/// `count` of what `make` makes.
async fn many<T, F>(count: usize, make: impl Fn() -> F) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let (mut tasks, mut made) = (JoinSet::new(), Vec::new());
    for _ in 0..count {
        if tasks.len() >= AT_ONCE {
            made.push(tasks.join_next().await.context("there are some")???);
        }
        tasks.spawn(make());
    }
    while let Some(one) = tasks.join_next().await {
        made.push(one??);
    }
    Ok(made)
}

/// A request on a connection that is kept.
async fn ask(stream: &mut TcpStream) -> Result<()> {
    stream
        .write_all(b"GET /bytes/3 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await?;
    let mut seen = Vec::new();
    let answer = async {
        while !seen.ends_with(b"\r\n\r\n\x00\x01\x02") {
            ensure!(stream.read_buf(&mut seen).await? > 0, "it was closed");
        }
        Ok(())
    };
    tokio::time::timeout(s(30), answer).await??;
    ensure!(
        seen.starts_with(b"HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&seen)
    );
    Ok(())
}

async fn echo(socket: &mut WebSocketStream<TcpStream>) -> Result<()> {
    socket.send(Message::text("still here")).await?;
    let answer = websocket::next(socket).await?;
    ensure!(answer == Message::text("still here"), "{answer:?}");
    Ok(())
}

/// How a slow one ended.
#[derive(Debug)]
pub(super) struct End {
    /// From its connecting on.
    pub(super) after: Duration,
    /// What it was told.
    pub(super) answer: Vec<u8>,
}

/// Sends a request that has no end, a byte each time `every` has passed, until the other side ends it. `begun` is called
/// when its first byte is on its way.
pub(super) async fn slow_loris(port: u16, every: Duration, begun: impl FnOnce()) -> Result<End> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let connected = Instant::now();
    let (mut from, mut to) = stream.split();
    let head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".iter();
    let mut bytes = head.chain(std::iter::repeat(&b'a'));
    to.write_all(bytes.next().map(std::slice::from_ref).unwrap_or_default())
        .await?;
    begun();
    let talk = async {
        for byte in bytes {
            work(every).await;
            // Whoever does not listen any more has said why; it is read below.
            if to.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    tokio::select! {
        // A reset is an end too.
        _ = from.read_to_end(&mut answer) => {}
        () = talk => {}
    }
    Ok(End {
        after: connected.elapsed(),
        answer,
    })
}
