//! `--engine`: nginx, HAProxy and Apache of Debian in place of lbdev's own balancer.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Lbdev, kill};
use crate::http;
use crate::json::fits;
use crate::need;
use crate::rotation::{goes_round, port_in};
use crate::wait::{is_long, s, until};

/// Which are here; each that is not is a skip.
fn engines() -> Vec<&'static str> {
    let all = [
        ("nginx", "nginx", "nginx is not installed"),
        ("haproxy", "haproxy", "HAProxy is not installed"),
        ("apache", "apache2", "Apache is not installed"),
    ];
    all.into_iter()
        .filter_map(|(engine, program, reason)| need::installed(program, reason).map(|_| engine))
        .collect()
}

fn row<'a>(status: &'a Value, id: &str) -> &'a Value {
    let rows = status["backends"].as_array().expect("backends");
    rows.iter().find(|row| row["id"] == id).expect("a row")
}

/// The tutorial, with each of them: order, a kill that nobody notices, the way back, and what only lbdev knows.
fn tutorial(engine: &str) -> Result<()> {
    let lbdev = Lbdev::new();
    // nginx asks a server again after that time.
    lbdev.demo_file("passive = { failures = 1, window = \"1s\" }", "");
    let up = ["up", "-d", "--wait", "--engine", engine];
    lbdev
        .run(&up)
        .ok()
        .says("(4/4)")
        .says("balances in place of lbdev");
    let (four, listen) = (lbdev.ports.four(), lbdev.ports.listen());
    let page = || http::get(listen, "/");
    let port = || {
        page()
            .ok()
            .filter(|page| page.status == 200)
            .and_then(|page| port_in(&page.text()))
    };
    until(s(20), "all four answer", || {
        (0..8).filter_map(|_| port()).collect::<BTreeSet<_>>() == BTreeSet::from(four)
    });
    let seen: Vec<u16> = (0..8).filter_map(|_| port()).collect();
    goes_round(&seen, &four);

    let status = lbdev.status();
    fits(&status, "status");
    assert_eq!(status["balancer"]["engine"], engine);
    assert_eq!(status["state"], "serving");
    assert_eq!(status["dashboard"], Value::Null);
    for key in ["requests", "retries", "failures", "waiting"] {
        assert_eq!(status["balancer"][key], Value::Null, "{key} is not known");
    }
    let first = row(&status, &format!("web:{}", four[0]));
    assert_eq!(
        (&first["requests"], &first["in_flight"]),
        (&Value::Null, &Value::Null)
    );
    let balancer = row(&status, engine);
    assert_eq!(
        (&balancer["kind"], &balancer["state"]),
        (&"engine".into(), &"up".into())
    );
    lbdev
        .run(&["status"])
        .says("4 of 4 serving")
        .says("not known with this engine");

    // A load sees who answers, and what a kill costs: nothing.
    let kill_first = format!("kill {}", four[0]);
    let start_first = format!("start {}", four[0]);
    let load = [
        "load",
        "--rps",
        "100",
        "--for",
        "4s",
        "--at",
        "1s",
        &kill_first,
        "--at",
        "2s",
        &start_first,
        "--json",
    ];
    let report = lbdev.run(&load).ok().json();
    assert_eq!(report["failed"], 0, "{report:#}");
    assert_eq!(
        report["backends"].as_array().map(Vec::len),
        Some(4),
        "{report:#}"
    );
    let failover = &report["failovers"][0];
    assert_eq!(failover["backend"], format!("web:{}", four[0]));
    assert_eq!(
        failover["noticed_ms"],
        Value::Null,
        "only lbdev's balancer could tell"
    );
    until(s(30), "it is taken back", || port() == Some(four[0]));
    lbdev.run(&["restart", &four[1].to_string()]).ok();

    // The balancer itself is supervised like a backend; `all` does not mean it.
    let pid = |id: &str| row(&lbdev.status(), id)["pid"].as_u64();
    let before = pid(engine).context("it runs")?;
    lbdev.run(&["restart", "all", "--rolling"]).ok();
    assert_eq!(pid(engine), Some(before));
    lbdev.run(&["kill", engine]).ok();
    ensure!(page().is_err(), "nobody listens");
    assert_eq!(lbdev.status()["state"], "down");
    lbdev.run(&["start", engine]).ok();
    assert_eq!(page()?.status, 200);
    let before = pid(engine).context("it runs")?;
    kill(u32::try_from(before)?, Signal::KILL);
    until(s(20), "it is started again", || {
        pid(engine).is_some_and(|pid| pid != before) && page().is_ok_and(|page| page.status == 200)
    });
    lbdev.run(&["logs", engine]).ok();

    // What is lbdev's own to do.
    let third = four[2].to_string();
    let refused: [&[&str]; 6] = [
        &["drain", &third],
        &["fault", &third, "latency=1s"],
        &["set", "algorithm=least_conn"],
        &["set", &third, "weight=3"],
        &["scale", "6"],
        &["reload"],
    ];
    for verb in refused {
        lbdev.run(verb).fails(1, "LB056").says(engine);
    }
    // The same set-up with another balancer is another one.
    lbdev.run(&["up", "-d"]).fails(1, "LB056");
    lbdev.run(&["down"]).ok();
    lbdev.assert_all_gone();
    Ok(())
}

#[test]
fn the_tutorial_with_each() -> Result<()> {
    engines().into_iter().try_for_each(tutorial)
}

/// Whatever kills lbdev, the balancer goes with it.
#[test]
fn nothing_of_it_is_left_behind() {
    for engine in engines() {
        let lbdev = Lbdev::new();
        let mut running = lbdev.start(&lbdev.with_ports("demo", &["--engine", engine]));
        running.wait_line("lbdev: ready", s(30));
        assert_eq!(http::get(lbdev.ports.listen(), "/").unwrap().status, 200);
        let pid = lbdev.run(&["--project", "demo", "status", "--json"]).json()["pid"].as_u64();
        kill(
            pid.and_then(|pid| u32::try_from(pid).ok()).unwrap(),
            Signal::KILL,
        );
        running.wait_exit(s(20));
        // The guardian asks nicely, waits for a second, and does not ask again.
        until(s(10), "its processes end", || {
            lbdev.backend_processes().is_empty()
        });
        lbdev.assert_all_gone();
    }
}

#[test]
fn one_that_dies_at_once_is_told_of_like_a_backend() -> Result<()> {
    let mut lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    lbdev.script(
        "bin/nginx",
        "#!/bin/sh\necho 'nginx: [emerg] no such luck' >&2\nexit 1\n",
    );
    let path = std::env::var("PATH")?;
    lbdev.set(
        "PATH",
        format!("{}:{path}", lbdev.dir.join("bin").display()),
    );
    lbdev
        .run(&["up", "-d", "--wait", "--engine", "nginx"])
        .fails(1, "LB010")
        .says("`nginx` exited with status 1")
        .says("no such luck");
    lbdev.assert_all_gone();
    Ok(())
}

#[test]
fn one_that_is_not_there_is_said_with_how_to_install_it() {
    if !need::root() || need::installed("unshare", "there is no `unshare`").is_none() {
        return;
    }
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    let own = lbdev.dir.join("empty");
    std::fs::create_dir(&own).unwrap();
    // In a namespace of its own, where /usr/sbin has nothing in it.
    let command = lbdev.command(&["up", "-d", "--engine", "haproxy"]);
    let program = command.get_program().to_owned();
    let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let script = "mount --bind \"$0\" /usr/sbin && exec \"$@\"";
    let mut inside = std::process::Command::new("unshare");
    inside
        .args(["-m", "sh", "-c", script])
        .arg(&own)
        .arg(program)
        .args(args);
    inside.current_dir(&lbdev.dir).env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            inside.env(name, value);
        }
    }
    let said = crate::harness::Running::spawn(inside).output(s(60));
    said.fails(1, "LB055")
        .says("`haproxy` is not installed here")
        .says("haproxy`");
}

#[test]
fn strange_names_are_refused() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    lbdev
        .run(&["up", "-d", "--engine", "ngnix"])
        .fails(2, "LB021")
        .says("did you mean `nginx`");
    lbdev
        .run(&["compare", "--engines", "traefik"])
        .fails(2, "LB021");
}

/// The lesson of the tutorial, with somebody else's balancer.
#[test]
fn the_lab_of_the_tutorial_holds_with_each() {
    // One of them where time is short.
    let most = if is_long() { 3 } else { 1 };
    for engine in engines().into_iter().rev().take(most) {
        let lbdev = Lbdev::new();
        lbdev
            .run(&["lab", "failover", "--auto", "--engine", engine])
            .ok()
            .says("passed: 3 checks held")
            .says(engine);
    }
}

/// All four in one table; lbdev's own keeps its word.
#[test]
fn compare_does_one_drill_with_each() -> Result<()> {
    let engines = engines();
    if engines.len() < 3 {
        return Ok(());
    }
    let lbdev = Lbdev::new();
    let said = lbdev.run(&["compare", "--quick", "--json"]).ok();
    let all = said.json();
    fits(&all, "compare");
    let names: Vec<&str> = all["engines"]
        .as_array()
        .context("engines")?
        .iter()
        .filter_map(|one| one["engine"].as_str())
        .collect();
    assert_eq!(names, ["builtin", "nginx", "haproxy", "apache"]);
    for one in all["engines"].as_array().context("engines")? {
        for part in ["gets", "posts", "restarted", "hung", "undisturbed"] {
            ensure!(one[part]["sent"].as_u64() > Some(100), "{part}: {one:#}");
        }
        for number in ["p50_ms", "p99_ms", "cpu_us", "noticed_ms"] {
            ensure!(one[number].is_number(), "{number}: {one:#}");
        }
        assert_eq!(one["undisturbed"]["lost"], 0, "{one:#}");
    }
    let own = &all["engines"][0];
    assert_eq!(
        (&own["gets"]["lost"], &own["restarted"]["lost"]),
        (&0.into(), &0.into()),
        "{own:#}"
    );
    lbdev.assert_all_gone();
    Ok(())
}
