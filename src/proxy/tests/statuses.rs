//! Answers with a status that `retry.statuses` names.

use super::taking::{Framing, pattern, with_body};
use super::*;
use crate::pool::AttemptFailure;

const FULL: &str = "HTTP/1.1 503 Full\r\nRetry-After: 7\r\nContent-Length: 6\r\n\r\nfull a";
const FULL_TOO: &str = "HTTP/1.1 503 Full\r\nRetry-After: 8\r\nContent-Length: 6\r\n\r\nfull b";

fn listed(settings: &mut Balancer) {
    settings.retry.statuses = vec![503];
}

#[tokio::test]
async fn another_backend_is_asked() {
    let (full, free) = (answering(FULL).await, answering(OK).await);
    let front = front_with(&[full.address, free.address], listed);
    let answer = front.get("/").await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(field(&answer, "retry-after"), None);
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    assert_eq!(field(&answer, "x-lbdev-backend"), Some("web:8001"));
    assert_eq!(field(&answer, "x-lbdev-attempts"), Some("2"));
    let access = front.access().await;
    let [attempt] = &access.attempts[..] else {
        panic!("{access:?}");
    };
    assert_eq!(attempt.failure, AttemptFailure::Status(503));
    assert_eq!(attempt.failure.words(), "answered 503");
    let tally = &front.member(0).tally;
    let by: Vec<_> = tally.failures_by().filter(|one| one.1 > 0).collect();
    assert_eq!(by, [("status", 1)]);
    assert_eq!(front.member(0).tally.retried_elsewhere(), 1);
    assert_eq!((front.pool().retries(), front.pool().unanswered()), (1, 0));
}

#[tokio::test]
async fn of_the_last_one_asked_the_answer_is_handed_on() {
    for (retries, attempts, backend, body) in [
        // All were asked; the limit was reached; failover is off.
        (3, "2", "web:8001", "full b"),
        (1, "2", "web:8001", "full b"),
        (0, "1", "web:8000", "full a"),
    ] {
        let stubs = [
            answering(FULL).await,
            answering(FULL_TOO).await,
            answering(OK).await,
        ];
        let addresses = stubs.each_ref().map(|stub| stub.address);
        let some = if retries == 3 { 2 } else { 3 };
        let front = front_with(&addresses[..some], |settings| {
            listed(settings);
            settings.live.retries = retries;
        });
        let answer = front.get("/").await;
        assert_eq!(status(&answer), 503, "{retries}: {answer}");
        assert!(answer.ends_with(body), "{retries}: {answer}");
        assert_eq!(field(&answer, "x-lbdev-backend"), Some(backend));
        assert_eq!(
            field(&answer, "x-lbdev-attempts"),
            Some(attempts),
            "{retries}"
        );
        assert!(field(&answer, "retry-after").is_some(), "{answer}");
        assert_eq!(stubs[2].connections(), 0, "{retries}");
        let access = front.access().await;
        assert_eq!(access.status, 503);
        assert_eq!(access.backend.unwrap().to_string(), backend);
        let asked: usize = attempts.parse().unwrap();
        assert_eq!(access.attempts.len(), asked - 1, "{retries}");
        assert_eq!(
            front.failures()[..2],
            [1, u64::from(asked == 2)],
            "{retries}"
        );
        assert_eq!(front.pool().retries(), asked as u64 - 1, "{retries}");
        assert_eq!(front.pool().unanswered(), 0, "a backend did answer");
    }
}

#[tokio::test]
async fn what_must_not_act_twice_gets_the_answer_at_once() {
    let (full, free) = (answering(FULL).await, answering(OK).await);
    let front = front_with(&[full.address, free.address], listed);
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let answer = front.ask(post).await;
    assert_eq!(status(&answer), 503, "{answer}");
    assert!(answer.ends_with("full a"), "{answer}");
    assert_eq!(field(&answer, "x-lbdev-attempts"), Some("1"));
    assert_eq!(free.connections(), 0);
    front.settled().await;
    assert_eq!(front.failures(), [1, 0], "it counts all the same");
}

#[tokio::test]
async fn other_statuses_are_answers() {
    for (statuses, answer) in [
        (vec![], FULL),
        (vec![502, 504], FULL),
        (
            vec![502, 503, 504],
            "HTTP/1.1 500 Oops\r\nContent-Length: 6\r\n\r\nfull a",
        ),
    ] {
        let (first, other) = (answering(answer).await, answering(OK).await);
        let front = front_with(&[first.address, other.address], |s| {
            s.retry.statuses = statuses;
        });
        let got = front.get("/").await;
        assert_eq!(status(&got), status(answer));
        assert!(got.ends_with("full a"), "{got}");
        assert_eq!(field(&got, "x-lbdev-attempts"), Some("1"));
        assert_eq!(other.connections(), 0);
        front.settled().await;
        assert_eq!(front.failures(), [0, 0]);
    }
}

#[tokio::test]
async fn a_long_answer_is_handed_on_whole_too() {
    // It is not read before it is known that it is the one. (The marks are no digits of a chunk's size.)
    let long = |mark: &str, chunked: bool| -> &'static str {
        let body = mark.repeat(200_000);
        let answer = match chunked {
            false => format!(
                "HTTP/1.1 503 Full\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
            true => format!(
                "HTTP/1.1 503 Full\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            ),
        };
        answer.leak()
    };
    for chunked in [false, true] {
        let stubs = [
            answering(long("y", chunked)).await,
            answering(long("z", chunked)).await,
        ];
        let front = front_with(&stubs.each_ref().map(|stub| stub.address), listed);
        let answer = front.get("/").await;
        assert_eq!(status(&answer), 503);
        assert_eq!(field(&answer, "x-lbdev-attempts"), Some("2"));
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.matches('z').count(), 200_000);
        assert!(!body.contains("yyy"));
        assert_eq!(body.ends_with("\r\n0\r\n\r\n"), chunked);
    }
}

#[tokio::test]
async fn a_body_goes_to_the_next_one_too() {
    let full = super::taking::refusing(FULL).await;
    let free = super::taking::taking().await;
    let front = front_with(&[full.address, free.stub.address], listed);
    for framing in [Framing::Length, Framing::Chunked(3000)] {
        let request = with_body("PUT / HTTP/1.1", framing, &pattern(50_000));
        let answer = front.send(&request).await;
        assert_eq!(status(&answer), 200, "{answer}");
        let taken = free.taken().pop().unwrap();
        assert!(taken.body == pattern(50_000));
        // The next request begins at the first backend again.
        front.pool().publish(members(
            &[full.address, free.stub.address],
            RunId::FIRST.next(),
        ));
    }
    assert_eq!(full.heads().len(), 2);
}
