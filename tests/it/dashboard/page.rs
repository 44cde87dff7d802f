//! The page in a real browser: Playwright drives Debian's Chromium, and axe looks for what not everybody can use.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Door, demo};
use crate::harness::{LBDEV, Lbdev, Running};
use crate::need::{self, Chromium, Node};
use crate::numbers;
use crate::up_django::django_site;
use crate::wait::{self, drill, s};

/// A browser, and what drives it.
struct Stage {
    node: Node,
    chromium: Chromium,
}

impl Stage {
    fn find() -> Option<Stage> {
        Some(Stage {
            node: need::node()?,
            chromium: need::chromium()?,
        })
    }

    /// A script of this folder, with what all of them need to know.
    fn command(&self, script: &str, lbdev: &Lbdev, door: &Door) -> Command {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/dashboard");
        // Beside the modules: that is where Node looks for them.
        let place = self
            .node
            .modules
            .join(".lbdev")
            .join(lbdev.root().file_name().unwrap());
        std::fs::create_dir_all(&place).unwrap();
        for name in ["stage.mjs", script] {
            std::fs::copy(own.join(name), place.join(name)).unwrap();
        }
        let mut command = lbdev.command(&["status"]);
        let mut own = Command::new(&self.node.program);
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                own.env(name, value);
            }
        }
        command.env_clear();
        own.arg(place.join(script))
            .current_dir(&lbdev.dir)
            .env("LBDEV", LBDEV)
            .env("CHROMIUM", &self.chromium.browser)
            .env("DASHBOARD", door.url())
            .env("APP", format!("http://localhost:{}/", lbdev.ports.listen()))
            .env(
                "PORTS",
                lbdev.ports.four().map(|port| port.to_string()).join(","),
            )
            .env("SPARE", lbdev.ports.spare().to_string())
            .env("PICTURES", pictures())
            // Others use the machine, unless it is the long run.
            .env("PATIENCE", if wait::is_long() { "500" } else { "3000" })
            .stdin(std::process::Stdio::null());
        own
    }

    /// Runs it to its end.
    fn plays(&self, script: &str, lbdev: &Lbdev, door: &Door) -> Result<String> {
        let output = Running::spawn(self.command(script, lbdev, door)).output(s(150));
        ensure!(output.code == Some(0), "{output}");
        Ok(output.stdout)
    }
}

/// Where screenshots stay, to be looked at.
fn pictures() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard");
    std::fs::create_dir_all(&place).unwrap();
    place
}

/// Everything that a person does on it, with real Django behind.
#[test]
fn a_click_kills_a_django_and_the_page_shows_it() -> Result<()> {
    let (Some(stage), Some(lbdev)) = (Stage::find(), django_site()?) else {
        return Ok(());
    };
    lbdev.up(&[]).ok();
    stage.plays("django.mjs", &lbdev, &Door::of(&lbdev)?)?;
    Ok(())
}

/// Pictures of each kind, and what axe says of them.
#[test]
fn it_can_be_read_by_everybody() -> Result<()> {
    let Some(stage) = Stage::find() else {
        return Ok(());
    };
    let (lbdev, door) = demo()?;
    let said = stage.plays("looks.mjs", &lbdev, &door)?;
    for line in said.lines().filter(|line| line.starts_with("measured ")) {
        numbers::tell(&format!("dashboard: {line}"));
    }
    Ok(())
}

/// A page of somebody else, in the same browser.
#[test]
fn a_foreign_page_gets_nothing() -> Result<()> {
    let Some(stage) = Stage::find() else {
        return Ok(());
    };
    let (lbdev, door) = demo()?;
    stage.plays("foreign.mjs", &lbdev, &door)?;
    let status = lbdev.status();
    ensure!(status["state"] == "serving", "{status}");
    Ok(())
}

/// What a server writes is text.
#[test]
fn a_log_line_is_never_markup() -> Result<()> {
    let Some(stage) = Stage::find() else {
        return Ok(());
    };
    let lbdev = Lbdev::new();
    let evil = "import os, sys\n\
        from http.server import BaseHTTPRequestHandler, HTTPServer\n\
        print('<script>window.got = 1</script><img src=x onerror=\"window.got = 2\">', flush=True)\n\
        print('\\x1b[31mred\\x1b[0m \\x1b]0;title\\x07 after', flush=True)\n\
        class H(BaseHTTPRequestHandler):\n\
        \x20   def do_GET(self):\n\
        \x20       self.send_response(200); self.end_headers(); self.wfile.write(b'x')\n\
        HTTPServer(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()\n";
    let Some(python) = need::python() else {
        return Ok(());
    };
    lbdev.write("evil.py", evil);
    let command = format!("{} evil.py {{port}}", python.display());
    lbdev.up(&["-c", &command]).ok();
    stage.plays("evil.mjs", &lbdev, &Door::of(&lbdev)?)?;
    Ok(())
}

/// Processor time of all threads, to the nanosecond.
fn cpu(pid: u32) -> Result<Duration> {
    let mut sum = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // One that has just ended is not there.
        if let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) {
            sum += text.split(' ').next().context("a number")?.parse::<u64>()?;
        }
    }
    Ok(Duration::from_nanos(sum))
}

/// A page that is open costs lbdev next to nothing, and does not stop. How much is told by processor time over requests: other
/// tests take the machine meanwhile. The bar of 10 % is for `tests/run --long five_hundred`, which has it for itself.
#[test]
fn five_hundred_requests_a_second_with_the_page_open() -> Result<()> {
    const PACE: Duration = Duration::from_millis(2);
    let Some(stage) = Stage::find() else {
        return Ok(());
    };
    let (lbdev, door) = demo()?;
    let pid = u32::try_from(lbdev.status()["pid"].as_u64().context("a pid")?)?;
    let span = drill(s(6));
    let over = std::sync::atomic::AtomicBool::new(false);
    // The least of several spans, since others use the machine too.
    let (mut closed, mut open) = (f64::INFINITY, f64::INFINITY);
    let mut said = String::new();
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|scope| -> Result<()> {
        for worker in 0..4u32 {
            let (lbdev, over) = (&lbdev, &over);
            scope.spawn(move || {
                let mut due = Instant::now() + PACE * worker;
                let mut connection = crate::http::Connection::open(lbdev.ports.listen());
                while !over.load(relaxed) {
                    wait::at(due);
                    due += PACE * 4;
                    let asked = connection
                        .as_mut()
                        .map(|one| one.request("GET", "/", &[], b""));
                    if !matches!(asked, Ok(Ok(_))) {
                        connection = crate::http::Connection::open(lbdev.ports.listen());
                    }
                }
            });
        }
        let answered = || -> Result<f64> {
            let status = lbdev.status();
            status["balancer"]["requests"].as_f64().context("a number")
        };
        let spent = |least: &mut f64| -> Result<()> {
            let (before, first) = (cpu(pid)?, answered()?);
            wait::at(Instant::now() + span);
            let (spent, requests) = (cpu(pid)? - before, answered()? - first);
            *least = least.min(spent.as_secs_f64() * 1e6 / requests);
            Ok(())
        };
        let measured = (|| -> Result<()> {
            // In turn, since the machine is not always as fast.
            for _ in 0..3 {
                spent(&mut closed)?;
                let player = Running::spawn(stage.command("watch.mjs", &lbdev, &door));
                player.wait_line("watching", s(40));
                spent(&mut open)?;
                player.signal(rustix::process::Signal::TERM);
                let output = player.output(s(40));
                ensure!(output.code == Some(0), "{output}");
                said = output.stdout;
            }
            Ok(())
        })();
        over.store(true, relaxed);
        measured
    })?;
    let more = 100.0 * (open / closed - 1.0);
    let line = said.lines().find(|line| line.starts_with("measured"));
    numbers::tell(&format!(
        "dashboard: 500 requests/s for {} s: {closed:.0} µs of processor a request with the page closed, {open:.0} µs open \
         ({more:+.1} %); {}",
        span.as_secs(),
        line.unwrap_or_default()
    ));
    let bar = if wait::is_long() { 10.0 } else { 50.0 };
    ensure!(more < bar, "{more:.1} % more: {closed:.0} µs, {open:.0} µs");
    Ok(())
}

/// The files that are built in are made from the sources beside them.
#[test]
fn the_built_page_is_what_its_sources_make() -> Result<()> {
    let Some(node) = need::node() else {
        return Ok(());
    };
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dashboard/web/build");
    let output = Command::new(build)
        .arg("--check")
        .env("LBDEV_WEB_MODULES", &node.modules)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok(())
}
