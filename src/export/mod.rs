//! The same set-up for what comes next: a configuration of another balancer, or files for more than one machine.
//!
//! One file a target says what it cannot do; what it can is in the target's template (`templates/export`). Whatever a
//! template fills in is quoted by the rules of its format, unless it says otherwise (`quote`): no name, path or
//! header of a set-up can become a directive.

mod apache;
mod caddy;
mod compose;
mod container;
mod dockerfile;
mod fill;
mod haproxy;
mod kubernetes;
mod loss;
mod model;
mod nginx;
mod procfile;
mod quote;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use crate::config::Config;
use crate::error::Report;
use loss::Losses;
use model::Model;

pub use quote::comment;

/// What can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `nginx.conf`.
    Nginx,
    /// `haproxy.cfg`.
    Haproxy,
    /// `httpd.conf`, with mod_proxy_balancer.
    Apache,
    /// A `Caddyfile`.
    Caddy,
    /// `compose.yaml`.
    Compose,
    /// The same for `docker stack deploy`.
    Swarm,
    /// Manifests.
    Kubernetes,
    /// A `Procfile`.
    Procfile,
    /// A `Dockerfile`.
    Dockerfile,
}

impl Target {
    /// Every name there is, as `lbdev export` takes it.
    pub const NAMES: &[(&str, Target)] = &[
        ("nginx", Target::Nginx),
        ("haproxy", Target::Haproxy),
        ("apache", Target::Apache),
        ("caddy", Target::Caddy),
        ("compose", Target::Compose),
        ("swarm", Target::Swarm),
        ("kubernetes", Target::Kubernetes),
        ("procfile", Target::Procfile),
        ("dockerfile", Target::Dockerfile),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        let known = Self::NAMES.iter().find(|(_, target)| *target == self);
        known.map_or("", |(name, _)| name)
    }

    /// What people call it.
    pub fn called(self) -> &'static str {
        match self {
            Target::Nginx => "nginx",
            Target::Haproxy => "HAProxy",
            Target::Apache => "Apache",
            Target::Caddy => "Caddy",
            Target::Compose => "Compose",
            Target::Swarm => "Swarm",
            Target::Kubernetes => "Kubernetes",
            Target::Procfile => "a Procfile",
            Target::Dockerfile => "a Dockerfile",
        }
    }
}

/// A set-up, written for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The file.
    pub text: String,
    /// What was set and cannot be said there.
    pub lost: Vec<String>,
    /// What nobody set, and still is another way there.
    pub differs: Vec<String>,
}

/// How lbdev runs a balancer by itself: what is its own is kept apart from the machine's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The folder of its files.
    pub folder: PathBuf,
    /// Where it is to listen, instead of what the set-up says.
    pub listen: Vec<SocketAddr>,
    /// A port on loopback for its own page, if it has one.
    pub admin: Option<u16>,
    /// Where Apache's modules are.
    pub modules: Option<PathBuf>,
    /// It is started by the administrator.
    pub as_root: bool,
}

/// Why nothing can be written.
#[derive(Debug, Error)]
pub enum ExportError {
    /// There is nobody to send requests to.
    #[error("no service of this set-up has ports, and {target} only passes requests on")]
    NothingBalanced {
        /// What for.
        target: &'static str,
    },
    /// Nothing of it can be started elsewhere.
    #[error("every service of this set-up is external: there is no command for {target}")]
    NothingManaged {
        /// What for.
        target: &'static str,
    },
    /// A command cannot be made for another machine.
    #[error("the command of `{service}` cannot be made for {target}")]
    Command {
        /// Which service.
        service: String,
        /// What for.
        target: &'static str,
        /// What is wrong with it.
        reports: Vec<Report>,
    },
    /// What the template's format cannot hold, or a fault of ours.
    #[error("{target} cannot hold this set-up: {source}")]
    Template {
        /// What for.
        target: &'static str,
        /// What the template says.
        source: minijinja::Error,
    },
}

impl From<ExportError> for Report {
    fn from(error: ExportError) -> Self {
        let message = error.to_string();
        match error {
            ExportError::NothingBalanced { .. } => {
                Report::usage("LB052", message).hint("give a service `ports = \"8000-8003\"`")
            }
            ExportError::NothingManaged { .. } => Report::usage("LB052", message)
                .hint("run `lbdev export nginx` for the balancer alone"),
            ExportError::Command { reports, .. } => reports
                .iter()
                .fold(Report::usage("LB052", message), |report, why| {
                    report.detail(&why.message)
                }),
            ExportError::Template { source, .. } => {
                let why = std::error::Error::source(&source).map(ToString::to_string);
                let report = Report::failed("LB052", message);
                why.into_iter().fold(report, Report::detail)
            }
        }
    }
}

/// Writes `config` for `target`.
///
/// # Errors
/// When nothing in it is of use there.
pub fn export(config: &Config, target: Target) -> Result<Exported, ExportError> {
    write(config, target, None)
}

/// The configuration with which lbdev runs this balancer by itself.
///
/// # Errors
/// As [`export`].
pub fn for_run(config: &Config, target: Target, run: &Run) -> Result<Exported, ExportError> {
    write(config, target, Some(run))
}

fn write(config: &Config, target: Target, run: Option<&Run>) -> Result<Exported, ExportError> {
    let mut losses = Losses::new(config, target);
    let model = Model::new(config, target, run, &mut losses);
    let needs_balanced = matches!(
        target,
        Target::Nginx | Target::Haproxy | Target::Apache | Target::Caddy
    );
    if needs_balanced && model.services.is_empty() {
        let target = target.called();
        return Err(ExportError::NothingBalanced { target });
    }
    let text = match target {
        Target::Nginx => nginx::text(&model, &mut losses),
        Target::Haproxy => haproxy::text(&model, &mut losses),
        Target::Apache => apache::text(&model, &mut losses),
        Target::Caddy => caddy::text(&model, &mut losses),
        Target::Compose | Target::Swarm => compose::text(config, target, &model, &mut losses),
        Target::Kubernetes => kubernetes::text(config, &model, &mut losses),
        Target::Procfile => procfile::text(config, &model, &mut losses),
        Target::Dockerfile => dockerfile::text(config, &model, &mut losses),
    }?;
    let text = format!("{}\n", text.trim_end());
    let Losses { lost, differs, .. } = losses;
    Ok(Exported {
        text,
        lost,
        differs,
    })
}
