//! `fault`: what the balancer does on purpose to requests.

use std::time::{Duration, Instant};

use crate::harness::Lbdev;
use crate::http;
use crate::wait::s;

fn took(lbdev: &Lbdev, path: &str) -> (http::Response, Duration) {
    let began = Instant::now();
    (lbdev.get(path), began.elapsed())
}

/// One backend of four, so that each request meets it.
fn only(lbdev: &Lbdev) -> String {
    lbdev
        .run(&lbdev.with_ports("demo", &["-d", "--wait", "-n", "1"]))
        .ok();
    lbdev.ports.first.to_string()
}

#[test]
fn a_slow_backend_is_as_slow_as_was_said() {
    let mut lbdev = Lbdev::new();
    lbdev.set("LBDEV_PROJECT", "demo");
    lbdev.run(&lbdev_args(&lbdev)).ok();
    let [a, b, ..] = lbdev.ports.four();
    lbdev
        .run(&["fault", &a.to_string(), "latency=1s"])
        .ok()
        .says("latency=1s");
    let mut slow = 0;
    for _ in 0..8 {
        let (page, took) = took(&lbdev, "/");
        let port = page.backend_port().unwrap();
        if port == a {
            slow += 1;
            assert!(took >= Duration::from_millis(990), "{took:?}");
            assert_eq!(page.header("x-lbdev-fault"), Some("latency=1s"));
        } else {
            assert!(took < Duration::from_millis(900), "{port}: {took:?}");
            assert_eq!(page.header("x-lbdev-fault"), None);
        }
    }
    assert_eq!(slow, 2, "the order stays");
    let p50 = |port: u16| lbdev.backend(port)["p50_ms"].as_f64().unwrap();
    assert!(p50(a) > 980.0 && p50(b) < 900.0, "{} {}", p50(a), p50(b));
    lbdev
        .run(&["status"])
        .says(&format!("{a} has a fault: latency=1s"));
    // Restarted it is as slow; without the fault it is not.
    lbdev.run(&["restart", &a.to_string()]).ok();
    assert_eq!(lbdev.backend(a)["fault"], "latency=1s");
    lbdev.run(&["fault", &a.to_string(), "off"]).ok();
    for _ in 0..4 {
        assert!(took(&lbdev, "/").1 < Duration::from_millis(900));
    }
}

fn lbdev_args(lbdev: &Lbdev) -> Vec<String> {
    lbdev.with_ports("demo", &["-d", "--wait"])
}

#[test]
fn statuses_rates_and_paths() {
    let lbdev = Lbdev::new();
    let port = only(&lbdev);
    lbdev
        .run(&["fault", &port, "status=503", "path=/echo"])
        .ok();
    assert_eq!(lbdev.get("/").status, 200);
    let page = lbdev.get("/echo");
    assert_eq!(page.status, 503);
    assert_eq!(
        page.header("x-lbdev-backend"),
        Some(format!("web:{port}").as_str())
    );
    assert_eq!(page.header("x-lbdev-fault"), Some("status=503 path=/echo"));
    assert!(
        page.text().contains(&format!("lbdev fault {port} off")),
        "{}",
        page.text()
    );
    assert_eq!(lbdev.backend(lbdev.ports.first)["errors"], 1);
    // By chance: of 200 about half. That it is fewer than 60 or more than 140 has a chance below 1 in 100 million.
    lbdev
        .run(&["fault", &port, "status=500", "rate=50%"])
        .ok()
        .says("(was status=503");
    let struck = (0..200).filter(|_| lbdev.get("/").status == 500).count();
    assert!((60..=140).contains(&struck), "{struck} of 200");
    lbdev.run(&["fault", "all", "off"]).ok();
    assert_eq!(lbdev.get("/echo").status, 200);
    // It ends with lbdev.
    lbdev.run(&["fault", &port, "status=500"]).ok();
    lbdev.run(&["down"]).ok();
    only(&lbdev);
    assert_eq!(lbdev.get("/").status, 200);
}

#[test]
fn a_reset_goes_on_to_another_backend_and_a_post_does_not() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let [a, ..] = lbdev.ports.four();
    lbdev.run(&["fault", &a.to_string(), "reset"]).ok();
    let (mut again, mut refused) = (0, 0);
    for _ in 0..8 {
        let page = lbdev.get("/");
        assert_eq!(page.status, 200);
        assert_ne!(page.backend_port(), Some(a));
        again += usize::from(page.header("x-lbdev-attempts") == Some("2"));
    }
    assert!(again > 0);
    lbdev.run(&["restart", &a.to_string()]).ok();
    for _ in 0..8 {
        let mut connection = http::Connection::open(lbdev.ports.listen()).unwrap();
        connection
            .send_raw(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi")
            .unwrap();
        refused += usize::from(connection.response("POST").unwrap().status == 502);
    }
    assert!(refused > 0, "it may have been done already");
}

#[test]
fn who_hangs_goes_on_when_the_fault_ends() {
    let lbdev = Lbdev::new();
    let port = only(&lbdev);
    lbdev.run(&["fault", &port, "hang"]).ok();
    let listen = lbdev.ports.listen();
    let hangs = std::thread::spawn(move || http::get(listen, "/").map(|page| page.status));
    crate::wait::until(s(20), "it hangs", || {
        lbdev.backend(lbdev.ports.first)["in_flight"] == 1
    });
    assert!(!hangs.is_finished());
    lbdev.run(&["fault", &port, "off"]).ok();
    assert_eq!(hangs.join().unwrap().unwrap(), 200);
    // A hanging one that is killed is another backend's business.
    lbdev.run(&["scale", "2"]).ok();
    lbdev.run(&["fault", &port, "hang"]).ok();
    let hang = |_| std::thread::spawn(move || http::get(listen, "/").map(|page| page.status));
    let all: Vec<_> = (0..2).map(hang).collect();
    crate::wait::until(s(20), "one hangs", || {
        lbdev.backend(lbdev.ports.first)["in_flight"] == 1
    });
    lbdev.run(&["kill", &port]).ok();
    for one in all {
        assert_eq!(one.join().unwrap().unwrap(), 200);
    }
}

#[test]
fn a_body_comes_as_slowly_as_was_said() {
    let lbdev = Lbdev::new();
    lbdev.write("index.html", "here");
    lbdev.write("big.txt", &"x".repeat(64 * 1024));
    lbdev
        .run(&lbdev.with_ports("up", &["-d", "--wait", "-n", "1"]))
        .ok();
    let (page, fast) = took(&lbdev, "/big.txt");
    assert_eq!(page.text().len(), 64 * 1024);
    lbdev.run(&["fault", "all", "bandwidth=16kb"]).ok();
    let (page, slow) = took(&lbdev, "/big.txt");
    assert_eq!(page.text().len(), 64 * 1024, "none of it is lost");
    assert!(slow > Duration::from_millis(3600), "{slow:?}");
    assert!(fast < Duration::from_millis(3000), "{fast:?}");
}

/// A cut that comes while an answer is still held is as good as a dead backend: another one answers. Of a longer one the client
/// gets the beginning, and sees that it is not whole.
#[test]
fn a_body_is_cut() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let a = lbdev.ports.first;
    let listen = lbdev.ports.listen();
    lbdev.run(&["fault", &a.to_string(), "cut=100b"]).ok();
    let mut again = 0;
    for _ in 0..8 {
        let page = lbdev.get("/bytes/1000");
        assert_eq!((page.status, page.body.len()), (200, 1000));
        assert_ne!(page.backend_port(), Some(a));
        again += usize::from(page.header("x-lbdev-attempts") == Some("2"));
    }
    assert!(again > 0, "nobody met it");
    assert_eq!(lbdev.get("/bytes/100").status, 200, "it is not longer");
    lbdev.run(&["fault", "all", "cut=100kb"]).ok();
    let failed = http::get(listen, "/bytes/1000000").map(|page| page.body.len());
    assert!(failed.is_err(), "{failed:?} of 1000000 came, as if whole");
    assert_eq!(lbdev.get("/bytes/1000").body.len(), 1000);
    // Others are not touched.
    lbdev
        .run(&["fault", "all", "cut=1b", "header=X-User:alice"])
        .ok();
    assert_eq!(lbdev.get("/bytes/1000000").body.len(), 1_000_000);
    let alice = http::send(listen, "GET", "/bytes/1000000", &[("X-User", "alice")], b"");
    assert!(alice.is_err(), "it was cut");
    let bob = http::send(listen, "GET", "/bytes/1000000", &[("X-User", "bob")], b"");
    assert_eq!(bob.unwrap().status, 200);
}

/// The last byte comes late, whether the length was said or not.
#[test]
fn an_answer_ends_late() {
    let lbdev = Lbdev::new();
    let port = only(&lbdev);
    lbdev.run(&["fault", &port, "slow_close=1s"]).ok();
    for path in ["/bytes/10000", "/bytes/1000000", "/stream?n=2&ms=1"] {
        let (page, slow) = took(&lbdev, path);
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.header("x-lbdev-fault"), Some("slow_close=1s"));
        assert!(slow >= Duration::from_millis(990), "{path}: {slow:?}");
        assert!(slow < Duration::from_secs(8), "{path}: {slow:?}");
    }
    // Nothing to be late.
    let (page, fast) = took(&lbdev, "/status/204");
    assert_eq!(page.status, 204);
    assert!(fast < Duration::from_millis(900), "{fast:?}");
}
