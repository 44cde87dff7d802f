//! Backends that answer what nobody could pass on.

use tokio::sync::Notify;

use super::*;
use crate::pool::AttemptFailure;

/// The page for an answer that was none, and whose fault it is.
async fn is_a_bad_response(front: &Front, answer: &str) {
    assert_eq!(status(answer), 502, "{answer}");
    front.settled().await;
    let access = front.access().await;
    assert_eq!(access.attempts.len(), 1);
    assert_eq!(access.attempts[0].failure, AttemptFailure::BadResponse);
    assert_eq!(front.failures(), [1]);
}

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";

#[tokio::test]
async fn interim_answers_are_as_many_as_anybody_needs() {
    for (count, whole) in [(256, true), (257, false)] {
        let answer = format!("{}{OK}", HINTS.repeat(count));
        let stub = cutting(answer.leak()).await;
        let front = front(&[stub.address]);
        let got = front.get("/").await;
        let passed = got.matches("103 Early Hints").count();
        assert_eq!(passed, 256);
        let last = &got[got.rfind("HTTP/1.1").unwrap()..];
        match whole {
            true => assert!(status(last) == 200 && last.ends_with("ok"), "{last}"),
            false => is_a_bad_response(&front, last).await,
        }
    }
}

#[tokio::test]
async fn interim_answers_without_end_are_let_go_though_nobody_reads_them() {
    let ended = Arc::new(Notify::new());
    let notify = ended.clone();
    let stub = stub(move |mut stream, _, _| {
        let notify = notify.clone();
        async move {
            if read_head(&mut stream).await.is_none() {
                return;
            }
            let long = format!("HTTP/1.1 103 E\r\nLink: {}\r\n\r\n", "x".repeat(8000));
            // Ends with the connection only.
            while stream.write_all(long.as_bytes()).await.is_ok() {}
            notify.notify_one();
        }
    })
    .await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    let get = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(get).await.unwrap();
    within(ended.notified()).await;
    let got = read_all(&mut stream).await;
    // What is held for a client that reads nothing has its bound, too.
    assert!(got.len() < 257 * 8100, "{} bytes", got.len());
    is_a_bad_response(&front, &got[got.rfind("HTTP/1.1").unwrap()..]).await;
}

#[tokio::test]
async fn a_coding_that_the_client_would_not_hear_of_is_refused() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nzz\r\n0\r\n\r\n";
    let stub = cutting(answer).await;
    let front = front(&[stub.address]);
    is_a_bad_response(&front, &front.get("/").await).await;
}

/// What would pass for an answer to the next request.
const STRAY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen";

/// A backend whose first connection answers with `head`, and says more when it may `go`; the others answer as they should.
async fn straying(head: &'static str, go: Arc<Notify>, gone: Arc<Notify>) -> Stub {
    stub(move |mut stream, number, heads| {
        let (go, gone) = (go.clone(), gone.clone());
        async move {
            while let Some(request) = read_head(&mut stream).await {
                let line = request.lines().next().unwrap();
                heads.lock().unwrap().push(format!("{number}: {line}"));
                if number > 0 {
                    return stream.write_all(OK.as_bytes()).await.unwrap();
                }
                stream.write_all(head.as_bytes()).await.unwrap();
                go.notified().await;
                // The connection may have ended.
                let _ = stream.write_all(STRAY.as_bytes()).await;
                gone.notify_one();
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_stray_body_is_no_answer_for_the_next_client() {
    for (method, head) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\n\r\n"),
    ] {
        let (go, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let stub = straying(head, go.clone(), gone.clone()).await;
        // One worker: its idle connections are for everybody. No sweep comes in between.
        let front = front_with(&[stub.address], |s| s.workers = 1);
        let mut first = front.connect().await;
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        first.write_all(request.as_bytes()).await.unwrap();
        assert!(read_head(&mut first).await.is_some());
        go.notify_one();
        within(gone.notified()).await;
        let answer = front.get("/other").await;
        assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
        let lines = [
            format!("0: {method} / HTTP/1.1"),
            "1: GET /other HTTP/1.1".into(),
        ];
        assert_eq!(stub.heads(), lines);
    }
}
