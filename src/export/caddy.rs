//! Caddy 2: <https://caddyserver.com/docs/caddyfile/directives/reverse_proxy>.

use super::fill::fill;
use super::loss::{Can, Losses};
use super::model::Model;
use super::quote::{Format, quote};
use super::{ExportError, Target};
use crate::balance::{Algorithm, HashKey};

const TEMPLATE: &str = include_str!("../../templates/export/Caddyfile");

pub(super) const CAN: Can = Can {
    format: Format::Caddy,
    // `*` is a wildcard, and a path is compared after it was decoded.
    not_in_paths: &['%', '?', '*', '['],
    algorithms: &[
        Algorithm::RoundRobin,
        Algorithm::LeastConn,
        Algorithm::RandomTwo,
        Algorithm::IpHash,
        Algorithm::Hash,
    ],
    instead: "least_conn",
    hash_keys: |key| match key {
        HashKey::Path => true,
        HashKey::Header(name) | HashKey::Cookie(name) => quote(Format::Caddy, name).is_some(),
    },
    weights: false,
    most_weight: u32::MAX,
    backup: false,
    max_connections: true,
    slow_start: false,
    checks: true,
    status_range: false,
    retries: true,
    retry_statuses: true,
    non_idempotent: true,
    queue: true,
    passive: true,
    finds_out: "a request that fails (max_fails)",
    differs: &[
        "requests that wait ask again every 250 ms (lb_try_interval), and all of their tries together have that time",
    ],
};

pub(super) fn text(model: &Model, losses: &mut Losses<'_>) -> Result<String, ExportError> {
    if model.algorithm == "hash" && model.hash == "cookie" && !model.sticky {
        losses.differs(
            "hash_key = \"cookie:…\" is Caddy's own cookie policy: it sets the cookie itself",
        );
    }
    let mut model = model.clone();
    for service in &mut model.services {
        let path = service.path.take_if(|path| !is_uri(path));
        if let Some(path) = path {
            losses.lost(format!(
                "health.path of `{}`: Caddy takes `{path}` for no path",
                service.name
            ));
        }
    }
    fill(Target::Caddy, CAN.format, TEMPLATE, model.with(losses))
}

/// Every `%` begins a byte in hexadecimal digits (RFC 3986 §2.1).
fn is_uri(path: &str) -> bool {
    let hex = |part: &str| {
        part.get(..2)
            .is_some_and(|two| two.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    path.split('%').skip(1).all(hex)
}
