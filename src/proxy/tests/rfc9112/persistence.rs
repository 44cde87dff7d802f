//! §9: what one connection does to the requests behind each other on it, and to those that it does not finish.

use super::super::taking::refusing;
use super::*;

#[tokio::test]
async fn s9_3_2_requests_in_one_write_are_balanced_one_by_one() {
    let stubs = [
        answering(OK).await,
        answering(OK).await,
        answering(OK).await,
    ];
    let front = front(&stubs.each_ref().map(|stub| stub.address));
    let mut stream = front.connect().await;
    stream.write_all(&get("").repeat(10)).await.unwrap();
    for turn in 0..10 {
        let head = read_until(&mut stream, "ok").await.unwrap();
        let name = format!("web:800{}", turn % 3);
        assert_eq!(field(&head, "x-lbdev-backend"), Some(name.as_str()));
    }
}

#[tokio::test]
async fn s9_3_2_a_bad_one_among_them_is_the_last() {
    let (front, backend) = set_up().await;
    let bad = post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "");
    let all = [get("").repeat(4), bad, get("").repeat(5)].concat();
    let answers = front.send(&all).await;
    let mut rest = &answers[..];
    for expected in [200, 200, 200, 200, 400] {
        assert_eq!(status(rest), expected, "{answers}");
        let at = rest[1..].find("HTTP/1.1 ").map_or(rest.len(), |at| at + 1);
        rest = &rest[at..];
    }
    assert_eq!(rest, "");
    assert_eq!(backend.taken().len(), 4);
}

#[tokio::test]
async fn s9_3_2_an_answer_does_not_wait_for_what_is_behind_it() {
    let (front, _backend) = set_up().await;
    let mut stream = front.connect().await;
    stream
        .write_all(&[&get("")[..], b"GET /half HTTP/1.1\r\nHo"].concat())
        .await
        .unwrap();
    assert!(read_until(&mut stream, "ok").await.is_some());
    stream.write_all(b"st: localhost\r\n\r\n").await.unwrap();
    assert!(read_until(&mut stream, "ok").await.is_some());
}

#[tokio::test]
async fn s9_3_1_http_1_0_may_stay_and_is_told_so() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    for (answer, stays) in [(OK, true), (chunked, false)] {
        let stub = answering(answer).await;
        let front = front(&[stub.address]);
        let mut stream = front.connect().await;
        let request = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let head = read_until(&mut stream, "ok").await.unwrap();
        if stays {
            assert_eq!(field(&head, "connection"), Some("keep-alive"));
            stream.write_all(request).await.unwrap();
            assert!(read_until(&mut stream, "ok").await.is_some());
        } else {
            // The end of the connection is that of the body.
            assert_eq!(field(&head, "connection"), Some("close"));
            assert_eq!(read_all(&mut stream).await, "");
        }
    }
}

#[tokio::test]
async fn s9_6_a_half_close_within_a_body_is_400() {
    for begun in [
        post("Content-Length: 10\r\n", "hello"),
        post("Content-Length: 10\r\n", ""),
        post("Transfer-Encoding: chunked\r\n", "5\r\nhel"),
        post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"),
    ] {
        let (front, backend) = set_up().await;
        let mut stream = front.connect().await;
        stream.write_all(&begun).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = read_all(&mut stream).await;
        assert_eq!(status(&answer), 400, "{:?}", shown(&begun));
        assert_eq!(field(&answer, "connection"), Some("close"));
        assert_eq!(backend.taken(), []);
    }
}

#[tokio::test]
async fn s9_6_who_resets_does_not_stand_in_line() {
    let front = front_with(&[], |s| s.queue_timeout = 2 * LIMIT);
    for _ in 0..3 {
        let mut stream = front.connect().await;
        stream.write_all(&get("")).await.unwrap();
        eventually(|| front.pool().waiting() == 1).await;
        stream.set_zero_linger().unwrap();
        drop(stream);
        eventually(|| front.pool().waiting() == 0).await;
    }
}

#[tokio::test]
async fn s9_6_an_early_answer_is_read_whole_while_the_body_is_still_being_sent() {
    // Longer than what is written at once, and announced as the last.
    let long = "y".repeat(400_000);
    let answer: &'static str =
        format!("HTTP/1.1 413 Content Too Large\r\nContent-Length: 400000\r\n\r\n{long}").leak();
    let stub = refusing(answer).await;
    let front = front(&[stub.address]);
    let stream = front.connect().await;
    let (mut read, mut write) = stream.into_split();
    let head = post("Content-Length: 100000000\r\n", "");
    write.write_all(&head).await.unwrap();
    let writing = async {
        let part = vec![b'x'; 100_000];
        while write.write_all(&part).await.is_ok() {
            tokio::task::yield_now().await;
        }
        std::future::pending::<()>().await;
    };
    let mut bytes = Vec::new();
    let reading = async {
        let _ = read.read_to_end(&mut bytes).await;
    };
    within(async {
        tokio::select! { () = writing => {} () = reading => {} }
    })
    .await;
    let got = String::from_utf8_lossy(&bytes);
    assert_eq!(status(&got), 413);
    assert_eq!(field(&got, "connection"), Some("close"));
    assert!(got.ends_with(&long), "{} bytes", got.len());
    front.settled().await;
    assert_eq!(front.failures(), [0]);
}

#[tokio::test]
async fn s9_6_who_writes_all_before_it_reads_hears_why_it_was_refused() {
    // As many clients do (Python's http.client): the answer must not be lost to a reset, however long they write.
    for refusal in [
        "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!",
        "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno!",
    ] {
        let stub = refusing(refusal).await;
        let front = front(&[stub.address]);
        let mut stream = front.connect().await;
        let head = post("Content-Length: 100000000\r\n", "");
        stream.write_all(&head).await.unwrap();
        let part = vec![b'x'; 1_000_000];
        for number in 0..100 {
            within(stream.write_all(&part)).await.unwrap();
            if number % 4 == 0 {
                // All of it takes a good deal longer than one is waited for who says nothing.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        let answer = read_all(&mut stream).await;
        assert_eq!(status(&answer), 413, "{answer}");
        assert!(answer.ends_with("no!"), "{answer}");
    }
}
