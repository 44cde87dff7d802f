//! More backends and fewer, while the page goes on.

use crate::harness::Lbdev;
use crate::load::Load;
use crate::ports::is_free;
use crate::wait::{s, until};

fn ports(lbdev: &Lbdev) -> Vec<u64> {
    let status = lbdev.status();
    let rows = status["backends"].as_array().unwrap().iter();
    rows.map(|row| row["port"].as_u64().unwrap()).collect()
}

#[test]
fn more_and_fewer_under_load_and_nothing_is_lost() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let four = ports(&lbdev);
    let load = Load::start(lbdev.ports.listen(), "/", 200, 16);
    load.run_for(100, s(60));
    lbdev.run(&["scale", "6"]).ok();
    let six = ports(&lbdev);
    assert_eq!((six.len(), &six[..4]), (6, &four[..]));
    assert!(six.is_sorted(), "{six:?}");
    // The new ones have their turns.
    until(s(60), "the new ones answer", || {
        let status = lbdev.status();
        let rows = status["backends"].as_array().unwrap();
        rows.iter()
            .all(|row| row["state"] == "up" && row["requests"].as_u64().unwrap() > 5)
    });
    lbdev.run(&["scale", "web=2"]).ok();
    assert_eq!(ports(&lbdev), four[..2]);
    load.run_for(100, s(60));
    let report = load.finish();
    report.none_lost();
    for port in &six[2..] {
        assert!(
            is_free(u16::try_from(*port).unwrap()),
            "{port} is still open"
        );
    }
    let left = lbdev.backend_processes();
    assert_eq!(left.len(), 2, "processes of what is gone: {left:#?}");
    let logs = lbdev.run(&["logs", &six[5].to_string()]).ok();
    assert!(!logs.stdout.is_empty(), "what it wrote can still be read");
    let all = lbdev.run(&["logs"]).ok();
    assert!(all.stdout.contains(&six[5].to_string()), "{all}");
    lbdev.run(&["scale", "3"]).ok();
    assert_eq!(ports(&lbdev), six[..3], "the ports go on behind the last");
    lbdev.run(&["scale", "3"]).ok().says("3");
}

#[test]
fn a_request_in_flight_outlives_the_backends_that_go() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let port = lbdev.ports.listen();
    let slow: Vec<_> = (0..4)
        .map(|_| std::thread::spawn(move || crate::http::get(port, "/slow?ms=1200")))
        .collect();
    until(s(60), "each has one", || {
        let status = lbdev.status();
        let rows = status["backends"].as_array().unwrap();
        rows.iter().all(|row| row["in_flight"] == 1)
    });
    lbdev.run(&["scale", "1"]).ok();
    for answer in slow {
        assert_eq!(answer.join().unwrap().unwrap().status, 200);
    }
    assert_eq!(ports(&lbdev).len(), 1);
}

#[test]
fn what_cannot_be_scaled() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    lbdev
        .run(&["scale", "shop=3"])
        .fails(2, "LB030")
        .says("there is no service `shop`");
    lbdev
        .run(&["scale", "0"])
        .fails(2, "LB021")
        .says("from 1 to 256");
    assert_eq!(ports(&lbdev).len(), 4);
}

/// The number of requests is of the service, not of those who happen to be there now.
#[test]
fn what_those_that_went_answered_still_counts() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    lbdev.next_ports(12);
    let requests = || lbdev.status()["balancer"]["requests"].as_u64().unwrap();
    let before = requests();
    assert!(before >= 12);
    lbdev.run(&["scale", "1"]).ok();
    assert_eq!(requests(), before);
    lbdev.run(&["scale", "2"]).ok();
    lbdev.next_ports(4);
    assert_eq!(requests(), before + 4);
}

/// What the file says about a port holds whenever that port is there.
#[test]
fn further_ones_are_as_the_file_says() {
    let lbdev = Lbdev::new();
    let [.., last] = lbdev.ports.four();
    lbdev.demo_file("", &format!("backends.{last} = {{ weight = 3 }}"));
    lbdev.run(&["up", "-d", "--wait", "-n", "2"]).ok();
    lbdev.run(&["scale", "4"]).ok();
    assert_eq!(lbdev.backend(last)["weight"], 3);
    let seen = lbdev.next_ports(12);
    assert_eq!(
        seen.iter().filter(|&&port| port == last).count(),
        6,
        "{seen:?}"
    );
    lbdev.run(&["down"]).ok();
    lbdev.assert_all_gone();
}

/// The command that leads a rolling restart finds that some are gone: that is no failure.
#[test]
fn fewer_in_the_middle_of_a_rolling_restart() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let [first, second, third, last] = lbdev.ports.four();
    let port = lbdev.ports.listen();
    let load = Load::start(port, "/", 100, 8);
    // It holds the first step until the others have been told to go.
    let slow = std::thread::spawn(move || crate::http::get(port, "/slow?ms=1200"));
    let holder = || {
        let status = lbdev.status();
        let rows = status["backends"].as_array().unwrap().clone();
        let held = |row: &&serde_json::Value| row["in_flight"].as_u64() > Some(0);
        rows.iter().find(held).and_then(|row| row["port"].as_u64())
    };
    until(s(30), "the slow one was in flight", || holder().is_some());
    let mut rolling = lbdev.start(&["restart", "all", "--rolling"]);
    until(s(30), "it has begun", || {
        let status = lbdev.status();
        let rows = status["backends"].as_array().unwrap();
        rows.iter()
            .any(|row| row["restarts"] == 1 || row["state"] != "up")
    });
    lbdev.run(&["scale", "2"]).ok();
    assert_eq!(
        rolling.wait_exit(s(60)).code(),
        Some(0),
        "{}",
        rolling.lines.transcript()
    );
    assert_eq!(slow.join().unwrap().unwrap().status, 200);
    load.finish().none_lost();
    assert_eq!(ports(&lbdev), [u64::from(first), u64::from(second)]);
    let restarts = |port| lbdev.backend(port)["restarts"].as_u64();
    assert_eq!((restarts(first), restarts(second)), (Some(1), Some(1)));
    assert!(is_free(third) && is_free(last));
}

/// A restart under load waits for what is in flight, however long it takes within the drain.
#[test]
fn a_restart_touches_nothing_in_flight_before_the_deadline() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("timeouts = { drain = \"20s\" }", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let port = lbdev.ports.listen();
    let load = Load::start(port, "/", 100, 8);
    let slow: Vec<_> = (0..4)
        .map(|_| std::thread::spawn(move || crate::http::get(port, "/slow?ms=1000")))
        .collect();
    until(s(30), "all of them were in flight", || {
        let status = lbdev.status();
        let rows = status["backends"].as_array().unwrap();
        rows.iter()
            .filter_map(|row| row["in_flight"].as_u64())
            .sum::<u64>()
            >= 4
    });
    lbdev.run(&["restart", "all"]).ok();
    for answer in slow {
        let answer = answer.join().unwrap().unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-lbdev-attempts"), Some("1"));
    }
    load.run_for(50, s(60));
    load.finish().none_lost();
    for port in lbdev.ports.four() {
        assert_eq!(lbdev.backend(port)["restarts"], 1, "{port}");
    }
}
