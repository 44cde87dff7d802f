//! Backends that take requests with their bodies, and clients that send them.

use tokio::io::{AsyncBufReadExt, BufReader};

use super::*;

/// A request as a backend got it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) head: String,
    /// Without its framing.
    pub(super) body: Vec<u8>,
    /// The lines behind the last chunk.
    pub(super) trailers: Vec<String>,
}

/// The backend's end of a connection.
pub(super) struct Taker {
    stream: BufReader<TcpStream>,
}

impl Taker {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// The next line without its end. `None` when the connection ended.
    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).await;
        (read.is_ok() && line.ends_with("\r\n")).then(|| line.trim_end().to_owned())
    }

    /// Lines up to an empty one.
    async fn lines(&mut self) -> Option<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            match self.line().await? {
                line if line.is_empty() => return Some(lines),
                line => lines.push(line),
            }
        }
    }

    /// The head of the next request. `None` when the connection ended before it was whole.
    pub(super) async fn head(&mut self) -> Option<String> {
        let lines = self.lines().await?;
        Some(lines.iter().map(|line| format!("{line}\r\n")).collect())
    }

    /// The next request, of its body at most about `most` bytes; `parts` gets the length that came after each part.
    pub(super) async fn request(
        &mut self,
        most: usize,
        mut parts: impl FnMut(usize),
    ) -> Option<Taken> {
        let mut taken = Taken {
            head: self.head().await?,
            ..Taken::default()
        };
        parts(0);
        let chunked = field(&taken.head, "transfer-encoding").is_some();
        let length = field(&taken.head, "content-length").map(|length| length.parse().unwrap());
        let mut left = length.unwrap_or(0);
        while taken.body.len() < most {
            if chunked && left == 0 {
                left = usize::from_str_radix(&self.line().await?, 16).unwrap();
                if left == 0 {
                    taken.trailers = self.lines().await?;
                    break;
                }
            }
            if left == 0 {
                break;
            }
            let mut part = vec![0; left.min(1000).min(most - taken.body.len())];
            self.stream.read_exact(&mut part).await.ok()?;
            left -= part.len();
            taken.body.extend(part);
            parts(taken.body.len());
            if chunked && left == 0 {
                assert_eq!(self.line().await?, "");
            }
        }
        Some(taken)
    }

    pub(super) async fn answer(&mut self, answer: &str) {
        // Whoever has left does not want it.
        let _ = self.stream.write_all(answer.as_bytes()).await;
    }

    /// Ends the connection with a reset.
    pub(super) fn reset(self) {
        self.stream.get_ref().set_zero_linger().unwrap();
    }
}

/// A backend that takes every request whole and answers it with [`OK`].
pub(super) struct Taking {
    pub(super) stub: Stub,
    taken: Arc<Mutex<Vec<Taken>>>,
    /// The length of the body that has come of the request under way.
    pub(super) part: Arc<AtomicUsize>,
}

impl Taking {
    pub(super) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }
}

pub(super) async fn taking() -> Taking {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let part = Arc::new(AtomicUsize::new(0));
    let (list, came) = (taken.clone(), part.clone());
    let stub = stub(move |stream, _, heads| {
        let (list, came) = (list.clone(), came.clone());
        async move {
            let mut taker = Taker::new(stream);
            let parts = |length| came.store(length, Ordering::SeqCst);
            while let Some(taken) = taker.request(usize::MAX, parts).await {
                heads.lock().unwrap().push(taken.head.clone());
                list.lock().unwrap().push(taken);
                taker.answer(OK).await;
            }
        }
    })
    .await;
    Taking { stub, taken, part }
}

/// A backend that takes about `most` bytes of a request's body, and dies.
pub(super) async fn dying(most: usize) -> Stub {
    stub(move |stream, _, heads| async move {
        let taken = Taker::new(stream).request(most, |_| {}).await.unwrap();
        heads.lock().unwrap().push(taken.head);
    })
    .await
}

/// How a client says where a body ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Framing {
    Length,
    /// In pieces of so many bytes, with a trailer.
    Chunked(usize),
}

/// A request with a body, as bytes.
pub(super) fn with_body(start: &str, framing: Framing, body: &[u8]) -> Vec<u8> {
    let mut request = format!("{start}\r\nHost: a\r\nConnection: close\r\n").into_bytes();
    match framing {
        Framing::Length => {
            request.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
            request.extend(body);
        }
        Framing::Chunked(piece) => {
            request.extend(b"Transfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n");
            for part in body.chunks(piece) {
                request.extend(format!("{:x}\r\n", part.len()).bytes());
                request.extend(part);
                request.extend(b"\r\n");
            }
            request.extend(b"0\r\nx-sum: 7\r\n\r\n");
        }
    }
    request
}

/// Bytes that tell a shift, a loss and a repetition.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from((at / 7 + at) % 251).unwrap())
        .collect()
}

impl Front {
    /// One request of bytes, and everything that comes back.
    pub(super) async fn send(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        within(stream.write_all(request)).await.unwrap();
        read_all(&mut stream).await
    }

    /// Failed attempts of every backend.
    pub(super) fn failures(&self) -> Vec<u64> {
        let snapshot = self.pool().snapshot();
        let each = snapshot.members.iter();
        each.map(|member| member.tally.failures()).collect()
    }
}

/// A backend that answers so as soon as it has a request's head, and reads the rest afterwards.
pub(super) async fn refusing(answer: &'static str) -> Stub {
    stub(move |mut stream, _, heads| async move {
        let Some(head) = read_head(&mut stream).await else {
            return;
        };
        heads.lock().unwrap().push(head);
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await
}
