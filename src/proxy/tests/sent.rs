//! What a backend can have seen of a request, and what it cannot: the difference decides whether a POST is tried again.

use tokio::task::JoinSet;

use super::taking::{Framing, Taker, taking, with_body};
use super::*;
use crate::pool::AttemptFailure;

/// So many at once: while the proxy connects for the last of them, the first of its connections are reset already.
const AT_ONCE: usize = 32;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// A backend that resets each connection as soon as it is there: sometimes before the first byte of a request, sometimes
/// after it.
async fn resetting() -> Stub {
    stub(|stream, _, _| async move { stream.set_zero_linger().unwrap() }).await
}

// The backends need threads of their own to be quicker than the proxy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_is_tried_again_if_and_only_if_not_a_byte_of_it_left() {
    let (bad, good) = (resetting().await, taking().await);
    let front = Arc::new(front_with(&[bad.address, good.stub.address], |settings| {
        settings.passive.failures = 0;
    }));
    let (mut again, mut gave_up, mut answered) = (0, 0, 0);
    let until = Instant::now() + LIMIT;
    while again == 0 || gave_up == 0 {
        assert!(Instant::now() < until, "{again} before, {gave_up} after");
        let mut asking = JoinSet::new();
        for _ in 0..AT_ONCE {
            let front = front.clone();
            let post = with_body("POST / HTTP/1.1", Framing::Length, b"abc");
            asking.spawn(async move { front.send(&post).await });
        }
        for answer in asking.join_all().await {
            assert!(
                status(&answer) == 200 || answer.contains("could act twice"),
                "{answer}"
            );
        }
        front.settled().await;
        for one in within(front.access.take()).await.each {
            let failures: Vec<_> = one.attempts.iter().map(|one| one.failure).collect();
            match (one.status, &failures[..]) {
                (200, []) => answered += 1,
                // Connected and reset before the first write is rare: two system calls lie between. `replay` has it for
                // certain, without a proxy.
                (200, [AttemptFailure::ConnectFailed | AttemptFailure::Reset]) => again += 1,
                (502, [AttemptFailure::Reset]) => gave_up += 1,
                _ => panic!("{one:?}"),
            }
        }
    }
    // None of them acted twice, and none is lost without a word.
    assert_eq!(good.taken().len(), answered + again);
    assert_eq!(front.failures(), [(again + gave_up) as u64, 0]);
    assert_eq!(front.pool().retries(), again as u64);
    assert_eq!(front.pool().unanswered(), gave_up as u64);
}

/// What a backend saw of used connections after they were of no use any more.
#[derive(Default)]
struct Late {
    bytes: AtomicUsize,
    ended: AtomicUsize,
}

#[tokio::test]
async fn nothing_is_sent_on_a_connection_that_the_backend_has_ended() {
    // It ends only its own half: what still came on the other one would be seen.
    let late = Arc::new(Late::default());
    let (seen, over) = (late.clone(), Arc::new(tokio::sync::Notify::new()));
    let ended = over.clone();
    let stub = stub(move |mut stream, _, _| {
        let (seen, ended) = (seen.clone(), ended.clone());
        async move {
            read_head(&mut stream).await.unwrap();
            stream.write_all(OK.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            ended.notify_one();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            seen.bytes.fetch_add(rest.len(), Ordering::SeqCst);
            seen.ended.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let front = front(&[stub.address]);
    for number in 1..=5 {
        let answer = front.send(GET).await;
        assert_eq!(status(&answer), 200, "{answer}");
        front.settled().await;
        within(over.notified()).await;
        assert_eq!(stub.connections(), number);
    }
    drop(front);
    eventually(|| late.ended.load(Ordering::SeqCst) == 5).await;
    assert_eq!(late.bytes.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn one_stale_connection_is_enough_to_trust_none_of_the_others() {
    // Each of the first connections looks well until the next request comes on it.
    const IDLE: usize = 4;
    let served = Arc::new(AtomicUsize::new(0));
    let stub = stub(move |stream, number, heads| {
        let served = served.clone();
        async move {
            let mut taker = Taker::new(stream);
            taker.head().await.unwrap();
            served.fetch_add(1, Ordering::SeqCst);
            // All are open at once.
            while number < IDLE && served.load(Ordering::SeqCst) < IDLE {
                tokio::task::yield_now().await;
            }
            taker.answer(OK).await;
            while let Some(head) = taker.head().await {
                heads.lock().unwrap().push(head);
                if number < IDLE {
                    return;
                }
                taker.answer(OK).await;
            }
        }
    })
    .await;
    let front = Arc::new(front(&[stub.address]));
    let mut asking = JoinSet::new();
    for _ in 0..IDLE {
        let front = front.clone();
        asking.spawn(async move { status(&front.send(GET).await) });
    }
    assert_eq!(asking.join_all().await, [200; IDLE]);
    front.settled().await;
    assert_eq!((stub.connections(), stub.heads().len()), (IDLE, 0));
    let answer = front.send(GET).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(field(&answer, "x-lbdev-attempts"), Some("1"));
    // On one of them, and on a new one.
    assert_eq!((stub.connections(), stub.heads().len()), (IDLE + 1, 1));
    front.settled().await;
    assert_eq!(front.failures(), [0]);
}
