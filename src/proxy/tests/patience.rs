//! How long everybody is waited for: `timeouts.client_head`, `timeouts.body`, `timeouts.idle` (RFC 9110 §15.5.9, RFC 9112 §9.5).

use super::rfc9113::{fed, request};
use super::taking::taking;
use super::*;
use bytes::Bytes;
use http_body::Frame;

/// What is over after this is over soon. Where something must *not* be over, the other side acts far more often.
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(2);
/// Long enough for a request to follow its connection on a busy machine.
const IDLE: Duration = Duration::from_millis(700);
const OFTEN: Duration = Duration::from_millis(50);

/// Reads the refusal of a client that was too slow, and the connection's end.
async fn refused(stream: &mut TcpStream, what: &str) {
    let answer = read_all(stream).await;
    assert_eq!(status(&answer), 408, "{what}: {answer}");
    assert_eq!(field(&answer, "connection"), Some("close"), "{what}");
    assert!(answer.contains(what), "{answer}");
}

#[tokio::test]
async fn a_head_has_to_come_in_time_however_much_of_it_is_there() {
    let stub = answering(OK).await;
    let front = front_with(&[stub.address], |s| s.timeouts.client_head = Some(SHORT));
    let begun = [
        "G",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r",
        // It may become HTTP/2, or not.
        "PRI * HT",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r",
    ];
    for part in begun {
        let mut stream = front.connect().await;
        stream.write_all(part.as_bytes()).await.unwrap();
        refused(&mut stream, "timeouts.client_head").await;
    }
    // The second request of a connection, alone and right behind the first.
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut stream = front.connect().await;
    stream.write_all(get.as_bytes()).await.unwrap();
    assert!(read_until(&mut stream, "ok").await.is_some());
    stream.write_all(b"GET / HT").await.unwrap();
    refused(&mut stream, "timeouts.client_head").await;
    let mut stream = front.connect().await;
    let both = format!("{get}GET / HT");
    stream.write_all(both.as_bytes()).await.unwrap();
    assert!(read_until(&mut stream, "ok").await.is_some());
    refused(&mut stream, "timeouts.client_head").await;
    assert_eq!(stub.heads().len(), 2);
    front.settled().await;
}

#[tokio::test]
async fn a_head_that_trickles_is_not_in_time() {
    let stub = answering(OK).await;
    let front = front_with(&[stub.address], |s| {
        s.timeouts.client_head = Some(2 * SHORT)
    });
    let (mut read, mut write) = front.connect().await.into_split();
    let trickle = async {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(10_000));
        for byte in head.bytes() {
            if write.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(OFTEN).await;
        }
    };
    let mut bytes = Vec::new();
    let reading = within(read.read_to_end(&mut bytes));
    tokio::select! { _ = reading => {} () = trickle => panic!("it could go on for ever") }
    assert_eq!(status(&String::from_utf8_lossy(&bytes)), 408);
    assert_eq!(stub.connections(), 0);
}

#[tokio::test]
async fn empty_lines_are_nothing_that_has_begun() {
    let stub = answering(OK).await;
    let front = front_with(&[stub.address], |s| s.timeouts.idle = 2 * SHORT);
    let (mut read, mut write) = front.connect().await.into_split();
    let trickle = async {
        for _ in 0..10_000 {
            if write.write_all(b"\r\n").await.is_err() {
                return;
            }
            tokio::time::sleep(OFTEN).await;
        }
    };
    let mut bytes = Vec::new();
    let reading = within(read.read_to_end(&mut bytes));
    tokio::select! { _ = reading => {} () = trickle => {} }
    assert_eq!(String::from_utf8_lossy(&bytes), "");
}

#[tokio::test]
async fn who_says_nothing_is_let_go_without_a_word() {
    let stub = answering(OK).await;
    let front = front_with(&[stub.address], |s| s.timeouts.idle = SHORT);
    let mut stream = front.connect().await;
    assert_eq!(read_all(&mut stream).await, "");
}

#[tokio::test]
async fn without_a_limit_a_head_takes_what_it_takes() {
    let stub = answering(OK).await;
    let front = front_with(&[stub.address], |s| {
        (s.timeouts.client_head, s.timeouts.idle) = (None, IDLE);
    });
    let mut stream = front.connect().await;
    stream.write_all(b"GET / HT").await.unwrap();
    tokio::time::sleep(IDLE * 3).await;
    let rest = b"TP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(rest).await.unwrap();
    assert_eq!(status(&read_all(&mut stream).await), 200);
}

#[tokio::test]
async fn a_client_that_stalls_in_its_body_is_told_so() {
    for begun in [
        "Content-Length: 100\r\n\r\nhalf",
        "Content-Length: 100\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nha",
    ] {
        let backend = taking().await;
        let front = front_with(&[backend.stub.address], |s| s.timeouts.body = Some(SHORT));
        let mut stream = front.connect().await;
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{begun}");
        stream.write_all(request.as_bytes()).await.unwrap();
        refused(&mut stream, "timeouts.body").await;
        front.settled().await;
        assert_eq!(front.failures(), [0], "{begun:?}");
        assert_eq!(backend.taken(), []);
        // The backend's connection, with half a request on it, is nobody else's.
        assert_eq!(status(&front.get("/").await), 200);
        assert_eq!(backend.taken().len(), 1);
    }
}

#[tokio::test]
async fn a_stream_that_stalls_in_its_body_is_told_so() {
    let backend = taking().await;
    let front = front_with(&[backend.stub.address], |s| s.timeouts.body = Some(SHORT));
    let peer = front.h2().await;
    let (feed, sent) = fed();
    feed.send(Frame::data(Bytes::from_static(b"half"))).unwrap();
    assert_eq!(peer.ask(request("POST", "/", sent)).await.status, 408);
    drop(feed);
    assert_eq!(peer.get("/").await.status, 200);
    assert_eq!(front.failures(), [0]);
}

#[tokio::test]
async fn a_client_that_sends_slowly_is_waited_for() {
    let backend = taking().await;
    let front = front_with(&[backend.stub.address], |s| {
        (s.timeouts.body, s.timeouts.idle) = (Some(LONG), IDLE);
        s.timeouts.backend_head = Some(LONG);
    });
    let mut stream = front.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..60 {
        tokio::time::sleep(OFTEN).await;
        stream.write_all(b"x").await.unwrap();
    }
    assert_eq!(status(&read_all(&mut stream).await), 200);
    assert_eq!(backend.taken()[0].body, [b'x'; 60]);
}

/// A backend that begins so and then says nothing.
async fn silent(begin: &'static str) -> Stub {
    stub(move |mut stream, _, _| async move {
        read_head(&mut stream).await.unwrap();
        stream.write_all(begin.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await
}

#[tokio::test]
async fn a_backend_that_goes_silent_in_its_body_is_cut() {
    for begin in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.0 200 OK\r\n\r\nhalf",
    ] {
        let stub = silent(begin).await;
        let front = front_with(&[stub.address], |s| s.timeouts.body = Some(SHORT));
        let answer = front.get("/").await;
        assert_eq!(status(&answer), 200);
        assert!(answer.contains("half"), "{answer}");
        assert!(!answer.contains("\r\n0\r\n"), "{answer}");
        front.settled().await;
        assert_eq!(front.failures(), [1], "{begin:?}");
        let peer = front.h2().await;
        let body = peer.begin(request("GET", "/", fed().1)).await.unwrap();
        let body = http_body_util::BodyExt::collect(body.into_body());
        assert!(within(body).await.is_err(), "{begin:?}");
    }
}

#[tokio::test]
async fn events_may_pause() {
    let go = Arc::new(tokio::sync::Notify::new());
    let release = go.clone();
    let stub = stub(move |mut stream, _, _| {
        let release = release.clone();
        async move {
            read_head(&mut stream).await.unwrap();
            let begin = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(begin.as_bytes()).await.unwrap();
            release.notified().await;
            let end = b"9\r\ndata: 1\n\n\r\n0\r\n\r\n";
            stream.write_all(end).await.unwrap();
        }
    })
    .await;
    let front = front_with(&[stub.address], |s| {
        (s.timeouts.body, s.timeouts.idle) = (Some(SHORT), IDLE);
    });
    let pause = async {
        tokio::time::sleep(IDLE * 3).await;
        go.notify_one();
    };
    let (answer, ()) = tokio::join!(front.get("/"), pause);
    assert!(answer.contains("data: 1"), "{answer}");
    assert!(answer.ends_with("0\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_tunnel_may_be_silent() {
    let stub = stub(|mut stream, _, _| async move {
        read_head(&mut stream).await.unwrap();
        let switch =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
        stream.write_all(switch.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await;
    let front = front_with(&[stub.address], |s| {
        (s.timeouts.body, s.timeouts.idle) = (Some(SHORT), IDLE);
        (s.timeouts.client_head, s.timeouts.backend_head) = (Some(SHORT), Some(LONG));
    });
    let mut stream = front.connect().await;
    let ask = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
    stream.write_all(ask).await.unwrap();
    assert_eq!(status(&read_head(&mut stream).await.unwrap()), 101);
    tokio::time::sleep(IDLE * 3).await;
    stream.write_all(b"still here").await.unwrap();
    assert!(read_until(&mut stream, "still here").await.is_some());
}

/// A backend that answers with more than everything on the way takes; told when its connection has ended.
async fn long() -> Stub {
    stub(|mut stream, _, _| async move {
        read_head(&mut stream).await.unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {MUCH}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let _ = stream.write_all(&vec![b'x'; MUCH]).await;
    })
    .await
}

const MUCH: usize = 30_000_000;

async fn reader(front: &Front) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = within(socket.connect(front.address)).await.unwrap();
    let get = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(get).await.unwrap();
    assert!(read_head(&mut stream).await.is_some());
    stream
}

#[tokio::test]
async fn who_does_not_read_is_let_go() {
    let stub = long().await;
    let front = front_with(&[stub.address], |s| s.timeouts.body = Some(SHORT));
    let mut stream = reader(&front).await;
    assert_eq!(front.member(0).life.in_flight(), 1);
    front.settled().await;
    assert!(read_all(&mut stream).await.len() < MUCH);
    assert_eq!(front.failures(), [0]);
}

#[tokio::test]
async fn who_reads_slowly_is_not() {
    let stub = long().await;
    let front = front_with(&[stub.address], |s| s.timeouts.body = Some(LONG));
    let mut stream = reader(&front).await;
    let began = Instant::now();
    let mut bytes = vec![0; 200_000];
    let mut came = 0;
    while began.elapsed() < LONG * 2 {
        came += within(stream.read(&mut bytes)).await.unwrap();
        tokio::time::sleep(OFTEN / 2).await;
    }
    assert_eq!(front.member(0).life.in_flight(), 1);
    assert!(came < MUCH);
    came += read_all(&mut stream).await.len();
    assert_eq!(came, MUCH);
}
