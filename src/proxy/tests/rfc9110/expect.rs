//! §15.2 interim answers, and §10.1.1, who waits for one.

use super::*;

const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

fn put(lines: &str) -> String {
    format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n{lines}\r\n")
}

const EXPECTS: &str = "Expect: 100-continue\r\n";

#[tokio::test]
async fn s15_2_interim_answers_pass_as_they_stand_and_at_once() {
    // Each comes alone: the next is written when the client has it.
    let (say, words) = tokio::sync::mpsc::unbounded_channel::<&str>();
    let words = Arc::new(tokio::sync::Mutex::new(words));
    let stub = stub(move |mut stream, _, _| {
        let words = words.clone();
        async move {
            read_head(&mut stream).await.unwrap();
            while let Some(word) = words.lock().await.recv().await {
                stream.write_all(word.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    stream.write_all(get("").as_bytes()).await.unwrap();
    for interim in [
        "HTTP/1.1 102 Processing\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-lower-UPPER: 1\r\nlink: </b.css>\r\n\r\n",
        "HTTP/1.1 199 Of Its Own\r\nX: y\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\n",
    ] {
        say.send(interim).unwrap();
        assert_eq!(read_head(&mut stream).await.as_deref(), Some(interim));
    }
    // What is for one hop stays there; leave that nobody asked for is no news.
    say.send("HTTP/1.1 103 Early Hints\r\nConnection: x\r\nX: 1\r\nY: 2\r\n\r\n")
        .unwrap();
    let hint = read_head(&mut stream).await.unwrap();
    assert_eq!(hint, "HTTP/1.1 103 Early Hints\r\nY: 2\r\n\r\n");
    say.send(CONTINUE).unwrap();
    say.send(OK).unwrap();
    let head = read_head(&mut stream).await.unwrap();
    assert_eq!(status(&head), 200, "{head}");
}

#[tokio::test]
async fn s15_2_http_1_0_knows_none() {
    let all = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let stub = answering(all).await;
    let front = front(&[stub.address]);
    let answer = front.ask("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    // Nor does HTTP/2 get them here; what follows is whole.
    assert_eq!(front.h2().await.get("/").await.body, "ok");
}

#[tokio::test]
async fn s15_2_2_a_switch_that_nobody_asked_for_is_no_answer() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nGET /smuggled";
    let stub = answering(switch).await;
    for request in [
        get("Connection: close\r\n"),
        // Only half of it is said.
        get("Upgrade: x\r\nConnection: close\r\n"),
        get("Connection: upgrade, close\r\n"),
        // HTTP/1.0 has no such thing.
        "GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n".to_owned(),
    ] {
        let front = front(&[stub.address]);
        let answer = front.ask(&request).await;
        assert_eq!(status(&answer), 502, "{request}: {answer}");
        assert!(!answer.contains("smuggled"), "{answer}");
        front.settled().await;
        assert_eq!(front.failures(), [1]);
    }
}

#[tokio::test]
async fn s10_1_1_leave_comes_once_whoever_gives_it() {
    // The client has been given leave by lbdev when the backend gives its own.
    let go = Arc::new(tokio::sync::Notify::new());
    let given = go.clone();
    let stub = stub(move |mut stream, _, _| {
        let given = given.clone();
        async move {
            read_head(&mut stream).await.unwrap();
            given.notified().await;
            stream.write_all(CONTINUE.as_bytes()).await.unwrap();
            read_until(&mut stream, "hello").await.unwrap();
            stream.write_all(CONTINUE.as_bytes()).await.unwrap();
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    let request = put(&format!("{EXPECTS}Connection: close\r\n"));
    let began = Instant::now();
    stream.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(read_head(&mut stream).await.as_deref(), Some(CONTINUE));
    assert!(began.elapsed() > Duration::from_millis(900), "too early");
    go.notify_one();
    stream.write_all(b"hello").await.unwrap();
    let answer = read_all(&mut stream).await;
    assert_eq!(status(&answer), 200, "{answer}");
}

#[tokio::test]
async fn s10_1_1_who_does_not_wait_for_leave_needs_none() {
    let backend = taking().await;
    let front = front(&[backend.stub.address]);
    let request = put(&format!("{EXPECTS}Connection: close\r\n")) + "hello";
    let answer = front.ask(&request).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(backend.taken()[0].body, b"hello");
}

#[tokio::test]
async fn s10_1_1_the_next_backend_is_asked_too_and_the_client_is_told_once() {
    // The first dies before it gives leave, or with the body in its hands; the second gives leave again.
    for gives in [false, true] {
        let first = stub(move |mut stream, _, heads| async move {
            let head = read_head(&mut stream).await.unwrap();
            heads.lock().unwrap().push(head);
            if gives {
                stream.write_all(CONTINUE.as_bytes()).await.unwrap();
                read_until(&mut stream, "hello").await.unwrap();
            }
        })
        .await;
        let second = stub(|mut stream, _, heads| async move {
            let head = read_head(&mut stream).await.unwrap();
            heads.lock().unwrap().push(head);
            stream.write_all(CONTINUE.as_bytes()).await.unwrap();
            read_until(&mut stream, "hello").await.unwrap();
            stream.write_all(OK.as_bytes()).await.unwrap();
        })
        .await;
        let front = front(&[first.address, second.address]);
        let mut stream = front.connect().await;
        let request = put(&format!("{EXPECTS}Connection: close\r\n"));
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(read_head(&mut stream).await.as_deref(), Some(CONTINUE));
        stream.write_all(b"hello").await.unwrap();
        let answer = read_all(&mut stream).await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert_eq!(field(&answer, "x-lbdev-attempts"), Some("2"));
        for stub in [&first, &second] {
            assert_eq!(field(&stub.heads()[0], "expect"), Some("100-continue"));
        }
    }
}

#[tokio::test]
async fn s10_1_1_a_refusal_ends_the_connection_of_who_did_not_send() {
    // The backend would stay for another request: what comes next could be this one's body, or not.
    let refusal = "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno";
    let stub = answering(refusal).await;
    let front = front(&[stub.address]);
    for _ in 0..2 {
        let mut stream = front.connect().await;
        stream.write_all(put(EXPECTS).as_bytes()).await.unwrap();
        let answer = read_all(&mut stream).await;
        assert_eq!(status(&answer), 417, "{answer}");
        assert_eq!(field(&answer, "connection"), Some("close"), "{answer}");
    }
    assert_eq!(stub.connections(), 2);
}

#[tokio::test]
async fn s10_1_1_without_a_body_there_is_nothing_to_wait_for() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    let lines = format!("{EXPECTS}Connection: close\r\n");
    for request in [get(&lines), get(&format!("Content-Length: 0\r\n{lines}"))] {
        let answer = front.ask(&request).await;
        assert_eq!(status(&answer), 200, "{answer}");
    }
}
