//! Every way a backend can fail, times every kind of request, at the first and at the last try: what the client gets, who was
//! asked how often, and what counts as a failure. What is expected is said by [`rules`], not found out by looking.

mod backend;
mod rules;

use std::collections::BTreeSet;

use backend::{Backend, Request};
use rules::{REASONS, Seen, expected, names};
use tokio::task::JoinSet;

use super::*;

/// How a backend fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// Nobody listens.
    Refuse,
    /// The connection is closed as soon as it is there.
    AcceptAndClose,
    /// The request is read, and the connection reset.
    Reset,
    /// The request's head is read, and the connection reset; of a body, a part is on its way.
    ResetInRequest,
    /// The request's head is read, and nothing follows.
    Hang,
    /// The connection ends in the middle of the response's head.
    HalfHead,
    /// What comes is not HTTP.
    Garbage,
    /// A head that promises a body, and the end.
    HeadThenClose,
    /// A short body that ends in its middle.
    HalfBody,
    /// A body longer than what is held, that ends in its middle.
    HalfLongBody,
    /// A chunked body that ends in the middle of a chunk: it is never held.
    HalfChunks,
    /// A short body in two parts with a pause longer than a response is held: no failure at all.
    SlowBody,
    /// A used connection that the backend has closed by now.
    StaleEnd,
    /// A used connection that the backend has reset by now.
    StaleReset,
    /// A used connection that the backend closes when the next request comes.
    StaleEndAtWrite,
    /// A used connection that the backend resets when the next request comes.
    StaleResetAtWrite,
}

const FAILURES: [Failure; 16] = [
    Failure::Refuse,
    Failure::AcceptAndClose,
    Failure::Reset,
    Failure::ResetInRequest,
    Failure::Hang,
    Failure::HalfHead,
    Failure::Garbage,
    Failure::HeadThenClose,
    Failure::HalfBody,
    Failure::HalfLongBody,
    Failure::HalfChunks,
    Failure::SlowBody,
    Failure::StaleEnd,
    Failure::StaleReset,
    Failure::StaleEndAtWrite,
    Failure::StaleResetAtWrite,
];

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Get,
    Head,
    Put,
    Post,
    PostWithKey,
    /// 2 MiB, more than is kept.
    LongPut,
    ChunkedPut,
}

const ASKED: [Asked; 7] = [
    Asked::Get,
    Asked::Head,
    Asked::Put,
    Asked::Post,
    Asked::PostWithKey,
    Asked::LongPut,
    Asked::ChunkedPut,
];

/// The length of a long body.
const LONG: usize = 2 * 1024 * 1024;

/// Who is left when the backend fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Try {
    /// Another backend, which is well.
    First,
    /// Nobody.
    Last,
    /// Two more: one that fails in the same way, and one that is well and may not be asked, for `retries` is 1.
    Spent,
}

const TRIES: [Try; 3] = [Try::First, Try::Last, Try::Spent];

impl Failure {
    fn needs_a_used_connection(self) -> bool {
        self.ends_used_connections()
            || matches!(self, Failure::StaleEndAtWrite | Failure::StaleResetAtWrite)
    }

    /// By itself, before the next request comes.
    fn ends_used_connections(self) -> bool {
        matches!(self, Failure::StaleEnd | Failure::StaleReset)
    }
}

impl Asked {
    fn bytes(self) -> Vec<u8> {
        let (method, fields) = match self {
            Asked::Get => ("GET", String::new()),
            Asked::Head => ("HEAD", String::new()),
            Asked::Put => ("PUT", "Content-Length: 5\r\n".to_owned()),
            Asked::Post => ("POST", "Content-Length: 5\r\n".to_owned()),
            Asked::PostWithKey => (
                "POST",
                "Content-Length: 5\r\nIdempotency-Key: \"a\"\r\n".to_owned(),
            ),
            Asked::LongPut => ("PUT", format!("Content-Length: {LONG}\r\n")),
            Asked::ChunkedPut => ("PUT", "Transfer-Encoding: chunked\r\n".to_owned()),
        };
        let mut bytes =
            format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n")
                .into_bytes();
        match self {
            Asked::ChunkedPut => bytes.extend_from_slice(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
            _ => bytes.extend_from_slice(&self.body()),
        }
        bytes
    }

    /// Its body, whatever its framing.
    fn body(self) -> Vec<u8> {
        match self {
            Asked::Get | Asked::Head => Vec::new(),
            Asked::Put | Asked::Post | Asked::PostWithKey | Asked::ChunkedPut => b"hello".to_vec(),
            Asked::LongPut => vec![b'x'; LONG],
        }
    }

    /// Whether it goes on a connection that was used before: idempotent by its method, and certain to be kept.
    fn goes_on_used_connections(self) -> bool {
        matches!(self, Asked::Get | Asked::Head | Asked::Put)
    }
}

/// Plays one cell. What it finds wrong besides what is [`Seen`] is an error.
async fn play(failure: Failure, asked: Asked, which: Try) -> Result<Seen, String> {
    let bad = [Backend::new(failure).await, Backend::new(failure).await];
    let good = Backend::well().await;
    let backends = match which {
        Try::First => vec![&bad[0], &good],
        Try::Last => vec![&bad[0]],
        Try::Spent => vec![&bad[0], &bad[1], &good],
    };
    let addresses: Vec<SocketAddr> = backends.iter().map(|one| one.address).collect();
    let front = front_with(&addresses, |settings| {
        // Elsewhere nothing is to hang, and a busy machine is not to look like it.
        if failure == Failure::Hang {
            settings.timeouts.backend_head = Some(Duration::from_millis(300));
        }
        if failure == Failure::Refuse {
            settings.queue_timeout = Duration::from_millis(100);
        }
        if which == Try::Spent {
            settings.live.retries = 1;
        }
    });
    // Each backend is asked once before, so that the next turn is the failing one's.
    if failure.needs_a_used_connection() {
        for _ in &addresses {
            assert_eq!(status(&front.get("/").await), 200);
        }
        front.settled().await;
        for one in &backends {
            one.used_is_over(&front).await;
        }
    }
    backends.iter().for_each(|one| one.arm());
    let answer = exchange(&front, asked).await;
    backends.iter().for_each(|one| one.disarm());
    front.settled().await;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| format!("no answer: {answer:?}"))?;
    let whole = match (field(head, "content-length"), asked) {
        (_, Asked::Head) => body.is_empty(),
        (Some(length), _) => length.parse() == Ok(body.len()),
        (None, _) => body.ends_with("\r\n0\r\n\r\n"),
    };
    let number =
        |name| field(head, name).map(|value| value.rsplit(':').next().unwrap().parse().unwrap());
    let is_ours = status(head) != 200;
    let tallies = front.pool().snapshot().members.clone();
    let mut seen = Seen {
        status: status(head),
        whole,
        body: (!is_ours).then(|| match field(head, "transfer-encoding") {
            Some(_) => String::from_utf8(backend::data(body.as_bytes())).unwrap(),
            None => body.to_owned(),
        }),
        backend: number("x-lbdev-backend"),
        attempts: number("x-lbdev-attempts"),
        reason: REASONS.into_iter().find(|words| body.contains(words)),
        asked: [0; 3],
        intact: backends
            .iter()
            .all(|one| one.bodies().iter().all(|body| *body == asked.body())),
        failures: [0; 3],
        retries: front.pool().retries(),
        unanswered: front.pool().unanswered(),
    };
    for (index, one) in backends.iter().enumerate() {
        seen.asked[index] = one.asked();
        seen.failures[index] = tallies[index].tally.failures();
        for (kind, _) in tallies[index].tally.failures_by() {
            if !names(failure).iter().any(|name| name.name() == kind) {
                return Err(format!("it was called {kind}"));
            }
        }
    }
    let says_how = |name: &crate::pool::AttemptFailure| body.contains(&*name.words());
    if is_ours && asked != Asked::Head && !names(failure).iter().any(says_how) {
        return Err(format!("the page does not say how it failed: {body}"));
    }
    // The front goes on, whatever it met.
    if failure == Failure::Refuse && which == Try::Last {
        let run = RunId::FIRST.next();
        front.pool().publish(members(&[good.address], run));
    }
    match status(&front.get("/").await) {
        200 => Ok(seen),
        other => Err(format!("{other} to the next request, after {seen:?}")),
    }
}

/// Sends the request and reads to the end, both at once: an answer may come early.
async fn exchange(front: &Front, asked: Asked) -> String {
    let stream = front.connect().await;
    let (mut read, mut write) = stream.into_split();
    let sending = tokio::spawn(async move {
        // Who answers early need not read the rest.
        let _ = write.write_all(&asked.bytes()).await;
        write
    });
    let mut bytes = Vec::new();
    let _ = within(read.read_to_end(&mut bytes)).await;
    drop(sending.await);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn every_failure_times_every_request_times_every_try() {
    let mut cells = Vec::new();
    for failure in FAILURES {
        for asked in ASKED {
            cells.extend(TRIES.map(|which| (failure, asked, which)));
        }
    }
    assert_eq!(cells.len(), 16 * 7 * 3);
    let mut wrong = BTreeSet::new();
    // Each cell has a proxy of its own; so many at once are enough for two cores.
    for some in cells.chunks(24) {
        let mut playing = JoinSet::new();
        for &(failure, asked, which) in some {
            playing
                .spawn(async move { (failure, asked, which, play(failure, asked, which).await) });
        }
        while let Some(played) = playing.join_next().await {
            let (failure, asked, which, seen) = played.unwrap();
            let allowed = expected(failure, asked, which);
            let what = match seen {
                Ok(seen) if allowed.contains(&seen) => continue,
                Ok(seen) => format!("{seen:?}\n  not {allowed:?}"),
                Err(what) => what,
            };
            wrong.insert(format!("{failure:?} {asked:?} {which:?}:\n  {what}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cells:\n{}",
        wrong.len(),
        wrong.into_iter().collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn requests_are_what_they_are_called() {
    for asked in ASKED {
        let bytes = asked.bytes();
        let request = Request::parse(&bytes).unwrap();
        assert_eq!(request.length, bytes.len(), "{asked:?}");
    }
}
