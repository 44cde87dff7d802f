//! How a client's connection is closed: nothing of an answer is lost with it, and a cut answer does not end like a whole one.

use super::*;

#[tokio::test]
async fn what_is_unread_costs_nothing_of_the_last_answer() {
    // A socket that is closed with something unread is reset (RFC 9112 §9.6). Some clients end every request with an empty line.
    for length in [2, 20_000, 200_000, 1_500_000] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}",
            "y".repeat(length)
        );
        let stub = answering(answer.leak()).await;
        let front = front(&[stub.address]);
        for number in 0..10 {
            let mut stream = front.connect().await;
            stream.set_nodelay(true).unwrap();
            let last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            match number % 2 {
                0 => stream.write_all(format!("{last}\r\n").as_bytes()).await,
                _ => {
                    stream.write_all(last.as_bytes()).await.unwrap();
                    stream.write_all(b"\r\n").await
                }
            }
            .unwrap();
            let got = read_all(&mut stream).await;
            let (_, body) = got.split_once("\r\n\r\n").unwrap();
            assert_eq!(body.len(), length);
        }
        front.settled().await;
        assert_eq!(front.failures(), [0]);
    }
}

/// A client of HTTP/1.0, for whom the end of the connection is the end of the body.
const GET_10: &[u8] = b"GET / HTTP/1.0\r\nHost: a\r\n\r\n";

/// Reads to the end, which is a reset.
async fn is_reset(stream: &mut TcpStream) {
    let mut bytes = Vec::new();
    let end = within(stream.read_to_end(&mut bytes)).await;
    let kind = end.as_ref().map_err(std::io::Error::kind);
    assert_eq!(kind, Err(std::io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn who_reads_too_slowly_does_not_take_what_came_for_the_whole() {
    let stub = stub(|mut stream, _, _| async move {
        read_head(&mut stream).await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let part = format!("10000\r\n{}\r\n", "y".repeat(0x1_0000));
        // Far more than everything on the way takes.
        for _ in 0..800 {
            if stream.write_all(part.as_bytes()).await.is_err() {
                return;
            }
        }
        panic!("somebody took it all");
    })
    .await;
    let front = front_with(&[stub.address], |s| {
        s.timeouts.body = Some(Duration::from_millis(100));
    });
    let mut stream = front.connect().await;
    stream.write_all(GET_10).await.unwrap();
    assert!(read_head(&mut stream).await.is_some());
    front.settled().await;
    is_reset(&mut stream).await;
    assert_eq!(front.failures(), [0]);
}

#[tokio::test]
async fn what_the_end_of_a_drain_cuts_is_not_taken_for_the_whole() {
    let stub = stub(|mut stream, _, _| async move {
        read_head(&mut stream).await.unwrap();
        let half = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
        stream.write_all(half).await.unwrap();
        read_all(&mut stream).await;
    })
    .await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    stream.write_all(GET_10).await.unwrap();
    assert!(read_until(&mut stream, "half").await.is_some());
    let closing = tokio::spawn(front.proxy.close(Duration::from_millis(100)));
    is_reset(&mut stream).await;
    within(closing).await.unwrap();
}
