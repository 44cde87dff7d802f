//! A request and its response on their way at the same time, and who stalls while both are.

use super::*;

/// More than everything on the way takes.
const MUCH: usize = 24_000_000;

#[tokio::test]
async fn neither_direction_waits_for_the_other() {
    // The client reads nothing before it has written everything, and the backend does not wait for that.
    let stub = stub(|mut stream, _, _| async move {
        read_head(&mut stream).await.unwrap();
        let (mut read, mut write) = stream.into_split();
        let reading = async {
            let mut bytes = vec![0; MUCH];
            read.read_exact(&mut bytes).await.unwrap();
        };
        let writing = async {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {MUCH}\r\n\r\n");
            write.write_all(head.as_bytes()).await.unwrap();
            write.write_all(&vec![b'y'; MUCH]).await.unwrap();
        };
        tokio::join!(reading, writing);
    })
    .await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {MUCH}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    within(stream.write_all(&vec![b'x'; MUCH])).await.unwrap();
    assert_eq!(status(&read_head(&mut stream).await.unwrap()), 200);
    let mut body = vec![0; MUCH];
    within(stream.read_exact(&mut body)).await.unwrap();
    assert!(body.iter().all(|byte| *byte == b'y'));
    front.settled().await;
    assert_eq!(front.failures(), [0]);
}

/// A backend that begins its answer at once, and ends it when it has the request's last chunk.
async fn answers_early() -> Stub {
    stub(|mut stream, _, _| async move {
        read_head(&mut stream).await.unwrap();
        let begin = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n";
        stream.write_all(begin).await.unwrap();
        if read_until(&mut stream, "0\r\n\r\n").await.is_some() {
            stream.write_all(b"3\r\nend\r\n0\r\n\r\n").await.unwrap();
        }
    })
    .await
}

const POST: &[u8] =
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_backend_may_be_silent_while_the_client_still_sends() {
    let stub = answers_early().await;
    let limit = Duration::from_millis(500);
    let front = front_with(&[stub.address], |s| s.timeouts.body = Some(limit));
    let mut stream = front.connect().await;
    stream.write_all(POST).await.unwrap();
    assert!(read_until(&mut stream, "begin\r\n").await.is_some());
    // Longer than the backend may be silent by itself: the limit, and what sweeps are late.
    let began = Instant::now();
    while began.elapsed() < limit * 2 {
        stream.write_all(b"4\r\npart\r\n").await.unwrap();
        tokio::time::sleep(limit / 12).await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(read_all(&mut stream).await, "3\r\nend\r\n0\r\n\r\n");
    front.settled().await;
    assert_eq!(front.failures(), [0]);
}

#[tokio::test]
async fn a_client_that_stalls_behind_an_answer_begun_is_nobodys_failure() {
    let stub = answers_early().await;
    let front = front_with(&[stub.address], |s| {
        s.timeouts.body = Some(Duration::from_millis(200));
    });
    let mut stream = front.connect().await;
    stream.write_all(POST).await.unwrap();
    stream.write_all(b"4\r\npart\r\n").await.unwrap();
    assert!(read_until(&mut stream, "begin\r\n").await.is_some());
    // The limit ends it, and what came does not look whole.
    assert_eq!(read_all(&mut stream).await, "");
    front.settled().await;
    assert_eq!(front.failures(), [0]);
    let access = front.access().await;
    assert_eq!((access.status, access.attempts.len()), (200, 0));
}
