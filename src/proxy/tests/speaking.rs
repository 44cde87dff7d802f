use super::*;

#[tokio::test]
async fn heads_on_the_way_through() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close, x-hop\r\nX-Hop: 1\r\nX-Keep: 1\r\nKeep-Alive: timeout=5\r\n\r\nok";
    let stub = answering(answer).await;
    let front = front(&[stub.address]);
    let request = "GET /a?b=%20c HTTP/1.1\r\nHost: Shop.localhost:8080\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nConnection: x-secret, close\r\nX-Secret: 1\r\nTE: trailers\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n";
    let got = front.ask(request).await;
    assert_eq!(field(&got, "x-keep"), Some("1"));
    assert_eq!(field(&got, "x-hop"), None);
    assert_eq!(field(&got, "keep-alive"), None);
    let sent = stub.heads().remove(0);
    assert!(sent.starts_with("GET /a?b=%20c HTTP/1.1\r\n"), "{sent}");
    for (name, value) in [
        ("host", Some("Shop.localhost:8080")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-host", Some("Shop.localhost:8080")),
        (
            "x-forwarded-port",
            Some(front.address.port().to_string().as_str()),
        ),
        ("x-forwarded-proto", Some("http")),
        (
            "forwarded",
            Some("for=127.0.0.1;host=\"Shop.localhost:8080\";proto=http"),
        ),
        ("x-secret", None),
        ("connection", None),
        ("te", Some("trailers")),
    ] {
        assert_eq!(field(&sent, name), value, "{name}\n{sent}");
    }
    assert!(sent.contains("a=1") && sent.contains("b=2"));
}

#[tokio::test]
async fn targets_and_hosts() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    for (request, expected) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405),
        ("nonsense\r\n\r\n", 400),
    ] {
        let mut stream = front.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await.unwrap();
        assert_eq!(status(&head), expected, "{request}");
    }
    assert_eq!(stub.connections(), 0);

    let absolute = "GET http://b:81/x?y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&front.ask(absolute).await), 200);
    let head = stub.heads().remove(0);
    assert!(head.starts_with("GET /x?y HTTP/1.1\r\n"), "{head}");
    assert_eq!(field(&head, "host"), Some("b:81"));
}

#[tokio::test]
async fn http_1_0() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    for answer in [OK, chunked] {
        let stub = answering(answer).await;
        let front = front(&[stub.address]);
        let got = front.ask("GET / HTTP/1.0\r\n\r\n").await;
        assert_eq!(status(&got), 200);
        assert!(got.ends_with("\r\n\r\nok"), "{got}");
        let head = stub.heads().remove(0);
        let own = format!("localhost:{}", front.address.port());
        assert_eq!(field(&head, "host"), Some(own.as_str()), "{head}");
    }
}

#[tokio::test]
async fn responses_without_a_body_keep_the_connection() {
    for (method, answer, length) in [
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
            Some("1234"),
        ),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", None),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
            None,
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            Some("0"),
        ),
    ] {
        let stub = answering(answer).await;
        let front = front(&[stub.address]);
        let mut stream = front.connect().await;
        for _ in 0..3 {
            let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let head = read_head(&mut stream).await.unwrap();
            assert_eq!(status(&head), status(answer));
            assert_eq!(field(&head, "content-length"), length, "{head}");
            assert_eq!(field(&head, "transfer-encoding"), None, "{head}");
            front.settled().await;
        }
        // What answers `HEAD` may have a body after it, a little later: nothing else is asked there.
        let connections = if method == "HEAD" { 3 } else { 1 };
        assert_eq!(stub.connections(), connections, "{answer}");
    }
}

#[tokio::test]
async fn no_route_lists_the_routes() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    let pools = Arc::new(Pools::new(
        [(Arc::from("api"), vec![Route::Prefix("/api".into())])],
        &settings(),
    ));
    pools.all()[0].publish(members(&[stub.address], RunId::FIRST));
    let bound = bind(&settings().listen, 1).unwrap();
    let address = bound.addresses()[0];
    let proxy = start(Arc::new(settings()), bound, pools, Arc::default(), lent()).unwrap();
    let api = Front {
        address,
        proxy,
        ..front
    };
    let answer = api.get("/shop").await;
    assert_eq!(status(&answer), 404);
    assert!(answer.contains("api  /api"), "{answer}");
    assert_eq!(status(&api.get("/api/x").await), 200);
}

#[tokio::test]
async fn what_a_page_loads_comes_from_where_the_page_came() {
    let stubs = [answering(OK).await, answering(OK).await];
    let front = front(&[stubs[0].address, stubs[1].address]);
    for (dest, path, backend) in [
        ("document", "/", "web:8000"),
        ("style", "/a.css", "web:8000"),
        ("image", "/a.png", "web:8000"),
        ("document", "/", "web:8001"),
        ("image", "/favicon.ico", "web:8001"),
        ("empty", "/api", "web:8000"),
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\nSec-Fetch-Dest: {dest}\r\nConnection: close\r\n\r\n"
        );
        let answer = front.ask(&request).await;
        assert_eq!(field(&answer, "x-lbdev-backend"), Some(backend), "{path}");
    }
}

#[tokio::test]
async fn expect_100_continue_is_answered_and_forwarded() {
    let stub = stub(|mut stream, _, heads| async move {
        let head = read_head(&mut stream).await.unwrap();
        heads.lock().unwrap().push(head);
        assert!(read_until(&mut stream, "body").await.is_some());
        stream.write_all(OK.as_bytes()).await.unwrap();
    })
    .await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    let head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(status(&read_head(&mut stream).await.unwrap()), 100);
    stream.write_all(b"body").await.unwrap();
    assert_eq!(status(&read_all(&mut stream).await), 200);
    assert_eq!(field(&stub.heads()[0], "expect"), Some("100-continue"));
}

#[tokio::test]
async fn each_request_is_for_its_own_host() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    let hosts = ["a", "A:1", "a", "b.localhost", "a"];
    // On one connection, and then each on its own: what was kept of one host is never told of another.
    let mut stream = front.connect().await;
    for host in hosts {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut stream, "ok").await.unwrap();
    }
    for host in hosts {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = front.ask(&request).await;
        assert!(answer.ends_with("ok"), "{answer}");
    }
    for (head, host) in stub.heads().iter().zip(hosts.iter().chain(&hosts)) {
        assert_eq!(field(head, "host"), Some(*host));
        assert_eq!(field(head, "x-forwarded-host"), Some(*host));
        let forwarded = field(head, "forwarded").unwrap();
        let quoted = [format!("host={host};"), format!("host=\"{host}\";")];
        assert!(quoted.iter().any(|q| forwarded.contains(q)), "{forwarded}");
    }
    assert_eq!(stub.heads().len(), 10);
}
