//! §8: requests and answers.

use super::wire::{self, END_HEADERS, END_STREAM, HEADERS, PREFACE, ask, ends_whole, frame};
use super::*;

#[tokio::test]
async fn s3_3_http_2_comes_to_the_same_port() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    let peer = front.h2().await;
    let answer = peer.get("/a?b=%20c").await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]));
    assert_eq!(answer.field("x-lbdev-backend"), Some("web:8000"));
    assert_eq!(answer.field("content-length"), Some("2"));
    assert!(answer.field("date").is_some(), "{answer:?}");
    assert_eq!(status(&front.get("/").await), 200);
    let head = stub.heads().remove(0);
    assert!(head.starts_with("GET /a?b=%20c HTTP/1.1\r\n"), "{head}");
    assert_eq!(field(&head, "x-forwarded-proto"), Some("http"));
    assert_eq!(field(&head, "x-forwarded-for"), Some("127.0.0.1"));
    front.settled().await;
}

#[tokio::test]
async fn s3_4_the_preface_may_come_byte_by_byte() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    stream.set_nodelay(true).unwrap();
    for byte in PREFACE {
        stream.write_all(&[*byte]).await.unwrap();
        // Not to wait for anything: only to make it likely that they are read one by one.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stream.write_all(&ask(1, &[])).await.unwrap();
    assert!(ends_whole(&mut stream, 1).await);
}

#[tokio::test]
async fn s3_4_what_begins_with_a_p_may_be_http_1() {
    for method in ["P", "POST", "PUT", "PATCH", "PROPFIND", "PRI", "PRI*"] {
        let backend = taking().await;
        let front = front(&[backend.stub.address]);
        let mut stream = front.connect().await;
        stream.set_nodelay(true).unwrap();
        let request = format!(
            "{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
        );
        let (first, rest) = request.split_at(6);
        for byte in first.as_bytes() {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stream.write_all(rest.as_bytes()).await.unwrap();
        assert_eq!(status(&read_all(&mut stream).await), 200, "{method}");
        let taken = backend.taken().remove(0);
        assert!(taken.head.starts_with(&format!("{method} / ")), "{taken:?}");
        assert_eq!(taken.body, b"hi");
    }
}

#[tokio::test]
async fn s3_4_the_preface_is_for_the_first_bytes_only() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    let get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(&[get, PREFACE].concat()).await.unwrap();
    let answers = read_all(&mut stream).await;
    assert_eq!(status(&answers), 200);
    let refusal = answers.split_once("ok").unwrap().1;
    assert!(matches!(status(refusal), 400 | 505), "{refusal}");
}

#[tokio::test]
async fn s8_1_bodies_go_both_ways() {
    let echo = stub(|stream, _, _| async move {
        let mut taker = super::super::taking::Taker::new(stream);
        while let Some(taken) = taker.request(usize::MAX, |_| {}).await {
            let text = String::from_utf8_lossy(&taken.body).into_owned();
            let length = text.len();
            taker
                .answer(&format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}"
                ))
                .await;
        }
    })
    .await;
    let front = front(&[echo.address]);
    let peer = front.h2().await;
    for length in [0, 1, 100_000, 3_000_000] {
        let body: Vec<u8> = pattern(length).iter().map(|byte| byte % 100).collect();
        // With a length and without one.
        let answer = peer.ask(request("POST", "/", full(&body))).await;
        assert!(answer.body == body, "{length}");
        let (feed, sent) = fed();
        for part in body.chunks(50_000) {
            feed.send(Frame::data(Bytes::copy_from_slice(part)))
                .unwrap();
        }
        drop(feed);
        let answer = peer.ask(request("PUT", "/", sent)).await;
        assert!(answer.body == body, "{length}");
    }
    assert_eq!(front.failures(), [0]);
}

#[tokio::test]
async fn s8_1_every_part_goes_out_at_once_both_ways() {
    let stub = stub(|mut stream, _, _| async move {
        read_head(&mut stream).await.unwrap();
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        for _ in 0..3 {
            read_until(&mut stream, "ping").await.unwrap();
            stream.write_all(b"4\r\npong\r\n").await.unwrap();
        }
        read_until(&mut stream, "0\r\n\r\n").await.unwrap();
        stream.write_all(b"0\r\n\r\n").await.unwrap();
    })
    .await;
    let front = front(&[stub.address]);
    let peer = front.h2().await;
    let (feed, sent) = fed();
    let answer = peer.begin(request("POST", "/", sent)).await.unwrap();
    let mut body = answer.into_body();
    for _ in 0..3 {
        feed.send(Frame::data(Bytes::from_static(b"ping"))).unwrap();
        let frame = within(body.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "pong");
    }
    drop(feed);
    let rest = within(body.collect()).await.unwrap();
    assert_eq!(rest.to_bytes(), "");
}

#[tokio::test]
async fn s8_1_trailers_pass_both_ways() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n";
    let backend = answering(answer).await;
    let peer = front(&[backend.address]);
    let answer = peer.h2().await.get("/").await;
    assert_eq!(answer.body, "ok");
    assert_eq!(answer.trailers.unwrap()["x-sum"], "7");

    let backend = taking().await;
    let front = front(&[backend.stub.address]);
    let peer = front.h2().await;
    let (feed, sent) = fed();
    feed.send(Frame::data(Bytes::from_static(b"hello")))
        .unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("9"));
    feed.send(Frame::trailers(trailers)).unwrap();
    drop(feed);
    let mut post = request("POST", "/", sent);
    let te = HeaderValue::from_static("trailers");
    post.headers_mut().insert("te", te);
    assert_eq!(peer.ask(post).await.status, 200);
    let Taken {
        head,
        body,
        trailers,
    } = backend.taken().remove(0);
    assert_eq!(
        (&body[..], &trailers[..]),
        (&b"hello"[..], &["x-sum: 9".to_owned()][..])
    );
    assert_eq!(field(&head, "te"), Some("trailers"));
}

#[tokio::test]
async fn s8_1_1_what_has_no_body_keeps_its_length_and_its_connections() {
    for (method, answer, length) in [
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
            Some("1234"),
        ),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", None),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            Some("9"),
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            Some("0"),
        ),
    ] {
        let stub = answering(answer).await;
        let front = front(&[stub.address]);
        let peer = front.h2().await;
        for _ in 0..3 {
            let got = peer.ask(request(method, "/", Empty::new().boxed())).await;
            assert_eq!(got.status, status(answer));
            assert_eq!(got.field("content-length"), length, "{answer:?}");
            assert_eq!(got.body, "");
            front.settled().await;
        }
        // What answers `HEAD` may have a body after it, a little later: nothing else is asked there.
        let connections = if method == "HEAD" { 3 } else { 1 };
        assert_eq!(stub.connections(), connections, "{answer:?}");
    }
}

#[tokio::test]
async fn s5_streams_are_balanced_one_by_one() {
    let stubs = [
        answering(OK).await,
        answering(OK).await,
        answering(OK).await,
    ];
    let front = front(&stubs.each_ref().map(|stub| stub.address));
    let peer = front.h2().await;
    for turn in 0..9 {
        let answer = peer.get("/").await;
        let name = format!("web:800{}", turn % 3);
        assert_eq!(answer.field("x-lbdev-backend"), Some(name.as_str()));
    }
    // All at once: each backend has its share.
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let send = peer.send.clone();
        asking.spawn(async move {
            let mut send = send;
            within(send.ready()).await.unwrap();
            let answer = within(send.send_request(get("/"))).await.unwrap();
            answer.headers()["x-lbdev-backend"]
                .to_str()
                .unwrap()
                .to_owned()
        });
    }
    let names = asking.join_all().await;
    for name in ["web:8000", "web:8001", "web:8002"] {
        assert_eq!(names.iter().filter(|it| *it == name).count(), 20, "{name}");
    }
}

#[tokio::test]
async fn s5_a_stream_that_fails_is_tried_elsewhere() {
    let (dead, stub) = (cutting("").await, answering(OK).await);
    let front = front(&[dead.address, stub.address]);
    let answer = front.h2().await.get("/").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("x-lbdev-attempts"), Some("2"));
}

#[tokio::test]
async fn s8_2_3_crumbs_are_one_cookie() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    let crumbs = [
        ("cookie", "a=1"),
        ("x", "y"),
        ("cookie", "b=2"),
        ("cookie", "c=3"),
    ];
    stream
        .write_all(&[PREFACE, &ask(1, &crumbs)].concat())
        .await
        .unwrap();
    assert!(ends_whole(&mut stream, 1).await);
    let head = stub.heads().remove(0);
    assert_eq!(field(&head, "cookie"), Some("a=1; b=2; c=3"), "{head}");
    assert_eq!(head.matches("cookie").count(), 1, "{head}");
    assert_eq!(field(&head, "x"), Some("y"));
}

#[tokio::test]
async fn s8_3_1_the_authority_is_the_host() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    let peer = front.h2().await;
    let mut with_both = get("/");
    *with_both.uri_mut() = "http://Shop.localhost:81/x".parse().unwrap();
    with_both
        .headers_mut()
        .insert("host", HeaderValue::from_static("b"));
    assert_eq!(peer.ask(with_both).await.status, 200);
    let head = stub.heads().remove(0);
    assert_eq!(field(&head, "host"), Some("Shop.localhost:81"), "{head}");
    assert_eq!(
        head.to_lowercase().matches("\r\nhost:").count(),
        1,
        "{head}"
    );
    assert_eq!(field(&head, "x-forwarded-host"), Some("Shop.localhost:81"));

    // Without one, `host` counts; without any, it is for nobody.
    let mut stream = front.connect().await;
    let bare = [(":method", "GET"), (":scheme", "http"), (":path", "/")];
    let named = wire::section(&[&bare[..], &[("host", "c")]].concat());
    let twice = wire::section(&[&bare[..], &[("host", "c"), ("host", "a")]].concat());
    let none = wire::section(&bare);
    let flags = END_STREAM | END_HEADERS;
    let mut bytes = PREFACE.to_vec();
    for (stream, section) in [(1, &named), (3, &none), (5, &twice)] {
        bytes.extend(frame(HEADERS, flags, stream, section));
    }
    stream.write_all(&bytes).await.unwrap();
    let mut statuses = [0; 3];
    while statuses.contains(&0) {
        let is_head = |came: &wire::Came| came.kind == HEADERS;
        let head = wire::until(&mut stream, is_head).await.unwrap();
        // RFC 7541, appendix A: 8 is `:status: 200`, 12 is `:status: 400`. A change of the table's size may stand before it.
        let status = head.payload.iter().find(|byte| **byte & 0xe0 != 0x20);
        statuses[usize::try_from(head.stream / 2).unwrap()] = *status.unwrap();
    }
    assert_eq!(statuses, [0x88, 0x8c, 0x8c]);
    assert_eq!(stub.heads().len(), 2);
    assert_eq!(field(&stub.heads()[1], "host"), Some("c"));
}

#[tokio::test]
async fn s8_5_connect_and_strange_hosts_are_refused() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    let peer = front.h2().await;
    let mut connect = request("CONNECT", "/", Empty::new().boxed());
    *connect.uri_mut() = "example.com:443".parse().unwrap();
    let head = peer.begin(connect).await.unwrap();
    assert_eq!(head.status(), 405);
    let mut strange = get("/");
    *strange.uri_mut() = "http://example.com/".parse().unwrap();
    let answer = peer.ask(strange).await;
    assert_eq!(answer.status, 403);
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains("lbdev set allow_hosts=example.com"), "{text}");
    assert_eq!(stub.connections(), 0);
    assert_eq!(peer.get("/").await.status, 200);
}
