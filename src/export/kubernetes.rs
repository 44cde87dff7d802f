//! Kubernetes: <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/>.

use serde::Serialize;

use super::container::{Container, containers};
use super::fill::fill;
use super::loss::Losses;
use super::model::{Model, Way};
use super::quote::Format;
use super::{ExportError, Target};
use crate::balance::Algorithm;
use crate::config::{self, Config};

const TEMPLATE: &str = include_str!("../../templates/export/kubernetes.yaml");

#[derive(Serialize)]
struct Kubernetes {
    #[serde(flatten)]
    model: Model,
    containers: Vec<Container>,
    /// Routes of services that are there, with the label of each.
    hosts: Vec<Way>,
    paths: Vec<Way>,
}

pub(super) fn text(
    config: &Config,
    model: &Model,
    losses: &mut Losses<'_>,
) -> Result<String, ExportError> {
    let target = Target::Kubernetes;
    let containers = containers(config, target.called(), losses)?;
    let live = &config.balancer.live;
    if live.algorithm != Algorithm::RoundRobin {
        losses.lost(format!(
            "algorithm = \"{}\": the Ingress controller has a setting of its own for it",
            live.algorithm.name()
        ));
    }
    if live.retries != config::defaults::RETRIES {
        losses.lost(format!(
            "retries = {}: an Ingress says nothing of it",
            live.retries
        ));
    }
    losses.differs(
        "the image has to be built and pushed: `lbdev export dockerfile` writes what builds it",
    );
    losses.differs("which of its copies gets a request, and what is tried again, is the Ingress controller's choice");
    losses.differs("requests do not wait while no copy is ready (queue); a rollout keeps the old ones until new ones are");
    for container in &containers {
        if let Some(file) = &container.env_file {
            losses.lost(format!(
                "env_file of `{}`: make a Secret of `{file}`: kubectl create secret generic {} --from-env-file={file}",
                container.name, container.label
            ));
        }
        if !container.needs.is_empty() {
            losses.differs(format!(
                "`{}` does not wait for {}: it starts again until they are there",
                container.name,
                container.needs.join(", ")
            ));
        }
    }
    let label = |way: &Way| {
        let container = containers.iter().find(|one| one.name == way.service)?;
        Some(Way {
            ident: container.label.clone(),
            ..way.clone()
        })
    };
    let hosts = model.by_host.iter().filter_map(label).collect();
    let paths = model.by_path.iter().filter_map(label).collect();
    fill(
        target,
        Format::Yaml,
        TEMPLATE,
        Kubernetes {
            model: model.with(losses),
            hosts,
            paths,

            containers,
        },
    )
}
