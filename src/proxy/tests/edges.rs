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
        assert!(
            head.to_lowercase().matches("content-length").count() <= 1,
            "{head}"
        );
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
            answer.matches("Content-Length: 2\r\n").count(),
            1,
            "{answer}"
        );
        assert_eq!(answer.matches("Content-Length").count(), 1, "{answer}");
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
async fn who_sends_slowly_is_not_the_backends_fault() {
    let stub = stub(|mut stream, _, _| async move {
        let Some(_) = read_until(&mut stream, "body").await else {
            return;
        };
        let _ = stream.write_all(OK.as_bytes()).await;
    })
    .await;
    let front = front_with(&[stub.address], |settings| {
        settings.timeouts.backend_head = Some(Duration::from_millis(100));
    });
    let mut stream = front.connect().await;
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbo",
        )
        .await
        .unwrap();
    // Far longer than the backend has for its head, once it has the request.
    let early = tokio::time::timeout(Duration::from_millis(600), stream.read_u8()).await;
    assert!(early.is_err(), "an answer before the request was whole");
    stream.write_all(b"dy").await.unwrap();
    assert_eq!(status(&read_all(&mut stream).await), 200);
    assert_eq!(front.member(0).tally.failures(), 0);
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
async fn a_client_that_reads_late_gets_all_of_it() {
    let stub = stub(|mut stream, _, _| async move {
        let head = read_head(&mut stream).await.unwrap();
        let path = head.split_whitespace().nth(1).unwrap();
        let length: usize = path[1..].parse().unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let _ = stream.write_all(&vec![b'x'; length]).await;
    })
    .await;
    // Long enough for a request to follow its connection on a busy machine.
    let idle = Duration::from_millis(700);
    let front = front_with(&[stub.address], |settings| settings.timeouts.idle = idle);
    // The system takes some megabytes. Of one of these, it is the proxy that has the rest when the backend has sent all.
    let mut clients = Vec::new();
    for length in (2_000_000..=4_500_000).step_by(100_000) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = within(socket.connect(front.address)).await.unwrap();
        let request = format!("GET /{length} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        clients.push((stream, length));
    }
    tokio::time::sleep(idle * 3).await;
    for (mut stream, length) in clients {
        read_head(&mut stream).await.unwrap();
        let mut body = vec![0; length];
        let whole = within(stream.read_exact(&mut body)).await;
        assert!(whole.is_ok(), "of {length}: {whole:?}");
    }
}

#[tokio::test]
async fn trailers_do_not_say_what_only_a_head_may() {
    let stub = stub(|mut stream, _, heads| async move {
        let _ = read_head(&mut stream).await;
        let body = read_until(&mut stream, "0\r\n").await.unwrap();
        let rest = read_head(&mut stream).await.unwrap();
        heads.lock().unwrap().push(body + &rest);
        stream.write_all(OK.as_bytes()).await.unwrap();
    })
    .await;
    let front = front(&[stub.address]);
    let answer = front
        .ask("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\nHost: evil\r\nAuthorization: me\r\nX-Forwarded-For: 1.2.3.4\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    assert_eq!(status(&answer), 200);
    let sent = stub.heads().pop().unwrap();
    assert_eq!(sent, "2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n");
}

#[tokio::test]
async fn nor_do_those_of_an_answer() {
    let stub = answering(concat!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\n",
        "Connection: close\r\nX-Lbdev-Backend: other\r\nTransfer-Encoding: chunked\r\n\r\n"
    ))
    .await;
    let front = front(&[stub.address]);
    let answer = front
        .ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n");
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
