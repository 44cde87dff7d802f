//! Docker Compose and Swarm: the services as containers, and HAProxy in front of them.

use serde::Serialize;

use super::container::{Container, containers};
use super::fill::fill;
use super::haproxy::{self, Discovered};
use super::loss::Losses;
use super::model::Model;
use super::quote::Format;
use super::{ExportError, Target};
use crate::config::Config;

const TEMPLATE: &str = include_str!("../../templates/export/compose.yaml");

#[derive(Serialize)]
struct Compose {
    #[serde(flatten)]
    model: Model,
    containers: Vec<Container>,
    swarm: bool,
    /// HAProxy's configuration; `None` where nothing is balanced.
    haproxy: Option<String>,
    published: String,
}

pub(super) fn text(
    config: &Config,
    target: Target,
    model: &Model,
    losses: &mut Losses<'_>,
) -> Result<String, ExportError> {
    let swarm = target == Target::Swarm;
    // That the servers are not started by the balancer is no news here.
    losses.differs.retain(|what| {
        !what.contains("lbdev export procfile") && !what.contains("this machine only")
    });
    let containers = containers(config, target.called(), losses)?;
    losses
        .differs("each service's folder needs a Dockerfile: `lbdev export dockerfile` writes one");
    losses.differs("saved files do not restart anything (watch)");
    let inner = inner(model, &containers);
    let haproxy = match inner.services.is_empty() {
        true => None,
        false => {
            let discovered = Discovered {
                prefix: match swarm {
                    true => "tasks.",
                    false => "",
                },
                replicas: inner.services.iter().map(|one| one.servers.len()).collect(),
                ports: inner.ports(&containers),
                dns: "127.0.0.11:53",
                key: format!("lbdev-{}", model.ident),
            };
            Some(haproxy::filled(&inner, losses, Some(discovered))?)
        }
    };
    let port = model.port;
    if swarm && super::model::is_loopback(config) {
        losses.differs(format!(
            "port {port} is open on every address of every node, not on this machine's own alone"
        ));
    }
    let published = match (swarm, super::model::is_loopback(config)) {
        // Swarm publishes on every address of every node.
        (true, _) => format!("{port}:8080"),
        (false, true) => format!("127.0.0.1:{port}:8080"),
        (false, false) => format!("{port}:8080"),
    };
    fill(
        target,
        Format::Compose,
        TEMPLATE,
        Compose {
            model: model.with(losses),
            containers,
            swarm,
            haproxy,
            published,
        },
    )
}

/// The balancer's own view: it listens in its container, and finds servers by the names of services.
fn inner(model: &Model, containers: &[Container]) -> Model {
    let mut inner = model.clone();
    inner.listen = vec!["0.0.0.0:8080".to_owned()];
    let label = |name: &str| containers.iter().find(|one| one.name == name);
    inner
        .services
        .retain(|service| label(&service.name).is_some());
    for service in &mut inner.services {
        if let Some(container) = label(&service.name) {
            service.ident.clone_from(&container.label);
        }
    }
    for ways in [&mut inner.by_host, &mut inner.by_path] {
        ways.retain(|way| label(&way.service).is_some());
        for way in ways.iter_mut() {
            if let Some(container) = label(&way.service) {
                way.ident.clone_from(&container.label);
            }
        }
    }
    inner.has_rest = inner.by_path.iter().any(|way| way.to.is_empty());
    inner
}

impl Model {
    fn ports(&self, containers: &[Container]) -> Vec<u16> {
        let port = |name: &str| {
            containers
                .iter()
                .find(|one| one.name == name)
                .map(|one| one.port)
        };
        self.services
            .iter()
            .filter_map(|one| port(&one.name))
            .collect()
    }
}
