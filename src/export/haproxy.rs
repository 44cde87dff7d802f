//! HAProxy: <https://docs.haproxy.org/2.6/configuration.html>.

use serde::Serialize;

use super::fill::fill;
use super::loss::{Can, Losses};
use super::model::Model;
use super::quote::Format;
use super::{ExportError, Target};
use crate::balance::{Algorithm, HashKey};

pub(super) const TEMPLATE: &str = include_str!("../../templates/export/haproxy.cfg");

pub(super) const CAN: Can = Can {
    format: Format::Haproxy,
    not_in_paths: &['?'],
    algorithms: &[
        Algorithm::RoundRobin,
        Algorithm::LeastConn,
        Algorithm::RandomTwo,
        Algorithm::IpHash,
        Algorithm::Hash,
    ],
    instead: "leastconn",
    // A name stands within brackets, where quotes mean something once more.
    hash_keys: |key| match key {
        HashKey::Path => true,
        HashKey::Header(name) | HashKey::Cookie(name) => is_plain(name),
    },
    weights: true,
    most_weight: 256,
    backup: true,
    max_connections: true,
    slow_start: true,
    checks: true,
    status_range: true,
    retries: true,
    retry_statuses: true,
    non_idempotent: true,
    queue: false,
    passive: true,
    finds_out: "a check",
    differs: &[
        "a request is sent again only if all of it fits into one buffer (tune.bufsize, 16 KiB)",
    ],
};

fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    name.bytes().all(plain)
}

#[derive(Serialize)]
pub(super) struct Haproxy {
    #[serde(flatten)]
    model: Model,
    retry_on: String,
    /// Servers are found by name, as many as there are of a service.
    discovered: Option<Discovered>,
}

/// Servers that are containers.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Discovered {
    /// Before the name of the service: `tasks.`.
    pub prefix: &'static str,
    /// Of each service, in their order.
    pub ports: Vec<u16>,
    pub replicas: Vec<usize>,
    pub dns: &'static str,
    /// For names of servers in cookies.
    pub key: String,
}

pub(super) fn text(model: &Model, losses: &mut Losses<'_>) -> Result<String, ExportError> {
    filled(model, losses, None)
}

/// The configuration, with servers by address or by name.
pub(super) fn filled(
    model: &Model,
    losses: &mut Losses<'_>,
    discovered: Option<Discovered>,
) -> Result<String, ExportError> {
    let statuses = model.statuses.iter().map(|status| format!(" {status}"));
    let retry_on = format!(
        "conn-failure empty-response{}",
        statuses.collect::<String>()
    );
    let model = model.with(losses);
    fill(
        Target::Haproxy,
        CAN.format,
        TEMPLATE,
        Haproxy {
            model,
            retry_on,
            discovered,
        },
    )
}
