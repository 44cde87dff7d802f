//! §10.5 and §5.4.1: clients that mean harm, or know no better. Others are answered meanwhile, and no lease is lost.

use super::wire::{
    CONTINUATION, Came, DATA, END_HEADERS, END_STREAM, GET, GOAWAY, HEADERS, PING, PREFACE,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, ask, ends_whole, frame, next, section, until,
};
use super::*;

/// A backend, its proxy, and a client that has said hello.
async fn set_up() -> (Stub, Front, TcpStream) {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    stream.write_all(PREFACE).await.unwrap();
    (stub, front, stream)
}

/// Others are served as ever, and nothing is left in flight.
async fn unharmed(front: &Front) {
    assert_eq!(status(&front.get("/").await), 200);
    assert_eq!(front.h2().await.get("/").await.status, 200);
    front.settled().await;
    assert_eq!(front.failures(), [0]);
}

/// Writes `bytes` again and again, up to `most` bytes, while it reads; true where the connection has ended meanwhile.
async fn is_ended(stream: TcpStream, bytes: &[u8], most: usize) -> bool {
    let (mut read, mut write) = stream.into_split();
    let writing = async {
        for _ in 0..most / bytes.len() {
            if write.write_all(bytes).await.is_err() {
                return true;
            }
        }
        false
    };
    let reading = async {
        let mut sink = vec![0; 65536];
        while let Ok(1..) = read.read(&mut sink).await {}
    };
    within(async {
        tokio::select! { ended = writing => ended, () = reading => true }
    })
    .await
}

#[tokio::test]
async fn s8_2_2_fields_of_a_connection_are_refused() {
    for field in [
        ("connection", "close"),
        ("connection", "x-secret"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
    ] {
        let (stub, front, mut stream) = set_up().await;
        stream.write_all(&ask(1, &[field])).await.unwrap();
        assert!(!ends_whole(&mut stream, 1).await, "{field:?}");
        assert_eq!(stub.connections(), 0, "{field:?}");
        unharmed(&front).await;
    }
}

#[tokio::test]
async fn s8_1_1_malformed_requests_reach_no_backend() {
    let no_path = [(":method", "GET"), (":scheme", "http"), (":authority", "a")];
    let with = |more: &[(&str, &str)]| section(&[&GET, more].concat());
    let head = |section: &[u8]| frame(HEADERS, END_STREAM | END_HEADERS, 1, section);
    for bytes in [
        head(&with(&[("X-Upper", "1")])),
        head(&with(&[("x y", "1")])),
        head(&with(&[("x", "a\r\nb: c")])),
        head(&with(&[("x", "a\0")])),
        head(&with(&[(":late", "1")])),
        head(&with(&[(":path", "/again")])),
        head(&section(&no_path)),
        head(&section(&[("x", "1"), GET[0], GET[1], GET[2], GET[3]])),
        // More than was said, and less.
        [
            frame(HEADERS, END_HEADERS, 1, &with(&[("content-length", "2")])),
            frame(DATA, END_STREAM, 1, b"hello"),
        ]
        .concat(),
        [
            frame(HEADERS, END_HEADERS, 1, &with(&[("content-length", "9")])),
            frame(DATA, END_STREAM, 1, b"hello"),
        ]
        .concat(),
    ] {
        let backend = taking().await;
        let front = front(&[backend.stub.address]);
        let mut stream = front.connect().await;
        stream.write_all(&[PREFACE, &bytes].concat()).await.unwrap();
        let ends = |came: &Came| {
            came.kind == GOAWAY || (came.stream == 1 && matches!(came.kind, HEADERS | RST_STREAM))
        };
        let end = until(&mut stream, ends).await;
        // 8 is `:status: 200`.
        let served = |came: &Came| came.kind == HEADERS && came.payload.contains(&0x88);
        assert!(!end.as_ref().is_some_and(served), "{end:?} {bytes:?}");
        drop(stream);
        front.settled().await;
        assert_eq!(backend.taken(), [], "{bytes:?}");
        assert_eq!(front.failures(), [0], "{bytes:?}");
    }
}

#[tokio::test]
async fn s10_5_streams_that_are_only_reset_end_the_connection() {
    let (_stub, front, stream) = set_up().await;
    let mut bytes = Vec::new();
    for number in 0..20_000 {
        bytes.extend(ask(2 * number + 1, &[]));
        bytes.extend(frame(RST_STREAM, 0, 2 * number + 1, &8_u32.to_be_bytes()));
    }
    bytes.extend(frame(PING, 0, 0, b"are you?"));
    let (mut read, mut write) = stream.into_split();
    let sending = async {
        // It may end in the middle of it.
        let _ = within(write.write_all(&bytes)).await;
    };
    let end = until(&mut read, |came| matches!(came.kind, PING | GOAWAY));
    let (end, (), ()) = tokio::join!(end, sending, unharmed(&front));
    if let Some(end) = end {
        // ENHANCE_YOUR_CALM (§7).
        assert_eq!((end.kind, end.payload[7]), (GOAWAY, 11), "{end:?}");
    }
    unharmed(&front).await;
}

#[tokio::test]
async fn s10_5_a_head_without_end_ends_the_connection() {
    let (stub, front, mut stream) = set_up().await;
    let open = frame(HEADERS, END_STREAM, 1, &section(&GET));
    stream.write_all(&open).await.unwrap();
    let field = section(&[("x", &"y".repeat(16_000))]);
    let more = frame(CONTINUATION, 0, 1, &field);
    assert!(is_ended(stream, &more, 64 << 20).await);
    assert_eq!(stub.connections(), 0);
    // Empty ones cost nothing but time.
    let mut stream = front.connect().await;
    stream.write_all(&[PREFACE, &open].concat()).await.unwrap();
    let more = frame(CONTINUATION, 0, 1, b"").repeat(1000);
    let (ended, ()) = tokio::join!(is_ended(stream, &more, 8 << 20), unharmed(&front));
    assert!(ended);
}

#[tokio::test]
async fn s10_5_1_a_head_over_64_kib_is_refused_and_the_connection_goes_on() {
    let (stub, front, mut stream) = set_up().await;
    let value = "y".repeat(15_000);
    let mut bytes = frame(HEADERS, END_STREAM, 1, &section(&GET));
    for _ in 0..4 {
        bytes.extend(frame(CONTINUATION, 0, 1, &section(&[("x", &value)])));
    }
    bytes.extend(frame(
        CONTINUATION,
        END_HEADERS,
        1,
        &section(&[("x", &value)]),
    ));
    stream.write_all(&bytes).await.unwrap();
    let answer = until(&mut stream, |came| came.stream == 1).await.unwrap();
    if answer.kind == HEADERS {
        assert!(!answer.payload.contains(&0x88), "{answer:?}");
    }
    assert_eq!(stub.connections(), 0);
    stream.write_all(&ask(3, &[("x", &value)])).await.unwrap();
    assert!(ends_whole(&mut stream, 3).await);
    assert_eq!(field(&stub.heads()[0], "x"), Some(value.as_str()));
    unharmed(&front).await;
}

#[tokio::test]
async fn s10_5_frames_that_want_an_answer_are_not_hoarded() {
    for flood in [
        frame(PING, 0, 0, b"01234567").repeat(4000),
        frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]).repeat(4000),
    ] {
        let (_stub, front, mut stream) = set_up().await;
        // Nobody reads what is answered: from some point on, nothing more is taken.
        let mut taken = 0;
        let quiet = Duration::from_millis(500);
        while let Ok(Ok(written)) = tokio::time::timeout(quiet, stream.write(&flood)).await {
            taken += written;
            assert!(taken < 256 << 20, "it takes all that comes");
        }
        unharmed(&front).await;
    }
}

#[tokio::test]
async fn s10_5_an_answered_flood_stalls_nobody() {
    for flood in [
        frame(PING, 0, 0, b"01234567").repeat(1000),
        frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]).repeat(1000),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(1000),
        // PRIORITY, and a type that nobody knows.
        frame(2, 0, 5, &[0, 0, 0, 0, 1]).repeat(1000),
        frame(99, 0, 0, b"?").repeat(1000),
        frame(DATA, 0, 1, b"").repeat(1000),
    ] {
        let (_stub, front, stream) = set_up().await;
        tokio::join!(is_ended(stream, &flood, 4 << 20), unharmed(&front));
        unharmed(&front).await;
    }
}

#[tokio::test]
async fn s4_frames_that_are_none_end_the_connection() {
    for bytes in [
        // Too long, of the wrong length, on the wrong stream.
        frame(DATA, 0, 1, &[0; 20_000]),
        frame(SETTINGS, 0, 0, b"12345"),
        frame(SETTINGS, 0, 1, b""),
        frame(PING, 0, 0, b"1"),
        frame(HEADERS, END_STREAM | END_HEADERS, 0, &section(&GET)),
        frame(HEADERS, END_STREAM | END_HEADERS, 2, &section(&GET)),
        frame(CONTINUATION, END_HEADERS, 1, &section(&GET)),
        frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
        // A field section that refers to nothing.
        frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            1,
            &[0xff, 0xff, 0xff, 0x0f],
        ),
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
    ] {
        let (stub, front, mut stream) = set_up().await;
        stream.write_all(&bytes).await.unwrap();
        while let Some(came) = next(&mut stream).await {
            assert_ne!(came.kind, HEADERS, "{bytes:?}");
        }
        assert_eq!(stub.connections(), 0);
        unharmed(&front).await;
    }
}
