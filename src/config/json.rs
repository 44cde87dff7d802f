//! A resolved set-up for programs: `lbdev config --json`, and a fingerprint to tell two of them apart.

use serde_json::{Value, json};

use super::value::{
    RESTART_MODES, STOP_SIGNALS, budget_text, duration_text, expected_status_text, limit_text,
    listen_text, name_of, ready_text, route_text, size_text,
};
use super::{BackendSpec, Config, Origins, Service, WatchMode};
use crate::backend::Kind;

/// The set-up as JSON, version 1: `lbdev config --json`. `from` says where each value was said; what is not in it is a
/// default.
pub fn json_with_origins(config: &Config, origins: &Origins) -> Value {
    let mut all = json(config);
    let from: serde_json::Map<String, Value> = (origins.iter())
        .map(|(key, origin)| (key.to_owned(), Value::from(origin)))
        .collect();
    all["from"] = Value::Object(from);
    all
}

/// The set-up as JSON.
pub fn json(config: &Config) -> Value {
    let balancer = &config.balancer;
    let timeouts = &balancer.timeouts;
    json!({
        "version": crate::wire::VERSION,
        "project": config.project,
        "dir": config.dir.to_string_lossy(),
        "origin": config.origin,
        "notes": config.notes,
        "balancer": {
            "listen": listen_text(balancer.listen),
            "url": balancer.listen.url(),
            "engine": balancer.engine.name(),
            "algorithm": balancer.live.algorithm.name(),
            "hash_key": balancer.live.hash_key.to_string(),
            "sequence": balancer.live.sequence.name(),
            "sticky": balancer.live.sticky.name(),
            "detect": balancer.live.detect.name(),
            "retries": balancer.live.retries,
            "retry": {
                "body": size_text(balancer.retry.body),
                "budget": budget_text(balancer.retry.budget),
                "deadline": duration_text(balancer.retry.deadline),
                "non_idempotent": balancer.retry.non_idempotent,
                "statuses": balancer.retry.statuses,
            },
            "hold": size_text(balancer.hold),
            "passive": {
                "failures": balancer.passive.failures,
                "window": duration_text(balancer.passive.window),
            },
            "queue": { "max": balancer.queue_max, "timeout": duration_text(balancer.queue_timeout) },
            "timeouts": {
                "connect": duration_text(timeouts.connect),
                "client_head": limit_text(timeouts.client_head),
                "backend_head": limit_text(timeouts.backend_head),
                "body": limit_text(timeouts.body),
                "idle": duration_text(timeouts.idle),
                "drain": duration_text(timeouts.drain),
            },
            "allow_hosts": balancer.live.allow_hosts.texts(),
            "trust_forwarded": balancer.trust_forwarded,
            "workers": balancer.workers,
        },
        "dashboard": {
            "enabled": config.dashboard.enabled,
            "listen": listen_text(config.dashboard.listen),
            "named": config.dashboard.named,
            "hosts": config.dashboard.hosts,
        },
        "services": config.services.iter().map(service_json).collect::<Vec<_>>(),
    })
}

fn service_json(service: &Service) -> Value {
    json!({
        "name": service.name,
        "routes": service.routes.iter().map(route_text).collect::<Vec<_>>(),
        "watch": service.watch.as_ref().map(|watch| json!({
            "patterns": watch.patterns,
            "dir": watch.dir.to_string_lossy(),
            "mode": name_of(watch.mode, WatchMode::NAMES),
        })),
        "before": service.before.iter().map(|task| &task.line).collect::<Vec<_>>(),
        "after": service.after.iter().map(|task| &task.line).collect::<Vec<_>>(),
        "needs": service.needs.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "backends": service.backends.iter().map(backend_json).collect::<Vec<_>>(),
    })
}

fn backend_json(backend: &BackendSpec) -> Value {
    let command = backend.command.as_ref().map(|command| {
        let env: serde_json::Map<String, Value> = command
            .env
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect();
        json!({ "argv": command.argv, "env": env, "cwd": command.cwd.to_string_lossy(), "pty": command.pty })
    });
    json!({
        "id": backend.id.to_string(),
        "index": backend.index,
        "kind": match backend.kind { Kind::Managed => "managed", Kind::External => "external" },
        "port": backend.id.port(),
        "addresses": backend.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "command": command,
        "weight": backend.weight,
        "backup": backend.backup,
        "max_connections": backend.max_connections,
        "slow_start": duration_text(backend.slow_start),
        "ready": ready_text(&backend.ready),
        "health": {
            "path": backend.health.path,
            "interval": duration_text(backend.health.interval),
            "timeout": duration_text(backend.health.timeout),
            "rise": backend.health.rise,
            "fall": backend.health.fall,
            "status": backend.health.status.map(expected_status_text),
            "body": backend.health.body,
        },
        "restart": {
            "policy": name_of(backend.restart.mode, RESTART_MODES),
            "backoff": format!(
                "{}..{}",
                duration_text(backend.restart.backoff_min),
                duration_text(backend.restart.backoff_max)
            ),
            "max": backend.restart.max,
        },
        "stop": {
            "signal": name_of(backend.stop.signal, STOP_SIGNALS),
            "timeout": duration_text(backend.stop.timeout),
        },
    })
}

/// A digest of what a set-up does: equal for equal set-ups, in every build of this version. PATH is left out, as two
/// terminals rarely agree on it, and so is where the set-up was found.
pub fn fingerprint(config: &Config) -> String {
    let mut plain = config.clone();
    plain.origin.clear();
    plain.notes.clear();
    for backend in plain.services.iter_mut().flat_map(|s| &mut s.backends) {
        if let Some(command) = &mut backend.command {
            command.env.retain(|(name, _)| name != "PATH");
        }
    }
    format!("{:016x}", fnv1a(json(&plain).to_string().as_bytes()))
}

/// FNV-1a, 64 bits: small, and the same for ever, unlike the standard library's hasher.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
