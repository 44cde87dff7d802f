//! What goes over the connection: bodies, streams, WebSockets, a cut in the middle, bad heads.

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use super::{Demo, LIMIT};

#[tokio::test]
async fn bytes_are_the_same_each_time() {
    let demo = Demo::start().await;
    for length in [0, 1, 250, 251, 64_256, 64_257, 1_000_000] {
        let answer = demo.get(&format!("/bytes/{length}")).await;
        let expected: Vec<u8> = (0..251).cycle().take(length).collect();
        assert!(answer.body == expected, "{length}");
        assert_eq!(answer.field("content-length"), length.to_string());
    }
}

#[tokio::test]
async fn echo_shows_the_request() {
    let demo = Demo::start().await;
    let asked = demo.request(Method::PATCH, "/echo?a=b");
    let asked = asked.header("x-b", "1").header("x-a", "2").body("hello");
    let text = asked.send().await;
    let expected = [
        "PATCH /echo?a=b HTTP/1.1\n",
        "x-b: 1\nx-a: 2\n",
        "5 bytes",
        "hello",
    ];
    for part in expected {
        assert!(text.text().contains(part), "{part}: {}", text.text());
    }

    let big: Vec<u8> = (0..251).cycle().take(20_000_000).collect();
    let asked = demo.request(Method::POST, "/echo");
    let asked = asked.header("accept", "application/json").body(big);
    let body = &asked.send().await.json()["body"];
    assert_eq!(body["bytes"], 20_000_000);
    assert_eq!(body["complete"], true);
    // Python: "%08x" % zlib.crc32((bytes(range(251)) * 80000)[:20_000_000])
    assert_eq!(body["crc32"], "68ad4baf");
}

#[tokio::test]
async fn a_stream_comes_line_by_line() {
    let demo = Demo::start().await;
    let port = demo.address.port();
    let text = demo.get("/stream?n=3&ms=1").await;
    let line = |n| format!("{n} of 3 from port {port}\n");
    assert_eq!(text.text(), [line(1), line(2), line(3)].concat());
    let asked = demo.request(Method::GET, "/stream?n=1");
    let events = asked.header("accept", "text/event-stream").send().await;
    assert_eq!(events.field("content-type"), "text/event-stream");
    assert_eq!(
        events.text(),
        format!("id: 1\ndata: 1 of 1 from port {port}\n\nevent: end\ndata: \n\n")
    );

    // The first line is here while the second is an hour (a minute) away.
    let mut stream = TcpStream::connect(demo.address).await.expect("connects");
    let head = b"GET /stream?n=2&ms=3600000 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(head).await.expect("writes");
    let mut seen = Vec::new();
    let first = async {
        while !String::from_utf8_lossy(&seen).contains("1 of 2") {
            assert!(stream.read_buf(&mut seen).await.expect("reads") > 0);
        }
    };
    tokio::time::timeout(LIMIT, first).await.expect("in time");
}

#[tokio::test]
async fn a_websocket_echoes() {
    let demo = Demo::start().await;
    let connect = async |path: &str| {
        let stream = TcpStream::connect(demo.address).await.expect("connects");
        let url = format!("ws://{}{path}", demo.address);
        tokio_tungstenite::client_async(url, stream)
            .await
            .expect("shakes hands")
            .0
    };
    let mut socket = connect("/ws").await;
    for message in [
        Message::text("héllo"),
        Message::binary(vec![0, 255]),
        Message::text(""),
        Message::binary(vec![7; 1_000_000]),
    ] {
        socket.send(message.clone()).await.expect("sends");
        let echoed = tokio::time::timeout(LIMIT, socket.next()).await;
        let echoed = echoed.expect("in time").expect("open").expect("a message");
        assert!(echoed == message);
    }
    socket.close(None).await.expect("closes");
    while let Some(last) = socket.next().await {
        assert!(last.expect("a clean close").is_close());
    }
    let hello = connect("/ws?hello").await.next().await;
    let hello = hello.expect("open").expect("a message").to_string();
    assert!(hello.contains(&format!("port {}", demo.address.port())));

    let upgrade = |version: &str, key: Option<&str>| {
        let asked = demo.request(Method::GET, "/ws");
        let asked = asked
            .header("upgrade", "WebSocket")
            .header("connection", "keep-alive, Upgrade");
        let asked = asked.header("sec-websocket-version", version);
        match key {
            Some(key) => asked.header("sec-websocket-key", key),
            None => asked,
        }
    };
    assert_eq!(upgrade("8", Some("x")).send().await.status, 426);
    assert_eq!(upgrade("13", None).send().await.status, 400);
    let asked = demo
        .request(Method::GET, "/ws")
        .header("upgrade", "websocket");
    assert_eq!(asked.send().await.status, 400);
}

#[tokio::test]
async fn a_crash_ends_the_process() {
    let mut demo = Demo::start().await;
    let mut stream = TcpStream::connect(demo.address).await.expect("connects");
    let head = b"POST /crash HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(head).await.expect("writes");
    let died = tokio::time::timeout(LIMIT, demo.died.recv()).await;
    died.expect("in time").expect("dies");

    let mut stream = TcpStream::connect(demo.address).await.expect("connects");
    let head = b"GET /crash?after=head HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(head).await.expect("writes");
    let mut seen = Vec::new();
    let half = async {
        while !seen.ends_with(b"no more\n") || seen.len() < 32 * 1024 {
            assert!(stream.read_buf(&mut seen).await.expect("reads") > 0);
        }
        demo.died.recv().await
    };
    let died = tokio::time::timeout(LIMIT, half).await;
    died.expect("in time").expect("dies");
    assert!(String::from_utf8_lossy(&seen).contains("content-length: 65536"));
}

#[tokio::test]
async fn bad_heads_are_answered() {
    let demo = Demo::start().await;
    for head in [
        "GET / HTTP/1.1\r\nhost: x\r\nbig: ".to_owned() + &"a".repeat(1_000_000) + "\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\n".to_owned() + &"a: b\r\n".repeat(5_000) + "\r\n",
        "GET /".to_owned() + &"a".repeat(70_000) + " HTTP/1.1\r\nhost: x\r\n\r\n",
        "nonsense\r\n\r\n".to_owned(),
        "\0\r\n\r\n".to_owned(),
    ] {
        let mut stream = TcpStream::connect(demo.address).await.expect("connects");
        // The server may hang up before it has read everything.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(LIMIT, stream.read_buf(&mut answer)).await;
        let _ = read.expect("in time");
        assert_eq!(demo.get("/health").await.status, 200);
    }
}
