//! Every way a backend can fail, times every kind of request, at the first and at the last try: what the client gets, who was
//! asked how often, and what counts as a failure. What is expected is said by rules (`expected`), not found out by looking.

mod backend;

use std::collections::BTreeSet;

use backend::{Backend, Request};
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
    /// A short body in two parts with a pause longer than a response is held: no failure at all.
    SlowBody,
    /// A used connection that the backend has closed by now.
    StaleEnd,
    /// A used connection that the backend has reset by now.
    StaleReset,
    /// A used connection that the backend closes when the next request comes.
    StaleAtWrite,
}

const FAILURES: [Failure; 13] = [
    Failure::Refuse,
    Failure::AcceptAndClose,
    Failure::Reset,
    Failure::Hang,
    Failure::HalfHead,
    Failure::Garbage,
    Failure::HeadThenClose,
    Failure::HalfBody,
    Failure::HalfLongBody,
    Failure::SlowBody,
    Failure::StaleEnd,
    Failure::StaleReset,
    Failure::StaleAtWrite,
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

/// Who is left when the backend fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Try {
    /// Another backend, which is well.
    First,
    /// Nobody.
    Last,
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
            Asked::LongPut => ("PUT", format!("Content-Length: {}\r\n", 2 * 1024 * 1024)),
            Asked::ChunkedPut => ("PUT", "Transfer-Encoding: chunked\r\n".to_owned()),
        };
        let mut bytes =
            format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n")
                .into_bytes();
        match self {
            Asked::Get | Asked::Head => {}
            Asked::Put | Asked::Post | Asked::PostWithKey => bytes.extend_from_slice(b"hello"),
            Asked::LongPut => bytes.resize(bytes.len() + 2 * 1024 * 1024, b'x'),
            Asked::ChunkedPut => bytes.extend_from_slice(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        }
        bytes
    }

    /// Whether it may be sent once more after a backend may have seen it: idempotent by its method or its key, with a body
    /// that was kept.
    fn is_replayable(self) -> bool {
        !matches!(self, Asked::Post | Asked::LongPut)
    }

    /// Whether it goes on a connection that was used before: idempotent by its method, and certain to be kept.
    fn goes_on_used_connections(self) -> bool {
        matches!(self, Asked::Get | Asked::Head | Asked::Put)
    }
}

/// What is to be seen of one cell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    status: u16,
    /// The response's body is as long as it says, or ends with an empty chunk.
    whole: bool,
    /// The port in `X-Lbdev-Backend`.
    backend: Option<u16>,
    attempts: Option<u16>,
    /// Why it was not tried again, on lbdev's own pages.
    reason: Option<&'static str>,
    /// Requests of this cell whose heads reached the failing backend, and the other one.
    asked: (usize, usize),
    /// Failures of the failing backend.
    failures: u64,
    retries: u64,
    unanswered: u64,
}

const REASONS: [&str; 5] = [
    "could act twice",
    "longer than what is kept",
    "no backend is left",
    "only slow",
    "no backend took requests",
];

/// The answer of a backend that is well or does not fail in the end, without a further try.
fn answered(port: u16, asked: (usize, usize)) -> Seen {
    Seen {
        status: 200,
        whole: true,
        backend: Some(port),
        attempts: Some(1),
        reason: None,
        asked,
        failures: 0,
        retries: 0,
        unanswered: 0,
    }
}

/// The next backend's answer after a failure.
fn retried(asked: (usize, usize)) -> Seen {
    Seen {
        attempts: Some(2),
        failures: 1,
        retries: 1,
        ..answered(8001, asked)
    }
}

/// A page of lbdev's own that names the failing backend.
fn gave_up(status: u16, reason: &'static str, asked: usize) -> Seen {
    Seen {
        status,
        reason: Some(reason),
        failures: 1,
        unanswered: 1,
        ..answered(8000, (asked, 0))
    }
}

/// The rules of failing over. Where it is chance how far a request gets before the backend is gone, there are several.
fn expected(failure: Failure, asked: Asked, which: Try) -> Vec<Seen> {
    // Whatever happens before the client has a byte, once the backend may have seen the request.
    let before_any_answer = |heads: usize| match (asked.is_replayable(), which) {
        (true, Try::First) => retried((heads, 1)),
        (true, Try::Last) => gave_up(502, "no backend is left", heads),
        (false, _) if asked == Asked::LongPut => gave_up(502, "longer than what is kept", heads),
        (false, _) => gave_up(502, "could act twice", heads),
    };
    match failure {
        // Nothing was sent: safe for every request. Without another one it waits, and in vain.
        Failure::Refuse => vec![match which {
            Try::First => retried((0, 1)),
            Try::Last => Seen {
                backend: None,
                ..gave_up(503, "no backend took requests", 0)
            },
        }],
        // The close may be known before the first byte is written: then nothing was sent, and it is safe too.
        Failure::AcceptAndClose => vec![
            before_any_answer(0),
            match which {
                Try::First => retried((0, 1)),
                Try::Last => gave_up(502, "no backend is left", 0),
            },
        ],
        Failure::Reset | Failure::HalfHead | Failure::Garbage => vec![before_any_answer(1)],
        // The process lives: a breakpoint must not fire on the next one too.
        Failure::Hang => vec![gave_up(504, "only slow", 1)],
        // HEAD has no body that could be missing (RFC 9110 §9.3.2).
        Failure::HeadThenClose | Failure::HalfBody | Failure::HalfLongBody
            if asked == Asked::Head =>
        {
            vec![answered(8000, (1, 0))]
        }
        // Short enough to be held: none of it is with the client.
        Failure::HeadThenClose | Failure::HalfBody => vec![before_any_answer(1)],
        Failure::HalfLongBody => vec![Seen {
            whole: false,
            failures: 1,
            ..answered(8000, (1, 0))
        }],
        Failure::SlowBody => vec![answered(8000, (1, 0))],
        // What the kernel has told by now is not even tried.
        Failure::StaleEnd | Failure::StaleReset => vec![answered(8000, (1, 0))],
        // A stale connection costs no try and is nobody's failure; the request was asked for twice.
        Failure::StaleAtWrite if asked.goes_on_used_connections() => vec![answered(8000, (2, 0))],
        Failure::StaleAtWrite => vec![answered(8000, (1, 0))],
    }
}

/// Plays one cell.
async fn play(failure: Failure, asked: Asked, which: Try) -> Seen {
    let bad = Backend::new(failure).await;
    let good = Backend::well().await;
    let addresses = match which {
        Try::First => vec![bad.address, good.address],
        Try::Last => vec![bad.address],
    };
    let front = front_with(&addresses, |settings| {
        settings.timeouts.backend_head = Some(Duration::from_millis(300));
        settings.queue_timeout = Duration::from_millis(100);
    });
    // Each backend is asked once before, so that the next turn is the failing one's.
    if bad.needs_a_used_connection() {
        for _ in &addresses {
            assert_eq!(status(&front.get("/").await), 200);
        }
        front.settled().await;
        bad.used_is_over(&front).await;
    }
    let before = (bad.asked(), good.asked());
    bad.arm();
    let answer = exchange(&front, asked).await;
    bad.disarm();
    front.settled().await;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{failure:?} {asked:?} {which:?}: {answer:?}"));
    let whole = match (field(head, "content-length"), asked) {
        (_, Asked::Head) => body.is_empty(),
        (Some(length), _) => length.parse() == Ok(body.len()),
        (None, _) => body.ends_with("0\r\n\r\n"),
    };
    let number =
        |name| field(head, name).map(|value| value.rsplit(':').next().unwrap().parse().unwrap());
    let tally = front.member(0).tally.clone();
    let seen = Seen {
        status: status(head),
        whole,
        backend: number("x-lbdev-backend"),
        attempts: number("x-lbdev-attempts"),
        reason: REASONS.into_iter().find(|words| body.contains(words)),
        asked: (bad.asked() - before.0, good.asked() - before.1),
        failures: tally.failures(),
        retries: front.pool().retries(),
        unanswered: front.pool().unanswered(),
    };
    // The front goes on, whatever it met.
    if !bad.is_gone() {
        assert_eq!(
            status(&front.get("/").await),
            200,
            "after {failure:?} {asked:?} {which:?}"
        );
    }
    seen
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
            cells.extend([Try::First, Try::Last].map(|which| (failure, asked, which)));
        }
    }
    assert_eq!(cells.len(), 13 * 7 * 2);
    let mut wrong = BTreeSet::new();
    // Each cell has a proxy of its own; so many at once are enough for two cores.
    for some in cells.chunks(26) {
        let mut playing = JoinSet::new();
        for &(failure, asked, which) in some {
            playing
                .spawn(async move { (failure, asked, which, play(failure, asked, which).await) });
        }
        while let Some(played) = playing.join_next().await {
            let (failure, asked, which, mut seen) = played.unwrap();
            // A page about a HEAD has no body that could say why.
            let mut allowed = expected(failure, asked, which);
            if asked == Asked::Head {
                allowed.iter_mut().for_each(|one| one.reason = None);
                seen.reason = None;
            }
            if !allowed.contains(&seen) {
                wrong.insert(format!(
                    "{failure:?} {asked:?} {which:?}:\n  {seen:?}\n  not {allowed:?}"
                ));
            }
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
