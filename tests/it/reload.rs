//! A changed `lbdev.toml`, taken over while requests are answered.

use std::time::Duration;

use crate::harness::{LBDEV, Lbdev};
use crate::http;
use crate::load::Load;
use crate::need;
use crate::ports;
use crate::wait::{s, until};

const LIMIT: Duration = s(60);

/// Four demo backends, the file that says so, and what is added to it.
fn file(lbdev: &Lbdev, balancer: &str, service: &str, more: &str) {
    lbdev.demo_file(balancer, service);
    let path = lbdev.dir.join("lbdev.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}\n{more}\n")).unwrap();
}

fn row<'a>(status: &'a serde_json::Value, id: &str) -> Option<&'a serde_json::Value> {
    let mut rows = status["backends"].as_array().unwrap().iter();
    rows.find(|row| row["id"] == id)
}

#[test]
fn under_load_nothing_is_lost() {
    let lbdev = Lbdev::new();
    file(&lbdev, "", "", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let [first, ..] = lbdev.ports.four();
    let web = format!("web:{first}");
    let before = lbdev.backend(first);
    let load = Load::start(lbdev.ports.listen(), "/", 200, 32);
    load.run_for(100, LIMIT);

    // Nothing has changed.
    lbdev.run(&["reload"]).ok().says("nothing has changed");
    assert_eq!(lbdev.backend(first)["pid"], before["pid"]);

    // A weight: nobody is restarted.
    file(
        &lbdev,
        "",
        &format!("backends.{first} = {{ weight = 5 }}"),
        "",
    );
    lbdev
        .run(&["reload"])
        .ok()
        .says(&format!("{web}: goes by other settings"));
    let row_now = lbdev.backend(first);
    assert_eq!(
        (&row_now["pid"], &row_now["weight"]),
        (&before["pid"], &5.into())
    );

    // Another command, one after the other.
    file(&lbdev, "", "env = { X = 1 }", "");
    lbdev
        .run(&["reload"])
        .ok()
        .says("changed, restarting one after the other");
    assert_ne!(lbdev.backend(first)["pid"], before["pid"]);
    assert_eq!(lbdev.status()["state"], "serving");

    // A new service, which answers at once.
    let other = ports::Block::take();
    let api = format!(
        "[services.api]\ncommand = \"{LBDEV} __demo --port {{port}}\"\nports = \"{}\"\nroutes = [\"/api\"]",
        other.first
    );
    file(&lbdev, "", "env = { X = 1 }", &api);
    lbdev.run(&["reload"]).ok().says("new, starting");
    let answer = lbdev.get("/api");
    assert_eq!(
        answer.backend_port(),
        Some(other.first),
        "{}",
        answer.text()
    );

    // It goes: its requests are the other one's again, and nothing of it is left.
    file(&lbdev, "", "env = { X = 1 }", "");
    lbdev.run(&["reload"]).ok().says("gone");
    assert_ne!(lbdev.get("/api").backend_port(), Some(other.first));
    assert!(ports::is_free(other.first));
    assert!(row(&lbdev.status(), &format!("api:{}", other.first)).is_none());

    // Fewer of them, the first ones gone; and settings of the balancer.
    let text = std::fs::read_to_string(lbdev.dir.join("lbdev.toml")).unwrap();
    let range = lbdev.ports.range();
    let fewer = text.replace(&range, &format!("{}-{}", first + 2, first + 3));
    let fewer = fewer.replace("[balancer]", "[balancer]\nalgorithm = \"least_conn\"");
    lbdev.write("lbdev.toml", &fewer);
    lbdev.run(&["reload"]).ok();
    let status = lbdev.status();
    assert_eq!(status["balancer"]["algorithm"], "least_conn");
    assert_eq!(
        status["backends"].as_array().unwrap().len(),
        2,
        "{status:#}"
    );
    load.run_for(200, LIMIT);
    let report = load.finish();
    report.none_lost();
    // Each answer names who gave it, whatever the places are by now.
    for record in &report.records {
        assert!(
            lbdev.ports.four().contains(&record.backend.unwrap()),
            "{record:?}"
        );
    }
    assert!(lbdev.next_ports(4).iter().all(|port| *port >= first + 2));
}

#[test]
fn the_listener_moves_only_if_its_address_does() {
    let lbdev = Lbdev::new();
    file(&lbdev, "", "", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let (old, new) = (lbdev.ports.listen(), ports::Block::take().first);
    let mut kept = http::Connection::open(old).unwrap();
    assert_eq!(kept.request("GET", "/", &[], b"").unwrap().status, 200);
    let text = std::fs::read_to_string(lbdev.dir.join("lbdev.toml")).unwrap();
    lbdev.write(
        "lbdev.toml",
        &text.replace(&old.to_string(), &new.to_string()),
    );
    lbdev
        .run(&["reload"])
        .ok()
        .says(&format!("http://localhost:{new}"));
    // Who is connected stays, who comes is answered at the new address, and the old one is free.
    assert_eq!(kept.request("GET", "/", &[], b"").unwrap().status, 200);
    assert_eq!(http::get(new, "/").unwrap().status, 200);
    until(LIMIT, "the old port is free", || {
        ports::is_free(old) || http::get(old, "/").is_err()
    });
    assert_eq!(
        lbdev.status()["balancer"]["url"],
        format!("http://localhost:{new}")
    );
    lbdev.run(&["ls"]).ok().says(&new.to_string());
    // A port that somebody has changes nothing.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    lbdev.write(
        "lbdev.toml",
        &text.replace(&old.to_string(), &port.to_string()),
    );
    lbdev.run(&["reload"]).fails(1, "LB001");
    assert_eq!(http::get(new, "/").unwrap().status, 200);
    lbdev.run(&["down"]).ok();
}

#[test]
fn an_invalid_file_changes_nothing() {
    let lbdev = Lbdev::new();
    file(&lbdev, "", "", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let before = lbdev.status()["backends"].clone();
    file(&lbdev, "algoritm = \"x\"", "replicas = 0", "[services.x]");
    let told = lbdev.run(&["reload"]).fails(2, "LB020");
    // Each, with its place.
    let told = told
        .says("unknown key `algoritm`")
        .says("`replicas` must be");
    told.says("service `x` has nothing to run")
        .says("did you mean `algorithm`?");
    let ids = |all: &serde_json::Value| -> Vec<(String, u64)> {
        let rows = all.as_array().unwrap().iter();
        rows.map(|row| (row["id"].to_string(), row["pid"].as_u64().unwrap()))
            .collect()
    };
    assert_eq!(ids(&lbdev.status()["backends"]), ids(&before));
    lbdev.run(&["up", "-d"]).fails(2, "LB020");
    assert_eq!(ids(&lbdev.status()["backends"]), ids(&before));
}

/// A command that does not start: the first that was restarted is down, the others go on as they were.
#[test]
fn a_changed_command_that_does_not_start_stops_after_the_first() {
    let lbdev = Lbdev::new();
    file(&lbdev, "", "", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let load = Load::start(lbdev.ports.listen(), "/", 100, 16);
    load.run_for(20, LIMIT);
    lbdev.service_file("sh -c 'echo oh no >&2; exit 3'", "", "");
    lbdev
        .run(&["reload"])
        .fails(1, "LB015")
        .says("exited with status 3");
    load.run_for(50, LIMIT);
    load.finish().none_lost();
    let status = lbdev.status();
    let rows = status["backends"].as_array().unwrap().iter();
    let up = rows.filter(|row| row["state"] == "up").count();
    assert_eq!(up, 3, "{status:#}");
    file(&lbdev, "", "", "");
    lbdev.run(&["reload"]).ok();
    until(LIMIT, "all serve again", || {
        lbdev.status()["state"] == "serving"
    });
}

/// `up` where lbdev runs already is a reload; what was typed counts.
#[test]
fn up_again_takes_over_what_was_typed() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let again = lbdev.with_ports("demo", &["-d", "--wait", "--algorithm", "least_conn"]);
    lbdev.run(&again).ok().says("already running");
    assert_eq!(lbdev.status()["balancer"]["algorithm"], "least_conn");
    // What `set` changed since stays, where nothing is said of it.
    lbdev.run(&["set", "retries=7"]).ok();
    lbdev
        .run(&lbdev.with_ports("demo", &["-d", "--sticky", "cookie"]))
        .ok();
    let status = lbdev.status();
    assert_eq!(status["balancer"]["retry_limit"], 7);
    assert_eq!(status["balancer"]["sticky"], "cookie");
    assert_eq!(status["balancer"]["algorithm"], "round_robin");
}

#[test]
fn scale_up_and_down_under_load() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let load = Load::start(lbdev.ports.listen(), "/", 200, 32);
    for count in ["8", "2", "4"] {
        load.run_for(60, LIMIT);
        lbdev.run(&["scale", count]).ok();
        assert_eq!(
            lbdev.status()["backends"]
                .as_array()
                .unwrap()
                .len()
                .to_string(),
            count
        );
    }
    load.run_for(60, LIMIT);
    load.finish().none_lost();
    lbdev.run(&["scale", "0"]).fails(2, "LB021");
    lbdev.run(&["scale", "100000"]).fails(2, "LB021");
}

/// A backend that waits for what it needs is passed over, and told.
#[test]
fn a_new_service_waits_for_what_it_needs() {
    if need::program("sleep").is_none() {
        return;
    }
    let lbdev = Lbdev::new();
    file(&lbdev, "", "", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let db = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = db.local_addr().unwrap().port();
    drop(db);
    let worker =
        format!("[services.worker]\ncommand = \"sleep 1000\"\nneeds = [\"tcp:127.0.0.1:{port}\"]");
    file(&lbdev, "", "", &worker);
    lbdev
        .run(&["reload"])
        .ok()
        .says(&format!("waits for `tcp:127.0.0.1:{port}`"));
    let status = lbdev.status();
    let waiting = row(&status, "worker.1").unwrap();
    assert_eq!(
        (&waiting["state"], &waiting["pid"]),
        (&"starting".into(), &serde_json::Value::Null)
    );
    let _db = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    until(LIMIT, "it was started", || {
        row(&lbdev.status(), "worker.1").unwrap()["state"] == "up"
    });
}
