use super::*;
use crate::pool::AttemptFailure;

#[tokio::test]
async fn one_after_the_other() {
    let stubs = [
        answering(OK).await,
        answering(OK).await,
        answering(OK).await,
    ];
    let front = front(&[stubs[0].address, stubs[1].address, stubs[2].address]);
    for turn in [0, 1, 2, 0, 1, 2] {
        let answer = front.get("/").await;
        assert_eq!(
            field(&answer, "x-lbdev-backend"),
            Some(format!("web:800{turn}").as_str()),
            "{answer}"
        );
        assert_eq!(field(&answer, "x-lbdev-attempts"), Some("1"));
    }
    front.settled().await;
    assert_eq!(front.member(0).tally.requests(), 2);
    // Each backend answered twice over one connection.
    assert_eq!(stubs.iter().map(Stub::connections).sum::<usize>(), 3);
}

#[tokio::test]
async fn a_refused_connection_goes_to_the_next_whatever_the_method() {
    let stub = answering(OK).await;
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "PATCH / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ] {
        let front = front(&[nobody().await, stub.address]);
        let answer = front.ask(request).await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert_eq!(field(&answer, "x-lbdev-backend"), Some("web:8001"));
        assert_eq!(field(&answer, "x-lbdev-attempts"), Some("2"));
        let access = front.access().await;
        assert_eq!(access.attempts.len(), 1);
        assert_eq!(access.attempts[0].failure, AttemptFailure::Refused);
        assert_eq!(access.backend.unwrap().short(), "8001");
        assert!(!front.member(0).takes_requests());
        assert_eq!(front.member(0).tally.failures(), 1);
        assert_eq!(front.member(0).tally.retried_elsewhere(), 1);
        assert_eq!((front.pool().retries(), front.pool().unanswered()), (1, 0));
    }
}

#[tokio::test]
async fn a_get_survives_a_death_before_the_head_and_a_post_does_not() {
    for (part, failure) in [
        ("", AttemptFailure::Closed),
        ("HTTP/1.1 200 OK\r\nContent-", AttemptFailure::Closed),
        ("SSH-2.0-OpenSSH_9.9\r\n\r\n", AttemptFailure::BadResponse),
    ] {
        let (dying, living) = (cutting(part).await, answering(OK).await);
        let front = front(&[dying.address, living.address]);
        let answer = front.get("/").await;
        assert_eq!(status(&answer), 200, "{part}: {answer}");
        assert_eq!(field(&answer, "x-lbdev-attempts"), Some("2"));
        assert_eq!(front.access().await.attempts[0].failure, failure, "{part}");

        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let answer = front.ask(post).await;
        assert_eq!(status(&answer), 502, "{part}: {answer}");
        assert_eq!(field(&answer, "x-lbdev-backend"), Some("web:8000"));
        assert!(answer.contains("could act twice"), "{answer}");
        assert_eq!(living.heads().len(), 1, "the POST was not sent again");
        assert_eq!((front.pool().retries(), front.pool().unanswered()), (1, 1));
    }
}

#[tokio::test]
async fn an_idle_connection_gone_stale_costs_no_try() {
    // Answers once on each connection and closes it a moment later, unannounced.
    let stub = stub(|mut stream, _, heads| async move {
        let head = read_head(&mut stream).await.unwrap();
        heads.lock().unwrap().push(head);
        stream.write_all(OK.as_bytes()).await.unwrap();
        // The second request comes, and is not answered.
        let _ = read_head(&mut stream).await;
    })
    .await;
    let front = front(&[stub.address]);
    for _ in 0..3 {
        let answer = front.get("/").await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert_eq!(field(&answer, "x-lbdev-attempts"), Some("1"));
        front.settled().await;
    }
    assert_eq!(stub.heads().len(), 3);
    assert_eq!(front.member(0).tally.failures(), 0);
}

#[tokio::test]
async fn a_post_never_goes_on_an_idle_connection() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    front.get("/").await;
    front.settled().await;
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&front.ask(post).await), 200);
    assert_eq!(stub.connections(), 2);
}

#[tokio::test]
async fn every_candidate_once_then_an_error_that_says_why() {
    let stubs = [cutting("").await, cutting("").await];
    let front = front(&[stubs[0].address, stubs[1].address]);
    let answer = front.get("/").await;
    assert_eq!(status(&answer), 502);
    assert_eq!(field(&answer, "x-lbdev-attempts"), Some("2"));
    assert!(answer.contains("no backend is left to try"), "{answer}");
    assert!(answer.contains("next: lbdev logs 8001"), "{answer}");
    let access = front.access().await;
    assert_eq!((access.status, access.backend), (502, None));
    assert_eq!(access.attempts.len(), 2);
    for stub in &stubs {
        assert_eq!(stub.heads().len(), 1);
    }
}

#[tokio::test]
async fn retries_bound_the_tries_and_0_turns_them_off() {
    for (retries, expected) in [(0, "1"), (1, "2")] {
        let stubs = [cutting("").await, cutting("").await, cutting("").await];
        let addresses = stubs.each_ref().map(|stub| stub.address);
        let front = front_with(&addresses, |s| s.live.retries = retries);
        let answer = front.get("/").await;
        assert_eq!(status(&answer), 502);
        assert_eq!(field(&answer, "x-lbdev-attempts"), Some(expected));
    }
}

#[tokio::test]
async fn requests_wait_while_nobody_is_up_and_go_out_when_one_is() {
    let stub = answering(OK).await;
    let front = front(&[]);
    let asking = async {
        let (one, two) = tokio::join!(front.get("/1"), front.get("/2"));
        assert_eq!((status(&one), status(&two)), (200, 200));
    };
    let publishing = async {
        eventually(|| front.pool().waiting() == 2).await;
        front.pool().publish(members(&[stub.address], RunId::FIRST));
    };
    tokio::join!(asking, publishing);
}

#[tokio::test]
async fn a_whole_pool_killed_at_once_makes_requests_wait_not_fail() {
    // Both die with a request in hand, and their ports with them; the news of it comes later.
    let listeners = [
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    ];
    let addresses = listeners.each_ref().map(|l| l.local_addr().unwrap());
    for listener in listeners {
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            drop(listener);
            read_head(&mut stream).await;
        });
    }
    let front = front(&addresses);
    let living = answering(OK).await;
    let asking = front.get("/");
    let publishing = async {
        eventually(|| front.pool().waiting() == 1).await;
        let run = RunId::FIRST.next();
        front.pool().publish(members(&[living.address], run));
    };
    let (answer, ()) = tokio::join!(asking, publishing);
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(field(&answer, "x-lbdev-attempts"), Some("3"));
    assert_eq!(front.pool().unanswered(), 0);
}

#[tokio::test]
async fn waiting_ends() {
    let front = front_with(&[], |s| s.queue_timeout = Duration::from_millis(50));
    let html = "GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nConnection: close\r\n\r\n";
    let answer = front.ask(html).await;
    assert_eq!(status(&answer), 503);
    assert_eq!(field(&answer, "retry-after"), Some("1"));
    assert!(answer.contains("<code>lbdev start web</code>"), "{answer}");
    let access = front.access().await;
    assert!(access.waited >= Duration::from_millis(50));
    assert_eq!(front.pool().unanswered(), 1);

    let front = front_with(&[], |s| s.queue_max = 0);
    assert_eq!(status(&front.get("/").await), 503);
}

#[tokio::test]
async fn a_slow_head_is_504_and_not_tried_again() {
    let slow = stub(|mut stream, _, heads| async move {
        while let Some(head) = read_head(&mut stream).await {
            heads.lock().unwrap().push(head);
        }
    })
    .await;
    let other = answering(OK).await;
    let front = front_with(&[slow.address, other.address], |s| {
        s.timeouts.backend_head = Some(Duration::from_millis(80));
    });
    let began = Instant::now();
    let answer = front.get("/").await;
    assert_eq!(status(&answer), 504, "{answer}");
    assert!(began.elapsed() >= Duration::from_millis(80));
    assert_eq!(
        front.access().await.attempts[0].failure,
        AttemptFailure::HeadTimeout
    );
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn an_applications_errors_are_answers() {
    let failing = "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops";
    let stub = answering(failing).await;
    let front = front(&[stub.address]);
    let answer = front.get("/").await;
    assert_eq!(status(&answer), 500);
    assert!(answer.ends_with("oops"));
    assert_eq!(front.member(0).tally.failures(), 0);
    assert_eq!(front.member(0).tally.requests(), 1);
}

#[tokio::test]
async fn connections_of_another_run_are_not_used() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    front.get("/").await;
    front.settled().await;
    let run = RunId::FIRST.next();
    front.pool().publish(members(&[stub.address], run));
    front.get("/").await;
    assert_eq!(stub.connections(), 2);
}

#[tokio::test]
async fn what_is_sent_again_is_what_was_sent() {
    let (dying, living) = (cutting("").await, answering(OK).await);
    let front = front(&[dying.address, living.address]);
    let request = "GET /a?b HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nX: 1\r\nCookie: b=2\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n";
    let answer = front.ask(request).await;
    assert_eq!(field(&answer, "x-lbdev-attempts"), Some("2"), "{answer}");
    let lines = |stub: &Stub| {
        let mut lines: Vec<String> = stub.heads()[0].lines().map(str::to_owned).collect();
        lines[1..].sort();
        lines
    };
    assert_eq!(lines(&living), lines(&dying));
    let cookies = |head: &str| {
        let lines = head.lines().filter(|line| line.starts_with("Cookie"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        cookies(&living.heads()[0]),
        ["Cookie: a=1", "Cookie: b=2"],
        "in their order"
    );
    assert!(!living.heads()[0].contains("6.6.6.6"));
}

/// Linux drops a connection that finds the socket's queue full, and the client's kernel asks again only after a second.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_backend_whose_queue_is_full_is_asked_again() {
    let full = Duration::from_millis(100);
    let (listener, address, fill) = full_queue(full);
    let front = front_with(&[address], |settings| settings.timeouts.connect = full);
    let accepting = async {
        eventually(|| front.pool().retries() >= 2).await;
        drop(fill);
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            // Those that filled the queue come first, and have gone.
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = [0; 1024];
                if matches!(stream.read(&mut head), Ok(read) if read > 0) {
                    let _ = stream.write_all(OK.as_bytes());
                    return;
                }
            }
        });
    };
    let (answer, ()) = tokio::join!(front.get("/"), accepting);
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(front.pool().unanswered(), 0);

    // Not for ever: until the retry deadline.
    let (_listener, address, _fill) = full_queue(full);
    let front = front_with(&[address], |settings| {
        settings.timeouts.connect = full;
        settings.retry.deadline = 3 * full;
    });
    assert_eq!(status(&front.get("/").await), 502);
}

/// A socket that listens, never accepts, and has no room left.
#[cfg(target_os = "linux")]
fn full_queue(patience: Duration) -> (std::net::TcpListener, SocketAddr, Vec<std::net::TcpStream>) {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    socket.listen(1).unwrap();
    let listener = std::net::TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let fill = std::iter::from_fn(|| std::net::TcpStream::connect_timeout(&address, patience).ok());
    let fill = fill.collect();
    (listener, address, fill)
}
