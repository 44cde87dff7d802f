//! nginx, HAProxy, Apache and Caddy with exported configurations, before four real Django servers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use futures_util::SinkExt;
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use super::content;
use crate::harness::{LBDEV, Lbdev};
use crate::http::{self, Connection, Response};
use crate::need;
use crate::rotation::{goes_round, port_in};
use crate::up_django::{copy_site, migrate};
use crate::wait::{s, until};
use crate::websocket::next;

/// A balancer that runs; ends with the value.
struct Balancer {
    child: Child,
}

impl Balancer {
    fn start(program: &Path, args: &[&str], dir: &Path, port: u16) -> Result<Self> {
        let log = std::fs::File::create(dir.join("balancer.log"))?;
        let child = Command::new(program)
            .args(args)
            .current_dir(dir)
            // Caddy keeps its last configuration there.
            .env("XDG_CONFIG_HOME", dir)
            .env("XDG_DATA_HOME", dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let balancer = Self { child };
        until(s(20), "it listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Ok(balancer)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // Masters end their workers at TERM.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let ended = crate::wait::holds_within(s(10), || {
            self.child.try_wait().is_ok_and(|status| status.is_some())
        });
        if !ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// How a balancer is asked to check a file, and to run it in the foreground.
struct Tool {
    target: &'static str,
    program: PathBuf,
    check: fn(&str) -> Vec<String>,
    run: fn(&str) -> Vec<String>,
}

fn words(text: &str, file: &str) -> Vec<String> {
    text.split(' ')
        .map(|word| word.replace("FILE", file))
        .collect()
}

/// Everything that the issue of a hand-over is: the file passes its own tool; order, routes, a WebSocket, a kill that nobody
/// notices, the way back, and clients that stick.
async fn serves(tool: &Tool) -> Result<()> {
    let Some(python) = need::django() else {
        return Ok(());
    };
    let mut lbdev = Lbdev::new();
    copy_site(&lbdev.dir)?;
    migrate(&python, &lbdev.dir)?;
    let venv = python.parent().and_then(Path::parent).context("a venv")?;
    lbdev.set("VIRTUAL_ENV", venv);
    let (first, listen) = (lbdev.ports.first, lbdev.ports.listen());
    lbdev.write(
        "lbdev.toml",
        &format!(
            "[balancer]\nlisten = \"127.0.0.1:{listen}\"\npassive = {{ failures = 1, window = \"1s\" }}\n\
             [services.web]\ncommand = \"{{python}} manage.py runserver --noreload 127.0.0.1:{{port}}\"\nports = \"{}\"\n\
             [services.live]\ncommand = \"{LBDEV} __demo --port {{port}}\"\nports = \"{}-{}\"\nroutes = [\"/ws\", \"live.test\"]\n",
            lbdev.ports.range(),
            first + 4,
            first + 5,
        ),
    );
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let port = lbdev.ports.spare();
    let file = lbdev.dir.join("exported.conf");
    let name = file.to_str().context("a plain name")?;
    let write = |more: &[&str]| {
        let address = format!("127.0.0.1:{port}");
        let mut args = vec![
            "export",
            tool.target,
            "--listen",
            &address,
            "-o",
            "exported.conf",
        ];
        args.extend(more);
        lbdev.run(&args).ok();
        // Its own page is on a port that other tests may want.
        let text = std::fs::read_to_string(&file).unwrap();
        let own = (first + 6).to_string();
        std::fs::write(&file, text.replace("8404", &own)).unwrap();
    };
    let start = || -> Result<Balancer> {
        let check = (tool.check)(name);
        let check: Vec<&str> = check.iter().map(String::as_str).collect();
        content(&tool.program, &check, &lbdev.dir)?;
        let run = (tool.run)(name);
        let run: Vec<&str> = run.iter().map(String::as_str).collect();
        Balancer::start(&tool.program, &run, &lbdev.dir, port)
    };
    write(&[]);
    let running = start()?;
    let four = lbdev.ports.four();
    let page = || -> Result<Response> { Ok(http::get(port, "/")?) };
    // HAProxy has to check each of them first.
    until(s(20), "all four answer", || {
        let seen: BTreeSet<u16> = (0..8)
            .filter_map(|_| port_in(&page().ok().filter(|page| page.status == 200)?.text()))
            .collect();
        seen == BTreeSet::from(four)
    });

    let mut seen = Vec::new();
    for _ in 0..8 {
        let page = page()?;
        assert_eq!(page.status, 200, "{}", page.text());
        seen.push(port_in(&page.text()).context("which port")?);
    }
    goes_round(&seen, &four);

    // Two services: by path, by host, and everything else.
    let demo = |port: u16| port == first + 4 || port == first + 5;
    let mut connection = Connection::open(port)?;
    let by_host = connection.request("GET", "/", &[("Host", "live.test")], b"")?;
    ensure!(
        port_in(&by_host.text()).is_some_and(demo),
        "{}",
        by_host.text()
    );
    assert_eq!(page()?.status, 200);
    let socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut stream, _) = client_async(format!("ws://localhost:{port}/ws"), socket).await?;
    stream.send(Message::text("hello")).await?;
    assert_eq!(next(&mut stream).await?, Message::text("hello"));
    drop(stream);
    // A path that only begins alike is another one.
    assert_eq!(http::get(port, "/wsx")?.status, 404, "Django's own");

    // What a backend is told of its client.
    let headers = [("X-Forwarded-For", "6.6.6.6"), ("Host", "live.test")];
    let told = connection.request("GET", "/echo", &headers, b"")?.text();
    ensure!(
        told.contains("127.0.0.1") && !told.contains("6.6.6.6"),
        "{told}"
    );

    // Killed, nobody notices; back, it answers again.
    lbdev.run(&["kill", &four[0].to_string()]).ok();
    for _ in 0..12 {
        let page = page()?;
        assert_eq!(page.status, 200, "{}", page.text());
        assert_ne!(port_in(&page.text()), Some(four[0]));
    }
    lbdev.run(&["start", &four[0].to_string()]).ok();
    until(s(30), "it is taken back", || {
        page().is_ok_and(|page| port_in(&page.text()) == Some(four[0]))
    });
    drop(running);

    // Clients that stick.
    write(&["--sticky", "cookie"]);
    let running = start()?;
    let mut owners = BTreeSet::new();
    for _ in 0..12 {
        let first = page()?;
        let cookie = first
            .headers_named("set-cookie")
            .find(|cookie| cookie.starts_with("lbdev_"));
        let cookie = cookie
            .context("no cookie")?
            .split(';')
            .next()
            .unwrap_or_default()
            .to_owned();
        let owner = port_in(&first.text());
        for _ in 0..4 {
            let mut connection = Connection::open(port)?;
            let again = connection.request("GET", "/", &[("Cookie", &cookie)], b"")?;
            assert_eq!(port_in(&again.text()), owner, "{cookie}");
        }
        owners.extend(owner);
    }
    ensure!(owners.len() > 1, "everybody sticks to {owners:?}");
    drop(running);
    Ok(())
}

#[tokio::test]
async fn nginx() -> Result<()> {
    let Some(program) = need::installed("nginx", "nginx is not installed") else {
        return Ok(());
    };
    serves(&Tool {
        target: "nginx",
        program,
        check: |file| words("-t -c FILE", file),
        run: |file| {
            words("-g daemon~off; -c FILE", file)
                .into_iter()
                .map(|word| word.replace('~', " "))
                .collect()
        },
    })
    .await
}

#[tokio::test]
async fn haproxy() -> Result<()> {
    let Some(program) = need::installed("haproxy", "HAProxy is not installed") else {
        return Ok(());
    };
    serves(&Tool {
        target: "haproxy",
        program,
        check: |file| words("-c -f FILE", file),
        run: |file| words("-db -f FILE", file),
    })
    .await
}

#[tokio::test]
async fn apache() -> Result<()> {
    let Some(program) = need::installed("apache2", "Apache is not installed") else {
        return Ok(());
    };
    serves(&Tool {
        target: "apache",
        program,
        check: |file| words("-t -f FILE", file),
        run: |file| words("-D FOREGROUND -f FILE", file),
    })
    .await
}

#[tokio::test]
async fn caddy() -> Result<()> {
    let Some(program) = need::installed("caddy", "Caddy is not installed") else {
        return Ok(());
    };
    serves(&Tool {
        target: "caddy",
        program,
        check: |file| words("validate --adapter caddyfile --config FILE", file),
        run: |file| words("run --adapter caddyfile --config FILE", file),
    })
    .await
}
