//! nginx, the open version: <https://nginx.org/en/docs/http/ngx_http_upstream_module.html>.

use serde::Serialize;

use super::fill::fill;
use super::loss::{Can, Losses};
use super::model::Model;
use super::quote::Format;
use super::{ExportError, Target};
use crate::balance::{Algorithm, HashKey};

const TEMPLATE: &str = include_str!("../../templates/export/nginx.conf");

pub(super) const CAN: Can = Can {
    format: Format::Nginx,
    // A location is compared with the path after it was decoded.
    not_in_paths: &['%', '?'],
    algorithms: &[
        Algorithm::RoundRobin,
        Algorithm::LeastConn,
        Algorithm::RandomTwo,
        Algorithm::IpHash,
        Algorithm::Hash,
    ],
    instead: "least_conn",
    hash_keys: |key| variable(key).is_some(),
    weights: true,
    most_weight: u32::MAX,
    backup: true,
    max_connections: true,
    slow_start: false,
    checks: false,
    status_range: false,
    retries: true,
    retry_statuses: true,
    non_idempotent: true,
    queue: false,
    passive: true,
    finds_out: "a request that fails (max_fails)",
    differs: &[
        "a server that did not answer in time is given up, and the request goes to the next one (proxy_next_upstream timeout)",
    ],
};

/// `$http_NAME` and `$cookie_NAME`: a variable's name has letters, digits and `_` only.
fn variable(key: &HashKey) -> Option<String> {
    let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    match key {
        HashKey::Path => Some("$uri".to_owned()),
        HashKey::Header(name) => {
            let name = name.to_ascii_lowercase().replace('-', "_");
            plain(&name).then(|| format!("$http_{name}"))
        }
        HashKey::Cookie(name) => plain(name).then(|| format!("$cookie_{name}")),
    }
}

#[derive(Serialize)]
struct Nginx {
    #[serde(flatten)]
    model: Model,
    /// The line of an upstream that chooses.
    method: &'static str,
    /// What `hash` goes by. Ours: a variable's name.
    key: String,
    /// Its methods without a place for a backup.
    has_backups: bool,
}

pub(super) fn text(model: &Model, losses: &mut Losses<'_>) -> Result<String, ExportError> {
    let key = match model.hash {
        "header" => HashKey::Header(model.hash_name.clone()),
        "cookie" => HashKey::Cookie(model.hash_name.clone()),
        _ => HashKey::Path,
    };
    let key = variable(&key);
    let method = match model.algorithm {
        _ if model.sticky => "sticky",
        "round_robin" => "round_robin",
        "random_two" => "random_two",
        "ip_hash" => "ip_hash",
        "hash" if key.is_some() => "hash",
        _ => "least_conn",
    };
    let has_backups = matches!(method, "round_robin" | "least_conn");
    if !has_backups
        && model
            .services
            .iter()
            .any(|one| one.servers.iter().any(|s| s.backup))
    {
        losses.lost("backup: nginx has none beside a hash, an ip_hash or random");
    }
    match method {
        "sticky" => losses.differs("a client sticks by a random cookie and a hash of it: the open nginx has no other way, and `algorithm` says nothing then"),
        "ip_hash" => losses.differs("clients of one /24 network have one server (ip_hash)"),
        _ => {}
    }
    let key = key.unwrap_or_default();
    let model = model.with(losses);
    fill(
        Target::Nginx,
        CAN.format,
        TEMPLATE,
        Nginx {
            key,
            model,
            method,
            has_backups,
        },
    )
}
