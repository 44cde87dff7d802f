//! Requests with bodies, when the backend that had them dies.

use super::super::fields::Fields;
use super::super::h1::{Exchange, Target, ToSend, Wire};
use super::taking::{Framing, Taking, dying, pattern, taking, with_body};
use super::*;
use crate::pool::AttemptFailure;

/// A backend that dies after `most` bytes, and one that takes it all.
async fn pair(most: usize, tweak: impl FnOnce(&mut Balancer)) -> (Front, Stub, Taking) {
    let (first, second) = (dying(most).await, taking().await);
    let front = front_with(&[first.address, second.stub.address], tweak);
    (front, first, second)
}

#[tokio::test]
async fn a_body_is_sent_again_whole_however_much_of_it_was_read() {
    let body = pattern(200_000);
    for framing in [
        Framing::Length,
        Framing::Chunked(1),
        Framing::Chunked(30_000),
    ] {
        let body = match framing {
            Framing::Chunked(1) => &body[..2000],
            Framing::Chunked(_) | Framing::Length => &body[..],
        };
        for most in [0, 1, body.len() / 2, usize::MAX] {
            let case = format!("{framing:?}, {most}");
            let (front, first, second) = pair(most, |_| {}).await;
            let answer = front
                .send(&with_body("PUT /a?b HTTP/1.1", framing, body))
                .await;
            assert_eq!(status(&answer), 200, "{case}: {answer}");
            assert_eq!(field(&answer, "x-lbdev-backend"), Some("web:8001"));
            assert_eq!(field(&answer, "x-lbdev-attempts"), Some("2"), "{case}");
            let [taken] = &second.taken()[..] else {
                panic!("{case}: {}", second.taken().len());
            };
            assert!(taken.body == body, "{case}: {}", taken.body.len());
            assert_eq!(taken.head, first.heads()[0], "{case}");
            let trailers: &[&str] = match framing {
                Framing::Length => &[],
                Framing::Chunked(_) => &["x-sum: 7"],
            };
            assert_eq!(taken.trailers, trailers, "{case}");
            assert_eq!(front.failures(), [1, 0], "{case}");
            assert_eq!(front.access().await.attempts.len(), 1, "{case}");
        }
    }
}

#[tokio::test]
async fn a_client_that_still_sends_goes_on_at_the_next_backend() {
    for framing in [Framing::Length, Framing::Chunked(500)] {
        let (front, first, second) = pair(1000, |_| {}).await;
        let body = pattern(10_000);
        let request = with_body("PUT / HTTP/1.1", framing, &body);
        let (now, later) = request.split_at(request.len() - 5000);
        let mut stream = front.connect().await;
        stream.write_all(now).await.unwrap();
        // What came before the death is with the next one before the client says more.
        eventually(|| second.part.load(Ordering::SeqCst) >= 4000).await;
        assert_eq!((first.connections(), second.taken().len()), (1, 0));
        stream.write_all(later).await.unwrap();
        assert_eq!(status(&read_all(&mut stream).await), 200);
        assert!(second.taken()[0].body == body);
    }
}

#[tokio::test]
async fn what_is_longer_than_is_kept_is_not_sent_again() {
    for (length, framing, expected) in [
        (1000, Framing::Length, 200),
        (1001, Framing::Length, 502),
        (1000, Framing::Chunked(100), 200),
        (1001, Framing::Chunked(100), 502),
        (100_000, Framing::Chunked(100_000), 502),
    ] {
        let case = format!("{length}, {framing:?}");
        let (front, _first, second) = pair(usize::MAX, |s| s.retry.body = 1000).await;
        let request = with_body("PUT / HTTP/1.1", framing, &pattern(length));
        let answer = front.send(&request).await;
        assert_eq!(status(&answer), expected, "{case}: {answer}");
        if expected == 502 {
            assert!(answer.contains("(`retry.body`)"), "{case}: {answer}");
            assert_eq!(field(&answer, "x-lbdev-backend"), Some("web:8000"));
            assert_eq!(second.stub.connections(), 0, "{case}");
        }
    }
    // Nobody has seen it: its length is of no account.
    let second = taking().await;
    let addresses = [nobody().await, second.stub.address];
    let front = front_with(&addresses, |s| s.retry.body = 1000);
    let request = with_body("PUT / HTTP/1.1", Framing::Length, &pattern(100_000));
    assert_eq!(status(&front.send(&request).await), 200);
    assert!(second.taken()[0].body == pattern(100_000));
}

#[tokio::test]
async fn a_client_that_fails_in_mid_body_is_nobodys_failure() {
    enum Ends {
        Close,
        Reset,
        Nonsense,
    }
    for ends in [Ends::Close, Ends::Reset, Ends::Nonsense] {
        let backends = [taking().await, taking().await];
        let front = front(&backends.each_ref().map(|backend| backend.stub.address));
        let mut stream = front.connect().await;
        let part = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
        stream.write_all(part).await.unwrap();
        eventually(|| backends[0].part.load(Ordering::SeqCst) == 3).await;
        match ends {
            Ends::Close => stream.shutdown().await.unwrap(),
            Ends::Reset => stream.set_zero_linger().unwrap(),
            Ends::Nonsense => stream.write_all(b"no chunk\r\n").await.unwrap(),
        }
        if !matches!(ends, Ends::Reset) {
            let answer = read_all(&mut stream).await;
            assert!(
                answer.is_empty() || status(&answer) == 400,
                "whoever is told anything is told that it was the client: {answer}"
            );
        }
        drop(stream);
        front.settled().await;
        assert_eq!(front.failures(), [0, 0]);
        assert_eq!(backends[1].stub.connections(), 0);
        assert_eq!((front.pool().retries(), front.pool().unanswered()), (0, 0));
        assert!(front.member(0).takes_requests());
    }
}

#[tokio::test]
async fn what_could_act_twice_is_sent_again_only_where_somebody_says_so() {
    for (start, non_idempotent, again) in [
        ("POST / HTTP/1.1", false, false),
        ("PATCH / HTTP/1.1", false, false),
        ("POST / HTTP/1.1\r\nIdempotency-Key: 8e03", false, true),
        ("PATCH / HTTP/1.1\r\nidempotency-key: \"a\"", false, true),
        ("POST / HTTP/1.1\r\nIdempotency-Key:", false, false),
        ("POST / HTTP/1.1", true, true),
        ("PUT / HTTP/1.1", false, true),
        ("DELETE / HTTP/1.1", false, true),
    ] {
        for most in [0, 3] {
            let (front, first, second) =
                pair(most, |s| s.retry.non_idempotent = non_idempotent).await;
            let answer = front.send(&with_body(start, Framing::Length, b"abc")).await;
            let case = format!("{start}, {non_idempotent}, {most}: {answer}");
            assert_eq!(first.connections(), 1, "{case}");
            match again {
                true => {
                    assert_eq!(status(&answer), 200, "{case}");
                    assert_eq!(second.taken()[0].body, b"abc", "{case}");
                }
                false => {
                    assert_eq!(status(&answer), 502, "{case}");
                    assert!(answer.contains("could act twice"), "{case}");
                    assert_eq!(second.stub.connections(), 0, "{case}");
                }
            }
            front.settled().await;
            assert_eq!(front.failures(), [1, 0], "{case}");
        }
    }
}

#[tokio::test]
async fn of_which_no_byte_left_nobody_can_have_seen_any() {
    // What `forward` goes by for requests that must not act twice: here with a connection that is reset for certain before
    // the first write, which a backend behind a running proxy cannot time.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (target, fields) = (Target::new("/".into(), None), Fields::default());
    let request = || ToSend {
        method: &hyper::Method::POST,
        target: &target,
        fields: &fields,
        stamp: b"",
    };
    let body = || Some(http_body_util::Full::new(bytes::Bytes::from_static(b"abc")));
    for reset in [true, false] {
        let (ours, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (ours, (theirs, _)) = (ours.unwrap(), accepted.unwrap());
        let theirs = match reset {
            true => {
                theirs.set_zero_linger().unwrap();
                drop(theirs);
                within(ours.readable()).await.unwrap();
                None
            }
            false => Some(theirs),
        };
        let mut exchange = Exchange::new(Wire::new(ours), request(), body());
        let head = tokio::spawn(async move {
            if let Some(mut theirs) = theirs {
                read_until(&mut theirs, "abc").await.unwrap();
            }
        });
        let ended = within(std::future::poll_fn(|cx| exchange.poll_head(cx))).await;
        assert!(ended.is_err());
        assert_eq!(exchange.is_unsent(), reset);
        head.await.unwrap();
    }
}

#[tokio::test]
async fn a_body_outlives_several_deaths() {
    let body = pattern(50_000);
    let (first, second) = (dying(40_000).await, dying(100).await);
    let last = taking().await;
    let front = front(&[first.address, second.address, last.stub.address]);
    let request = with_body("PUT / HTTP/1.1", Framing::Chunked(700), &body);
    let answer = front.send(&request).await;
    assert_eq!(field(&answer, "x-lbdev-attempts"), Some("3"), "{answer}");
    assert!(last.taken()[0].body == body);
    assert_eq!(last.taken()[0].trailers, ["x-sum: 7"]);
    let failures = front.access().await.attempts;
    for attempt in failures {
        // A death with unread bytes is a reset.
        let ended = matches!(
            attempt.failure,
            AttemptFailure::Closed | AttemptFailure::Reset
        );
        assert!(ended, "{attempt:?}");
    }
}
