//! `events`: what happened, in words and for programs.

use serde_json::Value;

use crate::harness::Lbdev;
use crate::http;
use crate::wait::s;

fn events(lbdev: &Lbdev) -> Vec<Value> {
    let output = lbdev.run(&["events", "--json"]).ok();
    let lines = output.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn what_happened_is_told_with_its_reason() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let [a, b, c, _] = lbdev.ports.four().map(|port| port.to_string());
    lbdev.run(&["kill", &a]).ok();
    lbdev.run(&["start", &a]).ok();
    lbdev.run(&["set", "retries=2"]).ok();
    lbdev.run(&["set", &b, "weight=3"]).ok();
    lbdev.run(&["fault", &b, "reset"]).ok();
    // The reset is met by the first that comes to it, and another one answers.
    for _ in 0..8 {
        assert_eq!(lbdev.get("/").status, 200);
    }
    lbdev.run(&["fault", &b, "off"]).ok();
    lbdev.run(&["stop", &c]).ok();
    let failovers = |all: &[Value]| -> Vec<Value> {
        let all = all.iter().filter(|event| event["kind"] == "failover");
        all.cloned().collect()
    };
    crate::wait::until(s(10), "the failover is told", || {
        !failovers(&events(&lbdev)).is_empty()
    });
    let all = events(&lbdev);
    let failover = &failovers(&all)[0];
    assert_eq!(
        failover["request"]["attempts"][0]["backend"],
        format!("web:{b}")
    );
    assert_eq!(failover["request"]["attempts"][0]["failure"], "reset");
    assert_eq!(failover["request"]["method"], "GET");
    assert_eq!(failover["request"]["status"], 200);
    let text = failover["text"].as_str().unwrap();
    assert!(text.contains("(by a fault)"), "{text}");
    let seqs: Vec<u64> = all
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    assert!(seqs.windows(2).all(|two| two[1] == two[0] + 1), "{seqs:?}");
    let killed = all.iter().find(|event| {
        event["backend"] == format!("web:{a}")
            && event["by"] == "operator"
            && event["to"] == "stopping"
    });
    let killed = killed.unwrap_or_else(|| panic!("no kill in {all:#?}"));
    assert!(
        killed["text"]
            .as_str()
            .unwrap()
            .starts_with("killed by you (SIGKILL, pid"),
        "{killed}"
    );
    assert!(killed["pid"].is_number(), "{killed}");
    let text = lbdev.run(&["events"]).ok().stdout;
    for said in [
        format!("✗ {a} killed by you"),
        format!("● {a} up again after"),
        "= retries 3 → 2".to_owned(),
        format!("= {b} weight is 3"),
        format!("! {b} has a fault from now on: reset"),
        format!("! {b} has no fault any more"),
        format!("◑ {c} stopping, as you asked"),
    ] {
        assert!(text.contains(&said), "{said:?} is not in:\n{text}");
    }
    let two = lbdev.run(&["events", "-n", "2"]).ok();
    assert_eq!(two.stdout.lines().count(), 2, "{two}");
}

#[test]
fn follow_tells_what_comes_until_lbdev_ends() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let [a, ..] = lbdev.ports.four().map(|port| port.to_string());
    let mut follows = lbdev.start(&["events", "-f"]);
    follows.wait_line("up after", s(20));
    lbdev.run(&["kill", &a]).ok();
    follows.wait_line(&format!("✗ {a} killed by you"), s(20));
    lbdev.run(&["kill", "all"]).ok();
    // Nobody answers in time: a request that is lost.
    let port = lbdev.ports.listen();
    lbdev.run(&["set", "retries=0"]).ok();
    let lost = std::thread::spawn(move || http::get(port, "/lost").map(|answer| answer.status));
    follows.wait_line("lost: lbdev answered 503", s(30));
    assert_eq!(lost.join().unwrap().unwrap(), 503);
    lbdev.run(&["down"]).ok();
    follows.wait_line("lbdev has ended", s(20));
    let status = follows.wait_exit(s(20));
    assert_eq!(status.code(), Some(0));
}
