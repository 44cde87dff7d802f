//! Clients that reset their connections while they are answered, wherever the reset hides: it may be behind bytes that nobody
//! reads yet, or behind the end of what the client had to say. No limit on time is set that would end them too.

use super::*;

/// A backend that answers `/fence`, and nothing else; it reads no bodies.
async fn hanging() -> Stub {
    stub(|mut stream, _, heads| async move {
        while let Some(head) = read_head(&mut stream).await {
            let is_fence = head.starts_with("GET /fence ");
            heads.lock().unwrap().push(head);
            if !is_fence {
                return std::future::pending().await;
            }
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await
}

/// What a client has said before it is gone.
#[derive(Debug, Clone, Copy)]
struct Before {
    body: usize,
    /// Bytes behind the request.
    behind: usize,
    half_closes: bool,
}

const PLAIN: Before = Before {
    body: 0,
    behind: 0,
    half_closes: false,
};

/// Writes as much of so many bytes as everything on the way takes.
async fn fill(stream: &TcpStream, length: usize) {
    let part = vec![b'x'; 64 * 1024];
    let mut left = length;
    while left > 0 {
        let writable = tokio::time::timeout(Duration::from_millis(100), stream.writable());
        let Ok(Ok(())) = writable.await else {
            return;
        };
        if let Ok(count) = stream.try_write(&part[..left.min(part.len())]) {
            left -= count;
        }
    }
}

async fn a_reset_ends_it(before: Before) {
    let stub = hanging().await;
    let front = front_with(&[stub.address], |s| {
        // One worker, so that what it answers now comes after what it heard before.
        s.workers = 1;
        (s.timeouts.body, s.timeouts.backend_head) = (None, None);
        s.timeouts.client_head = None;
        // Sweeps come four times in this; who is asked something is not idle.
        s.timeouts.idle = Duration::from_millis(400);
    });
    let mut stream = front.connect().await;
    let framing = match before.body {
        0 => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    let head = format!("POST /hang HTTP/1.1\r\nHost: a\r\n{framing}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    eventually(|| !stub.heads().is_empty()).await;
    fill(&stream, before.body + before.behind).await;
    if before.half_closes {
        stream.shutdown().await.unwrap();
    }
    assert_eq!(status(&front.get("/fence").await), 200);
    eventually(|| front.member(0).life.in_flight() == 1).await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    front.settled().await;
    assert_eq!(front.failures(), [0]);
}

#[tokio::test]
async fn with_nothing_unread() {
    a_reset_ends_it(PLAIN).await;
}

#[tokio::test]
async fn in_the_middle_of_a_body_that_nobody_reads() {
    let body = 40_000_000;
    a_reset_ends_it(Before { body, ..PLAIN }).await;
}

#[tokio::test]
async fn after_a_half_close() {
    let half_closes = true;
    a_reset_ends_it(Before {
        half_closes,
        ..PLAIN
    })
    .await;
}

#[tokio::test]
async fn behind_more_than_is_read_ahead() {
    let behind = 4_000_000;
    a_reset_ends_it(Before { behind, ..PLAIN }).await;
}
