//! Interim answers (RFC 9110 §15.2) and what a client expects (RFC 9110 §10.1.1).

use super::*;

const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const EXPECTS: &str = "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n";

/// A backend that answers a request's head with `first`, and its body, if `first` asks for it, with [`OK`].
async fn asking(first: &'static str) -> Stub {
    stub(move |mut stream, _, heads| async move {
        let head = read_head(&mut stream).await.unwrap();
        heads.lock().unwrap().push(head);
        stream.write_all(first.as_bytes()).await.unwrap();
        let asked = first.is_empty() || first == CONTINUE;
        if asked && read_until(&mut stream, "hello").await.is_some() {
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn rfc9110_s10_1_1_the_backend_is_asked_and_answers() {
    let stub = asking(CONTINUE).await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    stream.write_all(EXPECTS.as_bytes()).await.unwrap();
    assert_eq!(read_head(&mut stream).await.as_deref(), Some(CONTINUE));
    assert_eq!(field(&stub.heads()[0], "expect"), Some("100-continue"));
    stream.write_all(b"hello").await.unwrap();
    let answer = read_all(&mut stream).await;
    // Once is enough.
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.ends_with("ok"));
}

#[tokio::test]
async fn rfc9110_s10_1_1_a_backend_that_refuses_gets_no_body() {
    for refusal in [
        "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ] {
        let stub = asking(refusal).await;
        let front = front(&[stub.address]);
        let mut stream = front.connect().await;
        stream.write_all(EXPECTS.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await.unwrap();
        assert_eq!(status(&head), status(refusal), "{head}");
    }
}

#[tokio::test]
async fn rfc9110_s10_1_1_a_backend_that_says_nothing_does_not_hold_the_client_up() {
    let stub = asking("").await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    stream.write_all(EXPECTS.as_bytes()).await.unwrap();
    assert_eq!(read_head(&mut stream).await.as_deref(), Some(CONTINUE));
    stream.write_all(b"hello").await.unwrap();
    assert_eq!(status(&read_all(&mut stream).await), 200);
}

#[tokio::test]
async fn rfc9110_s10_1_1_http_1_0_expects_nothing() {
    let stub = asking(CONTINUE).await;
    let front = front(&[stub.address]);
    let request = "POST / HTTP/1.0\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello";
    let answer = front.ask(request).await;
    assert_eq!(status(&answer), 200, "{answer}");
}

#[tokio::test]
async fn rfc9110_s15_2_interim_answers_are_handed_on_but_not_to_http_1_0() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let stub = answering(hints).await;
    let front = front(&[stub.address]);
    let answer = front.get("/").await;
    assert_eq!(answer.matches("HTTP/1.1 103").count(), 2, "{answer}");
    let first = answer.split("\r\n\r\n").next().unwrap();
    assert_eq!(field(first, "link"), Some("</a.css>; rel=preload"));
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    assert!(answer.ends_with("ok"));

    let answer = front.ask("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(!answer.contains("103"), "{answer}");
}
