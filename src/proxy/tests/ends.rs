use super::*;

/// Switches to an echo of everything.
async fn echo() -> Stub {
    stub(|mut stream, _, heads| async move {
        let head = read_head(&mut stream).await.unwrap();
        heads.lock().unwrap().push(head);
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
        // The client's half-close has come through; a last word still passes.
        let _ = write.write_all(b"bye").await;
    })
    .await
}

const UPGRADE: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\nearly";

#[tokio::test]
async fn an_upgrade_is_a_tunnel_both_ways() {
    let stub = echo().await;
    let front = front(&[nobody().await, stub.address]);
    let mut stream = front.connect().await;
    stream.write_all(UPGRADE).await.unwrap();
    let head = read_head(&mut stream).await.unwrap();
    assert_eq!(status(&head), 101, "{head}");
    assert_eq!(field(&head, "upgrade"), Some("echo"));
    assert_eq!(field(&head, "x-lbdev-attempts"), Some("2"));
    assert_eq!(field(&stub.heads()[0], "upgrade"), Some("echo"));
    assert!(read_until(&mut stream, "helloearly").await.is_some());
    stream.write_all(b"more").await.unwrap();
    assert!(read_until(&mut stream, "more").await.is_some());
    assert_eq!(front.member(1).life.in_flight(), 1);
    let access = front.access().await;
    assert_eq!(
        (access.status, access.backend.unwrap().short()),
        (101, "8001".into())
    );
    stream.shutdown().await.unwrap();
    assert_eq!(read_all(&mut stream).await, "bye");
    front.settled().await;
}

#[tokio::test]
async fn an_upgrade_that_is_declined_is_an_answer() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    let request =
        "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: echo\r\n\r\n";
    let answer = front.ask(request).await;
    assert_eq!(status(&answer), 200);
    assert!(answer.ends_with("ok"));
}

#[tokio::test]
async fn closing_ends_upgrades_and_idle_clients_at_once() {
    let (tunnel, plain) = (echo().await, answering(OK).await);
    let front = front(&[tunnel.address, plain.address]);
    let mut upgraded = front.connect().await;
    upgraded.write_all(UPGRADE).await.unwrap();
    assert!(read_until(&mut upgraded, "hello").await.is_some());
    let mut idle = front.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    assert!(read_until(&mut idle, "ok").await.is_some());
    let began = Instant::now();
    within(front.proxy.close(Duration::from_secs(15))).await;
    assert!(began.elapsed() < Duration::from_secs(10));
    read_all(&mut upgraded).await;
    assert_eq!(read_all(&mut idle).await, "");
    assert!(TcpStream::connect(front.address).await.is_err());
}

#[tokio::test]
async fn closing_waits_for_what_is_in_flight_and_then_does_not() {
    let go = Arc::new(tokio::sync::Notify::new());
    let release = go.clone();
    let stub = stub(move |mut stream, number, heads| {
        let release = release.clone();
        async move {
            let head = read_head(&mut stream).await.unwrap();
            heads.lock().unwrap().push(head);
            if number == 0 {
                release.notified().await;
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
            std::future::pending::<()>().await;
        }
    })
    .await;
    let front = front(&[stub.address]);
    let mut streams = [front.connect().await, front.connect().await];
    for (number, stream) in streams.iter_mut().enumerate() {
        let get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        stream.write_all(get).await.unwrap();
        eventually(|| stub.heads().len() > number).await;
    }
    front.proxy.stop_accepting();
    let address = front.address;
    let closing = tokio::spawn(front.proxy.close(Duration::from_millis(400)));
    eventually(|| std::net::TcpStream::connect(address).is_err()).await;
    go.notify_one();
    let [first, second] = &mut streams;
    let answer = read_all(first).await;
    assert_eq!(status(&answer), 200);
    assert_eq!(field(&answer, "connection"), Some("close"));
    assert_eq!(read_all(second).await, "", "dropped at the deadline");
    within(closing).await.unwrap();
}

#[tokio::test]
async fn idle_connections_end_by_themselves() {
    let closed = Arc::new(tokio::sync::Notify::new());
    let told = closed.clone();
    let stub = stub(move |mut stream, _, _| {
        let told = told.clone();
        async move {
            while read_head(&mut stream).await.is_some() {
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
            told.notify_one();
        }
    })
    .await;
    let front = front_with(&[stub.address], |s| {
        s.timeouts.idle = Duration::from_millis(100);
    });
    let mut stream = front.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    assert!(read_until(&mut stream, "ok").await.is_some());
    assert_eq!(read_all(&mut stream).await, "");
    within(closed.notified()).await;
}

#[tokio::test]
async fn several_workers_share_one_order() {
    let stubs = [answering(OK).await, answering(OK).await];
    let front = front_with(&[stubs[0].address, stubs[1].address], |s| s.workers = 2);
    for turn in [0, 1, 0, 1, 0, 1, 0, 1] {
        let answer = front.get("/").await;
        let expected = format!("web:800{turn}");
        assert_eq!(field(&answer, "x-lbdev-backend"), Some(expected.as_str()));
    }
    within(front.proxy.close(Duration::ZERO)).await;
}
