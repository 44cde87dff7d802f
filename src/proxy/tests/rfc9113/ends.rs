//! How streams and connections end (§5.4, §6.8), and how much may be on its way (§5.2).

use super::wire::{GOAWAY, PREFACE, ask, ends_whole, until};
use super::*;

#[tokio::test]
async fn s5_4_2_a_body_that_is_cut_is_no_clean_end() {
    for part in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nx\r\n",
    ] {
        let (cut, other) = (cutting(part).await, answering(OK).await);
        let front = front(&[cut.address, other.address]);
        let peer = front.h2().await;
        let body = peer.begin(get("/")).await.unwrap().into_body();
        let error = within(body.collect()).await.unwrap_err();
        assert!(!error.is_canceled(), "{error:?}");
        // Only the stream ends.
        assert_eq!(peer.get("/").await.body, "ok");
        front.settled().await;
        assert_eq!(front.failures(), [1, 0]);

        let mut stream = front.connect().await;
        stream
            .write_all(&[PREFACE, &ask(1, &[]), &ask(3, &[])].concat())
            .await
            .unwrap();
        assert!(!ends_whole(&mut stream, 1).await, "{part:?}");
    }
}

#[tokio::test]
async fn s5_4_2_a_client_that_cancels_ends_it_at_the_backend() {
    let gone = Arc::new(tokio::sync::Notify::new());
    let told = gone.clone();
    let stub = stub(move |mut stream, _, heads| {
        let told = told.clone();
        async move {
            let head = read_head(&mut stream).await.unwrap();
            heads.lock().unwrap().push(head);
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            told.notify_one();
        }
    })
    .await;
    let front = front(&[stub.address]);
    let peer = front.h2().await;
    let (feed, sent) = fed();
    for (number, body) in [Empty::new().boxed(), sent].into_iter().enumerate() {
        let mut send = peer.send.clone();
        let asking = tokio::spawn(send.send_request(request("POST", "/", body)));
        eventually(|| stub.heads().len() > number).await;
        asking.abort();
        within(gone.notified()).await;
        front.settled().await;
    }
    drop(feed);
    assert_eq!(front.failures(), [0]);
}

#[tokio::test]
async fn s8_1_an_answer_before_the_body_is_whole_is_read_whole() {
    let refusal =
        "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!";
    let stub = super::super::taking::refusing(refusal).await;
    let front = front(&[stub.address]);
    let peer = front.h2().await;
    let (feed, sent) = fed();
    for _ in 0..100 {
        feed.send(Frame::data(Bytes::from_static(&[7; 10_000])))
            .unwrap();
    }
    let answer = peer.ask(request("POST", "/", sent)).await;
    assert_eq!((answer.status, &answer.body[..]), (413, &b"no!"[..]));
    drop(feed);
    assert_eq!(peer.get("/").await.status, 413);
    front.settled().await;
}

#[tokio::test]
async fn s6_8_at_the_end_what_is_in_flight_ends_whole() {
    let go = Arc::new(tokio::sync::Notify::new());
    let release = go.clone();
    let stub = stub(move |mut stream, _, heads| {
        let release = release.clone();
        async move {
            let head = read_head(&mut stream).await.unwrap();
            heads.lock().unwrap().push(head);
            let part = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\non\r\n";
            stream.write_all(part.as_bytes()).await.unwrap();
            release.notified().await;
            stream.write_all(b"2\r\nce\r\n0\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let front = front(&[stub.address]);
    let peer = front.h2().await;
    let mut body = peer.begin(get("/")).await.unwrap().into_body();
    let first = within(body.frame()).await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "on");
    let closing = tokio::spawn(front.proxy.close(LIMIT));
    // Told of the end, a client begins nothing new.
    let mut send = peer.send.clone();
    let until = Instant::now() + LIMIT;
    while send.ready().await.is_ok() && send.send_request(get("/")).await.is_ok() {
        assert!(Instant::now() < until, "new streams go on and on");
    }
    assert!(!closing.is_finished());
    go.notify_one();
    let rest = within(body.collect()).await.unwrap().to_bytes();
    assert_eq!(rest, "ce");
    within(closing).await.unwrap();
    within(peer.connection).await.unwrap().unwrap();
}

#[tokio::test]
async fn s6_8_an_idle_connection_is_told_of_its_end() {
    let stub = answering(OK).await;
    let front = front_with(&[stub.address], |s| {
        s.timeouts.idle = Duration::from_millis(700);
    });
    let peer = front.h2().await;
    assert_eq!(peer.get("/").await.status, 200);
    within(peer.connection).await.unwrap().unwrap();
    // Who does not know that a PING wants an answer does not stay for ever either.
    for said in [
        PREFACE.to_vec(),
        PREFACE[..24].to_vec(),
        [PREFACE, &ask(1, &[])].concat(),
        // The beginning of a frame.
        [PREFACE, b"\0\0\x10\x01"].concat(),
        [PREFACE, &ask(1, &[])[..20]].concat(),
    ] {
        let mut stream = front.connect().await;
        stream.write_all(&said).await.unwrap();
        let mut bytes = Vec::new();
        let _ = within(stream.read_to_end(&mut bytes)).await;
    }
}

#[tokio::test]
async fn s6_8_idle_is_only_who_asks_nothing() {
    let go = Arc::new(tokio::sync::Notify::new());
    let release = go.clone();
    let stub = stub(move |mut stream, _, _| {
        let release = release.clone();
        async move {
            read_head(&mut stream).await.unwrap();
            release.notified().await;
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await;
    let idle = Duration::from_millis(700);
    let front = front_with(&[stub.address], |s| s.timeouts.idle = idle);
    let peer = front.h2().await;
    let asking = peer.get("/");
    let waiting = async {
        tokio::time::sleep(idle * 3).await;
        go.notify_one();
    };
    let (answer, ()) = tokio::join!(asking, waiting);
    assert_eq!(answer.body, "ok");
}

#[tokio::test]
async fn s6_8_the_end_names_the_streams_that_were_taken() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    stream
        .write_all(&[PREFACE, &ask(1, &[])].concat())
        .await
        .unwrap();
    assert!(ends_whole(&mut stream, 1).await);
    let closing = tokio::spawn(front.proxy.close(Duration::from_millis(500)));
    let goaway = until(&mut stream, |came| came.kind == GOAWAY)
        .await
        .unwrap();
    assert_eq!(goaway.payload[4..8], [0; 4], "no error: {goaway:?}");
    within(closing).await.unwrap();
}

const LONG: usize = 30_000_000;

/// A backend whose `/long` is longer than everything on the way takes.
async fn long_or_short() -> Stub {
    stub(|mut stream, _, _| async move {
        while let Some(head) = read_head(&mut stream).await {
            let answer = match head.starts_with("GET /long ") {
                true => format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n{}",
                    "x".repeat(LONG)
                ),
                false => OK.to_owned(),
            };
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await
}

#[tokio::test]
async fn s5_2_who_does_not_read_one_stream_does_not_stall_the_others() {
    let stub = long_or_short().await;
    let front = front(&[stub.address]);
    let peer = front.h2().await;
    let long = peer.begin(get("/long")).await.unwrap();
    for _ in 0..50 {
        assert_eq!(peer.get("/").await.body, "ok");
    }
    assert_eq!(front.member(0).life.in_flight(), 1);
    let body = within(long.into_body().collect()).await.unwrap();
    assert_eq!(body.to_bytes().len(), LONG);
    front.settled().await;
}

#[tokio::test]
async fn s5_2_who_reads_nothing_for_long_loses_the_stream_and_nothing_else() {
    let stub = long_or_short().await;
    let front = front_with(&[stub.address], |s| {
        s.timeouts.body = Some(Duration::from_millis(300));
    });
    let peer = front.h2().await;
    let long = peer.begin(get("/long")).await.unwrap();
    // Its lease comes back though it never asks for more.
    front.settled().await;
    assert_eq!(peer.get("/").await.body, "ok");
    assert!(within(long.into_body().collect()).await.is_err());
    assert_eq!(front.failures(), [0]);
}
