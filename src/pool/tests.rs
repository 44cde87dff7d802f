use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::backend::{Phase, RunId, Slot};

fn member(index: usize, eligible: bool) -> Arc<Member> {
    let port = 8000 + u16::try_from(index).unwrap();
    Arc::new(Member {
        index,
        id: BackendId::new("web", Slot::Port(port)),
        run: Some(RunId::FIRST),
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        weight: 1,
        eligible,
        phase: if eligible { Phase::Up } else { Phase::Stopped },
        why: None,
        life: Arc::default(),
        tally: Arc::default(),
    })
}

fn pools(routes: &[(&str, &[Route])]) -> Pools {
    Pools::new(
        routes
            .iter()
            .map(|(name, routes)| (Arc::from(*name), routes.to_vec())),
        2,
    )
}

fn web(eligible: &[bool]) -> Pools {
    let pools = pools(&[("web", &[Route::Prefix("/".into())])]);
    pools.all()[0].publish(
        eligible
            .iter()
            .enumerate()
            .map(|(index, &ok)| member(index, ok))
            .collect(),
    );
    pools
}

fn picks(pool: &Pool, turns: &[Turn]) -> Vec<usize> {
    turns
        .iter()
        .map(|&turn| pool.pick(turn, &Tried::default()).unwrap().member().index)
        .collect()
}

#[test]
fn a_page_moves_the_sequence_on_and_its_assets_do_not() {
    let pools = web(&[true; 4]);
    let pool = &pools.all()[0];
    let [one, two] =
        [b"firefox", b"chrome "].map(|agent| ClientKey::new(Ipv4Addr::LOCALHOST.into(), agent));
    let turns = [
        Turn::Page(one),
        Turn::Asset(one),
        Turn::Page(two),
        Turn::Asset(one),
        Turn::Asset(two),
        Turn::Next,
    ];
    assert_eq!(picks(pool, &turns), [0, 0, 1, 0, 1, 2]);
}

#[test]
fn an_asset_without_a_page_and_one_whose_backend_is_gone_take_the_next() {
    let pools = web(&[true; 2]);
    let pool = &pools.all()[0];
    let client = ClientKey::new(Ipv4Addr::LOCALHOST.into(), b"x");
    assert_eq!(
        picks(pool, &[Turn::Asset(client), Turn::Page(client)]),
        [0, 1]
    );
    pool.publish(vec![member(0, true), member(1, false)]);
    assert_eq!(picks(pool, &[Turn::Asset(client)]), [0]);
}

#[test]
fn a_tried_run_is_not_picked_again_but_its_next_run_is() {
    let pools = web(&[true]);
    let pool = &pools.all()[0];
    let mut tried = Tried::default();
    tried.add(pool.pick(Turn::Next, &tried).unwrap().member());
    assert!(pool.pick(Turn::Next, &tried).is_none());
    let again = Member {
        run: Some(RunId::FIRST.next()),
        ..(*member(0, true)).clone()
    };
    pool.publish(vec![Arc::new(again)]);
    assert!(pool.pick(Turn::Next, &tried).is_some());
}

#[test]
fn a_refused_port_is_out_at_once_and_told_once() {
    let pools = web(&[true, true]);
    let pool = &pools.all()[0];
    let lease = pool.pick(Turn::Next, &Tried::default()).unwrap();
    pool.refused(lease.member());
    assert_eq!(picks(pool, &[Turn::Next, Turn::Next]), [1, 1]);
    assert_eq!(
        pool.take_refused(),
        [(lease.member().id.clone(), RunId::FIRST)]
    );
    assert!(pool.take_refused().is_empty());
}

#[test]
fn a_lease_counts_until_it_is_dropped() {
    let pools = web(&[true]);
    let pool = &pools.all()[0];
    let life = pool.snapshot().members[0].life.clone();
    let lease = pool.pick(Turn::Next, &Tried::default()).unwrap();
    assert_eq!(life.in_flight(), 1);
    drop(lease);
    assert_eq!(life.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn requests_wait_in_order_bounded_in_number_and_time() {
    let pools = web(&[false]);
    let pool = pools.all()[0].clone();
    let order = Arc::new(Mutex::new(Vec::new()));
    let wait = |name: u8| {
        let (pool, order) = (pool.clone(), order.clone());
        tokio::spawn(async move {
            pool.wait(Duration::from_secs(10)).await?;
            order.lock().unwrap().push(name);
            Ok::<_, Unavailable>(())
        })
    };
    let (first, second) = (wait(1), wait(2));
    while pool.waiting() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        pool.wait(Duration::from_secs(10)).await,
        Err(Unavailable::QueueFull)
    );
    pool.publish(vec![member(0, true)]);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(*order.lock().unwrap(), [1, 2]);
    assert_eq!(
        pool.wait(Duration::from_secs(10)).await,
        Ok(()),
        "nobody waits while somebody is eligible"
    );

    pool.publish(vec![member(0, false)]);
    assert_eq!(
        pool.wait(Duration::from_secs(10)).await,
        Err(Unavailable::TimedOut)
    );
    let left = wait(3);
    while pool.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    left.abort();
    assert!(left.await.unwrap_err().is_cancelled());
    assert_eq!(pool.waiting(), 0, "who leaves the queue is not counted");
}

#[test]
fn the_longest_route_wins() {
    let routes = pools(&[
        ("web", &[Route::Prefix("/".into())]),
        (
            "api",
            &[
                Route::Prefix("/api".into()),
                Route::Host("api.localhost".into()),
            ],
        ),
    ]);
    for (host, path, service) in [
        ("localhost", "/", "web"),
        ("localhost", "/api", "api"),
        ("localhost", "/api/x", "api"),
        ("localhost", "/api?x=1", "api"),
        ("localhost", "/apix", "web"),
        ("api.localhost", "/", "api"),
    ] {
        assert_eq!(
            &*routes.route(host, path).unwrap().service,
            service,
            "{host}{path}"
        );
    }
    assert!(
        pools(&[("api", &[Route::Prefix("/api".into())])])
            .route("localhost", "/")
            .is_none()
    );
}
