//! What scripts and editors rely on: names, fields, streams, exit codes.

use serde_json::Value;

use crate::harness::{LBDEV, Lbdev};
use crate::http::{self, Connection};
use crate::wait::{s, until};

#[test]
fn status_json_has_its_fields() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    lbdev.next_ports(4);
    let status = lbdev.status();
    let kinds: &[(&str, &str)] = &[
        ("/version", "1"),
        ("/project", "\"demo\""),
        ("/dir", "string"),
        ("/pid", "number"),
        ("/state", "\"serving\""),
        ("/uptime_s", "number"),
        ("/balancer/url", "string"),
        ("/balancer/engine", "\"builtin\""),
        ("/balancer/algorithm", "\"round_robin\""),
        ("/balancer/hash_key", "\"path\""),
        ("/balancer/retry_limit", "3"),
        ("/balancer/allow_hosts", "[]"),
        ("/balancer/sequence", "\"pages\""),
        ("/balancer/sticky", "\"off\""),
        ("/balancer/detect", "\"instant\""),
        ("/balancer/requests", "number"),
        ("/balancer/retries", "0"),
        ("/balancer/failures", "0"),
        ("/balancer/waiting", "0"),
        ("/backends/0/service", "\"web\""),
        ("/backends/0/index", "1"),
        ("/backends/0/kind", "\"managed\""),
        ("/backends/0/address", "string"),
        ("/backends/0/pid", "number"),
        ("/backends/0/state", "\"up\""),
        ("/backends/0/desired", "\"up\""),
        ("/backends/0/enabled", "true"),
        ("/backends/0/healthy", "true"),
        ("/backends/0/weight", "1"),
        ("/backends/0/backup", "false"),
        ("/backends/0/eligible", "true"),
        ("/backends/0/share", "1"),
        ("/backends/0/max_connections", "0"),
        ("/backends/0/spared", "0"),
        ("/backends/0/failures_by", "{}"),
        ("/backends/0/uptime_s", "number"),
        ("/backends/0/restarts", "0"),
        ("/backends/0/requests", "1"),
        ("/backends/0/failures", "0"),
        ("/backends/0/retried_elsewhere", "0"),
        ("/backends/0/in_flight", "0"),
        ("/backends/0/p50_ms", "number"),
        ("/backends/0/p99_ms", "number"),
        ("/backends/0/last_exit", "null"),
        ("/backends/0/last_check/ok", "true"),
        ("/backends/0/last_check/detail", "string"),
        ("/backends/0/last_check/at", "string"),
    ];
    for (pointer, expected) in kinds {
        let value = status
            .pointer(pointer)
            .unwrap_or_else(|| panic!("no {pointer} in {status:#}"));
        let fits = match *expected {
            "string" => value.as_str().is_some_and(|text| !text.is_empty()),
            "number" => value.is_number(),
            exact => *value == serde_json::from_str::<Value>(exact).unwrap(),
        };
        assert!(fits, "{pointer} is {value}, not {expected}");
    }
    let rows = status["backends"].as_array().unwrap();
    let ids: Vec<_> = rows
        .iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, lbdev.ports.four().map(|port| format!("web:{port}")));
    let listen = lbdev.ports.listen();
    let url = status["balancer"]["url"].as_str().unwrap();
    assert!(
        url.starts_with("http://") && url.contains(&listen.to_string()),
        "{url}"
    );
    // `ps` is the same word.
    lbdev.run(&["ps", "--json"]).ok();
    assert_eq!(lbdev.run(&["status"]).ok().code, Some(0));

    let first = lbdev.ports.first;
    lbdev.run(&["kill", &first.to_string()]).ok();
    let row = lbdev.backend(first);
    assert_eq!(row["state"], "stopped");
    assert_eq!(row["desired"], "stopped");
    assert_eq!(row["pid"], Value::Null);
    assert_eq!(row["last_exit"]["signal"], "SIGKILL");
    assert_eq!(row["last_exit"]["code"], Value::Null);
    assert_eq!(row["last_exit"]["by"], "operator");
    let at = row["last_exit"]["at"].as_str().unwrap();
    assert!(at.ends_with('Z') && at.contains('T'), "{at}");
    assert_eq!(lbdev.status()["state"], "degraded");
    assert_eq!(lbdev.run(&["status"]).code, Some(3));
    lbdev.run(&["kill", "all"]).ok();
    assert_eq!(lbdev.status()["state"], "down");
    assert_eq!(lbdev.run(&["status"]).code, Some(4));
}

#[test]
fn targets_of_every_form() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let [a, b, c, d] = lbdev.ports.four();
    let stopped = || -> Vec<u16> {
        let four = lbdev.ports.four().into_iter();
        four.filter(|&port| lbdev.backend(port)["state"] == "stopped")
            .collect()
    };
    lbdev.run(&["kill", &format!("{a},web:{c}")]).ok();
    assert_eq!(stopped(), [a, c]);
    lbdev.run(&["start", "web"]).ok();
    assert!(stopped().is_empty());
    lbdev.run(&["stop", &format!("web:{b}")]).ok();
    assert_eq!(stopped(), [b]);
    // What is asked for twice is no error.
    lbdev.run(&["stop", &b.to_string()]).ok();
    lbdev.run(&["kill", &b.to_string()]).ok();
    lbdev.run(&["start", "all"]).ok();
    lbdev.run(&["start", "all"]).ok();
    let before = lbdev.backend(d)["pid"].clone();
    lbdev.run(&["restart", &d.to_string()]).ok();
    lbdev.until_state(d, "up", s(30));
    assert_ne!(lbdev.backend(d)["pid"], before);
    // Another signal is only sent; with --restart a kill is made good.
    let pid = lbdev.backend(d)["pid"].clone();
    lbdev.run(&["kill", &d.to_string(), "--restart"]).ok();
    until(s(30), "it was up again", || {
        let row = lbdev.backend(d);
        row["state"] == "up" && row["pid"] != pid
    });
    // From anywhere: the only instance of this user is meant.
    let elsewhere = lbdev.root().join("home");
    let mut command = lbdev.command(&["kill", &a.to_string()]);
    command.current_dir(elsewhere);
    crate::harness::Running::spawn(command)
        .output(s(30))
        .ok()
        .says("using");
    assert_eq!(stopped(), [a]);
}

/// What a backend gets to see of a request.
#[test]
fn what_is_forwarded() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let port = lbdev.ports.listen();
    let host = format!("shop.localhost:{port}");
    let response = http::send(
        port,
        "POST",
        "/echo?a=1&b=%20x",
        &[
            ("Host", &host),
            ("Accept", "application/json"),
            ("X-Forwarded-For", "203.0.113.9"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "evil.example"),
            ("Forwarded", "for=203.0.113.9"),
            (
                "traceparent",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            ),
            ("Connection", "keep-alive, X-Hop"),
            ("X-Hop", "secret"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "keep-alive"),
            ("TE", "gzip"),
            ("X-Own", "one"),
            ("X-Own", "two"),
            ("Content-Type", "text/plain"),
        ],
        b"hello",
    )
    .unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("x-lbdev-attempts"), Some("1"));
    let backend = response.backend_port().expect("X-Lbdev-Backend names it");
    let seen = response.json();
    assert_eq!(seen["port"], backend);
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["target"], "/echo?a=1&b=%20x");
    assert_eq!(seen["body"]["bytes"], 5);
    let fields = |name: &str| -> Vec<String> {
        let all = seen["headers"].as_array().unwrap().iter();
        all.filter(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case(name))
            .map(|pair| pair[1].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(fields("host"), [host.as_str()], "Host unchanged");
    assert_eq!(
        fields("x-forwarded-for"),
        ["127.0.0.1"],
        "the client's own is replaced"
    );
    assert_eq!(fields("x-forwarded-proto"), ["http"]);
    assert_eq!(fields("x-forwarded-host"), [host.as_str()]);
    assert_eq!(fields("x-forwarded-port"), [port.to_string()]);
    let forwarded = fields("forwarded");
    assert_eq!(forwarded.len(), 1, "{forwarded:?}");
    assert!(forwarded[0].contains("for=127.0.0.1"), "{forwarded:?}");
    assert!(!forwarded[0].contains("203.0.113.9"), "{forwarded:?}");
    assert_eq!(fields("traceparent").len(), 1);
    assert_eq!(fields("x-own"), ["one", "two"]);
    for hop in [
        "x-hop",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    ] {
        assert!(fields(hop).is_empty(), "{hop}: {:?}", fields(hop));
    }
    let connection = fields("connection").join(",").to_ascii_lowercase();
    assert!(!connection.contains("x-hop"), "{connection}");
}

#[test]
fn answers_pass_as_they_are() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let port = lbdev.ports.listen();
    let mut kept = Connection::open(port).unwrap();
    for status in [204, 301, 404, 500, 503] {
        let response = kept
            .request("GET", &format!("/status/{status}"), &[], b"")
            .unwrap();
        assert_eq!(
            response.status, status,
            "an application's answer is an answer"
        );
        assert_eq!(response.header("x-lbdev-attempts"), Some("1"));
        assert!(kept.is_usable(), "keep-alive after {status}");
    }
    let head = kept.request("HEAD", "/bytes/100000", &[], b"").unwrap();
    assert_eq!(head.header("content-length"), Some("100000"));
    let through = kept.request("GET", "/bytes/1000000", &[], b"").unwrap();
    let backend = through.backend_port().unwrap();
    let direct = http::get(backend, "/bytes/1000000").unwrap();
    assert!(through.body == direct.body && through.body.len() == 1_000_000);
    let counted = kept.request(
        "POST",
        "/echo",
        &[("Accept", "application/json")],
        &through.body,
    );
    assert_eq!(counted.unwrap().json()["body"]["bytes"], 1_000_000);

    // IPv6 and plain HTTP/1.0 get in as well.
    let mut old = Connection::open(port).unwrap();
    old.send_raw(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let answer = old.response("GET").unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.header("transfer-encoding").is_none());
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        std::net::TcpStream::connect(("::1", port)).expect("`localhost` is both addresses");
    }
}

/// A stream's pieces go out as they come.
#[test]
fn streams_are_not_collected() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let port = lbdev.ports.listen();
    let mut stream = Connection::open(port).unwrap();
    stream
        .send_raw(
            format!("GET /stream?n=2&ms=20000 HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n")
                .as_bytes(),
        )
        .unwrap();
    let begun = std::time::Instant::now();
    // Head, then the first piece; the second is far away.
    let mut seen = Vec::new();
    let first_piece = format!("from port {}", lbdev.ports.first);
    while !String::from_utf8_lossy(&seen).contains(&first_piece) {
        seen.push(stream.byte().unwrap());
    }
    assert!(
        begun.elapsed() < s(10),
        "the first piece came after {:?}",
        begun.elapsed()
    );
}

#[test]
fn each_post_runs_once() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let port = lbdev.ports.listen();
    let mut kept = Connection::open(port).unwrap();
    for _ in 0..20 {
        let answer = kept.request("POST", "/counter", &[], b"").unwrap();
        assert!(answer.status < 400, "{}", answer.text());
    }
    let counters = lbdev.ports.four().map(|backend| {
        let state = http::get(backend, "/counter?json").unwrap().json();
        let number = state.as_object().unwrap().values().find_map(Value::as_u64);
        (state["count"].as_u64().or(number)).expect("a number")
    });
    assert_eq!(counters, [5; 4], "five on each");
}

#[test]
fn the_foreground() {
    let lbdev = Lbdev::new();
    let mut up = lbdev.start(&lbdev.with_ports("demo", &[]));
    let ready = up.wait_line("lbdev: ready ", s(60));
    let (_, url) = ready.split_once("lbdev: ready ").unwrap();
    assert!(ready.starts_with("lbdev: ready http://"), "{ready:?}");
    assert!(url.ends_with(" (4/4)"), "{ready:?}");
    assert!(
        url.contains(&format!(":{}", lbdev.ports.listen())),
        "{ready:?}"
    );
    assert!(
        up.lines.of("stderr").contains("lbdev: ready "),
        "it belongs on stderr"
    );
    up.wait_line("lbdev kill", s(5));

    let served = lbdev.get("/slow?ms=1&tag=here").backend_port().unwrap();
    let line = up.wait_line("tag=here", s(10));
    // `14:02:11 GET / 200  12ms 8000`, or a backend's own log line of the request.
    let access = up.lines.wait(s(10), |lines| {
        let mut lines = lines.iter().map(|(_, line)| line);
        lines
            .find(|line| is_access_line(line, "/slow?ms=1&tag=here", served))
            .cloned()
    });
    assert!(
        access.is_some(),
        "no access line like `14:02:11 GET / 200  12ms 8000`, but {line:?}"
    );

    let name = served.to_string();
    let pid = lbdev.backend(served)["pid"].clone();
    lbdev.run(&["kill", &name]).ok();
    let line = up.wait_line("killed by you", s(10));
    assert!(
        line.contains(&name) && line.contains("SIGKILL") && line.contains(&pid.to_string()),
        "{line:?}"
    );
    lbdev.run(&["start", &name]).ok();
    let line = up.wait_line("up again", s(30));
    assert!(line.contains(&name), "{line:?}");

    // Not a terminal: no colours, no cursor movement.
    assert!(
        !up.lines.transcript().contains('\x1b'),
        "{}",
        up.lines.transcript()
    );
    assert!(
        !up.lines.transcript().contains('\r'),
        "{}",
        up.lines.transcript()
    );
    up.signal_group(rustix::process::Signal::INT);
    assert_eq!(up.wait_exit(s(15)).code(), Some(0));
    lbdev.assert_all_gone();
}

fn is_access_line(line: &str, target: &str, port: u16) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [time, "GET", path, "200", took, rest @ ..] = words.as_slice() else {
        return false;
    };
    let clock = time.len() == 8 && time.bytes().filter(|&byte| byte == b':').count() == 2;
    let port = port.to_string();
    clock && *path == target && took.contains("ms") && rest.last() == Some(&port.as_str())
        || clock && *path == target && rest.contains(&port.as_str())
}

#[test]
fn logs() {
    let lbdev = Lbdev::new();
    lbdev.script(
        "chatty.sh",
        &format!("#!/bin/sh\necho \"out of $1\"\necho \"err of $1\" >&2\nexec {LBDEV} __demo --port \"$1\"\n"),
    );
    let command = ["-c", "./chatty.sh {port}"];
    lbdev.up(&command);
    let [first, second, ..] = lbdev.ports.four();
    let all = lbdev.run(&["logs"]).ok();
    for port in lbdev.ports.four() {
        for word in ["out", "err"] {
            assert!(all.stdout.contains(&format!("{word} of {port}")), "{all}");
        }
    }
    let name = first.to_string();
    let one = lbdev.run(&["logs", &name]).ok();
    assert!(one.stdout.contains(&format!("out of {first}")), "{one}");
    assert!(!one.stdout.contains(&format!("out of {second}")), "{one}");
    let last = lbdev.run(&["logs", &name, "-n", "1"]).ok();
    assert_eq!(last.stdout.lines().count(), 1, "{last}");
    let json = lbdev.run(&["logs", &name, "--json"]).ok();
    assert!(json.stdout.lines().count() >= 2, "{json}");
    for line in json.stdout.lines() {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {json}"));
        assert_eq!(line["version"], 1, "{json}");
    }

    let follower = lbdev.start(&["logs", "-f", &name]);
    follower.wait_line(&format!("out of {first}"), s(10));
    // What comes now, comes; other backends' lines do not.
    let mut direct = Connection::open(first).unwrap();
    direct
        .request(
            "POST",
            "/counter",
            &[("X-Request-Id", "seen-by-the-follower")],
            b"",
        )
        .unwrap();
    follower.wait_line("seen-by-the-follower", s(10));
    follower.signal(rustix::process::Signal::INT);
    assert!(
        !follower
            .lines
            .of("stdout")
            .contains(&format!("out of {second}"))
    );
    // The files stay when it has ended.
    lbdev.run(&["down"]).ok();
    let after = lbdev.run(&["logs", &name]).ok();
    assert!(after.stdout.contains(&format!("out of {first}")), "{after}");
}

#[test]
fn ls_shows_what_runs() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    lbdev
        .run(&["ls"])
        .ok()
        .says("demo")
        .says(&lbdev.ports.listen().to_string());
    let json = lbdev.run(&["ls", "--json"]).ok().json();
    let text = json.to_string();
    assert!(text.contains("\"demo\""), "{text}");
    lbdev.run(&["down"]).ok();
    lbdev.run(&["ls"]).ok().says_not("http://");
}

#[test]
fn init_then_up() {
    let lbdev = Lbdev::new();
    lbdev.write(
        "index.html",
        "<!doctype html><title>t</title><h1>a static page</h1>",
    );
    lbdev.run(&["init"]).ok().says("lbdev.toml");
    let file = std::fs::read_to_string(lbdev.dir.join("lbdev.toml")).unwrap();
    assert!(
        file.contains("[balancer]") && file.contains("[services."),
        "{file}"
    );
    // It never overwrites.
    let again = lbdev.run(&["init"]);
    assert!(matches!(again.code, Some(1 | 2)), "{again}");
    assert_eq!(
        std::fs::read_to_string(lbdev.dir.join("lbdev.toml")).unwrap(),
        file
    );
    let config = lbdev.run(&["config"]).ok();
    assert!(config.stdout.contains("round_robin"), "{config}");
    lbdev.run(&["config", "--json"]).ok().json();
    lbdev.up(&[]);
    let page = lbdev.get("/");
    assert!(
        page.status == 200 && page.text().contains("a static page"),
        "{}",
        page.text()
    );
    lbdev.run(&["down"]).ok();
    lbdev.assert_all_gone();
}

#[test]
fn zero_configuration_for_static_files() {
    let lbdev = Lbdev::new();
    lbdev.write("index.html", "<h1>home</h1>");
    lbdev.write("style.css", "h1 { color: red }");
    lbdev.write(".env", "SECRET=1");
    lbdev.up(&[]).says("index.html");
    let seen: Vec<u16> = (0..8)
        .map(|_| lbdev.get("/").backend_port().unwrap())
        .collect();
    crate::rotation::goes_round(&seen, &lbdev.ports.four());
    let css = lbdev.get("/style.css");
    assert!(
        css.header("content-type")
            .is_some_and(|kind| kind.starts_with("text/css")),
        "{css:?}"
    );
    for hidden in [
        "/.env",
        "/../lbdev.toml",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/missing",
    ] {
        let status = lbdev.get(hidden).status;
        assert!((400..500).contains(&status), "{hidden}: {status}");
    }
}

/// `sequence = "pages"`: what a page pulls in does not move the order on.
#[test]
fn assets_come_from_where_their_page_came_from() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let port = lbdev.ports.listen();
    let mut kept = Connection::open(port).unwrap();
    let mut get = |path: &str, destination: &str| {
        let headers = [
            ("Sec-Fetch-Dest", destination),
            ("User-Agent", "test browser"),
        ];
        kept.request("GET", path, &headers, b"")
            .unwrap()
            .backend_port()
            .unwrap()
    };
    let mut pages = Vec::new();
    for _ in 0..8 {
        let page = get("/", "document");
        pages.push(page);
        for (path, kind) in [
            ("/style.css", "style"),
            ("/x.png", "image"),
            ("/favicon.ico", "image"),
            ("/app.js", "script"),
        ] {
            assert_eq!(get(path, kind), page, "{path}");
        }
    }
    crate::rotation::goes_round(&pages, &lbdev.ports.four());
}

#[test]
fn two_services_and_workers() {
    let lbdev = Lbdev::new();
    let (first, listen) = (lbdev.ports.first, lbdev.ports.listen());
    let (web, api) = (
        format!("{}-{}", first, first + 1),
        format!("{}-{}", first + 2, first + 3),
    );
    lbdev.script(
        "worker.sh",
        "#!/bin/sh\necho working as $LBDEV_BACKEND\nexec sleep 1000\n",
    );
    lbdev.write(
        "lbdev.toml",
        &format!(
            "[balancer]\nlisten = \"localhost:{listen}\"\n\n\
             [services.web]\ncommand = \"{LBDEV} __demo --port {{port}}\"\nports = \"{web}\"\n\n\
             [services.api]\ncommand = [\"{LBDEV}\", \"__demo\", \"--port\", \"{{port}}\"]\nports = \"{api}\"\n\
             routes = [\"/echo\", \"api.localhost\"]\nenv = {{ COLOUR = \"blue-{{index}}\" }}\n\n\
             [services.worker]\ncommand = \"./worker.sh\"\n"
        ),
    );
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let four = lbdev.ports.four();
    let of = |path: &str| -> Vec<u16> {
        (0..6)
            .map(|_| lbdev.get(path).backend_port().unwrap())
            .collect()
    };
    crate::rotation::goes_round(&of("/"), &four[..2]);
    crate::rotation::goes_round(&of("/echo"), &four[2..]);
    let by_host = http::send(listen, "GET", "/", &[("Host", "api.localhost")], b"").unwrap();
    assert!(four[2..].contains(&by_host.backend_port().unwrap()));
    let environment = http::get(four[3], "/env").unwrap().text();
    for expected in [
        "LBDEV_SERVICE",
        "api",
        &format!("api:{}", four[3]),
        "LBDEV_INDEX",
    ] {
        assert!(
            environment.contains(expected),
            "{expected} is not in {environment}"
        );
    }
    let status = lbdev.status();
    let rows = status["backends"].as_array().unwrap();
    let worker = rows
        .iter()
        .find(|row| row["id"] == "worker.1")
        .unwrap_or_else(|| panic!("{status:#}"));
    assert_eq!(
        (&worker["state"], &worker["port"]),
        (&"up".into(), &Value::Null)
    );
    lbdev
        .run(&["logs", "worker.1"])
        .ok()
        .says("working as worker.1");
    lbdev.run(&["restart", "worker"]).ok();
    lbdev.run(&["stop", "api"]).ok();
    assert_eq!(lbdev.status()["state"], "degraded");
}

#[test]
fn help_lists_the_verbs() {
    let lbdev = Lbdev::new();
    for args in [&[][..], &["--help"]] {
        let output = lbdev.run(args);
        assert!(matches!(output.code, Some(0 | 2)), "{output}");
        output.says("up").says("demo").says("down");
    }
    let help = lbdev.run(&["--help"]).ok();
    for verb in [
        "up", "demo", "down", "status", "ls", "kill", "start", "stop", "restart", "drain",
        "undrain", "scale", "set", "logs", "init", "config",
    ] {
        assert!(
            help.stdout.contains(&format!("  {verb}")),
            "no {verb} in {help}"
        );
        lbdev.run(&[verb, "--help"]).ok();
    }
    for hidden in ["__demo", "__exec", "__guardian", "__static"] {
        assert!(!help.stdout.contains(hidden), "{help}");
    }
    lbdev
        .run(&["--version"])
        .ok()
        .says(env!("CARGO_PKG_VERSION"));
}

/// In the background without `--wait`: it returns, and requests wait for the first that is ready.
#[test]
fn the_first_request_need_not_wait_for_ready() {
    let lbdev = Lbdev::new();
    lbdev.run(&lbdev.with_ports("demo", &["-d"])).ok();
    assert_eq!(lbdev.get("/").status, 200);
    until(s(30), "all were up", || {
        lbdev.status()["state"] == "serving"
    });
}

#[test]
fn colours_only_for_terminals_and_where_asked() {
    let mut lbdev = Lbdev::new();
    lbdev.demo();
    lbdev.unset("NO_COLOR");
    let plain = |args: &[&str], more: bool| {
        let output = lbdev.run(args);
        let text = format!("{}{}", output.stdout, output.stderr);
        assert_eq!(text.contains('\x1b'), more, "{output}");
    };
    plain(&["status"], false);
    plain(&["kill", "9999"], false);
    plain(&["--color", "always", "status"], true);
    plain(&["--color", "never", "status"], false);
    lbdev.set("CLICOLOR_FORCE", "1");
    let forced = lbdev.run(&["status"]).ok();
    assert!(forced.stdout.contains('\x1b'), "{forced}");
    lbdev.set("NO_COLOR", "1");
    lbdev.run(&["status"]).ok().says_not("\x1b");
    // Never in what programs read.
    assert!(!lbdev.run(&["status", "--json"]).stdout.contains('\x1b'));
}

/// `lbdev logs | head -1`: the reader leaves, and that is fine.
#[test]
fn a_broken_pipe_ends_quietly() {
    let lbdev = Lbdev::new();
    for args in [
        &["--help"][..],
        &["ls"],
        &["ls", "--json"],
        &["up", "--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = lbdev.command(args);
        let output = command.stdout(writer).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            !stderr.contains("panicked") && !stderr.contains("Broken pipe"),
            "{args:?}: {stderr}"
        );
    }
}
