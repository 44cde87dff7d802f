//! Requests that HTTP/2 has room for and HTTP/1.1, which backends speak, has not; and clients that never answer, or never read.

use super::wire::{
    Came, DATA, END_HEADERS, END_STREAM, GET, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, ask, ends_whole, frame, next, section, until,
};
use super::*;
use crate::config::Route;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The backend gets this target.
    Passes(&'static str),
    /// A page of ours says why not.
    Refused,
    /// The codec has no answer for it: the stream is reset, or the connection ends.
    Malformed,
}
use Fate::{Malformed, Passes, Refused};

/// Sends a request without a body; whether it was answered.
async fn is_answered(front: &Front, section: &[u8]) -> bool {
    let mut stream = front.connect().await;
    let request = frame(HEADERS, END_STREAM | END_HEADERS, 1, section);
    stream
        .write_all(&[PREFACE, &request].concat())
        .await
        .unwrap();
    let ends = |came: &Came| {
        let last = matches!(came.kind, DATA | HEADERS) && came.flags & END_STREAM != 0;
        came.kind == GOAWAY || (came.stream == 1 && (last || came.kind == RST_STREAM))
    };
    let end = until(&mut stream, ends).await;
    end.is_some_and(|came| matches!(came.kind, DATA | HEADERS))
}

async fn target_is(front: &Front, stub: &Stub, host: &str, path: &[u8], fate: Fate) {
    let shown = String::from_utf8_lossy(path);
    let before = stub.heads().len();
    let fields = [
        (":method", &b"GET"[..]),
        (":scheme", b"http"),
        (":authority", host.as_bytes()),
        (":path", path),
    ];
    let answered = is_answered(front, &section(&fields)).await;
    assert_eq!(answered, fate != Malformed, "{shown:?}");
    let heads = stub.heads().split_off(before);
    let lines: Vec<_> = heads
        .iter()
        .filter_map(|head| head.lines().next())
        .collect();
    match fate {
        Passes(target) => assert_eq!(lines, [format!("GET {target} HTTP/1.1")]),
        Refused | Malformed => assert_eq!(lines, [""; 0], "{shown:?}"),
    }
}

#[tokio::test]
async fn s8_3_1_a_path_is_what_http_1_could_say() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    for (path, fate) in [
        (&b"/ok"[..], Passes("/ok")),
        (b"//evil.example/x", Passes("//evil.example/x")),
        // The codec leaves a fragment out.
        (b"/a#b", Passes("/a")),
        (b"/a\\b", Refused),
        (b"/caf\xc3\xa9", Refused),
        (b"?x", Refused),
        (b"*", Refused),
        (b"/\x7f", Malformed),
        (b"/\xff", Malformed),
        (b"foo", Malformed),
        (b"http://evil.example/x", Malformed),
        (b"/a b", Malformed),
        (b"/a\r\nX: y", Malformed),
        (b"/a\0", Malformed),
        (b"/\"<>", Malformed),
        (b"", Malformed),
    ] {
        target_is(&front, &stub, "localhost", path, fate).await;
    }
    front.settled().await;
    assert_eq!(front.failures(), [0]);
}

#[tokio::test]
async fn s8_3_1_nor_does_a_route_by_host_let_more_pass() {
    let stub = answering(OK).await;
    let route = vec![Route::Host("api.localhost".into())];
    let front = front_routed(&[stub.address], route, |_| {});
    for (path, fate) in [
        (&b"/ok"[..], Passes("/ok")),
        (b"?x", Refused),
        (b"*", Refused),
        (b"foo", Malformed),
        (b"http://evil.example/x", Malformed),
    ] {
        target_is(&front, &stub, "api.localhost", path, fate).await;
    }
}

#[tokio::test]
async fn s8_2_1_fields_that_http_1_or_a_gateway_would_read_otherwise() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    for (name, value, passes) in [
        // CGI and WSGI write every `-` of a name as `_`.
        ("transfer_encoding", "chunked", false),
        ("content_length", "5", false),
        ("x", "a\u{1}b", false),
        ("content-length", "5", false),
        ("x", " a", true),
        ("x", "", true),
        ("x", "caf\u{e9}", true),
    ] {
        let before = stub.heads().len();
        let more = [&GET[..], &[(name, value)]].concat();
        is_answered(&front, &section(&more)).await;
        let heads = stub.heads().split_off(before);
        let got: Vec<_> = heads.iter().map(|head| field(head, name)).collect();
        match passes {
            true => assert_eq!(got, [Some(value.trim())]),
            false => assert_eq!(got, [], "{name}: {value:?}"),
        }
    }
    front.settled().await;
    assert_eq!(front.failures(), [0]);
}

#[tokio::test]
async fn s8_1_leave_is_not_asked_for_where_nobody_could_give_it() {
    let backend = taking().await;
    let front = front(&[backend.stub.address]);
    let mut stream = front.connect().await;
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "a"),
        ("expect", "100-continue"),
        ("content-length", "4"),
    ];
    let head = frame(HEADERS, END_HEADERS, 1, &section(&fields));
    stream.write_all(&[PREFACE, &head].concat()).await.unwrap();
    // The backend has it already, and waits for the body.
    eventually(|| front.member(0).life.in_flight() == 1).await;
    let body = frame(DATA, END_STREAM, 1, b"body");
    stream.write_all(&body).await.unwrap();
    assert!(ends_whole(&mut stream, 1).await);
    let [taken] = &backend.taken()[..] else {
        panic!("one request came");
    };
    assert_eq!(field(&taken.head, "expect"), None, "{}", taken.head);
    assert_eq!(field(&taken.head, "content-length"), Some("4"));
    assert_eq!(taken.body, b"body");
}

#[tokio::test]
async fn s6_8_who_is_idle_and_does_not_answer_is_ended() {
    let stub = answering(OK).await;
    let front = front_with(&[stub.address], |s| {
        s.timeouts.idle = Duration::from_millis(100);
    });
    let mut stream = front.connect().await;
    stream.write_all(PREFACE).await.unwrap();
    let mut kinds = Vec::new();
    while let Some(came) = next(&mut stream).await {
        kinds.push(came.kind);
    }
    // It is told, and asked whether it has heard.
    assert!(kinds.contains(&GOAWAY), "{kinds:?}");
    assert!(kinds.contains(&PING), "{kinds:?}");
}

/// A client that asks with these frames for a long answer, and reads none of it: the backend is free after `timeouts.body`, and
/// then the connection is one that asks nothing.
async fn is_ended_unread(front: &Front, before: &[u8]) {
    let mut stream = front.connect().await;
    let request = [PREFACE, before, &ask(1, &[])].concat();
    stream.write_all(&request).await.unwrap();
    eventually(|| front.member(0).life.in_flight() == 1).await;
    front.settled().await;
    // What is in the sockets is there to be read, and behind it the end; not that of the answer.
    assert!(!ends_whole(&mut stream, 1).await);
    while next(&mut stream).await.is_some() {}
    assert_eq!(front.failures(), [0]);
}

#[tokio::test]
async fn s5_2_who_reads_nothing_at_all_is_ended() {
    const LONG: usize = 50_000_000;
    let stub = stub(|mut stream, _, _| async move {
        read_head(&mut stream).await.unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let _ = stream.write_all(&vec![b'y'; LONG]).await;
    })
    .await;
    // What holds it up is the window, or the socket where the window is as large as it can be (§6.9.1).
    let most = u32::MAX >> 1;
    let wide = [
        frame(SETTINGS, 0, 0, &[&[0, 4], &most.to_be_bytes()[..]].concat()),
        frame(WINDOW_UPDATE, 0, 0, &(most - 65_535).to_be_bytes()),
    ]
    .concat();
    let short = |settings: &mut Balancer| {
        let short = Duration::from_millis(100);
        (settings.timeouts.body, settings.timeouts.idle) = (Some(short), short);
    };
    let fronts = [(); 2].map(|()| front_with(&[stub.address], short));
    tokio::join!(
        is_ended_unread(&fronts[0], b""),
        is_ended_unread(&fronts[1], &wide),
    );
}
