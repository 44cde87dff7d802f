#![allow(clippy::all, clippy::print_stderr)]
use super::*;

// ---------- A: both directions at once
/// A backend that reads the body and writes a long answer independently.
#[tokio::test]
async fn a_full_duplex() {
    const N: usize = 24_000_000;
    let stub = stub(|mut stream, _, _| async move {
        let _ = read_head(&mut stream).await.unwrap();
        let (mut r, mut w) = stream.into_split();
        let reads = async {
            let mut body = vec![0; N];
            r.read_exact(&mut body).await.unwrap();
        };
        let writes = async {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {N}\r\n\r\n");
            w.write_all(head.as_bytes()).await.unwrap();
            w.write_all(&vec![b'y'; N]).await.unwrap();
        };
        tokio::join!(reads, writes);
    })
    .await;
    let front = front(&[stub.address]);
    for (what, address) in [("direct", stub.address), ("proxy", front.address)] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {N}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let all = tokio::time::timeout(Duration::from_secs(8), async {
            stream.write_all(&vec![b'x'; N]).await.unwrap();
            read_head(&mut stream).await.unwrap();
            let mut body = vec![0; N];
            stream.read_exact(&mut body).await.unwrap();
        })
        .await;
        assert!(all.is_ok(), "{what}: stuck");
    }
}

// ---------- B: a reset that is not noticed
/// A backend that reads a head and then never answers; told when its connection ends.
async fn hanging() -> (Stub, Arc<tokio::sync::Notify>, Arc<tokio::sync::Notify>) {
    let (came, gone) = (
        Arc::new(tokio::sync::Notify::new()),
        Arc::new(tokio::sync::Notify::new()),
    );
    let (c, g) = (came.clone(), gone.clone());
    let stub = stub(move |mut stream, _, _| {
        let (c, g) = (c.clone(), g.clone());
        async move {
            let _ = read_head(&mut stream).await;
            c.notify_one();
            // Not a byte of the body is read: the sockets fill.
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let mut e = [0; 1];
                match stream.peek(&mut e).await {
                    Ok(0) => break,
                    Err(_) => break,
                    Ok(_) => {}
                }
                if let Ok(Some(_)) = stream.take_error() {
                    break;
                }
            }
            g.notify_one();
        }
    })
    .await;
    (stub, came, gone)
}

async fn reset_noticed(body: usize, fin: bool, pipelined: usize) -> bool {
    let (stub, came, _gone) = hanging().await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    let head = match body {
        0 => "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        n => format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {n}\r\n\r\n"),
    };
    stream.write_all(head.as_bytes()).await.unwrap();
    let _ = tokio::time::timeout(
        Duration::from_secs(2),
        stream.write_all(&vec![b'x'; body + pipelined]),
    )
    .await;
    within(came.notified()).await;
    if fin {
        stream.shutdown().await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        if front.member(0).life.in_flight() == 0 {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn b0_reset_plain() {
    assert!(reset_noticed(0, false, 0).await);
}
#[tokio::test]
async fn b1_reset_with_body_unread() {
    assert!(reset_noticed(40_000_000, false, 0).await);
}
#[tokio::test]
async fn b2_reset_after_half_close() {
    assert!(reset_noticed(0, true, 0).await);
}
#[tokio::test]
async fn b3_reset_behind_pipelined() {
    assert!(reset_noticed(0, false, 4_000_000).await);
}

// ---------- h2 by hand
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.push(kind);
    out.push(flags);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}
fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (n, v) in fields {
        out.push(0);
        assert!(n.len() < 127 && v.len() < 127);
        out.push(n.len() as u8);
        out.extend_from_slice(n);
        out.push(v.len() as u8);
        out.extend_from_slice(v);
    }
    out
}
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Sends one request; every frame that comes within a while: (kind, flags, stream, payload).
async fn h2_ask(
    front: &Front,
    fields: &[(&[u8], &[u8])],
    wait: Duration,
) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let mut stream = front.connect().await;
    let mut out = PREFACE.to_vec();
    out.extend(frame(4, 0, 0, b""));
    out.extend(frame(1, 5, 1, &block(fields)));
    stream.write_all(&out).await.unwrap();
    let mut frames = Vec::new();
    let _ = tokio::time::timeout(wait, async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                break;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            if stream.read_exact(&mut payload).await.is_err() {
                break;
            }
            let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            frames.push((head[3], head[4], id, payload));
            let last = frames.last().unwrap();
            if last.2 == 1 && (last.0 == 3 || last.1 & 1 == 1) {
                break;
            }
        }
    })
    .await;
    frames
}

#[tokio::test]
async fn c_h2_targets() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    for path in [
        &b"/ok"[..],
        b"/a\\b",
        b"/caf\xc3\xa9",
        b"/\x7f",
        b"/\xff",
        b"foo",
        b"?x",
        b"http://evil.example/x",
        b"//evil.example/x",
        b"/a#b",
        b"/a b",
        b"/a\r\nX: y",
        b"/a\0",
        b"/\"<>",
        b"",
        b"*",
    ] {
        let before = stub.heads().len();
        let frames = h2_ask(
            &front,
            &[
                (b":method", b"GET"),
                (b":scheme", b"http"),
                (b":authority", b"localhost"),
                (b":path", path),
            ],
            Duration::from_millis(700),
        )
        .await;
        let heads = stub.heads();
        let line = heads
            .get(before)
            .map(|h| h.lines().next().unwrap().to_owned());
        let kinds: Vec<_> = frames.iter().map(|f| (f.0, f.2, f.3.len())).collect();
        eprintln!(
            "{:?} -> backend {:?}   frames {:?}",
            String::from_utf8_lossy(path),
            line,
            kinds
        );
    }
}

/// The same with a service routed by host.
#[tokio::test]
async fn c_h2_targets_by_host() {
    let stub = answering(OK).await;
    let pools = Arc::new(Pools::new(
        [(Arc::from("api"), vec![Route::Host("api.localhost".into())])],
        &settings(),
    ));
    pools.all()[0].publish(members(&[stub.address], RunId::FIRST));
    let bound = bind(&settings().listen, 1).unwrap();
    let address = bound.addresses()[0];
    let access = Arc::new(AccessLog::default());
    let proxy = start(
        Arc::new(settings()),
        bound,
        pools.clone(),
        access.clone(),
        lent(),
    )
    .unwrap();
    let front = Front {
        address,
        pools,
        access,
        proxy,
    };
    for path in [&b"/ok"[..], b"foo", b"?x", b"http://evil.example/x", b"*"] {
        let before = stub.heads().len();
        let frames = h2_ask(
            &front,
            &[
                (b":method", b"GET"),
                (b":scheme", b"http"),
                (b":authority", b"api.localhost"),
                (b":path", path),
            ],
            Duration::from_millis(700),
        )
        .await;
        let heads = stub.heads();
        let kinds: Vec<_> = frames.iter().map(|f| (f.0, f.2, f.3.len())).collect();
        eprintln!(
            "{:?} -> backend {:?} frames {kinds:?}",
            String::from_utf8_lossy(path),
            heads.get(before)
        );
    }
}

#[tokio::test]
async fn c_h2_fields() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    for (name, value) in [
        (&b"transfer_encoding"[..], &b"chunked"[..]),
        (b"content_length", b"5"),
        (b"x-a", b"b\r\nX-B: c"),
        (b"x-a", b" lead"),
        (b"x-a", b""),
        (b"x-a", b"\xff\x80"),
        (b"x-a", b"a\x01b"),
        (b"content-length", b"5"),
        (b"expect", b"100-continue"),
        (b"X-Upper", b"1"),
        (b"host", b"evil.example"),
        (b"connection", b"x-secret"),
        (b"x_forwarded_for", b"6.6.6.6"),
    ] {
        let before = stub.heads().len();
        let frames = h2_ask(
            &front,
            &[
                (b":method", b"GET"),
                (b":scheme", b"http"),
                (b":authority", b"localhost"),
                (b":path", b"/"),
                (name, value),
            ],
            Duration::from_millis(700),
        )
        .await;
        let heads = stub.heads();
        let kinds: Vec<_> = frames.iter().map(|f| (f.0, f.2, f.3.len())).collect();
        eprintln!(
            "{:?}: {:?} -> {:?} {kinds:?}",
            String::from_utf8_lossy(name),
            String::from_utf8_lossy(value),
            heads.get(before)
        );
    }
}

/// What the same says over HTTP/1.
#[tokio::test]
async fn c_h1_underscores() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    for line in [
        "Transfer_Encoding: chunked",
        "X_Forwarded_For: 6.6.6.6",
        "X_Forwarded-For: 6.6.6.6",
    ] {
        let answer = front
            .ask(&format!(
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{line}\r\n\r\n"
            ))
            .await;
        eprintln!("{line}: {} {:?}", status(&answer), stub.heads().last());
    }
}

// ---------- D: h2 that reads nothing
#[tokio::test]
async fn d_h2_slow_reader_is_let_go() {
    let stub = stub(|mut stream, _, _| async move {
        let _ = read_head(&mut stream).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
            .await
            .unwrap();
        let _ = stream.write_all(&vec![b'y'; 50_000_000]).await;
    })
    .await;
    let front = front_with(&[stub.address], |s| {
        s.timeouts.body = Some(Duration::from_millis(200));
        s.timeouts.idle = Duration::from_millis(200);
    });
    let mut stream = front.connect().await;
    let mut out = PREFACE.to_vec();
    out.extend(frame(4, 0, 0, b""));
    out.extend(frame(
        1,
        5,
        1,
        &block(&[
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":authority", b"localhost"),
            (b":path", b"/"),
        ]),
    ));
    stream.write_all(&out).await.unwrap();
    eventually(|| front.member(0).life.in_flight() == 1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        front.member(0).life.in_flight(),
        0,
        "held for 15 times `timeouts.body`"
    );
}
#[tokio::test]
async fn d_h1_slow_reader_is_let_go() {
    let stub = stub(|mut stream, _, _| async move {
        let _ = read_head(&mut stream).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
            .await
            .unwrap();
        let _ = stream.write_all(&vec![b'y'; 50_000_000]).await;
    })
    .await;
    let front = front_with(&[stub.address], |s| {
        s.timeouts.body = Some(Duration::from_millis(200));
        s.timeouts.idle = Duration::from_millis(200);
    });
    let mut stream = front.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    eventually(|| front.member(0).life.in_flight() == 1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        front.member(0).life.in_flight(),
        0,
        "held for 15 times `timeouts.body`"
    );
}
#[tokio::test]
async fn d_h2_idle_without_pong_ends() {
    let stub = answering(OK).await;
    let front = front_with(&[stub.address], |s| {
        s.timeouts.idle = Duration::from_millis(200)
    });
    for acks in [true, false] {
        let mut stream = front.connect().await;
        let mut out = PREFACE.to_vec();
        out.extend(frame(4, 0, 0, b""));
        stream.write_all(&out).await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(4), async {
            let mut seen = Vec::new();
            loop {
                let mut head = [0; 9];
                if stream.read_exact(&mut head).await.is_err() {
                    break seen;
                }
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                let mut payload = vec![0; length];
                stream.read_exact(&mut payload).await.unwrap();
                seen.push(head[3]);
                eprintln!("frame {} {:?}", head[3], payload);
                if head[3] == 6 && acks {
                    stream.write_all(&frame(6, 1, 0, &payload)).await.unwrap();
                }
            }
        })
        .await;
        assert!(ended.is_ok(), "acks {acks}: the idle connection stays");
    }
}

// ---------- E: interim flood
#[tokio::test]
async fn e_interim_flood() {
    let sent = Arc::new(AtomicUsize::new(0));
    let s = sent.clone();
    let stub = stub(move |mut stream, _, _| {
        let s = s.clone();
        async move {
            let _ = read_head(&mut stream).await.unwrap();
            let one = format!(
                "HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n",
                "x".repeat(8000)
            )
            .repeat(16);
            while stream.write_all(one.as_bytes()).await.is_ok() {
                s.fetch_add(one.len(), Ordering::SeqCst);
                if s.load(Ordering::SeqCst) > 400_000_000 {
                    break;
                }
            }
        }
    })
    .await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut last = 0;
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let now = sent.load(Ordering::SeqCst);
        if now == last && now > 0 {
            break;
        }
        last = now;
    }
    assert!(
        last < 60_000_000,
        "{last} bytes taken for a client that reads nothing"
    );
}

// ---------- F: bidirectional and the body timeout
async fn upload_while_answering(pause: Duration, parts: usize) -> (String, u64) {
    let stub = stub(|mut stream, _, _| async move {
        let _ = read_head(&mut stream).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n")
            .await
            .unwrap();
        let _ = read_until(&mut stream, "0\r\n\r\n").await;
        let _ = stream.write_all(b"3\r\nend\r\n0\r\n\r\n").await;
    })
    .await;
    let front = front_with(&[stub.address], |s| {
        s.timeouts.body = Some(Duration::from_millis(300))
    });
    let mut stream = front.connect().await;
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    for _ in 0..parts {
        if stream.write_all(b"4\r\npart\r\n").await.is_err() {
            break;
        }
        tokio::time::sleep(pause).await;
    }
    let _ = stream.write_all(b"0\r\n\r\n").await;
    let all = read_all(&mut stream).await;
    front.settled().await;
    (all, front.member(0).tally.failures() as u64)
}
#[tokio::test]
async fn f1_upload_in_progress_while_the_answer_has_begun() {
    let (all, failures) = upload_while_answering(Duration::from_millis(50), 40).await;
    assert!(all.ends_with("0\r\n\r\n"), "cut: {all}");
    assert_eq!(failures, 0);
}
#[tokio::test]
async fn f2_a_stalled_upload_is_not_the_backends_fault() {
    let (_, failures) = upload_while_answering(Duration::from_millis(1500), 1).await;
    assert_eq!(failures, 0);
}

// ---------- H
#[tokio::test]
async fn h_gzip_chunked() {
    let stub = answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nzz\r\n0\r\n\r\n",
    )
    .await;
    let front = front(&[stub.address]);
    let answer = front.get("/").await;
    assert!(
        status(&answer) == 502 || answer.contains("gzip"),
        "{answer}"
    );
}

// ---------- O: cut by a timeout, told as whole
#[tokio::test]
async fn o_http10_until_close_dropped_by_the_timeout() {
    let stub = stub(|mut stream, _, _| async move {
        let _ = read_head(&mut stream).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        let part = [b"10000\r\n".to_vec(), vec![b'y'; 65536], b"\r\n".to_vec()].concat();
        for _ in 0..800 {
            if stream.write_all(&part).await.is_err() {
                return;
            }
        }
        let _ = stream.write_all(b"0\r\n\r\n").await;
    })
    .await;
    let front = front_with(&[stub.address], |s| {
        s.timeouts.body = Some(Duration::from_millis(200))
    });
    let mut stream = front.connect().await;
    stream
        .write_all(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    eventually(|| front.member(0).life.in_flight() == 1).await;
    front.settled().await;
    let mut bytes = Vec::new();
    let end = within(stream.read_to_end(&mut bytes)).await;
    eprintln!("{} bytes, {end:?}", bytes.len());
    assert!(
        end.is_err() || bytes.len() > 800 * 65536,
        "a cut body that ends as a whole one does: {} bytes",
        bytes.len()
    );
}

// ---------- P: a slow reader that makes progress
#[tokio::test]
async fn p_slow_but_steady_reader() {
    const N: usize = 12_000_000;
    let stub = stub(|mut stream, _, _| async move {
        let _ = read_head(&mut stream).await.unwrap();
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {N}\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let _ = stream.write_all(&vec![b'y'; N]).await;
    })
    .await;
    let front = front_with(&[stub.address], |s| {
        s.timeouts.body = Some(Duration::from_millis(1000))
    });
    let mut stream = front.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    read_head(&mut stream).await.unwrap();
    let mut got = 0;
    let mut part = vec![0; 10_000];
    while got < N {
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => break,
            Ok(n) => got += n,
        }
        // About 200 KB/s for a while.
        if got < 1_500_000 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert_eq!(got, N, "cut though it read every 50 ms");
}

// ---------- J: closed with something unread
#[tokio::test]
async fn j_closed_with_something_unread() {
    for length in [2usize, 20_000, 200_000, 1_500_000] {
        let stub = stub(move |mut stream, _, _| async move {
            let mut all =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
            all.extend(vec![b'y'; length]);
            while read_head(&mut stream).await.is_some() {
                stream.write_all(&all).await.unwrap();
            }
        })
        .await;
        let front = front(&[stub.address]);
        let (mut resets, mut lost) = (0, 0);
        for _ in 0..50 {
            let mut stream = front.connect().await;
            stream.set_nodelay(true).unwrap();
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                .await
                .unwrap();
            let _ = stream.write_all(b"\r\n").await;
            let mut bytes = Vec::new();
            if within(stream.read_to_end(&mut bytes)).await.is_err() {
                resets += 1;
            }
            let body = bytes
                .windows(4)
                .position(|w| w == b"\r\n\r\n")
                .map_or(0, |at| bytes.len() - at - 4);
            if body < length {
                lost += 1;
            }
        }
        eprintln!("{length}: {resets} resets, {lost} answers lost or cut, of 50");
    }
}

// ---------- K: a switch while the request's body is on its way
#[tokio::test]
async fn k_switch_before_the_body_is_whole() {
    let stub = stub(|mut stream, _, heads| async move {
        let _ = read_head(&mut stream).await.unwrap();
        let first = read_until(&mut stream, "hel").await.unwrap();
        stream
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n",
            )
            .await
            .unwrap();
        let rest = read_until(&mut stream, "RAW")
            .await
            .unwrap_or("(ended)".into());
        heads.lock().unwrap().push(first + &rest);
    })
    .await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel").await.unwrap();
    eprintln!("{:?}", read_head(&mut stream).await);
    stream.write_all(b"lo\r\n0\r\n\r\nRAW").await.unwrap();
    eventually(|| !stub.heads().is_empty()).await;
    eprintln!("backend got {:?}", stub.heads());
}

// ---------- M: h2 and Expect
#[tokio::test]
async fn m_h2_expect() {
    let stub = stub(|mut stream, _, heads| async move {
        let head = read_head(&mut stream).await.unwrap();
        heads.lock().unwrap().push(head);
        stream
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            .await
            .unwrap();
        let _ = read_until(&mut stream, "body").await;
        let _ = stream.write_all(OK.as_bytes()).await;
    })
    .await;
    let front = front_with(&[stub.address], |s| {
        s.timeouts.body = Some(Duration::from_secs(3))
    });
    let mut stream = front.connect().await;
    let mut out = PREFACE.to_vec();
    out.extend(frame(4, 0, 0, b""));
    out.extend(frame(
        1,
        4,
        1,
        &block(&[
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":authority", b"localhost"),
            (b":path", b"/"),
            (b"expect", b"100-continue"),
            (b"content-length", b"4"),
        ]),
    ));
    stream.write_all(&out).await.unwrap();
    let began = Instant::now();
    loop {
        let mut head = [0; 9];
        within(stream.read_exact(&mut head)).await.unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).await.unwrap();
        eprintln!(
            "{:?}: frame {} stream {} {:?}",
            began.elapsed(),
            head[3],
            head[8],
            String::from_utf8_lossy(&payload)
        );
        if head[8] == 1 {
            break;
        }
    }
    eprintln!("{:?}", stub.heads());
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "nothing but the timeout answers"
    );
}

// ---------- O2: the same at the end of a drain
#[tokio::test]
async fn o2_http10_until_close_at_the_end_of_a_drain() {
    let stub = stub(|mut stream, _, _| async move {
        let _ = read_head(&mut stream).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
            .await
            .unwrap();
        let _ = stream.read_u8().await;
    })
    .await;
    let front = front(&[stub.address]);
    let mut stream = front.connect().await;
    stream
        .write_all(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut stream, "half").await.unwrap();
    let drain = tokio::spawn(front.proxy.close(Duration::from_millis(300)));
    let end = within(stream.read_u8()).await;
    eprintln!("{end:?}");
    let _ = within(drain).await;
    assert!(
        end.is_err_and(|e| e.kind() != std::io::ErrorKind::UnexpectedEof),
        "told as whole"
    );
}

// ---------- S: a stray body behind HEAD
#[tokio::test]
async fn s_stray_body_behind_head() {
    let stub = stub(|mut stream, number, _| async move {
        let _ = number;
        stream.set_nodelay(true).unwrap();
        while let Some(head) = read_head(&mut stream).await {
            if head.starts_with("HEAD") {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n")
                    .await
                    .unwrap();
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON")
                    .await;
            } else {
                let _ = stream.write_all(OK.as_bytes()).await;
            }
        }
    })
    .await;
    let front = front(&[stub.address]);
    let (mut pipelined, mut other) = (0, 0);
    for _ in 0..200 {
        let answer = front.ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        pipelined += usize::from(answer.contains("POISON"));
    }
    for _ in 0..200 {
        let mut a = front.connect().await;
        let mut b = front.connect().await;
        a.write_all(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        read_head(&mut a).await.unwrap();
        b.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        other += usize::from(read_all(&mut b).await.contains("POISON"));
    }
    eprintln!("of 200: pipelined {pipelined}, another client {other}");
    assert_eq!(pipelined + other, 0);
}

#[tokio::test]
async fn s2_stray_body_and_another_client() {
    let stub = stub(|mut stream, _, _| async move {
        stream.set_nodelay(true).unwrap();
        while let Some(head) = read_head(&mut stream).await {
            if head.starts_with("HEAD") {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n")
                    .await
                    .unwrap();
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON")
                    .await;
            } else {
                let _ = stream.write_all(OK.as_bytes()).await;
            }
        }
    })
    .await;
    let front = Arc::new(front_with(&[stub.address], |s| s.workers = 1));
    let mut tasks = Vec::new();
    for n in 0..40 {
        let front = front.clone();
        tasks.push(tokio::spawn(async move {
            let mut poison = 0;
            let mut s = front.connect().await;
            for _ in 0..100 {
                if n % 2 == 0 {
                    s.write_all(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
                        .await
                        .unwrap();
                    if read_head(&mut s).await.is_none() {
                        s = front.connect().await;
                    }
                } else {
                    s.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                        .await
                        .unwrap();
                    let head = read_head(&mut s).await.unwrap();
                    let mut body =
                        vec![0; field(&head, "content-length").unwrap().parse().unwrap()];
                    s.read_exact(&mut body).await.unwrap();
                    poison += usize::from(body == b"POISON");
                }
            }
            poison
        }));
    }
    let mut all = 0;
    for t in tasks {
        all += within(t).await.unwrap();
    }
    eprintln!("of 2000 GETs of other clients: {all} poisoned");
    assert_eq!(all, 0);
}
