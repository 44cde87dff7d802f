//! Messages that do not end as they should, peers that are slow or leave, and what is said twice.

use super::*;

#[tokio::test]
async fn a_backend_is_told_the_length_of_a_body_once() {
    let stub = stub(|mut stream, _, heads| async move {
        while let Some(head) = read_head(&mut stream).await {
            let length = field(&head, "content-length").unwrap_or("0");
            let mut body = vec![0; length.parse().unwrap()];
            heads.lock().unwrap().push(head);
            stream.read_exact(&mut body).await.unwrap();
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await;
    let front = front(&[stub.address]);
    for (method, length) in [
        ("POST", "4"),
        ("PUT", "4"),
        ("GET", "4"),
        ("POST", "0"),
        ("POST", "004"),
        ("GET", "0"),
    ] {
        let body = &"body"[..length.parse().unwrap()];
        let request = format!(
            "{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        let answer = front.ask(&request).await;
        assert_eq!(status(&answer), 200, "{answer}");
        let heads = stub.heads();
        let head = heads.last().unwrap();
        assert!(head.matches("content-length").count() <= 1, "{head}");
    }
}

#[tokio::test]
async fn a_length_that_is_said_twice_is_passed_on_once() {
    for lengths in [
        "Content-Length: 2, 2\r\n",
        "Content-Length: 2\r\nContent-Length: 2\r\n",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{lengths}\r\nok");
        let stub = answering(answer.leak()).await;
        let front = front(&[stub.address]);
        let answer = front.get("/").await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert_eq!(
            answer.matches("content-length: 2\r\n").count(),
            1,
            "{answer}"
        );
        assert_eq!(answer.matches("content-length").count(), 1, "{answer}");
    }
}

/// A backend that answers `answer` as soon as it has a request's head, then waits for the rest of its body; told when the
/// connection has ended.
async fn eager(answer: &'static str) -> (Stub, Arc<tokio::sync::Notify>) {
    let gone = Arc::new(tokio::sync::Notify::new());
    let told = gone.clone();
    let stub = stub(move |mut stream, _, heads| {
        let told = told.clone();
        async move {
            let head = read_head(&mut stream).await.unwrap();
            heads.lock().unwrap().push(head);
            stream.write_all(answer.as_bytes()).await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            told.notify_one();
        }
    })
    .await;
    (stub, gone)
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_body_ends_it_at_the_backend() {
    let (stub, gone) =
        eager("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    for reset in [false, true] {
        let front = front(&[stub.address]);
        let mut stream = front.connect().await;
        stream
            .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\npart")
            .await
            .unwrap();
        assert!(read_until(&mut stream, "half\r\n").await.is_some());
        if reset {
            stream.set_zero_linger().unwrap();
        }
        drop(stream);
        within(gone.notified()).await;
        front.settled().await;
        assert_eq!(front.member(0).tally.failures(), 0);
    }
}

#[tokio::test]
async fn who_dies_after_an_interim_answer_has_failed() {
    let stub = stub(|mut stream, number, heads| async move {
        while let Some(head) = read_head(&mut stream).await {
            heads.lock().unwrap().push(head);
            let count = heads.lock().unwrap().len();
            if number == 0 && count == 2 {
                let _ = stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await;
                return;
            }
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await;
    let front = front(&[stub.address]);
    assert_eq!(status(&front.get("/").await), 200);
    front.settled().await;
    front.access().await;
    front.get("/").await;
    assert_eq!(front.member(0).tally.failures(), 1);
}

#[tokio::test]
async fn a_head_of_unknown_length_does_not_get_one() {
    let stub = answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let front = front(&[stub.address]);
    let answer = front
        .ask("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(field(&answer, "content-length"), None, "{answer}");
}
