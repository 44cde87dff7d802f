//! For whom a request may be: a page of somebody else's, opened in a developer's browser, can reach this machine under a name
//! of its own ("DNS rebinding"). The field `Host` gives it away.

use super::rfc9113::get as get_h2;
use super::*;

/// No words of its own.
async fn strict(stub: &Stub) -> Front {
    front_with(&[stub.address], |s| {
        s.live.allow_hosts = Balancer::default().live.allow_hosts;
    })
}

/// Changes the list while it serves.
fn allow(front: &Front, words: &str) {
    let words = words.split(',').filter(|word| !word.is_empty());
    let words = words.map(|word| word.trim().parse().unwrap()).collect();
    let live = front.pools.live();
    front.pools.set_live(Live {
        allow_hosts: HostList::default().with_said(words),
        ..(**live).clone()
    });
}

fn get(host: &str, more: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\n{more}\r\n")
}

async fn asked(stream: &mut TcpStream, host: &str) -> u16 {
    stream.write_all(get(host, "").as_bytes()).await.unwrap();
    let head = read_head(stream).await.unwrap();
    let length = field(&head, "content-length").unwrap().parse().unwrap();
    let mut body = vec![0; length];
    within(stream.read_exact(&mut body)).await.unwrap();
    status(&head)
}

#[tokio::test]
async fn who_may_be_asked_for() {
    let stub = answering(OK).await;
    let front = strict(&stub).await;
    let mut stream = front.connect().await;
    // All on one connection: a refusal does not end it.
    for (host, expected) in [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("localhost.", 200),
        ("shop.localhost", 200),
        ("a.b.localhost:1", 200),
        ("127.0.0.1", 200),
        ("127.0.0.1:8080", 200),
        ("10.1.2.3", 200),
        ("[::1]", 200),
        ("[2001:db8::1]:80", 200),
        ("example.com", 403),
        ("a", 403),
        ("localhost.example.com", 403),
        ("notlocalhost", 403),
        ("127.0.0.1.example.com", 403),
        ("127.0.0.1x", 403),
        ("1", 403),
    ] {
        assert_eq!(asked(&mut stream, host).await, expected, "{host}");
    }
    assert_eq!(stub.heads().len(), 10);
}

#[tokio::test]
async fn a_refusal_ends_in_the_command_to_type() {
    let stub = answering(OK).await;
    let front = strict(&stub).await;
    for accept in ["text/html", "application/json", "*/*"] {
        let more = format!("Accept: {accept}\r\nConnection: close\r\n");
        let answer = front.ask(&get("App.Test:8080", &more)).await;
        assert_eq!(status(&answer), 403, "{answer}");
        assert!(
            answer.contains("lbdev set allow_hosts=app.test"),
            "{answer}"
        );
        assert!(!answer.contains("allow_hosts=app.test:8080"), "{answer}");
    }
    let json = front
        .ask(&get(
            "app.test",
            "Accept: application/json\r\nConnection: close\r\n",
        ))
        .await;
    let body = json.split_once("\r\n\r\n").unwrap().1;
    serde_json::from_str::<serde_json::Value>(body).unwrap();
    // What a host says is text, and never markup or a second command.
    let html = front
        .ask(&get(
            "a&b'c;d",
            "Accept: text/html\r\nConnection: close\r\n",
        ))
        .await;
    assert_eq!(status(&html), 403, "{html}");
    assert!(!html.contains("a&b'"), "{html}");
}

#[tokio::test]
async fn an_upgrade_is_no_way_around_it() {
    let stub = answering(OK).await;
    let front = strict(&stub).await;
    let more = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let mut stream = front.connect().await;
    stream
        .write_all(get("example.com", more).as_bytes())
        .await
        .unwrap();
    assert_eq!(status(&read_head(&mut stream).await.unwrap()), 403);
    // Nor is the absolute form: it is what counts.
    for (request, expected) in [
        (
            "GET http://example.com/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            403,
        ),
        (
            "GET http://localhost/ HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n",
            200,
        ),
    ] {
        assert_eq!(status(&front.ask(request).await), expected, "{request}");
    }
    assert_eq!(stub.heads().len(), 1);
}

#[tokio::test]
async fn a_change_holds_for_the_next_request_of_the_same_connection() {
    let stub = answering(OK).await;
    let front = strict(&stub).await;
    let mut stream = front.connect().await;
    let peer = front.h2().await;
    for (words, expected) in [
        ("", 403),
        ("app.test", 200),
        ("*.app.test", 403),
        ("x,app.test", 200),
    ] {
        allow(&front, words);
        assert_eq!(asked(&mut stream, "app.test").await, expected, "{words}");
        let mut request = get_h2("/");
        *request.uri_mut() = "http://app.test/".parse().unwrap();
        assert_eq!(peer.ask(request).await.status, expected, "{words}");
    }
    allow(&front, "*.app.test");
    assert_eq!(asked(&mut stream, "a.app.test:81").await, 200);
    assert_eq!(asked(&mut stream, "A.APP.TEST").await, 200);
    assert_eq!(asked(&mut stream, "aapp.test").await, 403);
}

#[tokio::test]
async fn the_hosts_of_routes_need_no_word() {
    let stub = answering(OK).await;
    let front = strict(&stub).await;
    let routes = vec![Route::Host("shop.test".into()), Route::Prefix("/".into())];
    let mut settings = settings();
    settings.live.allow_hosts = HostList::default().with_routes(&routes);
    let pools = Arc::new(Pools::new([(Arc::from("web"), routes)], &settings));
    pools.all()[0].publish(members(&[stub.address], RunId::FIRST));
    let bound = bind(&settings.listen, 1).unwrap();
    let address = bound.addresses()[0];
    let proxy = start(
        Arc::new(settings),
        bound,
        pools.clone(),
        Arc::default(),
        lent(),
    )
    .unwrap();
    let front = Front {
        address,
        proxy,
        pools,
        ..front
    };
    let mut stream = front.connect().await;
    assert_eq!(asked(&mut stream, "shop.test").await, 200);
    assert_eq!(asked(&mut stream, "Shop.Test:80").await, 200);
    assert_eq!(asked(&mut stream, "other.test").await, 403);
}

#[tokio::test]
async fn what_is_no_request_is_said_first() {
    let stub = answering(OK).await;
    let front = strict(&stub).await;
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: example.com, b\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nHost: example.com\r\nHost: example.com\r\n\r\n",
            400,
        ),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nHost: example.com\r\nContent-Length: x\r\n\r\n",
            400,
        ),
        ("GET * HTTP/1.1\r\nHost: example.com\r\n\r\n", 400),
        (
            "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
            405,
        ),
        (
            "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 2\r\n\r\nhi",
            403,
        ),
    ] {
        let mut stream = front.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await.unwrap();
        assert_eq!(status(&head), expected, "{request}");
    }
    // HTTP/1.0 may name nobody: it means the one it came to.
    assert_eq!(status(&front.ask("GET / HTTP/1.0\r\n\r\n").await), 200);
    let named = "GET / HTTP/1.0\r\nHost: example.com\r\n\r\n";
    assert_eq!(status(&front.ask(named).await), 403);
    assert_eq!(stub.heads().len(), 1);
}
