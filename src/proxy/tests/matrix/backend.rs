//! A backend that fails in one way while it is armed, and answers otherwise.

use std::sync::atomic::AtomicBool;

use super::*;

/// How long a slow body pauses: longer than a response is held.
const PAUSE: Duration = Duration::from_millis(150);

pub(super) struct Backend {
    pub(super) address: SocketAddr,
    failure: Option<Failure>,
    armed: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    /// Used connections that ended.
    over: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Backend {
    /// One that never fails.
    pub(super) async fn well() -> Self {
        Self::of(None).await
    }

    pub(super) async fn new(failure: Failure) -> Self {
        Self::of(Some(failure)).await
    }

    async fn of(failure: Option<Failure>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = match failure {
            Some(Failure::Refuse) => nobody().await,
            _ => listener.local_addr().unwrap(),
        };
        let (armed, asked, over) = (
            Arc::new(AtomicBool::new(false)),
            Arc::default(),
            Arc::default(),
        );
        let script = Script {
            failure,
            armed: armed.clone(),
            asked: Arc::clone(&asked),
            over: Arc::clone(&over),
        };
        let task = tokio::spawn(async move {
            let mut running = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                running.spawn(script.clone().serve(stream));
            }
        });
        Self {
            address,
            failure,
            armed,
            asked,
            over,
            task,
        }
    }

    pub(super) fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    pub(super) fn disarm(&self) {
        self.armed.store(false, Ordering::SeqCst);
    }

    /// Requests whose heads came.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub(super) fn needs_a_used_connection(&self) -> bool {
        matches!(
            self.failure,
            Some(Failure::StaleEnd | Failure::StaleReset | Failure::StaleAtWrite)
        )
    }

    /// Where it ends a used connection by itself: that this has happened.
    pub(super) async fn used_is_over(&self, front: &Front) {
        if self.failure != Some(Failure::StaleAtWrite) {
            eventually(|| self.over.load(Ordering::SeqCst) > 0).await;
            // A connection is set up and answered after it: the news of the end has passed the same way by then.
            drop(front.connect().await);
        }
    }

    /// It never answers any more, not even disarmed.
    pub(super) fn is_gone(&self) -> bool {
        self.failure == Some(Failure::Refuse) || self.failure == Some(Failure::Hang)
    }
}

#[derive(Clone)]
struct Script {
    failure: Option<Failure>,
    armed: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    over: Arc<AtomicUsize>,
}

impl Script {
    async fn serve(self, mut stream: TcpStream) {
        let armed = || self.armed.load(Ordering::SeqCst);
        if armed() && self.failure == Some(Failure::AcceptAndClose) {
            return;
        }
        let mut used = false;
        loop {
            let Some(head) = read_head(&mut stream).await else {
                return;
            };
            self.asked.fetch_add(1, Ordering::SeqCst);
            let failure = self.failure.filter(|_| armed());
            if failure == Some(Failure::Hang) {
                // Until the proxy has enough of it.
                let _ = stream.read_to_end(&mut Vec::new()).await;
                return;
            }
            if read_body(&mut stream, &head).await.is_none() {
                return;
            }
            let is_head = head.starts_with("HEAD");
            let said = match failure {
                Some(Failure::Reset) => {
                    stream.set_zero_linger().unwrap();
                    return;
                }
                Some(Failure::StaleAtWrite) if used => return,
                Some(Failure::HalfHead) => "HTTP/1.1 200 OK\r\nContent-Le",
                Some(Failure::Garbage) => "SSH-2.0-OpenSSH_9.9\r\n\r\n",
                Some(Failure::HeadThenClose) => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
                Some(Failure::HalfBody) => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
                Some(Failure::HalfLongBody) => {
                    "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf"
                }
                Some(Failure::SlowBody) => {
                    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
                    stream.write_all(head.as_bytes()).await.unwrap();
                    if !is_head {
                        let _ = stream.write_all(b"half ").await;
                        tokio::time::sleep(PAUSE).await;
                        let _ = stream.write_all(b"whole").await;
                    }
                    continue;
                }
                _ => {
                    let answer = match is_head {
                        true => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
                        false => OK,
                    };
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                    used = true;
                    // It ends what it has just used, as a server does whose idle time is over.
                    let ends = match self.failure {
                        Some(Failure::StaleEnd) => true,
                        Some(Failure::StaleReset) => {
                            stream.set_zero_linger().unwrap();
                            true
                        }
                        _ => false,
                    };
                    if ends && !armed() {
                        drop(stream);
                        self.over.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                    continue;
                }
            };
            let _ = stream.write_all(said.as_bytes()).await;
            return;
        }
    }
}

async fn read_body(stream: &mut TcpStream, head: &str) -> Option<()> {
    if let Some(length) = field(head, "content-length") {
        let mut body = vec![0; length.parse().unwrap()];
        return stream.read_exact(&mut body).await.ok().map(drop);
    }
    if field(head, "transfer-encoding").is_some() {
        return read_until(stream, "0\r\n\r\n").await.map(drop);
    }
    Some(())
}

/// A request as raw bytes.
pub(super) struct Request {
    /// With its head and its framing.
    pub(super) length: usize,
}

impl Request {
    /// `None` where the bytes are none.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let body = match field(head, "content-length") {
            Some(length) => length.parse().ok()?,
            None if field(head, "transfer-encoding").is_some() => body.find("0\r\n\r\n")? + 5,
            None => 0,
        };
        Some(Self {
            length: head.len() + 4 + body,
        })
    }
}
