//! Who gets the next request, by the algorithm of the set-up.

mod slow;

use crate::harness::Lbdev;
use crate::http::{Connection, send};
use crate::rotation::goes_round;
use crate::wait::{s, until};

/// Ports that the next `n` GETs of `path` are answered from, one after the other.
fn ports(lbdev: &Lbdev, path: &str, n: usize) -> Vec<u16> {
    let one = |_| lbdev.get(path).backend_port().expect("a backend answered");
    (0..n).map(one).collect()
}

fn count(seen: &[u16], port: u16) -> usize {
    seen.iter().filter(|&&one| one == port).count()
}

/// One backend hangs on a request: round robin goes on sending it every fourth one, the others look at the load.
#[test]
fn who_is_busy_gets_less() {
    let check = |algorithm: &str, fair: std::ops::RangeInclusive<usize>| {
        let lbdev = Lbdev::new();
        lbdev
            .run(&lbdev.with_ports("demo", &["-d", "--wait", "--algorithm", algorithm]))
            .ok();
        let status = lbdev.status();
        assert_eq!(status["balancer"]["algorithm"], algorithm, "{status:#}");
        let mut hanging = Connection::open(lbdev.ports.listen()).unwrap();
        hanging
            .send_raw(b"GET /slow?ms=600000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        let mut busy = None;
        until(s(20), "the slow request was at a backend", || {
            let status = lbdev.status();
            let rows = status["backends"].as_array().unwrap().iter();
            let mut rows = rows.filter(|row| row["in_flight"] == 1);
            busy = rows.next().and_then(|row| row["port"].as_u64());
            busy.is_some()
        });
        let busy = u16::try_from(busy.unwrap()).unwrap();
        let got = count(&ports(&lbdev, "/", 40), busy);
        assert!(fair.contains(&got), "{algorithm}: {got} of 40 to {busy}");
        drop(hanging);
        lbdev.run(&["down"]).ok();
        lbdev.assert_all_gone();
    };
    check("round_robin", 10..=10);
    check("least_conn", 0..=0);
    check("random_two", 0..=0);
    check("peak_ewma", 0..=0);
}

/// The same path stays at one backend, moves on when that is killed, and comes home when it is back.
#[test]
fn a_path_has_a_home() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("algorithm = \"hash\"", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let homes: Vec<u16> = (0..24)
        .map(|number| {
            let seen = ports(&lbdev, &format!("/?{number}"), 1);
            assert_eq!(seen, ports(&lbdev, "/", 1), "the query is no part of it");
            let seen = ports(&lbdev, &format!("/status/200/{number}"), 3);
            assert!(seen.windows(2).all(|two| two[0] == two[1]), "{seen:?}");
            seen[0]
        })
        .collect();
    let home = ports(&lbdev, "/", 1)[0];
    assert!(
        lbdev
            .ports
            .four()
            .iter()
            .filter(|port| homes.contains(port))
            .count()
            >= 3,
        "paths are spread: {homes:?}"
    );
    let name = home.to_string();
    lbdev.run(&["kill", &name]).ok();
    let moved = ports(&lbdev, "/", 6);
    assert!(moved.iter().all(|&port| port == moved[0] && port != home));
    for (number, &before) in homes.iter().enumerate() {
        let now = ports(&lbdev, &format!("/status/200/{number}"), 1)[0];
        assert!(
            if before == home {
                now != home
            } else {
                now == before
            },
            "{number} went from {before} to {now} without {home}"
        );
    }
    lbdev.run(&["start", &name]).ok();
    lbdev.until_state(home, "up", s(20));
    assert_eq!(ports(&lbdev, "/", 3), [home; 3]);
    assert_eq!(lbdev.status()["balancer"]["failures"], 0);
}

/// The key of a request may be a header field or the client; without a key it goes round.
#[test]
fn keys_of_clients() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("algorithm = \"hash\"\nhash_key = \"header:X-User\"", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    goes_round(&lbdev.next_ports(8), &lbdev.ports.four());
    let of = |user: &str| {
        let headers = [("x-user", user)];
        let answer = send(lbdev.ports.listen(), "GET", "/", &headers, b"").unwrap();
        answer.backend_port().unwrap()
    };
    for user in ["ann", "bob", "cid"] {
        let first = of(user);
        assert!((0..4).all(|_| of(user) == first), "{user}");
    }
    lbdev.run(&["down"]).ok();

    lbdev
        .run(&["up", "-d", "--wait", "--algorithm", "ip_hash"])
        .ok();
    let seen = lbdev.next_ports(8);
    assert!(seen.iter().all(|&port| port == seen[0]), "{seen:?}");
}

/// A backup waits until the others are gone, and is let alone again when one is back.
#[test]
fn a_backup_steps_in() {
    let lbdev = Lbdev::new();
    let [first, second, third, backup] = lbdev.ports.four();
    lbdev.demo_file("", &format!("backends.{backup} = {{ backup = true }}"));
    lbdev.run(&["up", "-d", "--wait"]).ok();
    assert_eq!(lbdev.backend(backup)["backup"], true);
    lbdev
        .run(&["status"])
        .ok()
        .says(&format!("{backup} (backup)"));
    goes_round(&lbdev.next_ports(7), &[first, second, third]);
    lbdev
        .run(&["kill", &format!("{first},{second},{third}")])
        .ok();
    assert_eq!(lbdev.next_ports(4), [backup; 4]);
    lbdev.run(&["start", &second.to_string()]).ok();
    lbdev.until_state(second, "up", s(20));
    assert_eq!(lbdev.next_ports(4), [second; 4]);
    assert_eq!(lbdev.status()["balancer"]["failures"], 0);
}
