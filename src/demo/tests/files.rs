//! The server of static files.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::Method;
use tokio::sync::mpsc;

use super::Demo;
use crate::demo::{files, server};

async fn folder(dir: &std::path::Path) -> Demo {
    let (listener, port) = server::listen(0).await.expect("a free port");
    let folder = files::Folder::new(dir).expect("a folder").on_port(port);
    let folder = Arc::new(folder);
    let handler = move |request| files::answer(Arc::clone(&folder), request);
    tokio::spawn(server::serve(listener, handler));
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
