//! `set`: settings change while requests are answered, all that were asked for or none.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::Lbdev;
use crate::rotation::goes_round;
use crate::wait::s;

/// The control socket of the only instance.
fn socket(lbdev: &Lbdev) -> PathBuf {
    fn find(folder: &Path) -> Option<String> {
        for entry in std::fs::read_dir(folder).ok()?.flatten() {
            let path = entry.path();
            let found = match path.is_dir() {
                true => find(&path),
                false => std::fs::read_to_string(&path).ok().and_then(|text| {
                    let json: Value = serde_json::from_str(&text).ok()?;
                    Some(json["socket"].as_str()?.to_owned())
                }),
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }
    find(&lbdev.root().join("state"))
        .expect("an instance file names its socket")
        .into()
}

/// One request over the control socket: the status and the document.
fn ask(socket: &Path, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(s(20))).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: lbdev\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all((head + body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, document) = answer.split_once("\r\n\r\n").unwrap();
    (status, serde_json::from_str(document).unwrap())
}

/// The golden order of smooth weighted round robin: nginx's for 5, 1, 1.
#[test]
fn a_weight_counts_from_the_next_request() {
    let lbdev = Lbdev::new();
    lbdev.run(&lbdev.with_ports("demo", &["-d", "--wait"])).ok();
    let [a, b, c, d] = lbdev.ports.four();
    let name = a.to_string();
    // Nobody had a request yet: the order begins at its beginning.
    lbdev
        .run(&["set", &name, "weight=5"])
        .ok()
        .says(&format!("{a} weight is 5 now (was 1)"));
    lbdev
        .run(&["set", &d.to_string(), "weight=0"])
        .ok()
        .says("it gets no new requests");
    let golden = [a, a, b, a, c, a, a];
    assert_eq!(lbdev.next_ports(14), [golden, golden].concat());
    assert_eq!(lbdev.backend(a)["weight"], 5);
    assert_eq!(lbdev.backend(d)["weight"], 0);
    // In the middle of it, the shares hold wherever it goes on.
    lbdev.run(&["set", &format!("{b},{d}"), "weight=2"]).ok();
    let seen = lbdev.next_ports(20);
    let shares = [a, b, c, d].map(|port| seen.iter().filter(|&&one| one == port).count());
    assert_eq!(shares, [10, 4, 2, 4], "{seen:?}");
    lbdev.run(&["status"]).ok().says("WEIGHT");
    lbdev
        .run(&["set", &name, "weight=5"])
        .ok()
        .says(&format!("{a} weight is 5 already"));
    // It holds across a restart of the process.
    lbdev.run(&["restart", &name]).ok();
    assert_eq!(lbdev.backend(a)["weight"], 5);
    // All of a list at once, as JSON.
    let four = lbdev.run(&["set", "--json", "web", "weight=1"]).ok().json();
    assert_eq!(four["version"], 1);
    let rows = four["backends"].as_array().unwrap();
    assert!(
        rows.len() == 4 && rows.iter().all(|row| row["weight"] == 1),
        "{four:#}"
    );
}

#[test]
fn settings_change_live() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let [a, b, c, d] = lbdev.ports.four();
    goes_round(&lbdev.next_ports(4), &[a, b, c, d]);
    lbdev
        .run(&["set", "sequence=requests", "retries=1"])
        .ok()
        .says("sequence is requests now (was pages)")
        .says("retries is 1 now (was 3)");
    let balancer = &lbdev.status()["balancer"];
    assert_eq!(balancer["sequence"], "requests");
    assert_eq!(balancer["retry_limit"], 1);
    assert_eq!(balancer["algorithm"], "round_robin");
    lbdev
        .run(&["set", "algorithm=least-conn"])
        .ok()
        .says("algorithm is least_conn now (was round_robin)");
    lbdev
        .run(&["set", "algorithm=least_conn"])
        .ok()
        .says("algorithm is least_conn already");
    lbdev.run(&["status"]).ok().says("least conn");
    let document = lbdev
        .run(&[
            "set",
            "--json",
            "hash_key=cookie:id",
            "sticky=cookie",
            "detect=active",
        ])
        .ok()
        .json();
    assert_eq!(document["version"], 1);
    for (key, value) in [
        ("algorithm", "least_conn"),
        ("hash_key", "cookie:id"),
        ("sequence", "requests"),
        ("sticky", "cookie"),
        ("detect", "active"),
    ] {
        assert_eq!(document["balancer"][key], value, "{document:#}");
        assert_eq!(lbdev.status()["balancer"][key], value);
    }
    // Requests are answered all the while, and the flags of the next start hold for that alone.
    assert_eq!(lbdev.get("/").status, 200);
    lbdev.run(&["down"]).ok();
    lbdev.demo();
    assert_eq!(lbdev.status()["balancer"]["algorithm"], "round_robin");
}

/// Hosts that were said in the file are replaced as one list, by a text or by JSON, and a list that is emptied stays so.
#[test]
fn hosts_change_live() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("allow_hosts = [\"File.Test\"]\ntrust_forwarded = true", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let hosts = || lbdev.status()["balancer"]["allow_hosts"].clone();
    assert_eq!(hosts(), json!(["file.test"]));
    lbdev
        .run(&["set", "allow_hosts=App.Test,*.b.test", "retries=1"])
        .ok()
        .says("allow_hosts is app.test,*.b.test now (was file.test)");
    assert_eq!(hosts(), json!(["app.test", "*.b.test"]));
    lbdev
        .run(&["set", "allow_hosts=app.test, *.b.test"])
        .ok()
        .says("allow_hosts is app.test,*.b.test already");
    // What is said of other keys leaves it alone, and so does what cannot be.
    lbdev.run(&["set", "retries=2"]).ok();
    lbdev
        .run(&["set", "allow_hosts=c.test,http://d.test/"])
        .fails(2, "LB021")
        .says("`d.test`");
    assert_eq!(hosts(), json!(["app.test", "*.b.test"]));
    let socket = socket(&lbdev);
    let patch = |body: &str| ask(&socket, "PATCH", "/v1/settings", body);
    let (code, document) = patch(r#"{"allow_hosts":[".c.test","*"]}"#);
    assert_eq!(code, 200, "{document:#}");
    assert_eq!(document["balancer"]["allow_hosts"], json!([".c.test", "*"]));
    for wrong in [
        r#"{"allow_hosts":["c.test",7]}"#,
        r#"{"allow_hosts":["a.test,b.test"]}"#,
        r#"{"allow_hosts":{"c.test":true}}"#,
        r#"{"allow_hosts":null}"#,
    ] {
        assert_eq!(patch(wrong).0, 422, "{wrong}");
    }
    let (_, status) = ask(&socket, "GET", "/v1/status", "");
    assert_eq!(status["balancer"]["allow_hosts"], json!([".c.test", "*"]));
    lbdev
        .run(&["set", "allow_hosts="])
        .ok()
        .says("allow_hosts is empty now (was .c.test,*)");
    assert_eq!(hosts(), json!([]));
    // The set-up that is written is still the file's.
    let config = lbdev.run(&["config", "--json"]).ok().json();
    assert_eq!(config["balancer"]["allow_hosts"], json!(["file.test"]));
    assert_eq!(config["balancer"]["trust_forwarded"], true);
    assert_eq!(config["balancer"]["timeouts"]["client_head"], "10s");
    assert_eq!(config["balancer"]["timeouts"]["body"], "1m");
}

#[test]
fn wrong_settings_change_nothing() {
    let lbdev = Lbdev::new();
    lbdev.run(&["set", "algorithm=hash"]).fails(1, "LB005");
    lbdev.demo();
    let before = lbdev.status()["balancer"].clone();
    let [a, ..] = lbdev.ports.four().map(|port| port.to_string());
    let listen = lbdev.ports.listen().to_string();
    for (words, code, says) in [
        (
            &["retries=0", "algoritm=hash"][..],
            "LB021",
            "did you mean `algorithm`?",
        ),
        (
            &["sticky=cookie", "algorithm=lottery"],
            "LB021",
            "`lottery` is not one of",
        ),
        (&["retries=0", "detect="], "LB021", "`detect`"),
        (&["retries=101"], "LB021", "from 0 to 100"),
        (&["retries=0", "retries=1"], "LB021", "twice"),
        (
            &["retries=0", "allow_hosts=app.test:8080"],
            "LB021",
            "write `app.test`",
        ),
        (
            &["retries=0", "hold=1mb"],
            "LB021",
            "write it into lbdev.toml below `[balancer]`, then run `lbdev reload`",
        ),
        (&[&a, "max_connections=3"], "LB021", "`[services.NAME]`"),
        (&["weight=3"], "LB021", "lbdev set 8000 weight=3"),
        (&[&a], "LB021", "KEY=VALUE"),
        (&[&a, "retries=0"], "LB021", "whole balancer"),
        (&[&a, "wieght=3"], "LB021", "did you mean `weight`?"),
        (&[&a, "weight=257"], "LB021", "from 0 to 256"),
        (&[&a, "weight=-1"], "LB021", "from 0 to 256"),
        (&["9999", "weight=3"], "LB030", "9999"),
        (&[&listen, "weight=3"], "LB030", "the balancer"),
        (
            &["all", "weight=0"],
            "LB021",
            "every backend of `web` would have weight 0",
        ),
    ] {
        let mut args = vec!["set"];
        args.extend(words);
        lbdev.run(&args).fails(2, code).says(says);
    }
    let json = lbdev.run(&["set", "--json", "retries=x"]);
    assert_eq!(json.code, Some(2), "{json}");
    assert_eq!(json.json()["error"]["code"], "LB021", "{json}");
    // The last one that has a weight keeps it.
    let [_, b, c, d] = lbdev.ports.four();
    lbdev
        .run(&["set", &format!("{b},{c},{d}"), "weight=0"])
        .ok();
    lbdev.run(&["set", &a, "weight=0"]).fails(2, "LB021");
    assert_eq!(lbdev.next_ports(3), [lbdev.ports.first; 3]);
    lbdev.run(&["set", "all", "weight=1"]).ok();
    let mut after = lbdev.status()["balancer"].clone();
    after["requests"] = before["requests"].clone();
    assert_eq!(after, before);
}

/// A backup is nobody's equal: somebody else has to keep a weight. What has no port has none.
#[test]
fn somebody_keeps_a_weight() {
    let lbdev = Lbdev::new();
    let [a, b, c, backup] = lbdev.ports.four();
    lbdev.demo_file(
        "",
        &format!(
            "backends.{backup} = {{ backup = true }}\n\n[services.worker]\ncommand = \"sleep 1000\""
        ),
    );
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let others = format!("{a},{b},{c}");
    lbdev
        .run(&["set", &others, "weight=0"])
        .fails(2, "LB021")
        .says("`web`");
    lbdev.run(&["set", "web", "weight=0"]).fails(2, "LB021");
    assert!(
        lbdev
            .ports
            .four()
            .iter()
            .all(|&port| lbdev.backend(port)["weight"] == 1)
    );
    lbdev.run(&["set", &backup.to_string(), "weight=0"]).ok();
    lbdev
        .run(&["set", "worker", "weight=2"])
        .fails(2, "LB021")
        .says("worker.1");
    // Of all, those that get requests.
    let all = lbdev.run(&["set", "--json", "all", "weight=2"]).ok().json();
    assert_eq!(all["backends"].as_array().unwrap().len(), 4, "{all:#}");
    goes_round(&lbdev.next_ports(3), &[a, b, c]);
}

/// What other programs may send.
#[test]
fn the_control_api_takes_an_object_of_settings() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let socket = socket(&lbdev);
    let (first, settings) = (lbdev.ports.first, "/v1/settings");
    let backend = format!("/v1/backends/{first}");
    for (path, body, status) in [
        (settings, "", 422),
        (settings, "{}", 422),
        (settings, "{", 400),
        (settings, "[]", 400),
        (settings, "3", 400),
        (settings, r#"{"retries":0,"speed":1}"#, 422),
        (settings, r#"{"retries":0,"algorithm":7}"#, 422),
        (settings, r#"{"retries":[0]}"#, 422),
        (settings, r#"{"retries":0,"weight":1}"#, 422),
        (backend.as_str(), "{}", 422),
        (&backend, r#"{"weight":2,"retries":0}"#, 422),
        (&backend, r#"{"weight":2.5}"#, 422),
        (&backend, r#"{"weight":-1}"#, 422),
        ("/v1/backends/9999", r#"{"weight":2}"#, 404),
        ("/v1/backends/all", r#"{"weight":0}"#, 422),
    ] {
        let (code, document) = ask(&socket, "PATCH", path, body);
        assert_eq!(code, status, "{path} {body}: {document:#}");
        assert!(document["error"]["code"].is_string(), "{document:#}");
    }
    let (code, _) = ask(&socket, "PATCH", settings, &"x".repeat(100_000));
    assert_eq!(code, 413);
    assert_eq!(ask(&socket, "GET", settings, "").0, 405);
    let status = lbdev.status();
    assert_eq!(status["balancer"]["retry_limit"], 3);
    assert_eq!(status["backends"][0]["weight"], 1);

    let (code, document) = ask(
        &socket,
        "PATCH",
        settings,
        r#"{"retries":0,"sticky":"cookie"}"#,
    );
    assert_eq!(code, 200);
    assert_eq!(document["version"], 1);
    assert_eq!(document["balancer"]["retry_limit"], 0);
    assert_eq!(document["balancer"]["sticky"], "cookie");
    let (code, document) = ask(&socket, "PATCH", &backend, r#"{"weight":2}"#);
    assert_eq!((code, &document["backends"][0]["weight"]), (200, &2.into()));
    let everyone = format!("/v1/backends/{first}/drain");
    let (code, document) = ask(&socket, "POST", &everyone, r#"{"everyone":true}"#);
    assert_eq!(
        (code, &document["backends"][0]["enabled"]),
        (200, &false.into())
    );
    let (code, _) = ask(&socket, "POST", &everyone, r#"{"everybody":true}"#);
    assert_eq!(code, 400);
}

/// Different settings at the same instant: none is lost.
#[test]
fn two_at_once() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let socket = socket(&lbdev);
    // Each thread changes a key of its own, again and again, and every answer shows that key as it was just set.
    let keys: [(&str, [&str; 2]); 4] = [
        ("algorithm", ["least_conn", "random_two"]),
        ("sequence", ["requests", "pages"]),
        ("sticky", ["cookie", "off"]),
        ("detect", ["passive", "instant"]),
    ];
    std::thread::scope(|scope| {
        for (key, values) in &keys {
            let socket = &socket;
            scope.spawn(move || {
                for round in 0..50 {
                    let value = values[round % 2];
                    let body = format!(r#"{{"{key}":"{value}"}}"#);
                    let (code, document) = ask(socket, "PATCH", "/v1/settings", &body);
                    assert_eq!(code, 200);
                    assert_eq!(document["balancer"][key], value, "{document:#}");
                }
            });
        }
    });
    let status = lbdev.status();
    for (key, [_, last]) in keys {
        assert_eq!(status["balancer"][key], last, "{status:#}");
    }
    // Two commands, each started before the other has ended.
    let both = [["set", "retries=7"], ["set", "hash_key=header:X-User"]];
    let both = both.map(|args| lbdev.start(&args));
    for running in both {
        running.output(s(60)).ok();
    }
    let status = lbdev.status();
    assert_eq!(status["balancer"]["retry_limit"], 7);
    assert_eq!(status["balancer"]["hash_key"], "header:x-user");
}
