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

#[tokio::test]
async fn a_head_of_unknown_length_does_not_get_one() {
    let stub = answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let front = front(&[stub.address]);
    let answer = front
        .ask("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(field(&answer, "content-length"), None, "{answer}");
}
