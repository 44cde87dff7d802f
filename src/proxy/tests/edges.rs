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
