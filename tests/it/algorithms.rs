//! Who gets the next request, by the algorithm of the set-up.

use crate::harness::Lbdev;
use crate::http::Connection;
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
}
