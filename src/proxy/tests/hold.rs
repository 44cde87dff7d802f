//! Short answers are held until they are whole; all others go out as they come.

use tokio::sync::Notify;

use super::*;
use crate::pool::AttemptFailure;

/// What the product's own constant says: a held answer takes at least as long if its rest does not come.
const PATIENCE: Duration = Duration::from_millis(100);
const CUT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf";

/// What a client got of an answer, and whether the connection ended by itself before the answer did.
fn is_cut(answer: &str) -> bool {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    match field(head, "content-length") {
        Some(length) => body.len() < length.parse().unwrap(),
        None => !body.ends_with("0\r\n\r\n"),
    }
}

#[tokio::test]
async fn a_death_in_a_short_answer_is_no_half_of_one() {
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (dying, living) = (cutting(CUT).await, answering(OK).await);
    let front = front(&[dying.address, living.address]);
    let answer = front.get("/").await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    assert_eq!(field(&answer, "x-lbdev-attempts"), Some("2"));
    let access = front.access().await;
    assert_eq!(access.attempts[0].failure, AttemptFailure::CutBody);
    let tally = &front.member(0).tally;
    let by: Vec<_> = tally.failures_by().filter(|one| one.1 > 0).collect();
    assert_eq!(by, [("cut_body", 1)]);

    let answer = front.ask(post).await;
    assert_eq!(status(&answer), 502, "{answer}");
    assert!(!answer.contains("half") && !is_cut(&answer), "{answer}");
    assert!(answer.contains("could act twice"), "{answer}");
    assert_eq!(living.heads().len(), 1, "the POST was not sent again");
    assert_eq!(front.member(0).tally.failures(), 2);
}

#[tokio::test]
async fn where_all_die_the_client_gets_a_whole_error() {
    let stubs = [cutting(CUT).await, cutting(CUT).await];
    let front = front(&stubs.each_ref().map(|stub| stub.address));
    let answer = front.get("/").await;
    assert_eq!(status(&answer), 502, "{answer}");
    assert!(!answer.contains("half") && !is_cut(&answer), "{answer}");
    let said = "`web:8001` ended in the middle of its answer";
    assert!(answer.contains(said), "{answer}");
}

/// A backend that sends `parts` one by one, each when it is told; then it closes.
async fn in_parts(parts: &'static [&'static str], go: Arc<Notify>) -> Stub {
    stub(move |mut stream, _, heads| {
        let go = go.clone();
        async move {
            let Some(head) = read_head(&mut stream).await else {
                return;
            };
            heads.lock().unwrap().push(head);
            for (number, part) in parts.iter().enumerate() {
                if number > 0 {
                    go.notified().await;
                }
                if stream.write_all(part.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn a_slow_short_answer_comes_after_the_patience_without_loss() {
    let go = Arc::new(Notify::new());
    let parts = &[CUT, "way", "."];
    let stub = in_parts(parts, go.clone()).await;
    let other = answering(OK).await;
    let front = front(&[stub.address, other.address]);
    let mut stream = front.connect().await;
    let began = Instant::now();
    stream.write_all(ASK).await.unwrap();
    // The rest is sent only when the first part has come through.
    let head = read_head(&mut stream).await.unwrap();
    assert!(began.elapsed() >= PATIENCE, "it was held");
    assert_eq!(field(&head, "content-length"), Some("8"));
    for part in ["half", "way", "."] {
        assert!(read_until(&mut stream, part).await.is_some(), "{part}");
        go.notify_one();
    }
    front.settled().await;
    assert_eq!(front.member(0).tally.failures(), 0);
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn after_the_patience_a_death_is_a_cut() {
    let go = Arc::new(Notify::new());
    let stub = in_parts(&[CUT, "way"], go.clone()).await;
    let other = answering(OK).await;
    let front = front(&[stub.address, other.address]);
    let mut stream = front.connect().await;
    stream.write_all(ASK).await.unwrap();
    assert!(read_until(&mut stream, "half").await.is_some());
    go.notify_one();
    assert_eq!(read_all(&mut stream).await, "way");
    let access = front.access().await;
    assert_eq!(access.status, 200);
    assert_eq!(access.attempts[0].failure, AttemptFailure::CutBody);
    assert_eq!(other.connections(), 0, "part of it was with the client");
}

#[tokio::test]
async fn what_is_not_held_is_cut_for_all_to_see() {
    // `true` is held, so that another backend is asked.
    for (part, hold, held) in [
        (CUT, 16 * 1024, true),
        (CUT, 8, true),
        (CUT, 7, false),
        (CUT, 0, false),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nhalf",
            16 * 1024,
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nContent-Length: 8\r\n\r\nhalf",
            16 * 1024,
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            16 * 1024,
            false,
        ),
    ] {
        let (dying, living) = (cutting(part).await, answering(OK).await);
        let front = front_with(&[dying.address, living.address], |s| s.hold = hold);
        let answer = front.get("/").await;
        assert_eq!(status(&answer), 200, "{hold}: {answer}");
        assert_eq!(is_cut(&answer), !held, "{hold}: {answer}");
        assert_eq!(answer.contains("half"), !held, "{hold}: {answer}");
        assert_eq!(living.connections(), usize::from(held), "{hold}: {part}");
        front.settled().await;
        assert_eq!(front.member(0).tally.failures(), 1, "{hold}: {part}");
    }
}

#[tokio::test]
async fn what_is_not_held_goes_out_at_once() {
    for (ask, parts, hold) in [
        (
            "GET",
            &[
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n",
                "data: 2\n\n",
            ],
            16 * 1024,
        ),
        (
            "GET",
            &[
                "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream\r\nContent-Length: 18\r\n\r\ndata: 1\n\n",
                "data: 2\n\n",
            ],
            16 * 1024,
        ),
        (
            "GET",
            &[
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
                "0\r\n\r\n",
            ],
            16 * 1024,
        ),
        ("GET", &[CUT, "way."], 0),
        ("GET", &[CUT, "way."], 7),
        (
            "HEAD",
            &["HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n", ""],
            16 * 1024,
        ),
        (
            "GET",
            &["HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\n\r\n", ""],
            16 * 1024,
        ),
        ("GET", &["HTTP/1.1 204 No Content\r\n\r\n", ""], 16 * 1024),
    ] {
        let go = Arc::new(Notify::new());
        let stub = in_parts(parts, go.clone()).await;
        let front = front_with(&[stub.address], |s| s.hold = hold);
        let ask = format!("{ask} / HTTP/1.1\r\nHost: a\r\n\r\n");
        // What is held takes at least the patience every time; what is not may do so by chance on a busy machine.
        let mut fastest = Duration::MAX;
        for _ in 0..20 {
            let mut stream = front.connect().await;
            let began = Instant::now();
            stream.write_all(ask.as_bytes()).await.unwrap();
            assert!(read_head(&mut stream).await.is_some());
            fastest = fastest.min(began.elapsed());
            go.notify_one();
            if fastest < PATIENCE {
                break;
            }
        }
        assert!(fastest < PATIENCE, "{fastest:?} {hold} {parts:?}");
    }
}
