//! A backend that fails in one way while it is armed, and answers otherwise.

use std::sync::atomic::AtomicBool;

use super::*;

/// How long a slow body pauses: longer than a response is held.
const PAUSE: Duration = Duration::from_millis(150);

type Bodies = Arc<Mutex<Vec<Vec<u8>>>>;

pub(super) struct Backend {
    pub(super) address: SocketAddr,
    failure: Option<Failure>,
    armed: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    bodies: Bodies,
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
        let armed = Arc::new(AtomicBool::new(false));
        let (asked, over, bodies) = (Arc::default(), Arc::default(), Bodies::default());
        let script = Script {
            failure,
            armed: armed.clone(),
            asked: Arc::clone(&asked),
            bodies: bodies.clone(),
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
            bodies,
            over,
            task,
        }
    }

    /// From now on it fails, and counts.
    pub(super) fn arm(&self) {
        self.asked.store(0, Ordering::SeqCst);
        self.bodies.lock().unwrap().clear();
        self.armed.store(true, Ordering::SeqCst);
    }

    pub(super) fn disarm(&self) {
        self.armed.store(false, Ordering::SeqCst);
    }

    /// Requests whose heads came.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// The bodies that came whole.
    pub(super) fn bodies(&self) -> Vec<Vec<u8>> {
        self.bodies.lock().unwrap().clone()
    }

    /// Where it ends a used connection by itself: that this has happened.
    pub(super) async fn used_is_over(&self, front: &Front) {
        if self.failure.is_some_and(Failure::ends_used_connections) {
            eventually(|| self.over.load(Ordering::SeqCst) > 0).await;
            // A connection is set up and answered after it: the news of the end has passed the same way by then.
            drop(front.connect().await);
        }
    }
}

#[derive(Clone)]
struct Script {
    failure: Option<Failure>,
    armed: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    bodies: Bodies,
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
            if failure == Some(Failure::ResetInRequest) {
                stream.set_zero_linger().unwrap();
                return;
            }
            let Some(body) = read_body(&mut stream, &head).await else {
                return;
            };
            self.bodies.lock().unwrap().push(body);
            let is_head = head.starts_with("HEAD");
            let said = match failure {
                Some(Failure::Reset) => {
                    stream.set_zero_linger().unwrap();
                    return;
                }
                Some(Failure::StaleEndAtWrite) if used => return,
                Some(Failure::StaleResetAtWrite) if used => {
                    stream.set_zero_linger().unwrap();
                    return;
                }
                Some(Failure::HalfHead) => "HTTP/1.1 200 OK\r\nContent-Le",
                Some(Failure::Garbage) => "SSH-2.0-OpenSSH_9.9\r\n\r\n",
                Some(Failure::HeadThenClose) => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
                Some(Failure::HalfBody) => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
                Some(Failure::HalfLongBody) => {
                    "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf"
                }
                Some(Failure::HalfChunks) => {
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nha\r\n9\r\nlf"
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

async fn read_body(stream: &mut TcpStream, head: &str) -> Option<Vec<u8>> {
    if let Some(length) = field(head, "content-length") {
        let mut body = vec![0; length.parse().unwrap()];
        return stream.read_exact(&mut body).await.ok().map(|_| body);
    }
    if field(head, "transfer-encoding").is_some() {
        let coded = read_until(stream, "0\r\n\r\n").await?;
        return Some(data(coded.as_bytes()));
    }
    Some(Vec::new())
}

/// The data in a chunked body, as far as it came.
pub(super) fn data(mut coded: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let Some(end) = coded.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&coded[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        coded = &coded[end + 2..];
        let (chunk, rest) = coded.split_at(size.min(coded.len()));
        data.extend_from_slice(chunk);
        coded = rest.get(2..).unwrap_or_default();
    }
    data
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
