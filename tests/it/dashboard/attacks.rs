//! Each rule of the door, by an attack that has to fail.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{Door, demo};
use crate::harness::Lbdev;
use crate::http::Connection;

/// It got nothing but a reason, and nothing happened.
#[track_caller]
fn refused(response: &crate::http::Response, status: u16, what: &str) {
    assert_eq!(response.status, status, "{what}: {}", response.text());
    assert_eq!(response.json()["error"]["code"], "LB040", "{what}");
    assert!(!response.text().contains("backends\":"), "{what}");
}

#[test]
fn another_name_for_this_machine_is_refused() -> Result<()> {
    let (_lbdev, door) = demo()?;
    let bearer = door.bearer();
    for host in [
        "evil.example",
        &format!("evil.example:{}", door.port),
        "localhost",
        "localhost:1",
        &format!("localhost.evil.example:{}", door.port),
        "",
    ] {
        for path in ["/", "/app.js", "/v1/status", "/metrics", "/nowhere"] {
            let fields = [("Host", host), ("Authorization", bearer.as_str())];
            let response = door.ask("GET", path, &fields, b"")?;
            refused(&response, 403, &format!("{host} {path}"));
            let hint = response.json()["error"]["hint"].to_string();
            ensure!(
                hint.contains("--dashboard-host") || host.is_empty(),
                "{hint}"
            );
        }
    }
    // None at all: HTTP/1.0 may leave it out.
    let mut connection = Connection::open(door.port)?;
    connection.send_raw(b"GET /v1/status HTTP/1.0\r\n\r\n")?;
    ensure!(connection.response("GET")?.status == 403);
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let host = format!("{host}:{}", door.port);
        let fields = [("Host", host.as_str()), ("Authorization", bearer.as_str())];
        ensure!(
            door.ask("GET", "/v1/status", &fields, b"")?.status == 200,
            "{host}"
        );
    }
    Ok(())
}

#[test]
fn a_page_from_elsewhere_is_refused_with_the_token_too() -> Result<()> {
    let (lbdev, door) = demo()?;
    let bearer = door.bearer();
    let app = format!("http://localhost:{}", lbdev.ports.listen());
    for (name, value) in [
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Origin", app.as_str()),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        for (method, path) in [
            ("GET", "/"),
            ("GET", "/v1/status"),
            ("POST", "/v1/backends/all/kill"),
            ("OPTIONS", "/v1/backends/all/kill"),
        ] {
            let fields = [
                (name, value),
                ("Authorization", bearer.as_str()),
                ("Content-Type", "application/json"),
            ];
            let response = door.ask(method, path, &fields, b"{}")?;
            refused(&response, 403, &format!("{method} {path} {name}: {value}"));
            ensure!(
                !response
                    .headers
                    .iter()
                    .any(|(name, _)| name.starts_with("access-control-")),
                "{response:?}"
            );
        }
    }
    all_four_are_up(&lbdev);
    Ok(())
}

#[track_caller]
fn all_four_are_up(lbdev: &Lbdev) {
    let status = lbdev.status();
    assert_eq!(status["state"], "serving", "{status}");
    let restarts: u64 = status["backends"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["restarts"].as_u64().unwrap())
        .sum();
    assert_eq!(restarts, 0);
}

#[test]
fn without_the_token_there_is_nothing_but_the_page() -> Result<()> {
    let (lbdev, door) = demo()?;
    let almost = format!("Bearer {}x", &door.token[..door.token.len() - 1]);
    let cookie = format!("token={}", door.token);
    let basic = format!("Basic {}", door.token);
    for (name, value) in [
        ("X-Nothing", "1"),
        ("Authorization", "Bearer"),
        ("Authorization", "Bearer "),
        ("Authorization", almost.as_str()),
        ("Authorization", basic.as_str()),
        ("Authorization", door.token.as_str()),
        ("Cookie", cookie.as_str()),
    ] {
        for (method, path) in [
            ("GET", "/v1/status".to_owned()),
            ("GET", "/v1/events".to_owned()),
            ("GET", "/v1/logs".to_owned()),
            ("GET", "/v1/openapi.json".to_owned()),
            ("GET", "/metrics".to_owned()),
            ("GET", "/nowhere".to_owned()),
            ("GET", format!("/v1/status?token={}", door.token)),
            ("POST", "/v1/backends/all/kill".to_owned()),
            ("PATCH", "/v1/settings".to_owned()),
        ] {
            let fields = [(name, value), ("Content-Type", "application/json")];
            let response = door.ask(method, &path, &fields, b"")?;
            refused(&response, 401, &format!("{method} {path} {name}"));
        }
    }
    all_four_are_up(&lbdev);
    for path in ["/", "/app.js", "/app.css", "/icon.svg"] {
        let response = door.ask("GET", path, &[], b"")?;
        ensure!(response.status == 200, "{path}");
        ensure!(!response.text().contains(&door.token));
        let policy = response
            .header("content-security-policy")
            .unwrap_or_default();
        ensure!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"));
        ensure!(response.header("x-content-type-options") == Some("nosniff"));
        ensure!(response.header("set-cookie").is_none());
    }
    Ok(())
}

#[test]
fn a_form_cannot_change_anything_and_a_link_neither() -> Result<()> {
    let (lbdev, door) = demo()?;
    let bearer = door.bearer();
    for kind in [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/plain; charset=application/json",
        "",
    ] {
        let fields = [("Authorization", bearer.as_str()), ("Content-Type", kind)];
        for (method, path) in [
            ("POST", "/v1/backends/all/kill"),
            ("PATCH", "/v1/settings"),
            ("POST", "/v1/services/web/scale"),
        ] {
            let response = door.ask(method, path, &fields, br#"{"algorithm":"hash"}"#)?;
            refused(&response, 415, &format!("{method} {path} {kind}"));
        }
    }
    // What a link or a picture can ask for changes nothing.
    for path in [
        "/v1/backends/all/kill",
        "/v1/settings",
        "/v1/services/web/scale",
    ] {
        let response = door.get(path)?;
        ensure!(response.status == 405, "{path}: {}", response.status);
    }
    all_four_are_up(&lbdev);
    ensure!(lbdev.status()["balancer"]["algorithm"] == "round_robin");
    Ok(())
}

#[test]
fn only_declared_backends_are_acted_on() -> Result<()> {
    let (lbdev, door) = demo()?;
    // What only the command line may ask for is not there.
    for path in [
        "/v1/shutdown",
        "/v1/reload",
        "/v1/dashboard/token",
        "/v1/backends/all/attach",
        "/v1/backends/all/debug",
    ] {
        let response = door.post(path, &json!({ "request": { "command": "touch x" } }))?;
        ensure!(response.status == 404, "{path}: {}", response.status);
    }
    for target in [
        "1", "nobody", "..", "%2e%2e", "web:1", "*", "%00", "8000;all",
    ] {
        for verb in ["kill", "start", "restart", "drain", "freeze", "fault"] {
            let path = format!("/v1/backends/{target}/{verb}");
            let response = door.post(&path, &json!({ "off": true }))?;
            ensure!(
                (400..500).contains(&response.status),
                "{path}: {}",
                response.status
            );
        }
    }
    let pid = std::process::id();
    for body in [
        json!({ "pid": pid }),
        json!({ "command": "x" }),
        json!({ "signal": "NOPE" }),
        json!([]),
        json!("x"),
    ] {
        let port = lbdev.ports.first;
        let response = door.post(&format!("/v1/backends/{port}/kill"), &body)?;
        ensure!(
            (400..500).contains(&response.status),
            "{body}: {}",
            response.status
        );
    }
    all_four_are_up(&lbdev);
    Ok(())
}

#[test]
fn a_long_body_and_a_flood_hold_up_nobody() -> Result<()> {
    let (lbdev, door) = demo()?;
    let long = vec![b' '; 10 * 1024 * 1024];
    let bearer = door.bearer();
    let fields = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
    ];
    // It is refused by its length, whether or not the rest of it can still be sent.
    if let Ok(response) = door.ask("POST", "/v1/backends/all/kill", &fields, &long) {
        ensure!(response.status == 413, "{}", response.status);
    }
    let most = vec![b' '; 64 * 1024 + 1];
    let response = door.ask("POST", "/v1/backends/all/kill", &fields, &most)?;
    ensure!(response.status == 413, "{}", response.status);

    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..300 {
                    let Ok(mut connection) = door.connect() else {
                        continue;
                    };
                    let _ = connection.request("GET", "/v1/status", &[], b"");
                }
            });
        }
        for _ in 0..5 {
            lbdev.run(&["status"]).ok();
        }
    });
    all_four_are_up(&lbdev);
    Ok(())
}

#[test]
fn the_token_is_in_no_log() -> Result<()> {
    let mut lbdev = Lbdev::new();
    lbdev.set("CLICOLOR_FORCE", "1");
    let started = lbdev.run(&lbdev.with_ports("demo", &["-d", "--wait", "--color", "always"]));
    let door = Door::of(&lbdev)?;
    let port = lbdev.ports.first.to_string();
    let mut said = vec![started.stdout, started.stderr];
    for words in [
        &["kill", &port][..],
        &["start", &port],
        &["status"],
        &["status", "--json"],
        &["events"],
        &["events", "--json"],
        &["logs"],
        &["ls", "--json"],
        &["doctor"],
        &["config"],
        // There is no browser here: it fails, and says so.
        &["open"],
        &["open", "--json"],
    ] {
        let output = lbdev.run(words);
        said.extend([output.stdout, output.stderr]);
    }
    door.ask("GET", &format!("/v1/{}", door.token), &[], b"")?;
    said.push(door.get("/v1/events")?.text());
    said.push(door.get("/v1/requests")?.text());
    said.push(door.get("/metrics")?.text());
    for text in &said {
        ensure!(!text.contains(&door.token), "{text}");
    }
    // Nor in any file but its own, which nobody else may read.
    let mut files = Vec::new();
    files_below(lbdev.root(), &mut files)?;
    let holders: Vec<_> = files
        .iter()
        .filter(|file| std::fs::read(file).is_ok_and(|bytes| holds(&bytes, door.token.as_bytes())))
        .collect();
    ensure!(holders.is_empty(), "{holders:?}");
    let own = files.iter().find(|file| file.ends_with("dashboard.key"));
    let own = std::fs::metadata(own.expect("its own file"))?;
    use std::os::unix::fs::PermissionsExt;
    ensure!(own.permissions().mode() & 0o777 == 0o600);
    // Nor in what other users see of processes.
    for process in lbdev.processes() {
        let words = std::fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
        ensure!(!holds(&words, door.token.as_bytes()));
    }
    Ok(())
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn files_below(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()? {
            kind if kind.is_dir() => files_below(&entry.path(), found)?,
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn a_token_is_kept_and_a_new_one_shuts_the_old_one_out() -> Result<()> {
    let (lbdev, door) = demo()?;
    let mut connection = door.connect()?;
    let bearer = door.bearer();
    let fields = [("Authorization", bearer.as_str())];
    ensure!(
        connection
            .request("GET", "/v1/status", &fields, b"")?
            .status
            == 200
    );
    lbdev.run(&["down"]).ok();
    lbdev.demo();
    let again = Door::of(&lbdev)?;
    ensure!(again.token == door.token, "a bookmark goes on");

    let mut stream = again.stream("status")?;
    let printed = lbdev.run(&["open", "--print", "--new-token"]).ok().stdout;
    let new = printed
        .trim()
        .split_once('#')
        .expect("a token")
        .1
        .to_owned();
    ensure!(new != door.token && new.len() == 43);
    ensure!(again.get("/v1/status")?.status == 401);
    let now = Door {
        token: new,
        ..again
    };
    ensure!(now.get("/v1/status")?.status == 200);
    // Who reads with the old one is let go.
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut rest)?;
    Ok(())
}

#[test]
fn its_port_is_its_own() -> Result<()> {
    let (lbdev, door) = demo()?;
    // Never under the application's origin.
    let app = lbdev.get("/v1/status");
    ensure!(!app.text().contains("\"backends\""), "{}", app.text());
    let status = lbdev.status();
    let url = format!("http://127.0.0.1:{}/", door.port);
    ensure!(
        status["dashboard"]["url"] == url.as_str(),
        "{}",
        status["dashboard"]
    );

    // A second one takes the next free port, unless somebody said which.
    let other = Lbdev::new();
    other.demo();
    let second = Door::of(&other)?;
    ensure!(second.port != door.port);
    ensure!(second.get("/v1/status")?.status == 200);
    ensure!(
        second
            .ask(
                "GET",
                "/v1/status",
                &[("Authorization", &door.bearer())],
                b""
            )?
            .status
            == 401
    );
    let third = Lbdev::new();
    let taken = door.port.to_string();
    let named = ["-d", "--dashboard-listen", taken.as_str()];
    let output = third
        .run(&third.with_ports("demo", &named))
        .fails(1, "LB001");
    output.says("--no-dashboard");
    let without = third
        .run(&third.with_ports("demo", &["-d", "--wait", "--no-dashboard"]))
        .ok();
    without.says_not("dashboard");
    ensure!(third.status()["dashboard"].is_null());
    third.run(&["open"]).fails(1, "LB040").says("--app");
    Ok(())
}

#[test]
fn a_wider_bind_is_said_in_red_and_keeps_the_token() -> Result<()> {
    let lbdev = Lbdev::new();
    let port = lbdev.ports.spare();
    let listen = format!("0.0.0.0:{port}");
    let file = format!(
        "[dashboard]\nlisten = \"{listen}\"\n\n[services.web]\ncommand = \"x {{port}}\"\nports = \"8000\"\n"
    );
    lbdev.write("lbdev.toml", &file);
    lbdev
        .run(&["config"])
        .fails(2, "LB020")
        .says("--dashboard-listen");
    std::fs::remove_file(lbdev.dir.join("lbdev.toml"))?;

    let words = [
        "-d",
        "--wait",
        "--color",
        "always",
        "--dashboard-listen",
        &listen,
    ];
    let output = lbdev.run(&lbdev.with_ports("demo", &words)).ok();
    let line = output
        .stderr
        .lines()
        .find(|line| line.contains("other machines"))
        .expect("a warning");
    ensure!(line.contains("\u{1b}[31m"), "{line:?}");
    let door = Door::of(&lbdev)?;
    ensure!(door.port == port);
    ensure!(door.ask("GET", "/v1/status", &[], b"")?.status == 401);
    let host = format!("192.0.2.7:{port}");
    let fields = [("Host", host.as_str()), ("Authorization", &door.bearer())];
    let response = door.ask("GET", "/v1/status", &fields, b"")?;
    refused(&response, 403, "another address");
    ensure!(
        response
            .text()
            .contains(&format!("--dashboard-host {host}"))
    );
    lbdev.run(&["down"]).ok();

    let words = [
        "-d",
        "--wait",
        "--dashboard-listen",
        &listen,
        "--dashboard-host",
        &host,
    ];
    lbdev.run(&lbdev.with_ports("demo", &words)).ok();
    ensure!(door.ask("GET", "/v1/status", &fields, b"")?.status == 200);
    Ok(())
}
