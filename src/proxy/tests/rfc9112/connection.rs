//! §8 and §9: messages that do not end, and what becomes of a connection.

use super::*;

/// A connection's end, seen by its client: the answers that came.
async fn statuses(stream: &mut TcpStream) -> Vec<u16> {
    let all = read_all(stream).await;
    let starts = all.match_indices("HTTP/1.1 ").map(|(at, _)| at);
    starts.map(|at| status(&all[at..])).collect()
}

#[tokio::test]
async fn s8_a_message_may_come_in_any_two_parts() {
    let request = b"POST /a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: 1\r\n\r\n";
    let (front, backend) = set_up().await;
    let mut stream = front.connect().await;
    stream.set_nodelay(true).unwrap();
    for at in 1..request.len() {
        for part in [&request[..at], &request[at..]] {
            stream.write_all(part).await.unwrap();
            // Not to wait for anything: only to make it likely that the parts are read one by one.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let head = read_head(&mut stream).await;
        let head = head.unwrap_or_else(|| panic!("closed at {at}"));
        assert_eq!(status(&head), 200, "{at}");
        assert!(read_until(&mut stream, "ok").await.is_some());
    }
    let taken = backend.taken();
    assert_eq!(taken.len(), request.len() - 1);
    assert!(taken.iter().all(|taken| taken.body == b"hello"));
}

#[tokio::test]
async fn s8_who_ends_in_the_middle_is_no_request() {
    let requests: [&[u8]; 8] = [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ];
    for request in requests {
        let (front, backend) = set_up().await;
        let mut stream = front.connect().await;
        stream.write_all(request).await.unwrap();
        stream.shutdown().await.unwrap();
        let got = statuses(&mut stream).await;
        assert!(
            got.is_empty() || got == [400],
            "{:?}: {got:?}",
            shown(request)
        );
        front.settled().await;
        assert_eq!(backend.taken(), [], "{:?}", shown(request));
        assert_eq!(front.failures(), [0], "{:?}", shown(request));
    }
}

#[tokio::test]
async fn s9_3_a_connection_goes_on_by_its_version_and_its_options() {
    for (line, goes_on) in [
        ("HTTP/1.1\r\n", true),
        ("HTTP/1.1\r\nConnection: keep-alive\r\n", true),
        ("HTTP/1.1\r\nConnection: close\r\n", false),
        ("HTTP/1.1\r\nConnection: Close\r\n", false),
        ("HTTP/1.1\r\nConnection: x-a, close\r\n", false),
        (
            "HTTP/1.1\r\nConnection: x-a\r\nConnection: close\r\n",
            false,
        ),
        ("HTTP/1.1\r\nConnection: keep-alive, close\r\n", false),
        ("HTTP/1.0\r\n", false),
        ("HTTP/1.0\r\nConnection: keep-alive\r\n", true),
        ("HTTP/1.0\r\nConnection: keep-alive, close\r\n", false),
    ] {
        let (front, backend) = set_up().await;
        let mut stream = front.connect().await;
        let request = format!("GET / {line}Host: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await.unwrap();
        assert_eq!(status(&head), 200);
        assert!(read_until(&mut stream, "ok").await.is_some());
        let says = field(&head, "connection").unwrap_or_default();
        let closes = says.eq_ignore_ascii_case("close");
        // To HTTP/1.0 the end need not be announced: it is the rule there.
        let silent = closes || line.starts_with("HTTP/1.0");
        assert!(if goes_on { !closes } else { silent }, "{line:?}: {head}");
        if goes_on {
            stream.write_all(BAIT).await.unwrap();
            assert!(read_head(&mut stream).await.is_some(), "{line:?}");
        } else {
            assert_eq!(read_all(&mut stream).await, "", "{line:?}");
            assert_eq!(backend.taken().len(), 1);
        }
    }
}

#[tokio::test]
async fn s9_3_what_follows_the_last_request_is_not_one() {
    let (front, backend) = set_up().await;
    let mut stream = front.connect().await;
    let last = get("Connection: close\r\n");
    stream.write_all(&[&last[..], BAIT].concat()).await.unwrap();
    assert_eq!(statuses(&mut stream).await, [200]);
    assert_eq!(backend.taken().len(), 1);
}

#[tokio::test]
async fn s9_3_2_requests_in_a_row_are_answered_in_order() {
    let stub = stub(|mut stream, _, _| async move {
        while let Some(head) = read_head(&mut stream).await {
            let length: usize = field(&head, "content-length")
                .unwrap_or("0")
                .parse()
                .unwrap();
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            let path = head.split(' ').nth(1).unwrap();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}",
                path.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let front = front(&[stub.address]);
    let mut requests = String::new();
    for number in 10..60 {
        requests += &match number % 2 {
            0 => format!("GET /{number} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            _ => format!(
                "POST /{number} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\n{:40}",
                "GET /x HTTP/1.1\r\n\r\n"
            ),
        };
    }
    let mut stream = front.connect().await;
    stream.write_all(requests.as_bytes()).await.unwrap();
    for number in 10..60 {
        let head = read_head(&mut stream).await.unwrap();
        assert_eq!(status(&head), 200);
        let mut path = [0; 3];
        within(stream.read_exact(&mut path)).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&path), format!("/{number}"));
    }
}

#[tokio::test]
async fn s9_6_a_half_close_behind_a_whole_request_is_no_goodbye() {
    for request in [
        get(""),
        post("Content-Length: 5\r\n", "hello"),
        post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        [get(""), get("")].concat(),
    ] {
        let (front, backend) = set_up().await;
        let mut stream = front.connect().await;
        stream.write_all(&request).await.unwrap();
        stream.shutdown().await.unwrap();
        let got = statuses(&mut stream).await;
        assert!(got.iter().all(|status| *status == 200), "{got:?}");
        assert_eq!(got.len(), backend.taken().len(), "{:?}", shown(&request));
        assert!(!got.is_empty(), "{:?}", shown(&request));
    }
}

#[tokio::test]
async fn s9_6_a_refusal_arrives_however_much_is_still_being_sent() {
    // Who closes with bytes unread resets, and the answer may be lost on its way.
    let (front, _backend) = set_up().await;
    for _ in 0..20 {
        let mut stream = front.connect().await;
        let bad = post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "");
        stream.write_all(&bad).await.unwrap();
        let (mut read, mut write) = stream.split();
        let sending = async {
            // Until it is refused, or more than any buffer on the way.
            for _ in 0..16 {
                if write.write_all(&[b'x'; 16_384]).await.is_err() {
                    break;
                }
            }
        };
        let mut answer = Vec::new();
        let reading = read.read_to_end(&mut answer);
        let _ = within(async { tokio::join!(sending, reading) }).await;
        assert_eq!(status(&String::from_utf8_lossy(&answer)), 400);
    }
}
