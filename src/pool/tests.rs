mod limits;
mod live;
mod pickers;
mod races;
mod spared;
mod stuck;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::backend::{Phase, RunId};
use crate::balance::{Algorithm, place};

fn member(index: usize, eligible: bool) -> Arc<Member> {
    Arc::new(Member {
        eligible,
        phase: if eligible { Phase::Up } else { Phase::Stopped },
        ..Member::well(index)
    })
}

/// The same backend with something else about it.
fn but(member: &Member, change: impl FnOnce(&mut Member)) -> Arc<Member> {
    let mut changed = member.clone();
    change(&mut changed);
    Arc::new(changed)
}

fn pools_by(algorithm: Algorithm, routes: &[(&str, &[Route])]) -> Pools {
    let mut settings = Balancer {
        queue_max: 2,
        ..Balancer::default()
    };
    settings.live.algorithm = algorithm;
    Pools::new(
        routes
            .iter()
            .map(|(name, routes)| (Arc::from(*name), routes.to_vec())),
        &settings,
    )
}

fn pools(routes: &[(&str, &[Route])]) -> Pools {
    pools_by(Algorithm::RoundRobin, routes)
}

fn web(eligible: &[bool]) -> Pools {
    web_by(Algorithm::RoundRobin, eligible)
}

fn web_by(algorithm: Algorithm, eligible: &[bool]) -> Pools {
    let pools = pools_by(algorithm, &[("web", &[Route::Prefix("/".into())])]);
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
fn least_conn_keeps_away_from_who_is_busy() {
    let pools = web_by(Algorithm::LeastConn, &[true; 3]);
    let pool = &pools.all()[0];
    let none = Tried::default();
    let busy = pool.pick(Turn::Next, &none).unwrap();
    assert_eq!(busy.member().index, 0);
    assert_eq!(picks(pool, &[Turn::Next; 4]), [1, 2, 1, 2]);
    let mut tried = Tried::default();
    for index in [1, 2] {
        tried.add(&pool.snapshot().members[index]);
    }
    assert_eq!(pool.pick(Turn::Next, &tried).unwrap().member().index, 0);
    drop(busy);
    let mut three = picks(pool, &[Turn::Next; 3]);
    three.sort_unstable();
    assert_eq!(three, [0, 1, 2], "idle again, it has its turn");
}

#[test]
fn an_asset_goes_with_its_page_where_loads_decide() {
    for algorithm in [Algorithm::LeastConn, Algorithm::RandomTwo] {
        let pools = web_by(algorithm, &[true; 4]);
        let pool = &pools.all()[0];
        let client = ClientKey::new(Ipv4Addr::LOCALHOST.into(), b"x");
        for _ in 0..20 {
            let page = pool.pick(Turn::Page(client), &Tried::default()).unwrap();
            assert_eq!(picks(pool, &[Turn::Asset(client)]), [page.member().index]);
        }
    }
}

#[test]
fn random_two_asks_everybody_in_the_end_and_only_who_is_eligible() {
    let pools = web_by(Algorithm::RandomTwo, &[true, false, true, true]);
    let pool = &pools.all()[0];
    let mut seen = picks(pool, &[Turn::Next; 400]);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [0, 2, 3]);
    let mut tried = Tried::default();
    for left in [3, 2, 1] {
        assert_eq!(tried.len(), 3 - left);
        tried.add(pool.pick(Turn::Next, &tried).unwrap().member());
    }
    assert!(pool.pick(Turn::Next, &tried).is_none());
}

#[test]
fn a_key_stays_until_its_backend_is_away_and_comes_home() {
    let pools = web_by(Algorithm::Hash, &[true; 4]);
    let pool = &pools.all()[0];
    let keys: Vec<Turn> = (0..50u8).map(|n| Turn::Key(place(&[n]))).collect();
    let home = picks(pool, &keys);
    assert_eq!(picks(pool, &keys), home);
    let mut tried = Tried::default();
    tried.add(&pool.snapshot().members[1]);
    let failover: Vec<usize> = keys
        .iter()
        .map(|&key| pool.pick(key, &tried).unwrap().member().index)
        .collect();
    pool.publish((0..4).map(|index| member(index, index != 1)).collect());
    assert_eq!(
        picks(pool, &keys),
        failover,
        "a failover goes where it goes without the backend"
    );
    for (home, now) in home.iter().zip(&failover) {
        assert!(*now != 1 && (home == now || *home == 1));
    }
    pool.publish((0..4).map(|index| member(index, true)).collect());
    assert_eq!(picks(pool, &keys), home);
    assert_eq!(
        picks(pool, &[Turn::Next; 4]),
        [0, 1, 2, 3],
        "without a key it goes round"
    );
}

fn with_backups(eligible: &[bool], backups: &[usize]) -> Vec<Arc<Member>> {
    let each = eligible.iter().enumerate().map(|(index, &ok)| Member {
        backup: backups.contains(&index),
        ..(*member(index, ok)).clone()
    });
    each.map(Arc::new).collect()
}

#[test]
fn backups_wait_until_nobody_else_is_left() {
    for algorithm in Algorithm::NAMES.iter().map(|&(_, algorithm)| algorithm) {
        let pools = web_by(algorithm, &[]);
        let pool = &pools.all()[0];
        let turns: Vec<Turn> = (0..40u8)
            .flat_map(|n| [Turn::Next, Turn::Key(place(&[n]))])
            .collect();
        let check = |eligible: [bool; 4], wanted: &[usize]| {
            pool.publish(with_backups(&eligible, &[2, 3]));
            let mut seen = picks(pool, &turns);
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen, wanted, "{algorithm:?} of {eligible:?}");
        };
        check([true, true, true, true], &[0, 1]);
        check([false, true, true, true], &[1]);
        check([false, false, true, true], &[2, 3]);
        check([false, false, false, true], &[3]);
        check([true, false, false, true], &[0]);
        pool.publish(with_backups(&[false; 4], &[2, 3]));
        assert!(pool.pick(Turn::Next, &Tried::default()).is_none());
    }
}

#[test]
fn a_request_that_tried_all_others_gets_a_backup_and_disturbs_no_order() {
    let pools = web(&[]);
    let pool = &pools.all()[0];
    pool.publish(with_backups(&[true; 3], &[2]));
    assert_eq!(picks(pool, &[Turn::Next]), [0]);
    let mut tried = Tried::default();
    for member in &pool.snapshot().members[..2] {
        tried.add(member);
    }
    assert_eq!(pool.pick(Turn::Next, &tried).unwrap().member().index, 2);
    assert_eq!(picks(pool, &[Turn::Next; 3]), [1, 0, 1]);
}

#[test]
fn an_asset_leaves_the_backup_of_its_page_when_another_is_back() {
    let pools = web(&[]);
    let pool = &pools.all()[0];
    let client = ClientKey::new(Ipv4Addr::LOCALHOST.into(), b"x");
    pool.publish(with_backups(&[false, true, true], &[1, 2]));
    let page = [Turn::Page(client), Turn::Next, Turn::Asset(client)];
    assert_eq!(picks(pool, &page), [1, 2, 1]);
    pool.publish(with_backups(&[true, true, true], &[1, 2]));
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
    pool.failed(&lease, AttemptFailure::Refused);
    assert_eq!(picks(pool, &[Turn::Next, Turn::Next]), [1, 1]);
    assert_eq!(
        pool.take_troubles(),
        [(lease.member().id.clone(), RunId::FIRST, Trouble::Refused)]
    );
    assert!(pool.take_troubles().is_empty());
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

/// Waits for the next backend and gives it back at once: which it was.
async fn wait_next(pool: &Pool) -> Result<usize, Unavailable> {
    let none = Tried::default();
    let lease = pool.wait(Turn::Next, &none, Duration::from_secs(10));
    lease.await.map(|lease| lease.member().index)
}

#[tokio::test(start_paused = true)]
async fn requests_wait_in_order_bounded_in_number_and_time() {
    let pools = web(&[false]);
    let pool = pools.all()[0].clone();
    let order = Arc::new(Mutex::new(Vec::new()));
    let wait = |name: u8| {
        let (pool, order) = (pool.clone(), order.clone());
        tokio::spawn(async move {
            wait_next(&pool).await?;
            order.lock().unwrap().push(name);
            Ok::<_, Unavailable>(())
        })
    };
    let (first, second) = (wait(1), wait(2));
    while pool.waiting() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        wait_next(&pool).await,
        Err(Unavailable::QueueFull(Lack::Eligible))
    );
    pool.publish(vec![member(0, true)]);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(*order.lock().unwrap(), [1, 2]);
    assert_eq!(
        wait_next(&pool).await,
        Ok(0),
        "nobody waits while somebody is eligible"
    );

    pool.publish(vec![member(0, false)]);
    assert_eq!(
        wait_next(&pool).await,
        Err(Unavailable::TimedOut(Lack::Eligible))
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
fn services_come_and_go() {
    let service = |name: &str, route: &str| {
        let routes = vec![Route::Prefix(route.into())];
        (Arc::<str>::from(name), routes)
    };
    let table = pools(&[("web", &[Route::Prefix("/".into())])]);
    let place = |path: &str| table.route("localhost", path);
    assert_eq!((place("/"), place("/api/x")), (Some(0), Some(0)));
    table.set_services([service("web", "/"), service("api", "/api")]);
    assert_eq!((place("/"), place("/api/x")), (Some(0), Some(1)));
    assert_eq!(&*table.at(1).service, "api");
    // One that is gone has no requests any more, and keeps its place: who is on the way to it finds it.
    table.set_services([service("api", "/")]);
    assert_eq!((place("/"), place("/api/x")), (Some(1), Some(1)));
    assert_eq!(table.all().len(), 2);
    assert_eq!(table.all().routes(0).count(), 0);
    // And comes back to it.
    table.set_services([service("web", "/web")]);
    assert_eq!((place("/web"), place("/")), (Some(0), None));
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
            &*routes.at(routes.route(host, path).unwrap()).service,
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
