//! `max_connections` and weights of 0, as a client sees them.

use super::*;

/// Opens a tunnel that stays until the client closes it, where it is asked for one; answers everything else.
async fn tunnel() -> Stub {
    stub(|mut stream, _, heads| async move {
        while let Some(head) = read_head(&mut stream).await {
            let switches = field(&head, "upgrade").is_some();
            heads.lock().unwrap().push(head);
            if !switches {
                stream.write_all(OK.as_bytes()).await.unwrap();
                continue;
            }
            let answer =
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello";
            stream.write_all(answer.as_bytes()).await.unwrap();
            read_all(&mut stream).await;
            break;
        }
    })
    .await
}

fn limit(backends: &[SocketAddr], max: u32) -> Vec<Arc<Member>> {
    let set = |one: Arc<Member>| {
        let max_connections = max;
        Arc::new(Member {
            max_connections,
            ..(*one).clone()
        })
    };
    let all = members(backends, RunId::FIRST).into_iter();
    all.map(set).collect()
}

/// A tunnel that is open: it has one place at the backend.
async fn hold(front: &Front) -> TcpStream {
    let mut held = front.connect().await;
    let upgrade = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
    held.write_all(upgrade).await.unwrap();
    assert!(read_until(&mut held, "hello").await.is_some());
    held
}

#[tokio::test]
async fn no_backend_has_more_requests_than_it_may_and_none_is_lost() {
    let (active, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (active.clone(), most.clone());
    let stub = stub(move |mut stream, _, _| {
        let (active, most) = counts.clone();
        async move {
            while read_head(&mut stream).await.is_some() {
                let now = active.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(3)).await;
                active.fetch_sub(1, Ordering::SeqCst);
                if stream.write_all(OK.as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    })
    .await;
    let front = Arc::new(front_with(&[], |s| s.queue_max = 100));
    front.pool().publish(limit(&[stub.address], 2));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let front = front.clone();
        clients.spawn(async move {
            for _ in 0..10 {
                let answer = front.get("/").await;
                assert_eq!(status(&answer), 200, "{answer}");
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
    front.settled().await;
    let tally = &front.member(0).tally;
    assert_eq!((tally.requests(), tally.failures()), (120, 0));
    assert_eq!(front.pool().unanswered(), 0);
}

#[tokio::test]
async fn a_tunnel_has_a_place_until_it_ends() {
    let (tunnel, other) = (tunnel().await, tunnel().await);
    let front = front_with(&[], |_| {});
    front.pool().publish(limit(&[tunnel.address], 1));
    let held = hold(&front).await;
    let asking = front.get("/waits");
    let ending = async {
        eventually(|| front.pool().waiting() == 1).await;
        assert_eq!(tunnel.connections(), 1);
        drop(held);
    };
    let (answer, ()) = tokio::join!(asking, ending);
    assert_eq!(status(&answer), 200, "{answer}");
    front.settled().await;

    // Another one with room is taken at once.
    let addresses = [tunnel.address, other.address];
    front.pool().publish(limit(&addresses, 1));
    let _held = hold(&front).await;
    assert_eq!(status(&front.get("/").await), 200);
    assert_eq!(front.pool().waiting(), 0);
}

#[tokio::test]
async fn all_at_their_limit_is_503_and_says_so() {
    let tunnel = tunnel().await;
    for (queue_max, wait) in [(16, Duration::from_millis(50)), (0, LIMIT)] {
        let front = front_with(&[], |s| {
            s.queue_max = queue_max;
            s.queue_timeout = wait;
        });
        front.pool().publish(limit(&[tunnel.address], 1));
        let _held = hold(&front).await;
        let answer = front.get("/").await;
        assert_eq!(status(&answer), 503);
        assert_eq!(field(&answer, "retry-after"), Some("1"));
        assert!(
            answer.contains("every backend of `web` is at its limit"),
            "{answer}"
        );
        assert!(answer.contains("all are at `max_connections`"), "{answer}");
        assert_eq!(front.pool().unanswered(), 1);
    }
}

#[tokio::test]
async fn a_failed_request_waits_for_a_full_backend_instead_of_failing() {
    let tunnel = tunnel().await;
    let front = front_with(&[], |_| {});
    let addresses = [nobody().await, tunnel.address];
    front.pool().publish(limit(&addresses, 1));
    let held = hold(&front).await;
    // The first was refused and is out; a new run of it is believed in until it is asked.
    let first = limit(&addresses, 1).remove(0);
    front.pool().publish(vec![first, front.member(1)]);
    let asking = front.get("/");
    let ending = async {
        eventually(|| front.pool().waiting() == 1).await;
        assert_eq!(front.member(0).tally.failures(), 1);
        drop(held);
    };
    let (answer, ()) = tokio::join!(asking, ending);
    assert_eq!(field(&answer, "x-lbdev-attempts"), Some("2"), "{answer}");
    assert_eq!(field(&answer, "x-lbdev-backend"), Some("web:8001"));
    assert_eq!(front.pool().unanswered(), 0);
}

#[tokio::test]
async fn weights_of_0_make_requests_wait_and_then_say_so() {
    let stub = answering(OK).await;
    let weighed = |weight: u32| {
        let one = members(&[stub.address], RunId::FIRST).remove(0);
        let share = weight;
        vec![Arc::new(Member {
            weight,
            share,
            ..(*one).clone()
        })]
    };
    let front = front_with(&[], |s| s.queue_timeout = Duration::from_millis(50));
    front.pool().publish(weighed(0));
    let answer = front.get("/").await;
    assert_eq!(status(&answer), 503);
    assert!(
        answer.contains("every backend of `web` has weight 0"),
        "{answer}"
    );
    assert!(answer.contains("next: lbdev set web weight=1"), "{answer}");
    assert_eq!(stub.connections(), 0);

    let front = front_with(&[], |_| {});
    front.pool().publish(weighed(0));
    let setting = async {
        eventually(|| front.pool().waiting() == 1).await;
        front.pool().publish(weighed(1));
    };
    let (answer, ()) = tokio::join!(front.get("/"), setting);
    assert_eq!(status(&answer), 200);
}

#[tokio::test]
async fn a_full_queue_is_503_at_once_and_whoever_waits_goes_on_waiting() {
    let stub = answering(OK).await;
    let front = front_with(&[], |s| {
        s.queue_max = 1;
        // Whoever is told 503 in this test did not wait for it.
        s.queue_timeout = 2 * LIMIT;
    });
    let others = async {
        eventually(|| front.pool().waiting() == 1).await;
        for _ in 0..2 {
            let answer = front.get("/").await;
            assert_eq!(status(&answer), 503, "{answer}");
            assert_eq!(field(&answer, "retry-after"), Some("1"));
            assert_eq!(field(&answer, "x-lbdev-backend"), None);
            assert_eq!(front.pool().waiting(), 1);
        }
        front.pool().publish(members(&[stub.address], RunId::FIRST));
    };
    let (answer, ()) = tokio::join!(front.get("/"), others);
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(front.pool().unanswered(), 2);
}
