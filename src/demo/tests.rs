//! Both servers over real sockets, in this process.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::{files, hidden, server, site};

/// Long enough for the slowest machine, short enough for a person.
const LIMIT: Duration = Duration::from_secs(20);

struct Demo {
    address: SocketAddr,
    died: mpsc::UnboundedReceiver<()>,
}

impl Demo {
    async fn start() -> Self {
        let (listener, port) = server::listen(0).await.expect("a free port");
        let (die, died) = mpsc::unbounded_channel();
        let die = Box::new(move || {
            let _ = die.send(());
        });
        let site = Arc::new(site::Site::new(port, 0, |_| (), die));
        let handler = move |request| site::answer(Arc::clone(&site), request);
        tokio::spawn(server::serve(listener, |_| (), handler));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { address, died }
    }

    fn request(&self, method: Method, target: &str) -> Asked {
        Asked {
            address: self.address,
            request: Request::builder()
                .method(method)
                .uri(target)
                .header(header::HOST, self.address.to_string()),
            body: Bytes::new(),
        }
    }

    async fn get(&self, target: &str) -> Answer {
        self.request(Method::GET, target).send().await
    }
}

struct Asked {
    address: SocketAddr,
    request: hyper::http::request::Builder,
    body: Bytes,
}

impl Asked {
    fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    async fn send(self) -> Answer {
        let request = self.request.body(Full::new(self.body)).expect("a request");
        let exchange = async {
            let stream = TcpStream::connect(self.address).await.expect("connects");
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
                .await
                .expect("speaks HTTP");
            tokio::spawn(connection);
            let response = sender.send_request(request).await.expect("an answer");
            let (parts, body) = response.into_parts();
            Answer {
                status: parts.status,
                headers: parts.headers,
                body: body.collect().await.expect("a whole body").to_bytes(),
            }
        };
        tokio::time::timeout(LIMIT, exchange)
            .await
            .expect("an answer in time")
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    fn field(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |v| v.to_str().expect("text"))
    }
}

#[tokio::test]
async fn the_first_page_names_its_port() {
    let demo = Demo::start().await;
    let port = demo.address.port();
    assert_eq!(demo.get("/").await.text(), format!("Using port {port}\n"));
    let asked = demo.request(Method::GET, "/");
    let page = asked.header("accept", "text/html").send().await;
    assert!(page.text().contains("Using port"), "{}", page.text());
    assert!(
        page.text().contains("2 requests answered"),
        "{}",
        page.text()
    );
    assert!(!page.text().contains("{{"), "{}", page.text());
    assert_eq!(page.field("cache-control"), "no-store");
    let asked = demo.request(Method::GET, "/");
    let facts = asked.header("accept", "application/json").send().await;
    assert_eq!(facts.json()["port"], port);
    assert_eq!(facts.json()["answered"], 3);
}

#[tokio::test]
async fn what_a_client_sends_is_not_html() {
    let demo = Demo::start().await;
    for asked in [
        demo.request(Method::GET, "/")
            .header("host", "<script>.localhost"),
        demo.request(Method::GET, "/slow?ms=%3Cscript%3E"),
        demo.request(Method::GET, "/status/%3Cscript%3E"),
        demo.request(Method::POST, "/counter")
            .header("x-request-id", "<script>"),
    ] {
        let page = asked.header("accept", "text/html").send().await;
        let main = page.text().split("</head>").nth(1).expect("a page");
        assert!(!main.contains("<script>"), "{main}");
    }
}

#[tokio::test]
async fn statuses_and_refusals() {
    let demo = Demo::start().await;
    let check = async |method: Method, target: &str, expected: u16| {
        for accept in ["text/html", "application/json", "text/plain"] {
            let asked = demo
                .request(method.clone(), target)
                .header("accept", accept);
            assert_eq!(asked.send().await.status, expected, "{method} {target}");
        }
    };
    for code in [200, 204, 205, 301, 304, 404, 418, 500, 503, 599] {
        check(Method::GET, &format!("/status/{code}"), code).await;
    }
    for code in [
        "199", "600", "100", "101", "0", "", "-1", "x", "99999", "503/",
    ] {
        check(Method::GET, &format!("/status/{code}"), 400).await;
    }
    check(Method::POST, "/status/503", 503).await;
    check(Method::GET, "/health", 200).await;
    check(Method::HEAD, "/health", 200).await;
    check(Method::GET, "/env", 200).await;
    check(Method::GET, "/chat", 200).await;
    check(Method::GET, "/ws", 200).await;
    check(Method::GET, "/favicon.ico", 200).await;
    check(Method::GET, "/nothing", 404).await;
    check(Method::GET, "//", 404).await;
    check(Method::POST, "/", 405).await;
    check(Method::DELETE, "/login", 405).await;
    check(Method::GET, "/slow?ms=1", 200).await;
    check(Method::POST, "/slow?ms=1", 200).await;
    check(Method::GET, "/slow?ms=-1", 400).await;
    check(Method::GET, "/slow?ms=99999999999999999999", 400).await;
    check(Method::GET, "/stream?n=x", 400).await;
    check(Method::GET, "/stream?n=100001", 400).await;
    check(Method::GET, "/stream?n=2&ms=%ff", 400).await;
    check(Method::GET, "/bytes/-1", 400).await;
    check(Method::GET, "/bytes/99999999999999999999", 400).await;
    check(Method::GET, "/crash?after=tea", 400).await;
    check(Method::POST, "/login", 400).await;
    assert_eq!(
        demo.request(Method::PUT, "/").send().await.field("allow"),
        "GET, HEAD"
    );
    let long = vec![b'a'; 100_000];
    let asked = demo.request(Method::POST, "/login").body(long);
    assert_eq!(asked.send().await.status, 413);
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let demo = Demo::start().await;
    for target in ["/", "/bytes/1000", "/nothing"] {
        let whole = demo.get(target).await;
        let head = demo.request(Method::HEAD, target).send().await;
        assert_eq!(head.status, whole.status, "{target}");
        assert_eq!(head.field("content-length"), whole.body.len().to_string());
        assert!(head.body.is_empty(), "{target}");
    }
}

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
async fn a_session_is_known_where_it_was_made() {
    let (here, there) = (Demo::start().await, Demo::start().await);
    let asked = here.request(Method::POST, "/login");
    let entered = asked.body("name=Ada+%3CL%3E").send().await;
    assert_eq!(entered.status, 303);
    assert_eq!(entered.field("location"), "/login");
    let cookie = entered
        .field("set-cookie")
        .split(';')
        .next()
        .expect("a cookie")
        .to_owned();
    let page = async |demo: &Demo| {
        let asked = demo.request(Method::GET, "/login");
        asked
            .header("cookie", &cookie)
            .send()
            .await
            .text()
            .to_owned()
    };
    assert!(page(&here).await.contains("You are Ada &lt;L&gt;"));
    assert!(page(&there).await.contains("does not know you"));
    let asked = here.request(Method::POST, "/logout");
    assert_eq!(asked.header("cookie", &cookie).send().await.status, 303);
    assert!(page(&here).await.contains("does not know you"));
}

#[tokio::test]
async fn a_counter_says_what_ran() {
    let demo = Demo::start().await;
    let commit = async |id: &str| {
        let asked = demo.request(Method::POST, "/counter");
        let asked = asked.header("accept", "application/json");
        asked.header("x-request-id", id).send().await.json()
    };
    assert_eq!(commit("a").await["committed"], 1);
    assert_eq!(commit("b").await["times"], 1);
    assert_eq!(commit("a").await["times"], 2);
    let form = demo.request(Method::POST, "/counter").body("request_id=c");
    assert!(form.send().await.text().contains("commit 4 "));
    let state = demo.get("/counter?json").await.json();
    assert_eq!(state["count"], 4);
    assert_eq!(
        state["requests"],
        serde_json::json!({"a": 2, "b": 1, "c": 1})
    );
    let asked = demo.request(Method::GET, "/counter");
    let page = asked.header("accept", "text/html").send().await;
    assert!(
        page.text().contains("number 4, transaction"),
        "{}",
        page.text()
    );
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

async fn folder(dir: &std::path::Path) -> Demo {
    let (listener, port) = server::listen(0).await.expect("a free port");
    let folder = files::Folder::new(dir).expect("a folder").on_port(port);
    let folder = Arc::new(folder);
    let handler = move |request| files::answer(Arc::clone(&folder), request);
    tokio::spawn(server::serve(listener, |_| (), handler));
    Demo {
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        died: mpsc::unbounded_channel().1,
    }
}

#[tokio::test]
async fn files_of_a_folder() {
    let outside = tempfile::tempdir().expect("a folder");
    let root = outside.path().join("site");
    let write = |name: &str, content: &[u8]| {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        let mut file = std::fs::File::create(path).expect("a file");
        file.write_all(content).expect("written");
    };
    write("index.html", b"<h1>first</h1>");
    write("style.css", b"body { color: red }");
    write("with space/index.html", b"second");
    write("empty/.keep", b"");
    write(".env", b"secret");
    write(".git/config", b"secret");
    write(".well-known/security.txt", b"seen");
    std::fs::write(outside.path().join("secret.txt"), "secret").expect("written");
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink(outside.path().join("secret.txt"), root.join("out.txt")).expect("a link");
        symlink(outside.path(), root.join("up")).expect("a link");
        symlink(root.join(".env"), root.join("env.txt")).expect("a link");
        symlink(root.join("style.css"), root.join("in.css")).expect("a link");
    }
    let demo = folder(&root).await;
    let check = async |target: &str, status: u16, body: &str| {
        let answer = demo.get(target).await;
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        assert!(answer.text().contains(body), "{target}: {}", answer.text());
        assert!(!answer.text().contains("secret"), "{target}");
        assert_eq!(answer.field("x-served-by"), demo.address.port().to_string());
    };
    check("/", 200, "first").await;
    check("/index.html?x=1", 200, "first").await;
    check("/style.css", 200, "red").await;
    check("/with%20space/", 200, "second").await;
    check("/.well-known/security.txt", 200, "seen").await;
    for target in [
        "/nothing",
        "/empty/",
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/x/../.env",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/..%5csecret.txt",
        "/style.css/",
        "/style.css/x",
        "/nul%00",
        "/%ff",
    ] {
        check(target, 404, "").await;
    }
    check(&format!("/{}", "a".repeat(5_000)), 404, "").await;
    #[cfg(unix)]
    {
        check("/out.txt", 404, "").await;
        check("/up/secret.txt", 404, "").await;
        check("/env.txt", 404, "").await;
        check("/in.css", 200, "red").await;
    }

    let moved = demo.get("/with%20space?a=b").await;
    assert_eq!(moved.status, 301);
    assert_eq!(moved.field("location"), "./with%20space/?a=b");
    let moved = demo.get("//with%20space").await;
    assert_eq!(moved.field("location"), "./with%20space/");

    let refused = demo.request(Method::POST, "/").body("x").send().await;
    assert_eq!(refused.status, 405);
    assert_eq!(refused.field("allow"), "GET, HEAD");

    let style = demo.get("/style.css").await;
    assert_eq!(style.field("content-type"), "text/css");
    let asked = demo.request(Method::GET, "/style.css");
    let asked = asked.header("if-modified-since", style.field("last-modified"));
    assert_eq!(asked.send().await.status, 304);
    let asked = demo
        .request(Method::GET, "/style.css")
        .header("range", "bytes=0-3");
    let part = asked.send().await;
    assert_eq!((part.status.as_u16(), part.text()), (206, "body"));
    let head = demo.request(Method::HEAD, "/style.css").send().await;
    assert_eq!(head.field("content-length"), "19");
    for answer in [&part, &head] {
        assert_eq!(answer.field("content-type"), "text/css");
    }
    let asked = demo.request(Method::GET, "/style.css");
    let parts = asked.header("range", "bytes=0-1,5-6").send().await;
    assert!(
        parts
            .field("content-type")
            .starts_with("multipart/byteranges")
    );
}

#[test]
fn arguments() {
    fn check(line: &str, mine: bool) {
        let args: Vec<_> = line.split_whitespace().map(Into::into).collect();
        assert_eq!(hidden(&args).is_some(), mine, "{line}");
    }
    check("", false);
    check("up", false);
    check("demo --port 8000", false);
    check("__demo", true);
    check("__demo --port", true);
    check("__demo --port 70000", true);
    check("__demo --port 8000 --dir .", true);
    check("__static --port 8000", true);
    check("__static --port 8000 --dir /nonexistent/folder", true);
}
