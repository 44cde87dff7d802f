//! The tools must find what they look for: a test that cannot fail shows nothing.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use crate::harness::Running;
use crate::http::{self, Connection};
use crate::load::Load;
use crate::ports::{self, Block};
use crate::rotation::{goes_round, port_in};
use crate::scan;
use crate::wait::{holds_within, s};

/// Answers each connection's first request with these bytes and closes it.
fn stub(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut seen = Vec::new();
            let mut buffer = [0; 1024];
            while !seen.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(read @ 1..) => seen.extend_from_slice(&buffer[..read]),
                    _ => break,
                }
            }
            // The client may be gone.
            let _ = stream.write_all(answer);
        }
    });
    port
}

#[test]
fn the_client_reads_every_kind_of_body_and_no_half_ones() {
    let whole = |answer| http::get(stub(answer), "/").unwrap().text();
    assert_eq!(
        whole(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
        "hi"
    );
    assert_eq!(whole(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3;x\r\n yo\r\n0\r\n\r\n"), "hi yo");
    assert_eq!(whole(b"HTTP/1.0 200 OK\r\n\r\nto the end"), "to the end");
    assert_eq!(
        whole(b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
        "x"
    );
    let half = |answer| http::get(stub(answer), "/").unwrap_err();
    half(b"");
    half(b"HTTP/1.1 200 OK\r\nContent-Le");
    half(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi");
    half(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
    let response = http::get(
        stub(b"HTTP/1.1 200 OK\r\nX-Lbdev-Backend: web:8001\r\nContent-Length: 0\r\n\r\n"),
        "/",
    );
    assert_eq!(response.unwrap().backend_port(), Some(8001));
    let mut closing = Connection::open(stub(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    ))
    .unwrap();
    closing.request("GET", "/", &[], b"").unwrap();
    assert!(!closing.is_usable());
}

#[test]
fn the_load_sees_each_lost_request() {
    let load = Load::start(
        stub(b"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        "/",
        500,
        4,
    );
    load.run_for(50, s(30));
    let report = load.finish();
    assert!(
        report.records.iter().all(|record| record.result == Ok(503)),
        "{:?}",
        report.records[0]
    );
    assert!(std::panic::catch_unwind(|| report.none_lost()).is_err());
    let load = Load::start(stub(b"HTTP/1.1 200 OK\r\nContent-Le"), "/", 500, 4);
    load.run_for(50, s(30));
    assert!(
        load.finish()
            .records
            .iter()
            .all(|record| record.result.is_err())
    );
    let load = Load::start(
        stub(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        "/",
        500,
        4,
    );
    load.run_for(50, s(30));
    load.finish().none_lost();
}

#[test]
fn the_order_is_exact() {
    goes_round(&[1, 2, 3, 1, 2], &[1, 2, 3]);
    goes_round(&[3, 1, 2], &[1, 2, 3]);
    for wrong in [&[1, 3, 2][..], &[1, 1, 2], &[1, 2, 4], &[4], &[]] {
        assert!(
            std::panic::catch_unwind(|| goes_round(wrong, &[1, 2, 3])).is_err(),
            "{wrong:?}"
        );
    }
    assert_eq!(port_in("<h1>Using port 8000</h1>"), Some(8000));
    assert_eq!(port_in("Using port <b>8001</b>"), Some(8001));
    assert_eq!(port_in("nothing"), None);
}

#[test]
fn blocks_of_ports_are_nobody_elses() {
    let one = Block::take();
    let two = Block::take();
    assert!(!one.all().any(|port| two.all().contains(&port)));
    assert!(ports::is_free(one.first) && !ports::answers(one.first));
    let _holder = TcpListener::bind(("127.0.0.1", one.first)).unwrap();
    assert!(!ports::is_free(one.first) && ports::answers(one.first));
}

/// Also one that has left its parent and its session, which is what the search is for.
#[test]
fn a_stray_process_is_found_by_its_mark() {
    if !std::path::Path::new("/proc/self/environ").exists() {
        return;
    }
    let mark = format!("/tmp/a-mark-of-{}-for-strays", std::process::id());
    let mut command = Command::new("sh");
    command.args(["-c", "(sleep 300 >/dev/null 2>&1 &) ; exec sleep 300"]);
    command
        .env("XDG_STATE_HOME", &mark)
        .env("LBDEV_BACKEND", "web:8000");
    let running = Running::spawn(command);
    let two = holds_within(s(10), || {
        let found = scan::carrying(&mark);
        found.len() == 2
            && found
                .iter()
                .all(|process| process.command.starts_with("sleep"))
    });
    let found = scan::carrying(&mark);
    for process in &found {
        crate::harness::kill(process.pid, rustix::process::Signal::KILL);
    }
    assert!(two, "{found:#?}");
    assert!(
        found
            .iter()
            .all(|process| process.backend.as_deref() == Some("web:8000"))
    );
    drop(running);
    assert!(holds_within(s(5), || scan::carrying(&mark).is_empty()));
}

#[test]
fn the_browser_opens_types_and_reloads() -> anyhow::Result<()> {
    let Some(chromium) = crate::need::chromium() else {
        return Ok(());
    };
    let port = stub(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n\
          <h1>Using port 1</h1><input name=x><button onclick=\"document.querySelector('h1').innerText = \
          document.querySelector('input').value\">Go</button>",
    );
    let browser = crate::browser::Browser::start(&chromium)?;
    browser.open(&format!("http://localhost:{port}/"))?;
    assert_eq!(port_in(&browser.text()?), Some(1));
    browser.type_into("input[name=x]", "typed")?;
    browser.click("button")?;
    assert!(browser.text()?.contains("typed"));
    browser.reload()?;
    assert_eq!(port_in(&browser.text()?), Some(1));
    assert!(browser.url()?.ends_with(&format!("{port}/")));
    Ok(())
}
