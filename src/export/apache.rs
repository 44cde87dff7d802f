//! Apache httpd 2.4 with mod_proxy_balancer: <https://httpd.apache.org/docs/2.4/mod/mod_proxy_balancer.html>.

use super::fill::fill;
use super::loss::{Can, Losses};
use super::model::Model;
use super::quote::Format;
use super::{ExportError, Target};
use crate::balance::Algorithm;

const TEMPLATE: &str = include_str!("../../templates/export/httpd.conf");

pub(super) const CAN: Can = Can {
    format: Format::Apache,
    // `ProxyPass` compares with the path after it was decoded.
    not_in_paths: &['%', '?'],
    algorithms: &[Algorithm::RoundRobin, Algorithm::LeastConn],
    instead: "bybusyness",
    hash_keys: |_| false,
    weights: true,
    most_weight: 100,
    backup: true,
    max_connections: false,
    slow_start: false,
    checks: true,
    status_range: true,
    retries: true,
    retry_statuses: true,
    non_idempotent: false,
    queue: false,
    passive: false,
    finds_out: "a request that fails, or a check,",
    differs: &[
        "one failure takes a server out, for the time of passive.window (retry)",
        "a request that a server has begun to read is not sent again: its client gets 502",
        "the round robin goes by bytes of luck in each process: the order is not kept (byrequests)",
    ],
};

pub(super) fn text(model: &Model, losses: &mut Losses<'_>) -> Result<String, ExportError> {
    if model.services.iter().any(|service| service.body.is_some()) {
        losses.lost("health.body: only the status is checked");
    }
    fill(Target::Apache, CAN.format, TEMPLATE, model.with(losses))
}
