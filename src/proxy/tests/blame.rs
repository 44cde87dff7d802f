//! Whose fault it is: what a client does is never a backend's failure, and what a backend has begun is never a stale
//! connection's.

use super::*;
use crate::pool::AttemptFailure;

/// Reads all that comes, on every connection, and answers nothing; it counts the connections that have ended.
async fn listening_only() -> (Stub, Arc<AtomicUsize>) {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let stub = stub(move |mut stream, _, heads| {
        let count = count.clone();
        async move {
            if let Some(head) = read_head(&mut stream).await {
                heads.lock().unwrap().push(head);
            }
            read_all(&mut stream).await;
            count.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    (stub, ended)
}

fn impatient(settings: &mut Balancer) {
    settings.timeouts.backend_head = Some(Duration::from_millis(80));
}

#[tokio::test]
async fn a_client_that_stalls_in_mid_body_is_told_so_and_no_backend_is_blamed() {
    for framing in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let ((stub, ended), other) = (listening_only().await, answering(OK).await);
        let front = front_with(&[stub.address, other.address], |settings| {
            settings.timeouts.body = Some(Duration::from_millis(300));
        });
        let request = format!("PUT / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n5\r\nhello\r\n");
        let answer = front.ask(&request).await;
        assert_eq!(status(&answer), 408, "{framing}: {answer}");
        assert_eq!(field(&answer, "connection"), Some("close"), "{answer}");
        let access = front.access().await;
        assert_eq!((access.status, access.attempts.len()), (408, 0));
        assert_eq!(front.member(0).tally.failures(), 0);
        assert_eq!((front.pool().retries(), front.pool().unanswered()), (0, 0));
        // What it got of the request is let go, and nobody else gets it.
        eventually(|| ended.load(Ordering::SeqCst) == 1).await;
        assert_eq!(other.connections(), 0);
    }
}

#[tokio::test]
async fn a_backend_that_has_the_whole_body_and_is_silent_is_slow() {
    let (stub, _) = listening_only().await;
    let front = front_with(&[stub.address], impatient);
    let request =
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    let answer = front.ask(request).await;
    assert_eq!(status(&answer), 504, "{answer}");
    let failure = front.access().await.attempts[0].failure;
    assert_eq!(failure, AttemptFailure::HeadTimeout);
    assert_eq!(front.member(0).tally.failures(), 1);
}

#[tokio::test]
async fn a_backend_that_reads_nothing_is_slow_however_much_the_client_has() {
    // It accepts and never reads: the sockets fill, and the client is not what everybody waits for.
    let stub = stub(|stream, _, _| async move {
        let _stream = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let front = front_with(&[stub.address], |settings| {
        // Longer than a busy machine lets the client below wait for its turn.
        settings.timeouts.backend_head = Some(Duration::from_millis(600));
    });
    let mut stream = front.connect().await;
    let length = 64 * 1024 * 1024;
    let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.split();
    let piece = vec![b'x'; 64 * 1024];
    let sending = async {
        for _ in 0..length / piece.len() {
            if write.write_all(&piece).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut head = [0; 12];
    let answered = async { read.read_exact(&mut head).await.unwrap() };
    within(async {
        tokio::select! { () = sending => {}, _ = answered => {} }
    })
    .await;
    assert_eq!(&head, b"HTTP/1.1 504");
    assert_eq!(front.member(0).tally.failures(), 1);
}

#[tokio::test]
async fn an_interim_answer_on_a_used_connection_is_an_answer_begun() {
    // The second request on a connection gets a 103, and then the connection's end.
    let stub = stub(|mut stream, number, heads| async move {
        let head = read_head(&mut stream).await.unwrap();
        heads.lock().unwrap().push(head);
        stream.write_all(OK.as_bytes()).await.unwrap();
        if number == 0
            && let Some(head) = read_head(&mut stream).await
        {
            heads.lock().unwrap().push(head);
            let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
            stream.write_all(hints).await.unwrap();
        }
    })
    .await;
    let other = answering(OK).await;
    let front = front(&[stub.address, other.address]);
    assert_eq!(status(&front.get("/").await), 200);
    assert_eq!(front.access().await.attempts.len(), 0);
    front.settled().await;
    assert_eq!(status(&front.get("/").await), 200);
    assert_eq!(front.access().await.attempts.len(), 0);
    let answer = front.get("/").await;
    assert_eq!(
        field(&answer, "x-lbdev-backend"),
        Some("web:8001"),
        "{answer}"
    );
    let access = front.access().await;
    assert_eq!(access.attempts.len(), 1, "it was no stale connection");
    assert_eq!(access.attempts[0].failure, AttemptFailure::Closed);
    assert_eq!(front.member(0).tally.failures(), 1);
    assert_eq!((stub.connections(), stub.heads().len()), (1, 2));
}

#[tokio::test]
async fn a_body_in_single_bytes_is_kept_only_while_that_costs_little() {
    for (parts, expected) in [(1_000, 200), (20_000, 502)] {
        let dying = stub(|mut stream, _, heads| async move {
            let head = read_head(&mut stream).await.unwrap();
            heads.lock().unwrap().push(head);
            read_until(&mut stream, "0\r\n\r\n").await;
        })
        .await;
        let living = stub(|mut stream, _, heads| async move {
            let head = read_head(&mut stream).await.unwrap();
            let body = read_until(&mut stream, "0\r\n\r\n").await.unwrap();
            heads.lock().unwrap().extend([head, body]);
            stream.write_all(OK.as_bytes()).await.unwrap();
        })
        .await;
        let front = front(&[dying.address, living.address]);
        let body = "1\r\nx\r\n".repeat(parts);
        let head = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close";
        let answer = front.ask(&format!("{head}\r\n\r\n{body}0\r\n\r\n")).await;
        assert_eq!(status(&answer), expected, "{parts}: {answer}");
        if expected == 200 {
            assert_eq!(living.heads()[1], format!("{body}0\r\n\r\n"));
        }
    }
}
