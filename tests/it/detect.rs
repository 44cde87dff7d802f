//! `detect`: how the balancer notices that a backend is gone, and that it is back.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{LBDEV, Lbdev, kill};
use crate::http;
use crate::rotation::goes_round;
use crate::wait::{at, holds_within, s, until};

fn up(balancer: &str, service: &str) -> Lbdev {
    let lbdev = Lbdev::new();
    lbdev.demo_file(balancer, service);
    lbdev.run(&["up", "-d", "--wait"]).ok();
    lbdev
}

/// How many attempts at backends the next GET took; it has to be answered.
#[track_caller]
fn attempts(lbdev: &Lbdev) -> u64 {
    let answer = lbdev.get("/");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let header = answer.header("x-lbdev-attempts").expect("it is counted");
    header.parse().expect("a number")
}

fn pid(lbdev: &Lbdev, port: u16) -> u32 {
    let pid = lbdev.backend(port)["pid"].as_u64();
    u32::try_from(pid.expect("it has a process")).unwrap()
}

/// nginx's way: `failures` requests run into the dead backend, then none for `window`, then again.
#[test]
fn passive_so_many_requests_find_out_and_again_after_the_window() {
    const WINDOW: Duration = s(4);
    let lbdev = up(
        "detect = \"passive\"\npassive = { failures = 3, window = \"4s\" }",
        "",
    );
    let first = lbdev.ports.first;
    goes_round(&lbdev.next_ports(8), &lbdev.ports.four());
    lbdev.run(&["kill", &first.to_string()]).ok();
    let row = lbdev.backend(first);
    assert_eq!(
        (&row["state"], &row["healthy"]),
        (&"stopped".into(), &true.into()),
        "{row:#}"
    );
    let begun = Instant::now();
    let mut failed = 0;
    let mut third = begun;
    for _ in 0..12 {
        third = Instant::now();
        failed += attempts(&lbdev) - 1;
        if failed == 3 {
            break;
        }
    }
    assert_eq!(failed, 3, "of four backends, each twelfth request");
    // The time begins before the third failure is seen, and nobody is sent there until it is over.
    until(s(30), "a request tried it again", || attempts(&lbdev) > 1);
    let out = third.elapsed();
    assert!(out >= WINDOW, "it was tried again after {out:?}");
    // The count started anew: two more.
    let mut failed = 1;
    until(s(3), "it was found out again", || {
        failed += attempts(&lbdev) - 1;
        failed == 3
    });
    let row = lbdev.backend(first);
    assert_eq!(
        (&row["failures"], &row["healthy"]),
        (&6.into(), &false.into()),
        "{row:#}"
    );
    // A new process is not told to the balancer: it comes back by time.
    lbdev.run(&["start", &first.to_string()]).ok();
    until(s(30), "it was in rotation again", || {
        let seen = lbdev.next_ports(4);
        seen.contains(&first)
    });
    goes_round(&lbdev.next_ports(8), &lbdev.ports.four());
    assert_eq!(lbdev.backend(first)["failures"], 6);
}

/// nginx's documentation of `max_fails`: with a single server it is ignored.
#[test]
fn passive_a_single_one_is_never_out() {
    let lbdev = Lbdev::new();
    let (listen, first) = (lbdev.ports.listen(), lbdev.ports.first);
    lbdev.write(
        "lbdev.toml",
        &format!(
            "[balancer]\nlisten = \"localhost:{listen}\"\ndetect = \"passive\"\n\n[services.web]\n\
             command = \"{LBDEV} __demo --port {{port}}\"\nports = \"{first}\"\n"
        ),
    );
    lbdev.run(&["up", "-d", "--wait"]).ok();
    lbdev.run(&["kill", &first.to_string()]).ok();
    for n in 0..6 {
        let answer = lbdev.get("/");
        assert_eq!(answer.status, 502, "request {n}: {}", answer.text());
        assert_eq!(answer.header("x-lbdev-attempts"), Some("1"));
    }
    lbdev.run(&["start", &first.to_string()]).ok();
    lbdev.until_state(first, "up", s(30));
    assert_eq!(attempts(&lbdev), 1);
}

/// With all of them out, requests wait for the first whose time is over.
#[test]
fn passive_all_out_requests_wait() {
    let lbdev = up(
        "detect = \"passive\"\npassive = { failures = 1, window = \"6s\" }\nqueue = { timeout = \"30s\" }",
        "",
    );
    lbdev.run(&["kill", "all"]).ok();
    let port = lbdev.ports.listen();
    let begun = Instant::now();
    let waits = std::thread::spawn(move || http::get(port, "/"));
    until(s(20), "the request waited", || {
        lbdev.status()["balancer"]["waiting"] == 1
    });
    lbdev.run(&["start", "all"]).ok();
    let answer = waits.join().unwrap().expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(begun.elapsed() >= s(6), "{:?}", begun.elapsed());
    assert_eq!(answer.header("x-lbdev-attempts"), Some("5"));
}

/// HAProxy's way: a death is known after (fall-1)·interval at the earliest and fall·(interval+timeout) at the latest.
#[test]
fn active_a_death_is_noticed_within_the_bound() {
    let lbdev = up(
        "detect = \"active\"",
        "health = { interval = \"1s\", timeout = \"1s\", rise = 2, fall = 3 }\nrestart = { policy = \"never\" }",
    );
    let first = lbdev.ports.first;
    let victim = pid(&lbdev, first);
    let died = Instant::now();
    kill(victim, Signal::KILL);
    lbdev.until_state(first, "failed", s(10));
    let row = lbdev.backend(first);
    if died.elapsed() < s(2) {
        assert_eq!(row["healthy"], true, "believed in, and dead: {row:#}");
    }
    let mut tried = 0;
    until(s(60), "checks noticed", || {
        tried += attempts(&lbdev) - 1;
        lbdev.backend(first)["healthy"] == false
    });
    let noticed = died.elapsed();
    // Two intervals at least. The machine may be busy: the bound above is 6 s.
    assert!(noticed >= s(2), "{noticed:?}");
    assert!(noticed < s(20), "{noticed:?}");
    let row = lbdev.backend(first);
    assert_eq!(row["last_check"]["ok"], false, "{row:#}");
    assert_eq!(
        row["last_check"]["detail"], "GET / → connection refused",
        "{row:#}"
    );
    assert_eq!(row["failures"], tried, "{row:#}");
    for _ in 0..8 {
        assert_eq!(attempts(&lbdev), 1);
    }
    // Ready at once, and believed after two checks.
    let started = Instant::now();
    lbdev.run(&["start", &first.to_string()]).ok();
    until(s(60), "checks brought it back", || {
        lbdev.backend(first)["healthy"] == true
    });
    assert!(started.elapsed() >= s(1), "{:?}", started.elapsed());
    goes_round(&lbdev.next_ports(8), &lbdev.ports.four());
}

/// Its port accepts, but it does not answer: only a check over HTTP sees that.
#[test]
fn active_a_process_that_hangs_is_noticed_and_comes_back() {
    let lbdev = up(
        "detect = \"active\"",
        "health = { path = \"/health\", body = \"ok\", interval = \"200ms\", timeout = \"2s\", rise = 1, fall = 2 }",
    );
    let first = lbdev.ports.first;
    let victim = pid(&lbdev, first);
    kill(victim, Signal::STOP);
    until(s(60), "checks noticed", || {
        lbdev.backend(first)["healthy"] == false
    });
    let row = lbdev.backend(first);
    assert_eq!(
        (&row["state"], &row["why"]),
        (
            &"unhealthy".into(),
            &"GET /health → no answer within 2 s".into()
        ),
        "{row:#}"
    );
    goes_round(&lbdev.next_ports(6), &lbdev.ports.four()[1..]);
    kill(victim, Signal::CONT);
    until(s(60), "checks brought it back", || {
        lbdev.backend(first)["healthy"] == true
    });
    goes_round(&lbdev.next_ports(8), &lbdev.ports.four());
}

/// By default: the same process, which only its users' requests find out, and which an open port does not bring back.
#[test]
fn instant_failing_requests_take_it_out_until_it_answers() {
    let lbdev = up(
        "passive = { failures = 2, window = \"60s\" }\ntimeouts = { backend_head = \"2s\" }",
        "",
    );
    let first = lbdev.ports.first;
    let victim = pid(&lbdev, first);
    kill(victim, Signal::STOP);
    let mut slow = 0;
    for _ in 0..12 {
        let answer = lbdev.get("/");
        assert!(
            matches!(answer.status, 200 | 504),
            "{}: {}",
            answer.status,
            answer.text()
        );
        slow += u64::from(answer.status == 504);
    }
    assert_eq!(slow, 2, "two found out, and none after them");
    let row = lbdev.backend(first);
    assert_eq!(
        (&row["state"], &row["why"]),
        (&"unhealthy".into(), &"failed 2 requests in 60 s".into()),
        "{row:#}"
    );
    // Its port is open all the while: fifteen looks of a check would have brought it back.
    assert!(
        !holds_within(Duration::from_millis(1500), || {
            lbdev.backend(first)["healthy"] == true
        }),
        "an open port brought it back"
    );
    kill(victim, Signal::CONT);
    until(s(60), "an answer brought it back", || {
        lbdev.backend(first)["healthy"] == true
    });
    goes_round(&lbdev.next_ports(8), &lbdev.ports.four());
}

/// A check's path decides, and says why.
#[test]
fn what_a_path_answers() {
    for (health, state, detail) in [
        (
            "path = \"/status/404\"",
            "starting",
            "GET /status/404 → 404",
        ),
        (
            "path = \"/status/404\", status = \"404\"",
            "up",
            "GET /status/404 → 404",
        ),
        ("path = \"/status/302\"", "up", "GET /status/302 → 302"),
        (
            "path = \"/status/302\", status = \"200-299\"",
            "starting",
            "GET /status/302 → 302, not 200-299",
        ),
        (
            "path = \"/stream?n=100000\"",
            "up",
            "GET /stream?n=100000 → 200",
        ),
    ] {
        let lbdev = Lbdev::new();
        lbdev.demo_file(
            "",
            &format!("health = {{ {health}, interval = \"100ms\" }}"),
        );
        lbdev.run(&["up", "-d"]).ok();
        let mut last = serde_json::Value::Null;
        let said = holds_within(s(60), || {
            last = lbdev.backend(lbdev.ports.first);
            (&last["state"], &last["last_check"]["detail"]) == (&state.into(), &detail.into())
        });
        assert!(said, "{health}: {last:#}");
    }
}

/// One whose answer begins, and never ends, fails where its body was asked for.
#[test]
fn a_body_that_does_not_end() {
    let lbdev = up(
        "",
        "health = { path = \"/health\", body = \"ok\", interval = \"100ms\" }",
    );
    assert_eq!(
        lbdev.backend(lbdev.ports.first)["last_check"]["detail"],
        "GET /health → 200"
    );
    lbdev.run(&["down"]).ok();
    lbdev.demo_file(
        "",
        "health = { path = \"/stream?n=100000&ms=50\", body = \"ok\", timeout = \"300ms\" }",
    );
    lbdev.run(&["up", "-d"]).ok();
    until(s(60), "the check says so", || {
        let row = lbdev.backend(lbdev.ports.first);
        let detail = row["last_check"]["detail"].as_str().unwrap_or_default();
        detail.contains("its body did not end within")
    });
}

/// lbdev itself stood still, as a laptop that was shut does: the checks that were under way say nothing.
#[test]
fn a_gap_in_time_is_nobodys_failure() {
    let lbdev = Lbdev::new();
    // Most of the time a check of each is under way, and one that failed would be told.
    lbdev.demo_file(
        "detect = \"active\"",
        "health = { path = \"/slow?ms=400\", interval = \"20ms\", timeout = \"3s\", rise = 1, fall = 1 }",
    );
    let running = lbdev.start(&["up"]);
    until(s(60), "all were up", || {
        lbdev.run(&["status", "--json"]).code == Some(0)
    });
    let check = || lbdev.backend(lbdev.ports.first)["last_check"]["at"].to_string();
    for _ in 0..2 {
        running.signal(Signal::STOP);
        at(Instant::now() + s(10));
        running.signal(Signal::CONT);
        let before = check();
        until(s(60), "checks went on", || check() != before);
    }
    let said = running.lines.transcript();
    assert!(!said.contains("unhealthy"), "{said}");
}
