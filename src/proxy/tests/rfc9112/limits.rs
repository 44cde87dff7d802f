//! §3 and RFC 6585 §5: how long the parts of a head may be.

use super::*;

#[tokio::test]
async fn s3_a_request_line_of_8000_bytes_is_fine() {
    let path = "a".repeat(8000 - "GET / HTTP/1.1".len());
    let request = format!("GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let taken = served([request.clone().into_bytes()]).await;
    assert_eq!(taken[0].head.lines().next(), request.lines().next());
}

#[tokio::test]
async fn s3_a_target_without_end_is_414() {
    let request = format!(
        "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a".repeat(100_000)
    );
    refused(By::Head, &[414], [request.into_bytes()]).await;
}

#[tokio::test]
async fn s3_a_method_without_end_is_no_target() {
    let request = format!(
        "{} / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "A".repeat(100_000)
    );
    refused(By::Head, &[400], [request.into_bytes()]).await;
}

#[tokio::test]
async fn rfc6585_s5_fields_without_end_are_431() {
    let many: String = (0..10_000).map(|n| format!("X-{n}: value\r\n")).collect();
    let requests = [
        format!("X: {}\r\n", "b".repeat(100_000)),
        format!("{}: 1\r\n", "X".repeat(100_000)),
        many,
    ];
    refused(By::Head, &[431], requests.map(|lines| get(&lines))).await;
}

#[tokio::test]
async fn s5_a_hundred_fields_and_a_cookie_of_8000_bytes_are_fine() {
    let mut lines: String = (0..100).map(|n| format!("X-{n}: value\r\n")).collect();
    lines += &format!("Cookie: a={}\r\n", "c".repeat(8000));
    let taken = served([get(&lines)]).await;
    assert_eq!(field(&taken[0].head, "cookie").unwrap().len(), 8002);
    assert_eq!(field(&taken[0].head, "x-99"), Some("value"));
}

#[tokio::test]
async fn s7_1_2_trailers_without_end_are_refused() {
    let many: String = (0..10_000).map(|n| format!("X-{n}: value\r\n")).collect();
    let bodies = [
        format!("5\r\nhello\r\n0\r\n{many}\r\n"),
        format!("5\r\nhello\r\n0\r\nX: {}\r\n\r\n", "b".repeat(100_000)),
    ];
    let requests = bodies.map(|body| post("Transfer-Encoding: chunked\r\n", &body));
    refused(By::Body, &[400, 431], requests).await;
}

#[tokio::test]
async fn s6_3_a_great_length_alone_is_no_reason() {
    // What a body may weigh is the backend's to say; none of it has to be kept.
    let (front, backend) = set_up().await;
    let mut stream = front.connect().await;
    let begun = post("Content-Length: 99999999999\r\n", &"x".repeat(1000));
    stream.write_all(&begun).await.unwrap();
    eventually(|| backend.part.load(Ordering::SeqCst) == 1000).await;
    drop(stream);
    front.settled().await;
    assert_eq!(front.failures(), [0]);
}
