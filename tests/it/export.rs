//! `lbdev export`: the balancers of Debian run what it writes, before real Django; validators read the rest; and no name,
//! path or text of a set-up becomes a directive.

mod balancers;
mod hostile;
mod round_trip;

use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

use crate::harness::{LBDEV, Lbdev};
use crate::need;

/// A set-up with something of everything.
fn rich(lbdev: &Lbdev) {
    let listen = lbdev.ports.listen();
    lbdev.write(
        "lbdev.toml",
        &format!(
            "[balancer]\nlisten = \"localhost:{listen}\"\nsticky = \"cookie\"\n\
             [services.web]\ncommand = \"python manage.py runserver --noreload 127.0.0.1:{{port}}\"\n\
             ports = \"8000-8003\"\nenv = {{ MONEY = \"$5 \\\"a\\\" \\\\ 'b'\" }}\nhealth = {{ path = \"/health\" }}\n\
             [services.api]\ncommand = \"node api.js\"\nports = \"9000-9001\"\nroutes = [\"/api\", \"api.localhost\"]\nneeds = [\"web\"]\n\
             [services.worker]\ncommand = \"celery -A shop worker\"\n"
        ),
    );
}

/// Runs a program, which has to be content.
#[track_caller]
fn content(program: &Path, args: &[&str], dir: &Path) -> Result<String> {
    let output = Command::new(program).args(args).current_dir(dir).output()?;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    ensure!(output.status.success(), "{program:?} {args:?}: {said}");
    Ok(said)
}

#[test]
fn kubernetes_manifests_pass_the_official_schemas() -> Result<()> {
    let Some(python) = need::python_that_imports("kubernetes_validate, yaml") else {
        return Ok(());
    };
    let lbdev = Lbdev::new();
    rich(&lbdev);
    lbdev
        .run(&["export", "kubernetes", "-o", "k8s.yaml"])
        .ok()
        .says("wrote");
    let said = content(
        &python,
        &[
            "-c",
            "import sys; from kubernetes_validate.__main__ import main; sys.exit(main())",
            "--strict",
            "k8s.yaml",
        ],
        &lbdev.dir,
    )?;
    for kind in [
        "deployment/web",
        "service/web",
        "poddisruptionbudget/web",
        "deployment/worker",
        "ingress/site",
    ] {
        ensure!(said.contains(kind), "{kind}: {said}");
    }
    // What the issue of every rollout is: nobody goes before somebody has come.
    let text = std::fs::read_to_string(lbdev.dir.join("k8s.yaml"))?;
    for needle in [
        "maxUnavailable: 0",
        "readinessProbe",
        "livenessProbe",
        "preStop",
        "PodDisruptionBudget",
        "session-cookie-name",
    ] {
        ensure!(text.contains(needle), "{needle}: {text}");
    }
    Ok(())
}

#[test]
fn compose_and_swarm_are_read_by_compose() -> Result<()> {
    let (Some(compose), Some(python)) = (
        need::installed("docker-compose", "docker-compose is not installed"),
        need::python_that_imports("yaml"),
    ) else {
        return Ok(());
    };
    let lbdev = Lbdev::new();
    rich(&lbdev);
    for target in ["compose", "swarm"] {
        let file = format!("{target}.yaml");
        lbdev.run(&["export", target, "-o", &file]).ok();
        let read = content(&compose, &["-f", &file, "config"], &lbdev.dir)?;
        ensure!(read.contains("order: start-first"), "{read}");
        // What a container gets is what lbdev gives its backends.
        let values = content(
            &python,
            &[
                "-c",
                "import sys, yaml\n\
                 all = yaml.safe_load(sys.argv[1])['services']\n\
                 print(all['web']['environment']['MONEY'].replace('$$', '$'))\n\
                 print(all['web']['deploy']['replicas'], all['web']['command'][-1])\n\
                 print(sorted(all))",
                &read,
            ],
            &lbdev.dir,
        )?;
        assert_eq!(
            values,
            "$5 \"a\" \\ 'b'\n4 0.0.0.0:8000\n['api', 'balancer', 'web', 'worker']\n"
        );
        let haproxy = need::installed("haproxy", "HAProxy is not installed");
        let Some(haproxy) = haproxy else { continue };
        // The balancer in front is a whole configuration by itself.
        let inner = content(
            &python,
            &[
                "-c",
                "import sys, yaml\n\
                 text = yaml.safe_load(open(sys.argv[1]))['services']['balancer']['environment']['CONFIGURATION']\n\
                 open('inner.cfg', 'w').write(text.replace('$$', '$') + '\\n')",
                &file,
            ],
            &lbdev.dir,
        )?;
        assert_eq!(inner, "");
        content(&haproxy, &["-c", "-f", "inner.cfg"], &lbdev.dir)?;
    }
    Ok(())
}

/// Where an engine of containers runs, the stack serves. None can run in most places where tests do: then there is nothing
/// to say, and nothing is skipped that could have been had.
#[test]
fn a_stack_serves_where_docker_runs() -> Result<()> {
    let running = Command::new("docker").arg("info").output();
    if !running.is_ok_and(|output| {
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("Swarm: active")
    }) {
        return Ok(());
    }
    let lbdev = Lbdev::new();
    rich(&lbdev);
    lbdev.run(&["export", "swarm", "-o", "swarm.yaml"]).ok();
    let docker = Path::new("docker");
    content(
        docker,
        &["stack", "deploy", "-c", "swarm.yaml", "lbdev-test"],
        &lbdev.dir,
    )?;
    content(docker, &["stack", "rm", "lbdev-test"], &lbdev.dir)?;
    Ok(())
}

#[test]
fn a_procfile_is_run_by_lbdev_again() -> Result<()> {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    lbdev.run(&["export", "procfile", "-o", "Procfile"]).ok();
    let text = std::fs::read_to_string(lbdev.dir.join("Procfile"))?;
    let line = format!("web: {LBDEV} __demo --port $PORT");
    ensure!(text.lines().any(|known| known == line), "{text}");
    let args = lbdev.with_ports("up", &["--from", "procfile", "-d", "--wait"]);
    lbdev.run(&args).ok();
    assert_eq!(lbdev.next_ports(8).len(), 8);
    Ok(())
}

#[test]
fn a_dockerfile_is_by_framework() -> Result<()> {
    let check = |files: &[(&str, &str)], command: &str, expected: &[&str]| -> Result<()> {
        let lbdev = Lbdev::new();
        for (name, text) in files {
            lbdev.write(name, text);
        }
        lbdev.write(
            "lbdev.toml",
            &format!("[services.web]\ncommand = \"{command}\"\nports = \"8000-8003\"\n"),
        );
        let text = lbdev.run(&["export", "dockerfile"]).ok().stdout;
        for line in expected {
            ensure!(text.lines().any(|known| known == *line), "{line}: {text}");
        }
        Ok(())
    };
    check(
        &[("manage.py", ""), ("requirements.txt", "django\n")],
        "{python} manage.py runserver 127.0.0.1:{port}",
        &[
            "FROM python:3-slim",
            "RUN pip install --no-cache-dir -r requirements.txt",
            "EXPOSE 8000",
            "CMD [\"python\", \"manage.py\", \"runserver\", \"0.0.0.0:8000\"]",
        ],
    )?;
    check(
        &[(
            "package.json",
            "{\"scripts\":{\"start\":\"node server.js\"}}",
        )],
        "node server.js",
        &[
            "FROM node:lts-slim",
            "COPY package*.json ./",
            "CMD [\"node\", \"server.js\"]",
        ],
    )?;
    check(
        &[("go.mod", "module x\n"), ("main.go", "package main\n")],
        ".lbdev/server",
        &[
            "FROM golang:1 AS build",
            "RUN CGO_ENABLED=0 go build -o .lbdev/server .",
        ],
    )?;
    check(
        &[("index.html", "<h1>")],
        "{lbdev} __static --port {port} --dir .",
        &["FROM caddy:2", "COPY . /srv"],
    )?;
    check(
        &[],
        "./my server",
        &["FROM debian:stable-slim", "CMD [\"/app/my\", \"server\"]"],
    )
}

#[test]
fn what_is_lost_is_said_and_strict_refuses_it() -> Result<()> {
    let lbdev = Lbdev::new();
    lbdev.demo_file(
        "algorithm = \"peak_ewma\"\ndetect = \"active\"",
        "slow_start = \"5s\"\nhealth = { path = \"/health\" }",
    );
    let said = lbdev.run(&["export", "nginx"]).ok();
    for lost in [
        "algorithm = \"peak_ewma\"",
        "detect = \"active\"",
        "slow_start of `web`",
        "health of `web`",
    ] {
        ensure!(said.stderr.contains(lost), "{lost}: {said}");
        ensure!(said.stdout.contains(lost), "in the file: {lost}: {said}");
    }
    lbdev
        .run(&["export", "nginx", "--strict", "-o", "nginx.conf"])
        .fails(1, "LB053")
        .says("slow_start of `web`");
    ensure!(!lbdev.dir.join("nginx.conf").exists(), "nothing is written");
    // HAProxy can do most of it.
    let json = lbdev.run(&["export", "haproxy", "--json"]).ok().json();
    assert_eq!(json["target"], "haproxy");
    let lost = json["lost"].as_array().context("a list")?;
    ensure!(
        lost.iter()
            .all(|one| !one.as_str().unwrap_or("").contains("slow_start")),
        "{lost:?}"
    );
    // Nothing was set that could be lost.
    lbdev.demo_file("", "");
    lbdev.run(&["export", "nginx", "--strict"]).ok();
    Ok(())
}

#[test]
fn files_of_others_are_left_alone() -> Result<()> {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    lbdev.write("nginx.conf", "mine");
    lbdev
        .run(&["export", "nginx", "-o", "nginx.conf"])
        .fails(2, "LB007")
        .says("lbdev did not write it");
    assert_eq!(
        std::fs::read_to_string(lbdev.dir.join("nginx.conf"))?,
        "mine"
    );
    for _ in 0..2 {
        lbdev.run(&["export", "nginx", "-o", "ours.conf"]).ok();
    }
    lbdev
        .run(&["export", "nginx", "-o", "nowhere/at/all.conf"])
        .fails(1, "LB007");
    lbdev
        .run(&["export", "nginks"])
        .fails(2, "LB021")
        .says("did you mean `nginx`");
    lbdev.write("lbdev.toml", "[services.worker]\ncommand = \"sleep 1\"\n");
    lbdev
        .run(&["export", "nginx"])
        .fails(2, "LB052")
        .says("no service of this set-up has ports");
    lbdev.write(
        "lbdev.toml",
        "[services.x]\nexternal = [\"127.0.0.1:7000\"]\n",
    );
    lbdev
        .run(&["export", "compose"])
        .fails(2, "LB052")
        .says("every service of this set-up is external");
    Ok(())
}
