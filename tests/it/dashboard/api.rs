//! The documents of the API: true, as they are described, and the same through both doors.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Door, demo};
use crate::harness::Running;
use crate::need;
use crate::wait::{s, until};

#[test]
fn what_the_page_shows_is_what_happened() -> Result<()> {
    let (lbdev, door) = demo()?;
    let [a, ..] = lbdev.ports.four();
    let fault = json!({ "reset": true });
    door.post(&format!("/v1/backends/{a}/fault"), &fault)?;
    for n in 0..12 {
        ensure!(lbdev.get(&format!("/?{n}")).status == 200);
    }
    let seen = door.get("/v1/requests")?.json();
    let requests = seen["requests"].as_array().context("requests")?;
    ensure!(requests.len() == 12, "{}", requests.len());
    let retried: Vec<&Value> = requests
        .iter()
        .filter(|one| {
            one["attempts"]
                .as_array()
                .is_some_and(|all| !all.is_empty())
        })
        .collect();
    ensure!(!retried.is_empty());
    for one in &retried {
        ensure!(
            one["attempts"][0]["backend"] == format!("web:{a}").as_str(),
            "{one}"
        );
        ensure!(
            one["attempts"][0]["failure"] == "reset" && one["fault"] == true,
            "{one}"
        );
        ensure!(one["status"] == 200 && one["backend"] != format!("web:{a}").as_str());
    }
    let last = seen["last"].as_u64().context("a number")?;
    let none = door.get(&format!("/v1/requests?after={last}"))?.json();
    ensure!(none["requests"] == json!([]) && none["last"] == last);

    // The timeline has each of them, once.
    let sum = || -> Result<(u64, u64)> {
        let timeline = door.get("/v1/timeline")?.json();
        let (mut requests, mut failed) = (0, 0);
        for one in timeline["backends"].as_array().context("backends")? {
            let add = |key: &str| -> u64 {
                let all = one[key].as_array().unwrap().iter();
                all.map(|n| n.as_u64().unwrap()).sum()
            };
            requests += add("requests");
            failed += add("failed");
        }
        Ok((requests, failed))
    };
    until(s(5), "the seconds are over", || {
        sum().is_ok_and(|(requests, _)| requests == 12)
    });
    let (_, failed) = sum()?;
    ensure!(failed == retried.len() as u64, "{failed}");

    // Lines: of one, the last ones, text only.
    let logs = door.get(&format!("/v1/logs?target={a}&lines=1"))?.json();
    let lines = logs["lines"].as_array().context("lines")?;
    ensure!(
        lines.len() == 1 && lines[0]["backend"] == format!("web:{a}").as_str(),
        "{logs}"
    );
    for (path, status) in [
        ("/v1/logs?target=1", 404),
        ("/v1/logs?lines=0", 422),
        ("/v1/logs?lines=51", 422),
        ("/v1/requests?before=1", 422),
        ("/v1/requests?after=x", 422),
        ("/v1/events?with=nothing", 422),
        ("/v1/events?wait_ms=-1", 422),
    ] {
        ensure!(door.get(path)?.status == status, "{path}");
    }
    Ok(())
}

#[test]
fn both_doors_say_the_same() -> Result<()> {
    let (lbdev, door) = demo()?;
    let mine = lbdev.status();
    let theirs = door.get("/v1/status")?.json();
    for key in ["project", "dir", "pid", "dashboard"] {
        ensure!(mine[key] == theirs[key], "{key}");
    }
    let port = lbdev.ports.first;
    let acted = door
        .post(&format!("/v1/backends/{port}/drain"), &json!({}))?
        .json();
    ensure!(acted["backends"][0]["enabled"] == false, "{acted}");
    ensure!(lbdev.backend(port)["enabled"] == false);
    door.change(
        "PATCH",
        "/v1/settings",
        &json!({ "algorithm": "least_conn" }),
    )?;
    ensure!(lbdev.status()["balancer"]["algorithm"] == "least_conn");
    door.change(
        "PATCH",
        &format!("/v1/backends/{port}"),
        &json!({ "weight": 3.0 }),
    )?;
    ensure!(lbdev.backend(port)["weight"] == 3);
    door.post("/v1/services/web/scale", &json!({ "backends": 2 }))?;
    until(s(10), "two are left", || {
        lbdev.status()["backends"]
            .as_array()
            .is_some_and(|all| all.len() == 2)
    });
    let response = door.change("DELETE", "/v1/settings", &json!({}))?;
    ensure!(response.status == 405 && response.header("allow") == Some("PATCH"));
    Ok(())
}

/// What Prometheus reads is what `status --json` says: its own parser reads it.
#[test]
fn metrics_are_those_of_the_status() -> Result<()> {
    const READ: &str = r#"
import json, sys
from prometheus_client.parser import text_string_to_metric_families
samples = []
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation and family.type in ("counter", "gauge", "histogram"), family
    for one in family.samples:
        samples.append([one.name, one.labels, one.value])
names = [json.dumps(s[:2], sort_keys=True) for s in samples]
assert len(names) == len(set(names)), "a sample is there twice"
print(json.dumps(samples))
"#;
    let Some(python) = need::python_that_imports("prometheus_client, schemathesis") else {
        return Ok(());
    };
    let (lbdev, door) = demo()?;
    let [a, b, ..] = lbdev.ports.four();
    door.post(
        &format!("/v1/backends/{a}/fault"),
        &json!({ "status": 503 }),
    )?;
    door.post(
        &format!("/v1/backends/{b}/fault"),
        &json!({ "reset": true }),
    )?;
    for _ in 0..23 {
        lbdev.get("/");
    }
    lbdev.run(&["kill", &a.to_string()]).ok();
    lbdev.until_state(a, "stopped", s(5));
    let response = door.get("/metrics")?;
    ensure!(response.header("content-type") == Some("text/plain; version=0.0.4; charset=utf-8"));
    let status = lbdev.status();
    let script = lbdev.write("read.py", READ);
    let text = lbdev.write("metrics.txt", &response.text());
    let output = Command::new(python)
        .arg(script)
        .stdin(std::fs::File::open(text)?)
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let samples: Vec<(String, Value, f64)> = serde_json::from_slice(&output.stdout)?;
    let value = |name: &str, labels: Value| -> Result<f64> {
        let found = samples
            .iter()
            .find(|(known, of, _)| known == name && *of == labels);
        Ok(found.with_context(|| format!("{name} {labels}"))?.2)
    };
    for (name, key) in [
        ("lbdev_requests_total", "requests"),
        ("lbdev_retries_total", "retries"),
        ("lbdev_lost_total", "failures"),
        ("lbdev_waiting", "waiting"),
    ] {
        ensure!(
            Some(value(name, json!({}))?) == status["balancer"][key].as_f64(),
            "{name}"
        );
    }
    for one in status["backends"].as_array().context("backends")? {
        let labels = json!({ "backend": one["id"], "service": one["service"] });
        for (name, key) in [
            ("lbdev_backend_requests_total", "requests"),
            ("lbdev_backend_errors_total", "errors"),
            ("lbdev_backend_retried_elsewhere_total", "retried_elsewhere"),
            ("lbdev_backend_restarts_total", "restarts"),
            ("lbdev_backend_in_flight", "in_flight"),
            ("lbdev_backend_weight", "weight"),
        ] {
            ensure!(
                Some(value(name, labels.clone())?) == one[key].as_f64(),
                "{name} {one}"
            );
        }
        // Each answer is in the histogram, and each failure has its reason.
        let count = value("lbdev_backend_response_seconds_count", labels.clone())?;
        ensure!(Some(count) == one["requests"].as_f64());
        let failures: f64 = samples
            .iter()
            .filter(|(name, of, _)| {
                name == "lbdev_backend_failures_total" && of["backend"] == one["id"]
            })
            .map(|(_, _, value)| value)
            .sum();
        ensure!(Some(failures) == one["failures"].as_f64());
        let mut state = labels.clone();
        state["state"] = one["state"].clone();
        ensure!(value("lbdev_backend_state", state)? == 1.0);
    }
    ensure!(status["balancer"]["retries"].as_u64() > Some(0), "{status}");
    ensure!(status["backends"][0]["errors"].as_u64() > Some(0));
    Ok(())
}

/// Every document is what the OpenAPI document says.
#[test]
fn documents_are_as_described() -> Result<()> {
    let (lbdev, door) = demo()?;
    for _ in 0..5 {
        lbdev.get("/");
    }
    lbdev.run(&["kill", &lbdev.ports.first.to_string()]).ok();
    let api = door.get("/v1/openapi.json")?.json();
    let paths = api["paths"].as_object().context("paths")?;
    let mut read = 0;
    for (path, operations) in paths {
        let answers = &operations["get"]["responses"]["200"]["content"]["application/json"];
        if answers.is_null() {
            continue;
        }
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "components": api["components"],
            "allOf": [answers["schema"]],
        });
        let document = door.get(&path.replace("{target}", "all"))?.json();
        let validator = jsonschema::validator_for(&schema)?;
        let errors: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| format!("{path}: {error} at {}", error.instance_path()))
            .collect();
        ensure!(errors.is_empty(), "{errors:?}");
        read += 1;
    }
    ensure!(read >= 8, "{read}");
    Ok(())
}

/// Requests that nobody would think of, made from the document: the answers are the ones it describes.
#[test]
fn schemathesis_finds_nothing() -> Result<()> {
    let Some(python) = need::python_that_imports("prometheus_client, schemathesis") else {
        return Ok(());
    };
    let (lbdev, door) = demo()?;
    let program = python.with_file_name("schemathesis");
    let mut command = Command::new(program);
    command
        .arg("run")
        .arg(format!("http://127.0.0.1:{}/v1/openapi.json", door.port))
        .args(["--header", &format!("Authorization: {}", door.bearer())])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args([
            "--max-examples",
            if crate::wait::is_long() { "200" } else { "10" },
        ])
        .args([
            "--request-timeout",
            "40",
            "--seed",
            "1",
            "--continue-on-failure",
        ])
        // What is waited for is not what is tested.
        .args(["--exclude-operation-id", "events"])
        .current_dir(&lbdev.dir)
        .env("HOME", lbdev.root())
        .env("NO_COLOR", "1")
        .stdin(std::process::Stdio::null());
    let output = Running::spawn(command).output(s(280));
    ensure!(output.code == Some(0), "{output}");
    ensure!(output.stdout.contains("passed"), "{output}");
    lbdev.run(&["status"]);
    let _: &Door = &door;
    Ok(())
}
