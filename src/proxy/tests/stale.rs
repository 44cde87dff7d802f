//! Connections that were used before, and what became of them meanwhile.

use tokio::sync::Notify;

use super::taking::{Framing, Taker, pattern, taking, with_body};
use super::*;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn only_what_can_surely_be_repeated_goes_on_a_used_connection() {
    let put = |framing, length| with_body("PUT / HTTP/1.1", framing, &pattern(length));
    let post = |start: &str| with_body(start, Framing::Length, b"abc");
    for (name, request, used) in [
        ("GET", GET.to_vec(), true),
        (
            "DELETE",
            with_body("DELETE / HTTP/1.1", Framing::Length, b""),
            true,
        ),
        ("a PUT that is kept", put(Framing::Length, 1000), true),
        ("a PUT that is too long", put(Framing::Length, 1001), false),
        (
            "a PUT that may get too long",
            put(Framing::Chunked(9), 100),
            false,
        ),
        ("POST", post("POST / HTTP/1.1"), false),
        (
            "POST without a body",
            with_body("POST / HTTP/1.1", Framing::Length, b""),
            false,
        ),
        ("PATCH", post("PATCH / HTTP/1.1"), false),
        (
            "POST with a key, each of whose tries is to be seen",
            post("POST / HTTP/1.1\r\nIdempotency-Key: k"),
            false,
        ),
    ] {
        let backend = taking().await;
        let front = front_with(&[backend.stub.address], |s| s.retry.body = 1000);
        assert_eq!(status(&front.send(GET).await), 200, "{name}");
        front.settled().await;
        assert_eq!(status(&front.send(&request).await), 200, "{name}");
        assert_eq!(backend.taken().len(), 2, "{name}");
        let expected = if used { 1 } else { 2 };
        assert_eq!(backend.stub.connections(), expected, "{name}");
    }
}

/// How a connection ends that was used once.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// Before the next request.
    Closed,
    Reset,
    /// When it has come.
    ClosedOnHead,
    ResetOnHead,
    /// In the middle of its body, which cannot all be written.
    ResetInBody,
}

/// A backend whose first connection ends like that after one answer; it ends when `go` says so, and says when it has.
async fn ending(end: End, go: Arc<Notify>, gone: Arc<Notify>) -> Stub {
    stub(move |stream, number, heads| {
        let (go, gone) = (go.clone(), gone.clone());
        async move {
            let mut taker = Taker::new(stream);
            if number == 0 {
                taker.request(usize::MAX, |_| {}).await.unwrap();
                taker.answer(OK).await;
                go.notified().await;
                match end {
                    End::Closed => drop(taker),
                    End::Reset => taker.reset(),
                    End::ClosedOnHead => {
                        gone.notify_one();
                        taker.head().await.unwrap();
                    }
                    End::ResetOnHead => {
                        gone.notify_one();
                        taker.head().await.unwrap();
                        taker.reset();
                    }
                    End::ResetInBody => {
                        gone.notify_one();
                        taker.request(1000, |_| {}).await.unwrap();
                        taker.reset();
                    }
                }
                gone.notify_one();
                return;
            }
            while let Some(taken) = taker.request(usize::MAX, |_| {}).await {
                heads.lock().unwrap().push(taken.head);
                taker.answer(OK).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_stale_connection_costs_no_try() {
    // More than the sockets' buffers hold: the client writes it on while the proxy does.
    let long = with_body("PUT / HTTP/1.1", Framing::Length, &pattern(900_000));
    for end in [
        End::Closed,
        End::Reset,
        End::ClosedOnHead,
        End::ResetOnHead,
        End::ResetInBody,
    ] {
        for request in [GET, &long] {
            if end == End::ResetInBody && request == GET {
                continue;
            }
            let (go, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let stub = ending(end, go.clone(), gone.clone()).await;
            let front = front(&[stub.address]);
            assert_eq!(status(&front.send(GET).await), 200, "{end:?}");
            front.settled().await;
            go.notify_one();
            within(gone.notified()).await;
            front.access().await;
            let answer = front.send(request).await;
            assert_eq!(status(&answer), 200, "{end:?}: {answer}");
            assert_eq!(field(&answer, "x-lbdev-attempts"), Some("1"), "{end:?}");
            assert_eq!(stub.connections(), 2, "{end:?}");
            assert_eq!(stub.heads().len(), 1, "{end:?}");
            front.settled().await;
            assert_eq!(front.failures(), [0], "{end:?}");
            assert_eq!(front.pool().retries(), 0, "{end:?}");
            assert_eq!(front.access().await.attempts, [], "{end:?}");
        }
    }
}

#[tokio::test]
async fn many_stale_connections_cost_no_more() {
    // The backend closes all that it answered on at once, when the next request comes on one of them.
    let all = Arc::new(Notify::new());
    let (served, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, tell, ended) = (served.clone(), all.clone(), over.clone());
    let stub = stub(move |stream, number, _| {
        let (count, tell, ended) = (count.clone(), tell.clone(), ended.clone());
        async move {
            let mut taker = Taker::new(stream);
            taker.head().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            if number < 8 {
                // All are open at once.
                while count.load(Ordering::SeqCst) < 8 {
                    tokio::task::yield_now().await;
                }
            }
            taker.answer(OK).await;
            if number < 8 {
                tokio::select! { _ = taker.head() => tell.notify_waiters(), () = tell.notified() => {} }
                ended.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    let front = front(&[stub.address]);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut stream = front.connect().await;
        asking.spawn(async move {
            stream.write_all(GET).await.unwrap();
            status(&read_all(&mut stream).await)
        });
    }
    assert_eq!(asking.join_all().await, [200; 8]);
    front.settled().await;
    let answer = front.send(GET).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(field(&answer, "x-lbdev-attempts"), Some("1"));
    front.settled().await;
    assert_eq!(front.failures(), [0]);
    assert_eq!(stub.connections(), 9);
    eventually(|| over.load(Ordering::SeqCst) == 8).await;
}

#[tokio::test]
async fn a_byte_of_an_answer_makes_it_a_failure_of_the_backend() {
    for part in [
        "HTTP/1.1 200 OK\r\nContent-",
        "HTTP/1.1 103 Early Hints\r\n\r\n",
    ] {
        let dying = stub(move |stream, _, _| async move {
            let mut taker = Taker::new(stream);
            taker.head().await.unwrap();
            taker.answer(OK).await;
            if taker.head().await.is_some() {
                taker.answer(part).await;
            }
        })
        .await;
        let other = answering(OK).await;
        let front = front(&[dying.address, other.address]);
        for backend in ["web:8000", "web:8001"] {
            let answer = front.send(GET).await;
            assert_eq!(field(&answer, "x-lbdev-backend"), Some(backend));
            front.settled().await;
        }
        let answer = front.send(GET).await;
        // An interim answer is with the client already.
        let answer = answer
            .strip_prefix("HTTP/1.1 103 Early Hints\r\n\r\n")
            .unwrap_or(&answer);
        assert_eq!(status(answer), 200, "{part:?}: {answer}");
        assert_eq!(field(answer, "x-lbdev-attempts"), Some("2"), "{part:?}");
        assert_eq!(field(answer, "x-lbdev-backend"), Some("web:8001"));
        front.settled().await;
        assert_eq!(front.failures(), [1, 0], "{part:?}");
    }
}

/// What opens a connection of its own each time leaves no heap of idle ones behind: some backends have a thread for each.
#[tokio::test]
async fn fresh_connections_take_the_place_of_idle_ones() {
    let open = Arc::new(AtomicUsize::new(0));
    let count = open.clone();
    let stub = stub(move |mut stream, _, _| {
        let open = count.clone();
        async move {
            open.fetch_add(1, Ordering::SeqCst);
            while read_head(&mut stream).await.is_some() {
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
            open.fetch_sub(1, Ordering::SeqCst);
        }
    })
    .await;
    let front = front_with(&[stub.address], |s| s.workers = 1);
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for _ in 0..20 {
        assert_eq!(status(&front.ask(post).await), 200);
        front.settled().await;
    }
    assert_eq!(stub.connections(), 20);
    eventually(|| open.load(Ordering::SeqCst) == 1).await;
    // The one that stays is as good as any.
    front.get("/").await;
    assert_eq!(stub.connections(), 20);
}
