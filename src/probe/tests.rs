//! Checks against scripted servers on real sockets.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::backend::Slot;

/// What a scripted server answers each request with.
#[derive(Clone)]
enum Script {
    /// This; then it closes.
    Answer(String),
    /// This; then nothing more, and the connection stays.
    Hang(String),
    /// This, then `.` for ever.
    Endless(String),
}

async fn server(script: Script) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let script = script.clone();
            tokio::spawn(async move {
                let mut head = [0; 4096];
                if stream.read(&mut head).await.unwrap_or(0) == 0 {
                    return;
                }
                match script {
                    Script::Answer(text) => {
                        let _ = stream.write_all(text.as_bytes()).await;
                    }
                    Script::Hang(text) => {
                        let _ = stream.write_all(text.as_bytes()).await;
                        std::future::pending::<()>().await;
                    }
                    Script::Endless(text) => {
                        let _ = stream.write_all(text.as_bytes()).await;
                        while stream.write_all(&[b'.'; 1024]).await.is_ok() {}
                    }
                }
            });
        }
    });
    address
}

fn target(address: SocketAddr) -> Target {
    Target {
        id: BackendId::new("web", Slot::Port(address.port())),
        run: RunId::FIRST,
        addresses: vec![address],
        was_ready: true,
        port_is_enough: false,
        health: HealthPolicy {
            path: None,
            interval: Duration::from_millis(10),
            timeout: Duration::from_secs(30),
            rise: 1,
            fall: 2,
            status: None,
            body: None,
        },
        host: "localhost:8080".into(),
    }
}

/// The next report of a check that takes this course.
async fn next(target: Target, course: Course) -> Report {
    let (out, mut reports) = mpsc::unbounded_channel();
    let watch = Network::new().unwrap().begin(target, out);
    watch.set_course(course);
    reports.recv().await.unwrap()
}

fn said(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn an_answer_passes_by_its_status_and_its_body() {
    let long = format!("{}ok", "x".repeat(64 << 10));
    for (path, status, body, answer, passes, detail) in [
        (None, None, None, said(404, ""), true, "GET / → 404"),
        (Some("/h"), None, None, said(200, ""), true, "GET /h → 200"),
        (Some("/h"), None, None, said(302, ""), true, "GET /h → 302"),
        (Some("/h"), None, None, said(404, ""), false, "GET /h → 404"),
        (Some("/h"), None, None, said(503, ""), false, "GET /h → 503"),
        (
            Some("/h"),
            Some((200, 299)),
            None,
            said(302, ""),
            false,
            "GET /h → 302, not 200-299",
        ),
        (
            Some("/h"),
            Some((404, 404)),
            None,
            said(404, ""),
            true,
            "GET /h → 404",
        ),
        (
            Some("/h"),
            Some((204, 204)),
            None,
            said(200, ""),
            false,
            "GET /h → 200, not 204",
        ),
        (
            Some("/h"),
            None,
            Some("ok"),
            said(200, "it is ok."),
            true,
            "GET /h → 200",
        ),
        (
            Some("/h"),
            None,
            Some("ok"),
            said(200, "it is not"),
            false,
            "GET /h → 200, without `ok` in its body",
        ),
        (
            Some("/h"),
            None,
            Some("ok"),
            said(200, &long),
            false,
            "GET /h → 200, without `ok` in its body",
        ),
    ] {
        let mut target = target(server(Script::Answer(answer)).await);
        target.health.path = path.map(str::to_owned);
        target.health.status = status;
        target.health.body = body.map(str::to_owned);
        let report = next(target, Course::Steady).await;
        assert_eq!(
            (report.address.is_some(), report.detail.as_str()),
            (passes, detail)
        );
        assert_eq!((report.http, report.refused), (true, false));
    }
}

#[tokio::test]
async fn an_answer_that_does_not_end() {
    let head = "HTTP/1.1 200 OK\r\n\r\n";
    let asked = |address, body: Option<&str>| {
        let mut target = target(address);
        target.health.path = Some("/".into());
        target.health.body = body.map(str::to_owned);
        target
    };
    // The head is enough where nobody asked for a body.
    let hangs = server(Script::Hang(head.to_owned())).await;
    let report = next(asked(hangs, None), Course::Up).await;
    assert!(report.address.is_some(), "{report:?}");

    let mut short = asked(hangs, Some("ok"));
    short.health.timeout = Duration::from_millis(300);
    let report = next(short.clone(), Course::Up).await;
    assert_eq!(
        (report.address, report.detail.as_str()),
        (None, "GET / → 200, its body did not end within 0.3 s")
    );
    short.addresses = vec![server(Script::Hang(String::new())).await];
    let report = next(short, Course::Up).await;
    assert_eq!(
        (report.address, report.detail.as_str()),
        (None, "GET / → no answer within 0.3 s")
    );

    // So much is read of one that goes on for ever, and no more.
    let endless = server(Script::Endless(format!("{head}ok"))).await;
    let report = next(asked(endless, Some("ok")), Course::Up).await;
    assert!(report.address.is_some(), "{report:?}");
    let report = next(asked(endless, Some("well")), Course::Up).await;
    assert_eq!(report.detail, "GET / → 200, without `well` in its body");
}

#[tokio::test]
async fn each_course_asks_in_its_way() {
    // It accepts, and never answers: what a process that hangs does.
    let hangs = server(Script::Hang(String::new())).await;
    let answers = server(Script::Answer(said(500, ""))).await;
    for (course, http) in [
        (Course::Up, false),
        (Course::Down, false),
        (Course::Proof, true),
        (Course::Steady, true),
    ] {
        let mut target = target(hangs);
        target.health.timeout = Duration::from_millis(200);
        if !http {
            target.health.timeout = Duration::from_secs(30);
        }
        let report = next(target.clone(), course).await;
        assert_eq!(
            (report.http, report.address.is_some()),
            (http, !http),
            "{course:?}: {report:?}"
        );
        target.addresses = vec![answers];
        target.health.timeout = Duration::from_secs(30);
        let report = next(target, course).await;
        assert!(report.address.is_some(), "{course:?}: {report:?}");
    }
}

#[tokio::test]
async fn a_refused_port_is_told_as_such_by_either() {
    let free = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        listener.local_addr().unwrap()
    };
    for course in [Course::Up, Course::Steady] {
        let report = next(target(free), course).await;
        assert!(report.refused, "{report:?}");
    }
}

#[tokio::test]
async fn readiness_comes_first_unless_it_was_ready() {
    let address = server(Script::Answer(said(404, ""))).await;
    let mut target = target(address);
    target.was_ready = false;
    let (out, mut reports) = mpsc::unbounded_channel();
    let _watch = Network::new().unwrap().begin(target, out);
    let first = reports.recv().await.unwrap();
    assert!(first.http && first.address.is_some(), "{first:?}");
    let second = reports.recv().await.unwrap();
    assert_eq!((second.http, second.detail.as_str()), (false, "port open"));
    assert!(second.began >= first.began);
}
