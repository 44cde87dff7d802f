use super::*;
use crate::pool::AttemptFailure;

const BIG: usize = 20 * 1024 * 1024;

/// Bytes that tell a shift, a loss and a repetition.
fn pattern(from: usize, length: usize) -> Vec<u8> {
    (from..from + length)
        .map(|at| u8::try_from((at / 7 + at) % 251).unwrap())
        .collect()
}

#[tokio::test]
async fn twenty_megabytes_both_ways_at_once() {
    let echo = stub(|mut stream, _, _| async move {
        let head = read_head(&mut stream).await.unwrap();
        let chunked = field(&head, "transfer-encoding") == Some("chunked");
        assert_eq!(field(&head, "content-length").is_some(), !chunked);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.split();
        let mut read = (&mut read).take(BIG as u64);
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    })
    .await;
    let front = front(&[echo.address]);
    let mut stream = front.connect().await;
    let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {BIG}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.split();
    let sending = async {
        let mut at = 0;
        while at < BIG {
            let piece = pattern(at, (BIG - at).min(100_000));
            write.write_all(&piece).await.unwrap();
            at += piece.len();
        }
    };
    let receiving = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(read.read_u8().await.unwrap());
        }
        let mut at = 0;
        let mut buffer = vec![0; 256 * 1024];
        while at < BIG {
            let n = read.read(&mut buffer).await.unwrap();
            assert_ne!(n, 0, "ended at {at}");
            assert!(buffer[..n] == pattern(at, n), "differs after {at}");
            at += n;
        }
    };
    within(async { tokio::join!(sending, receiving) }).await;
}

#[tokio::test]
async fn every_chunk_goes_out_at_once_both_ways() {
    // Each side sends its next piece only when it has seen the other's: a buffer in between would stall it.
    let stub = stub(|mut stream, _, _| async move {
        let head = read_head(&mut stream).await.unwrap();
        assert_eq!(field(&head, "transfer-encoding"), Some("chunked"));
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        for _ in 0..3 {
            read_until(&mut stream, "ping").await.unwrap();
            stream.write_all(b"4\r\npong\r\n").await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        read_until(&mut stream, "0\r\n\r\n").await.unwrap();
    })
    .await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(read_head(&mut stream).await.is_some());
    for _ in 0..3 {
        stream.write_all(b"4\r\nping\r\n").await.unwrap();
        assert!(read_until(&mut stream, "pong").await.is_some());
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    assert!(read_until(&mut stream, "0\r\n\r\n").await.is_some());
}

#[tokio::test]
async fn a_cut_body_never_looks_whole() {
    for (part, request) in [
        // Longer than what is held.
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf",
            "1.1",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "1.1",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "1.0",
        ),
    ] {
        let (cut, other) = (cutting(part).await, answering(OK).await);
        let front = front(&[cut.address, other.address]);
        let mut stream = front.connect().await;
        let request = format!("GET / HTTP/{request}\r\nHost: a\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let end = within(stream.read_to_end(&mut bytes)).await;
        let got = String::from_utf8(bytes).unwrap();
        let whole_10 = end.is_ok() && request.contains("1.0");
        assert!(!whole_10 && !got.contains("0\r\n\r\n"), "{got}");
        assert_ne!(got.len(), 0);
        let access = front.access().await;
        assert_eq!(access.status, 200);
        assert_eq!(access.attempts[0].failure, AttemptFailure::CutBody);
        assert_eq!(access.backend.unwrap().short(), "8000");
        assert_eq!(front.member(0).tally.failures(), 1);
        assert_eq!(other.connections(), 0);
    }
}

#[tokio::test]
async fn a_response_that_ends_with_its_connection_is_whole() {
    let stub = cutting("HTTP/1.0 200 OK\r\n\r\nall of it").await;
    let front = front(&[stub.address]);
    let answer = front.get("/").await;
    assert!(answer.contains("all of it"), "{answer}");
    assert!(answer.ends_with("0\r\n\r\n"), "{answer}");
    assert!(front.access().await.attempts.is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_ends_it_at_the_backend_and_nobody_is_blamed() {
    let gone = Arc::new(tokio::sync::Notify::new());
    let told = gone.clone();
    let stub = stub(move |mut stream, _, heads| {
        let told = told.clone();
        async move {
            let head = read_head(&mut stream).await.unwrap();
            heads.lock().unwrap().push(head);
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            told.notify_one();
        }
    })
    .await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    eventually(|| !stub.heads().is_empty()).await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    within(gone.notified()).await;
    front.settled().await;
    assert_eq!(front.member(0).tally.failures(), 0);
    assert_eq!(front.pool().unanswered(), 0);
}

#[tokio::test]
async fn a_half_close_after_the_request_is_no_goodbye() {
    let seen = Arc::new(tokio::sync::Notify::new());
    let go = seen.clone();
    let stub = stub(move |mut stream, _, heads| {
        let go = go.clone();
        async move {
            let head = read_head(&mut stream).await.unwrap();
            heads.lock().unwrap().push(head);
            go.notified().await;
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    eventually(|| !stub.heads().is_empty()).await;
    seen.notify_one();
    assert_eq!(status(&read_all(&mut stream).await), 200);
}

#[tokio::test]
async fn trailers_are_passed() {
    let stub = answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n",
    )
    .await;
    let front = front(&[stub.address]);
    let request = "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close\r\n\r\n";
    let answer = front.ask(request).await;
    assert!(answer.contains("\r\nx-sum: 7\r\n"), "{answer}");
    front.settled().await;
    front.get("/").await;
    assert_eq!(stub.connections(), 1);
}
