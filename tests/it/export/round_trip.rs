//! nginx and back.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::harness::Lbdev;

/// What nginx cannot say, and so does not come back: who starts the servers and how they are checked, what lbdev alone
/// does, and of `listen` the name for both loopback addresses.
const LOST: &[&str] = &[
    "balancer.detect",
    "balancer.hold",
    "balancer.queue",
    "balancer.retry.body",
    "balancer.retry.budget",
    "balancer.sequence",
    "balancer.timeouts.drain",
];
/// Of a service and of each of its backends.
const LOST_OF_SERVICES: &[&str] = &[
    "command",
    "env",
    "health",
    "kind",
    "restart",
    "ready",
    "stop",
    "watch",
    "watch_mode",
    "before",
    "after",
    "needs",
    "cwd",
    "pty",
    "slow_start",
    "addresses",
];

/// Every leaf of a document by its path; parts of lists by their number.
fn leaves(path: &str, value: &Value, all: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                leaves(&path, value, all);
            }
        }
        Value::Array(list) => {
            for (place, value) in list.iter().enumerate() {
                // Of routes the longest counts, wherever it stands.
                let place = match path.ends_with("routes") {
                    true => "any".to_owned(),
                    false => place.to_string(),
                };
                leaves(&format!("{path}.{place}"), value, all);
            }
        }
        leaf => {
            all.insert(format!("{path} = {leaf}"));
        }
    }
}

fn kept(config: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for key in ["balancer", "services"] {
        leaves(key, &config[key], &mut all);
    }
    let lost = |leaf: &String| {
        LOST.iter().any(|key| leaf.starts_with(key))
            || (leaf.starts_with("services.")
                && LOST_OF_SERVICES
                    .iter()
                    .any(|key| leaf.split([' ', '.']).any(|part| part == *key)))
    };
    all.retain(|leaf| !lost(leaf));
    all
}

fn check(balancer: &str, web: &str, more: &str) -> Result<()> {
    let lbdev = Lbdev::new();
    lbdev.write(
        "lbdev.toml",
        &format!(
            "[balancer]\n{balancer}\n[services.web]\ncommand = \"srv {{port}}\"\nports = \"8000-8003\"\n{web}\n{more}"
        ),
    );
    let before = lbdev.run(&["config", "--json"]).ok().json();
    lbdev.run(&["export", "nginx", "-o", "nginx.conf"]).ok();
    lbdev
        .run(&["import", "nginx.conf", "-o", "back.toml"])
        .ok()
        .says_not("not understood");
    let back = lbdev
        .run(&["config", "-f", "back.toml", "--json"])
        .ok()
        .json();
    let (before, back) = (kept(&before), kept(&back));
    let gone: Vec<_> = before.difference(&back).collect();
    let new: Vec<_> = back.difference(&before).collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "gone: {gone:#?}\nnew: {new:#?}"
    );
    before.first().context("something was compared")?;
    Ok(())
}

#[test]
fn what_nginx_can_say_comes_back() -> Result<()> {
    check("", "", "")?;
    check(
        "listen = \"127.0.0.1:9999\"\nretries = 0\nworkers = 3\ntrust_forwarded = true",
        "backends.8001 = { weight = 3, max_connections = 7 }\nbackends.8003 = { backup = true }",
        "",
    )?;
    check(
        "algorithm = \"least_conn\"\nretry = { non_idempotent = true, statuses = [502, 504], deadline = \"3s\" }\n\
         passive = { failures = 5, window = \"20s\" }\n\
         timeouts = { connect = \"250ms\", backend_head = \"off\", body = \"5s\", idle = \"30s\", client_head = \"3s\" }",
        "max_connections = 9",
        "[services.api]\nexternal = [\"127.0.0.1:9000\", \"[::1]:9001\"]\nroutes = [\"/api\", \"api.test\"]\n",
    )?;
    for algorithm in ["round_robin", "random_two", "ip_hash", "hash"] {
        check(&format!("algorithm = \"{algorithm}\""), "", "")?;
    }
    check("algorithm = \"hash\"\nhash_key = \"header:x-user\"", "", "")?;
    check("algorithm = \"hash\"\nhash_key = \"cookie:sid\"", "", "")?;
    check("sticky = \"cookie\"", "", "")
}
