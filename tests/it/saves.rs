//! A saved file: new code one backend after the other, and no request is lost.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::harness::{Lbdev, Running};
use crate::load::{Load, Record, Report};
use crate::need;
use crate::output::Lines;
use crate::pty::Pty;
use crate::up_django::django_site;
use crate::wait::{self, s, until};

const LIMIT: Duration = s(60);
/// All have what was saved within this.
const HAVE_IT: Duration = s(10);

/// A page whose status is 220 and what its code and its template add to it, so that a load can tell old from new.
const VIEW: &str = "
from django.http import HttpResponse
from django.template.loader import render_to_string

PY = 0


def version(request):
    status = 220 + PY + 2 * int(render_to_string('version.html'))
    return HttpResponse('version', status=status)
";

/// The same with Python's standard library alone.
const SERVER: &str = r#"
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from part import PY

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self):
        self.send_response(200 + PY)
        self.send_header("Content-Length", "0")
        self.end_headers()

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

/// A project of four of those, watched, in the foreground.
fn watched(service: &str) -> Option<(Lbdev, Running)> {
    let python = need::python()?;
    let lbdev = Lbdev::new();
    lbdev.write("server.py", SERVER);
    lbdev.write("part.py", "PY = 0\n");
    let command = format!("{} server.py {{port}}", python.display());
    let service = format!("env = {{ PYTHONDONTWRITEBYTECODE = 1 }}\n{service}");
    lbdev.service_file(&command, "", &service);
    let running = lbdev.start(&["up"]);
    running.wait_line("lbdev: ready", LIMIT);
    Some((lbdev, running))
}

/// How often something was said.
fn count(running: &Running, text: &str) -> usize {
    let transcript = running.lines.transcript();
    transcript
        .lines()
        .filter(|line| line.contains(text))
        .count()
}

const ROLLS: &str = "`web` takes it up";

fn restarts(lbdev: &Lbdev) -> Vec<u64> {
    let status = lbdev.status();
    let rows = status["backends"].as_array().unwrap().iter();
    rows.map(|row| row["restarts"].as_u64().unwrap()).collect()
}

/// Asserts that each request was answered by old or new code, and that `new` was answered by all four within `limit` of
/// `saved`.
#[track_caller]
fn all_have_it(report: &Report, (old, new): (u16, u16), ports: &[u16], saved: Instant) {
    for record in &report.records {
        assert!(
            record.result == Ok(old) || record.result == Ok(new),
            "{record:#?}"
        );
    }
    for &port in ports {
        let is_new = |record: &&Record| record.result == Ok(new) && record.backend == Some(port);
        let first = report.records.iter().find(is_new);
        let first = first.unwrap_or_else(|| panic!("{port} never answered with the new code"));
        let after = (first.sent + first.took).saturating_duration_since(saved);
        assert!(after < HAVE_IT, "{port} had it after {after:?}");
    }
}

/// Asserts that whoever asked after the first new answer had come got a new one.
#[track_caller]
fn no_old_after_the_first_new(report: &Report, (old, new): (u16, u16)) {
    let ends = report
        .records
        .iter()
        .filter(|record| record.result == Ok(new));
    let first = ends
        .map(|record| record.sent + record.took)
        .min()
        .expect("a new one");
    let late = (report.records.iter()).find(|one| one.sent > first && one.result == Ok(old));
    assert!(
        late.is_none(),
        "an old page after the first new one: {late:#?}"
    );
}

#[test]
fn django_under_load() -> Result<()> {
    let Some(lbdev) = django_site()? else {
        return Ok(());
    };
    let views = std::fs::read_to_string(lbdev.dir.join("notes/views.py"))?;
    lbdev.write("notes/views.py", &format!("{views}\n{VIEW}"));
    lbdev.write("notes/templates/version.html", "0");
    let urls = std::fs::read_to_string(lbdev.dir.join("mysite/urls.py"))?;
    let urls = format!("{urls}\nurlpatterns += [path('version', views.version)]\n");
    lbdev.write("mysite/urls.py", &urls);
    let running = lbdev.start(&lbdev.with_ports("up", &[]));
    running.wait_line("lbdev: ready", LIMIT);
    let (listen, ports) = (lbdev.ports.listen(), lbdev.ports.four());

    // Python, then a template: each of the four has it soon, and nobody sees the old page after the new one.
    let text = std::fs::read_to_string(lbdev.dir.join("notes/views.py"))?;
    let changes = [
        (
            "notes/views.py",
            text.replace("PY = 0", "PY = 1"),
            (220, 221),
        ),
        ("notes/templates/version.html", "1".to_owned(), (221, 223)),
    ];
    for (file, text, (old, new)) in changes {
        let load = Load::start(listen, "/version", 200, 64);
        load.run_for(100, LIMIT);
        let saved = Instant::now();
        lbdev.write(file, &text);
        running.wait_line(
            &format!("`{file}` was saved: 4 backends of `web` have it"),
            LIMIT,
        );
        load.run_for(200, LIMIT);
        let report = load.finish();
        all_have_it(&report, (old, new), &ports, saved);
        no_old_after_the_first_new(&report, (old, new));
    }

    // A syntax error: the old page goes on, and the reason is on the screen.
    let good = std::fs::read_to_string(lbdev.dir.join("notes/views.py"))?;
    let load = Load::start(listen, "/version", 200, 64);
    lbdev.write("notes/views.py", &good.replace("PY = 1", "PY = = 1"));
    running.wait_line("error[LB015]", LIMIT);
    running.wait_line("SyntaxError: invalid syntax", LIMIT);
    load.run_for(200, LIMIT);
    let report = load.finish();
    assert!(
        report.records.iter().all(|record| record.result == Ok(223)),
        "{report:#?}"
    );
    assert_eq!(lbdev.status()["state"], "degraded");

    // Its mend: the new page, by all four.
    let load = Load::start(listen, "/version", 200, 64);
    let saved = Instant::now();
    lbdev.write("notes/views.py", &good.replace("PY = 1", "PY = 2"));
    until(LIMIT, "all serve again", || {
        lbdev.status()["state"] == "serving" && { load.any(|record| record.result == Ok(224)) }
    });
    load.run_for(200, LIMIT);
    all_have_it(&load.finish(), (223, 224), &ports, saved);
    Ok(())
}

#[test]
fn old_and_new_side_by_side_where_that_is_wanted() {
    let service = "watch = ['**/*.py']\nwatch_mode = 'mixed'";
    let Some((lbdev, running)) = watched(service) else {
        return;
    };
    let load = Load::start(lbdev.ports.listen(), "/", 200, 32);
    load.run_for(50, LIMIT);
    let saved = Instant::now();
    lbdev.write("part.py", "PY = 1\n");
    running.wait_line("`part.py` was saved: 4 backends of `web` have it", LIMIT);
    load.run_for(50, LIMIT);
    let report = load.finish();
    all_have_it(&report, (200, 201), &lbdev.ports.four(), saved);
    // One is out at a time, so that the others never wait for it.
    assert!(report.pause() < s(1), "{:?}", report.pause());
}

/// The longest time between two beats: whether what was to be one save came without a break.
struct Beats {
    last: Instant,
    longest: Duration,
}

impl Beats {
    fn new() -> Self {
        Self {
            last: Instant::now(),
            longest: Duration::ZERO,
        }
    }

    fn beat(&mut self) {
        self.longest = self.longest.max(self.last.elapsed());
        self.last = Instant::now();
    }

    /// A busy machine may have stopped this test for so long that it was more than one save.
    fn is_steady(&self) -> bool {
        self.longest < Duration::from_millis(260)
    }
}

/// Does this until it was done without a break; then exactly one roll has followed it, and each backend has `restarts` one
/// more.
fn one_roll(saves: impl Fn(&Lbdev, u32, &mut Beats), said: &str) {
    let Some((lbdev, running)) = watched("watch = ['**/*.py']") else {
        return;
    };
    for try_number in 1..=8 {
        let (rolls, before) = (count(&running, ROLLS), restarts(&lbdev));
        let done = count(&running, said);
        let mut beats = Beats::new();
        saves(&lbdev, try_number, &mut beats);
        if beats.is_steady() {
            until(LIMIT, "the roll is through", || {
                count(&running, said) > done
            });
            let transcript = running.lines.transcript();
            assert_eq!(count(&running, ROLLS), rolls + 1, "{transcript}");
            let more: Vec<u64> = before.iter().map(|restarts| restarts + 1).collect();
            assert_eq!(restarts(&lbdev), more, "{transcript}");
            return;
        }
        // However many there were: the next try begins when they are through.
        until(LIMIT, "it is quiet", || {
            let through = count(&running, "backends of `web` have it");
            through > 0 && lbdev.status()["state"] == "serving"
        });
    }
    panic!("the machine is too busy for ten saves in two seconds");
}

#[test]
fn ten_saves_in_two_seconds_are_one_roll() {
    let ten = |lbdev: &Lbdev, try_number: u32, beats: &mut Beats| {
        let begin = Instant::now();
        for number in 1..=10 {
            lbdev.write("part.py", &format!("PY = 1 # {try_number} {number}\n"));
            beats.beat();
            wait::at(begin + Duration::from_millis(200) * number);
        }
    };
    one_roll(ten, "4 backends of `web` have it");
}

#[test]
fn a_switch_of_branches_is_one_roll() {
    let switch = |lbdev: &Lbdev, try_number: u32, beats: &mut Beats| {
        for number in 0..500 {
            let name = format!("app{}/m{number}.py", number % 20);
            lbdev.write(&name, &format!("X = {try_number}\n"));
            beats.beat();
        }
    };
    one_roll(
        switch,
        "and 499 more files were saved: 4 backends of `web` have it",
    );
}

/// While one restart is under way the next save comes: what answers in the end is the last one.
#[test]
fn a_save_during_a_roll_starts_it_anew() {
    let service = "watch = ['**/*.py']\nwatch_mode = 'mixed'";
    let Some((lbdev, running)) = watched(service) else {
        return;
    };
    lbdev.write("part.py", "import time\ntime.sleep(1)\nPY = 1\n");
    running.wait_line(ROLLS, LIMIT);
    lbdev.write("part.py", "PY = 2\n");
    running.wait_line("4 backends of `web` have it", LIMIT);
    assert_eq!(count(&running, "backends of `web` have it"), 1);
    for _ in 0..8 {
        assert_eq!(lbdev.get("/").status, 202);
    }
}

/// Requests wait for new code, but not for ever.
#[test]
fn code_that_takes_long_to_start_does_not_hold_requests_up_for_ever() {
    let Some((lbdev, running)) = watched("watch = ['**/*.py']") else {
        return;
    };
    lbdev.write("part.py", "import time\ntime.sleep(14)\nPY = 1\n");
    let begin = Instant::now();
    running.wait_line(ROLLS, LIMIT);
    // It waited, and then the old code answered.
    assert_eq!(lbdev.get("/").status, 200);
    assert!(
        (s(3)..s(14)).contains(&begin.elapsed()),
        "{:?}",
        begin.elapsed()
    );
    running.wait_line("4 backends of `web` have it", s(120));
    assert_eq!(lbdev.get("/").status, 201);
}

#[test]
fn nothing_is_watched_where_that_is_not_wanted() {
    let Some(python) = need::python() else { return };
    let lbdev = Lbdev::new();
    lbdev.write("server.py", SERVER);
    lbdev.write("part.py", "PY = 0\n");
    let command = format!("{} server.py {{port}}", python.display());
    lbdev.service_file(&command, "", "watch = ['**/*.py']");
    let running = lbdev.start(&["up", "--no-watch"]);
    running.wait_line("lbdev: ready", LIMIT);
    lbdev.write("part.py", "PY = 1\n");
    // As long as a save takes to be heard, and more.
    wait::at(Instant::now() + s(1));
    assert_eq!(restarts(&lbdev), [0; 4]);
}

/// A command that does not start is given another try by the next save, where a person watches it on a terminal.
#[test]
fn a_start_that_fails_waits_for_a_save() {
    let Some(python) = need::python() else { return };
    let lbdev = Lbdev::new();
    lbdev.write("server.py", SERVER);
    lbdev.write("part.py", "PY = = 0\n");
    let command = format!("{} server.py {{port}}", python.display());
    lbdev.service_file(&command, "", "watch = ['**/*.py']");
    // Without a terminal it ends, as scripts expect.
    lbdev.run(&["up"]).fails(1, "LB010");
    let terminal = Pty::open();
    let mut command = lbdev.command(&["up"]);
    command.stdout(terminal.inside()).stderr(terminal.inside());
    let mut child = command.spawn().unwrap();
    drop(command);
    let screen = Lines::default();
    screen.read("screen", std::fs::File::from(terminal.ours));
    let waits = screen.wait(LIMIT, |lines| {
        let mut lines = lines.iter();
        lines
            .find(|(_, line)| line.contains("waiting for the next save"))
            .map(drop)
    });
    assert!(waits.is_some(), "{}", screen.transcript());
    lbdev.write("part.py", "PY = 1\n");
    until(LIMIT, "it serves", || {
        crate::http::get(lbdev.ports.listen(), "/").is_ok_and(|page| page.status == 201)
    });
    lbdev.run(&["down"]).ok();
    assert!(child.wait().unwrap().success());
}

/// More folders than the system watches: it is said, and files are looked at instead.
#[test]
fn where_the_system_watches_no_more_it_is_said_and_saves_are_seen() {
    if !need::root() || need::program("unshare").is_none() {
        return;
    }
    let Some(python) = need::python() else { return };
    let lbdev = Lbdev::new();
    lbdev.write("server.py", SERVER);
    lbdev.write("part.py", "PY = 0\n");
    for number in 0..8 {
        lbdev.write(&format!("app{number}/x.py"), "");
    }
    let command = format!("{} server.py {{port}}", python.display());
    lbdev.service_file(&command, "", "watch = ['**/*.py']");
    let up = format!(
        "echo 4 > /proc/sys/user/max_inotify_watches && exec {} up",
        crate::harness::LBDEV
    );
    let mut command = lbdev.command::<&str>(&[]);
    let envs: Vec<_> = command
        .get_envs()
        .map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned)))
        .collect();
    command = std::process::Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "sh", "-c", &up])
        .current_dir(&lbdev.dir)
        .env_clear();
    for (name, value) in envs {
        command.env(name, value.unwrap_or_default());
    }
    let running = Running::spawn(command);
    running.wait_line("are looked at every second", LIMIT);
    running.wait_line("lbdev: ready", LIMIT);
    lbdev.write("part.py", "PY = 1 # another length\n");
    running.wait_line("4 backends of `web` have it", LIMIT);
    assert_eq!(lbdev.get("/").status, 201);
    lbdev.run(&["down"]).ok();
}

/// The folder goes, and comes back.
#[test]
fn a_watched_folder_that_vanishes() {
    let service = "env = { PYTHONDONTWRITEBYTECODE = 1 }\nwatch = ['**/*.py']\ncwd = 'code'";
    let Some(python) = need::python() else { return };
    let lbdev = Lbdev::new();
    lbdev.write("code/server.py", SERVER);
    lbdev.write("code/part.py", "PY = 0\n");
    let command = format!("{} server.py {{port}}", python.display());
    lbdev.service_file(&command, "", service);
    let running = lbdev.start(&["up"]);
    running.wait_line("lbdev: ready", LIMIT);
    let (here, away) = (lbdev.dir.join("code"), lbdev.dir.join("away"));
    std::fs::rename(&here, &away).unwrap();
    std::fs::write(away.join("part.py"), "PY = 1\n").unwrap();
    running.wait_line("is gone", LIMIT);
    assert_eq!(lbdev.get("/").status, 200);
    assert_eq!(restarts(&lbdev), [0; 4]);
    std::fs::rename(&away, &here).unwrap();
    running.wait_line("is back", LIMIT);
    running.wait_line("4 backends of `web` have it", LIMIT);
    assert_eq!(lbdev.get("/").status, 201);
}

/// The variables of a file are read again when it is saved.
#[test]
fn a_saved_env_file_is_taken_up() {
    let Some(python) = need::python() else { return };
    let lbdev = Lbdev::new();
    lbdev.write(
        "server.py",
        &SERVER.replace(
            "from part import PY",
            "import os\nPY = int(os.environ['PY'])",
        ),
    );
    lbdev.write(".env", "PY=0\n");
    lbdev.write(".gitignore", ".env\n");
    let command = format!("{} server.py {{port}}", python.display());
    lbdev.service_file(
        &command,
        "",
        "env_file = '.env'\nwatch = ['**/*.py', '.env']",
    );
    let running = lbdev.start(&["up"]);
    running.wait_line("lbdev: ready", LIMIT);
    lbdev.write(".env", "PY=1\n");
    running.wait_line("`.env` was saved: 4 backends of `web` have it", LIMIT);
    assert_eq!(lbdev.get("/").status, 201);
}
