//! §6.4.1: answers without a body, and those that have one all the same.

use super::*;

#[tokio::test]
async fn s6_4_1_lengths_stay_where_they_mean_something() {
    for (method, answer, length) in [
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
            Some("1234"),
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            Some("0"),
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            None,
        ),
        ("HEAD", "HTTP/1.1 200 OK\r\n\r\n", None),
        (
            "HEAD",
            "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n",
            Some("9"),
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
            Some("7"),
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
            None,
        ),
        (
            "GET",
            "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n",
            None,
        ),
        ("DELETE", "HTTP/1.1 204 No Content\r\n\r\n", None),
        (
            "POST",
            "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
            Some("0"),
        ),
    ] {
        let stub = answering(answer).await;
        let front = front(&[stub.address]);
        let mut stream = front.connect().await;
        for _ in 0..3 {
            let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let head = read_head(&mut stream).await.unwrap();
            assert_eq!(status(&head), status(answer));
            assert_eq!(field(&head, "content-length"), length, "{answer:?}");
            assert_eq!(field(&head, "transfer-encoding"), None, "{answer:?}");
            assert_eq!(field(&head, "connection"), None, "{answer:?}");
            front.settled().await;
        }
        // HTTP/1.0 is told nothing else.
        let request = format!("{method} / HTTP/1.0\r\n\r\n");
        let got = front.ask(&request).await;
        assert!(got.ends_with("\r\n\r\n"), "{got}");
        assert_eq!(field(&got, "content-length"), length, "{answer:?}");
    }
}

#[tokio::test]
async fn s9_3_2_a_page_of_our_own_has_no_body_for_head_either() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    stream
        .write_all(b"HEAD / HTTP/1.1\r\nHost: example.com\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let head = read_head(&mut stream).await.unwrap();
    assert_eq!(status(&head), 403);
    let head = read_head(&mut stream).await.unwrap();
    assert_eq!(status(&head), 200);
}

/// The body that must not be there.
const STRAY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen";

/// Heads whose bodies are strays, and who asks for them.
const BODILESS: [(&str, &str); 4] = [
    ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n"),
    ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
    (
        "GET",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 44\r\n\r\n",
    ),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
];

#[tokio::test]
async fn s6_4_1_a_stray_body_ends_the_backends_connection_and_reaches_nobody() {
    for (method, head) in BODILESS {
        // With the head, or later: then it must have come before the next request is sent.
        for later in [false, true] {
            let go = Arc::new(tokio::sync::Notify::new());
            let ended = Arc::new(tokio::sync::Notify::new());
            let (may_go, has_ended) = (go.clone(), ended.clone());
            let stub = stub(move |mut stream, number, _| {
                let (go, ended) = (may_go.clone(), has_ended.clone());
                async move {
                    let Some(_) = read_head(&mut stream).await else {
                        return;
                    };
                    if number > 0 {
                        return stream.write_all(OK.as_bytes()).await.unwrap();
                    }
                    match later {
                        true => {
                            stream.write_all(head.as_bytes()).await.unwrap();
                            go.notified().await;
                            stream.write_all(STRAY.as_bytes()).await.unwrap();
                        }
                        false => {
                            let both = format!("{head}{STRAY}");
                            stream.write_all(both.as_bytes()).await.unwrap();
                        }
                    }
                    // Nothing more is asked here.
                    assert_eq!(read_head(&mut stream).await, None);
                    ended.notify_one();
                }
            })
            .await;
            let front = front_with(&[stub.address], |s| {
                // The sweep that finds it is not far.
                s.timeouts.body = Some(Duration::from_millis(100));
            });
            let mut stream = front.connect().await;
            let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            assert!(read_head(&mut stream).await.is_some());
            go.notify_one();
            within(ended.notified()).await;
            // The same client, and another one.
            stream.write_all(get("").as_bytes()).await.unwrap();
            let next = read_until(&mut stream, "ok").await.unwrap();
            assert_eq!(status(&next), 200, "{next}");
            assert!(!next.contains("stolen"), "{next}");
            let answer = front.get("/").await;
            assert!(
                answer.ends_with("ok") && !answer.contains("stolen"),
                "{answer}"
            );
            assert_eq!(front.failures(), [0]);
        }
    }
}

#[tokio::test]
async fn s15_3_6_a_205_is_empty() {
    let reset = "HTTP/1.1 205 Reset Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let stub = answering(reset).await;
    let front = front(&[stub.address]);
    let answer = front.get("/").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(status(head), 205);
    let length = field(head, "content-length");
    assert!(
        length == Some("0") && body.is_empty() || body == "0\r\n\r\n",
        "{answer}"
    );
}
