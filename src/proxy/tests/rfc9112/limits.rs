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

#[tokio::test]
async fn s5_as_much_as_a_head_may_be_passes_both_ways() {
    // 128 fields with `Host`; a field of 60,000 bytes.
    let many: String = (1..128).map(|n| format!("X-{n}: value\r\n")).collect();
    let long = format!("X: {}\r\n", "b".repeat(60_000));
    for (lines, fields) in [(&many, 127), (&long, 1)] {
        let taken = served([get(lines)]).await;
        assert!(taken[0].head.contains(lines.as_str()), "{fields}");
    }
    refused(By::Head, &[431], [get(&format!("{many}X-128: value\r\n"))]).await;

    let most = 60_000 - "Content-Length: 2\r\n".len();
    let fields: String = (1..128).map(|n| format!("X-{n}: value\r\n")).collect();
    for (lines, expected) in [
        (format!("X: {}\r\n", "b".repeat(most)), 200),
        (fields.clone(), 200),
        (format!("{fields}X-128: value\r\n"), 502),
        (format!("X: {}\r\n", "b".repeat(70_000)), 502),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{lines}\r\nok");
        let stub = answering(answer.leak()).await;
        let answer = front(&[stub.address]).get("/").await;
        assert_eq!(status(&answer), expected, "{}", lines.len());
        if expected == 200 {
            assert!(answer.contains(&lines), "{}", lines.len());
        }
    }
}

#[tokio::test]
async fn s3_a_request_line_of_16_kib_is_the_longest() {
    let line = |length: usize| {
        let path = "a".repeat(length - 1);
        format!("GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
    };
    let taken = served([line(16 * 1024)]).await;
    assert!(taken[0].head.len() > 16 * 1024);
    refused(By::Head, &[414], [line(16 * 1024 + 1)]).await;
}
