//! §7.8: other protocols, whatever they are called.

use super::*;

/// Reads a request's head and `body`, switches with `first` behind the head, and echoes.
async fn switching(token: &'static str, body: &'static str, first: &'static str) -> Stub {
    stub(move |mut stream, _, heads| async move {
        let head = read_head(&mut stream).await.unwrap();
        heads.lock().unwrap().push(head);
        if read_until(&mut stream, body).await.is_none() {
            return;
        }
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nX-First: 1\r\nConnection: upgrade\r\nUpgrade: {token}\r\n\r\n{first}"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await
}

#[tokio::test]
async fn s7_8_any_protocol_passes_both_ways_with_what_is_said_early() {
    for token in ["websocket", "WebSocket", "h2c", "my-own/1.0", "tcp, udp"] {
        let stub = switching(token, "", "first").await;
        let front = front(&[stub.address]);
        let mut stream = front.connect().await;
        let lines = format!("Upgrade: {token}\r\nCONNECTION: keep-alive , UPGRADE\r\n");
        let request = get(&lines) + "early";
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await.unwrap();
        assert_eq!(status(&head), 101, "{head}");
        assert_eq!(field(&head, "upgrade"), Some(token));
        assert_eq!(field(&head, "connection"), Some("upgrade"));
        assert_eq!(field(&head, "x-first"), Some("1"));
        for absent in ["content-length", "transfer-encoding"] {
            assert_eq!(field(&head, absent), None, "{head}");
        }
        let sent = stub.heads().remove(0);
        assert_eq!(field(&sent, "upgrade"), Some(token));
        assert_eq!(field(&sent, "connection"), Some("upgrade"));
        assert!(read_until(&mut stream, "firstearly").await.is_some());
        let much = "x".repeat(3_000_000) + "end";
        let (mut read, mut write) = stream.split();
        let writing = async { write.write_all(much.as_bytes()).await.unwrap() };
        let mut back = vec![0; much.len()];
        let reading = async { read.read_exact(&mut back).await.unwrap() };
        within(async { tokio::join!(writing, reading) }).await;
        assert!(back == much.as_bytes());
        // It counts until it ends.
        assert_eq!(front.member(0).life.in_flight(), 1);
        drop(stream);
        front.settled().await;
    }
}

#[tokio::test]
async fn s7_8_a_request_has_its_body_first() {
    for (lines, body, as_sent) in [
        ("Content-Length: 5\r\n", "hello", "hello"),
        (
            "Transfer-Encoding: chunked\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "0\r\n\r\n",
        ),
    ] {
        let stub = switching("x", as_sent, "first").await;
        let front = front(&[stub.address]);
        let mut stream = front.connect().await;
        let request = format!(
            "PUT / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n{lines}\r\n{body}early"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(status(&read_head(&mut stream).await.unwrap()), 101);
        assert!(read_until(&mut stream, "firstearly").await.is_some());
    }
}

#[tokio::test]
async fn s7_8_nobody_switches_in_the_middle_of_a_request() {
    // Where its body ends, and the protocol begins, nobody could tell any more.
    for lines in [
        "Content-Length: 5\r\n\r\nhe",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhe",
    ] {
        let stub = switching("x", "he", "first").await;
        let front = front(&[stub.address]);
        let mut stream = front.connect().await;
        let request =
            format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n{lines}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await.unwrap();
        assert_eq!(status(&head), 502, "{head}");
        assert_eq!(field(&head, "connection"), Some("close"));
        drop(stream);
        front.settled().await;
        assert_eq!(front.failures(), [1]);
    }
}

#[tokio::test]
async fn s7_8_who_says_no_answers_and_the_connection_goes_on() {
    let stub = answering("HTTP/1.1 426 Upgrade Required\r\nUpgrade: y\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nok").await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    for _ in 0..2 {
        let request = get("Connection: Upgrade\r\nUpgrade: x\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_until(&mut stream, "ok").await.unwrap();
        assert_eq!(status(&head), 426, "{head}");
    }
}
