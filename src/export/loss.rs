//! What a target cannot say. Two kinds: what somebody set and is lost, and what is another way there by itself.

use std::time::Duration;

use super::Target;
use super::model::is_loopback;
use super::quote::{Format, quote};
use super::{apache, caddy, haproxy, nginx};
use crate::backend::{Detect, Kind};
use crate::balance::{Algorithm, HashKey, Sequence};
use crate::config::{Balancer, Config, Route, Service};

/// What a balancer can do of what lbdev does. How it is told is in its template.
#[derive(Debug, Clone, Copy)]
pub(super) struct Can {
    pub format: Format,
    /// Characters that mean something else in a path there.
    pub not_in_paths: &'static [char],
    pub algorithms: &'static [Algorithm],
    /// What stands for an algorithm that it has not.
    pub instead: &'static str,
    pub hash_keys: fn(&HashKey) -> bool,
    pub weights: bool,
    pub most_weight: u32,
    pub backup: bool,
    pub max_connections: bool,
    pub slow_start: bool,
    /// HTTP checks of its own.
    pub checks: bool,
    pub status_range: bool,
    /// How often it tries further backends.
    pub retries: bool,
    pub retry_statuses: bool,
    pub non_idempotent: bool,
    /// Requests wait while no backend can have them.
    pub queue: bool,
    pub passive: bool,
    /// How it finds out that a backend is dead, in words.
    pub finds_out: &'static str,
    /// What else is another way there.
    pub differs: &'static [&'static str],
}

/// The two lists, for one set-up and one target.
#[derive(Debug)]
pub(super) struct Losses<'a> {
    pub(super) lost: Vec<String>,
    pub(super) differs: Vec<String>,
    can: Option<Can>,
    config: &'a Config,
}

impl<'a> Losses<'a> {
    /// What can be told without the template.
    pub(super) fn new(config: &'a Config, target: Target) -> Self {
        // In front of containers stands HAProxy.
        let can = match target {
            Target::Nginx => Some(nginx::CAN),
            Target::Haproxy | Target::Compose | Target::Swarm => Some(haproxy::CAN),
            Target::Apache => Some(apache::CAN),
            Target::Caddy => Some(caddy::CAN),
            Target::Kubernetes | Target::Procfile | Target::Dockerfile => None,
        };
        let mut losses = Self {
            lost: Vec::new(),
            differs: Vec::new(),
            can,
            config,
        };
        if let Some(can) = can {
            losses.balancer(&can);
            for service in &config.services {
                losses.service(&can, service);
            }
            losses.not_started();
        }
        losses
    }

    /// Something that was set.
    pub(super) fn lost(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.lost.contains(&what) {
            self.lost.push(what);
        }
    }

    /// Something that nobody set.
    pub(super) fn differs(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.differs.contains(&what) {
            self.differs.push(what);
        }
    }

    /// A route that the format cannot hold.
    pub(super) fn route(&mut self, service: &str, route: &Route) {
        let (Route::Prefix(text) | Route::Host(text)) = route;
        self.lost(format!(
            "route `{text}` of `{service}`: it cannot be written there, and is left out"
        ));
    }

    /// Whether a path means itself there.
    pub(super) fn can_write(&self, path: &str) -> bool {
        self.can
            .is_none_or(|can| !path.contains(can.not_in_paths) && quote(can.format, path).is_some())
    }

    /// Whether a text can be written there at all.
    pub(super) fn can_quote(&self, text: &str) -> bool {
        self.can.is_none_or(|can| quote(can.format, text).is_some())
    }

    /// Whether requests can be told apart there by this.
    pub(super) fn can_hash(&self, key: &HashKey) -> bool {
        self.can.is_none_or(|can| (can.hash_keys)(key))
    }

    fn balancer(&mut self, can: &Can) {
        let (said, plain) = (&self.config.balancer, Balancer::default());
        let live = &said.live;
        let algorithm = live.algorithm;
        let known = can.algorithms.contains(&algorithm);
        if !known {
            self.lost(format!(
                "algorithm = \"{}\": {} stands for it",
                algorithm.name(),
                can.instead
            ));
        } else if algorithm == Algorithm::Hash && !(can.hash_keys)(&live.hash_key) {
            self.lost(format!(
                "hash_key = \"{}\": {} stands for it",
                live.hash_key, can.instead
            ));
        }
        match live.detect {
            Detect::Instant => self.differs(format!(
                "nobody tells it that a server has died: {} finds out (detect)",
                can.finds_out
            )),
            detect => self.lost(format!(
                "detect = \"{}\": {} finds out",
                detect.name(),
                can.finds_out
            )),
        }
        if algorithm == Algorithm::RoundRobin && live.sequence == Sequence::Pages {
            self.differs("each request moves the round robin on, not only pages (sequence)");
        }
        if !can.retries && live.retries != plain.live.retries {
            self.lost(format!("retries = {}", live.retries));
        }
        let queue = (said.queue_max, said.queue_timeout);
        match can.queue {
            true => {}
            false if queue != (plain.queue_max, plain.queue_timeout) => {
                self.lost("queue: requests do not wait there while no server answers, they fail")
            }
            false => self.differs(
                "while no server answers, requests fail at once instead of waiting (queue)",
            ),
        }
        self.retry(can, said, &plain);
        if !can.passive && said.passive != plain.passive {
            self.lost(format!(
                "passive = {{ failures = {} }}",
                said.passive.failures
            ));
        }
        if !live.allow_hosts.texts().is_empty() {
            self.lost("allow_hosts: every host is answered there");
        }
        for what in can.differs {
            self.differs(*what);
        }
        if !is_loopback(self.config) {
            return;
        }
        self.differs("it listens on this machine only, as lbdev does: change that where others are to reach it");
    }

    /// Commands are no part of a balancer.
    fn not_started(&mut self) {
        let services = self.config.services.iter();
        let managed = services.filter(|service| {
            let first = service.backends.first();
            !service.routes.is_empty() && first.is_some_and(|one| one.kind == Kind::Managed)
        });
        let names: Vec<String> = managed
            .map(|service| format!("`{}`", service.name))
            .collect();
        if let Some((last, before)) = names.split_last() {
            let names = match before {
                [] => last.clone(),
                before => format!("{} and {last}", before.join(", ")),
            };
            self.differs(format!(
                "it does not start the servers of {names}: `lbdev export procfile` has their commands"
            ));
        }
    }

    fn retry(&mut self, can: &Can, said: &Balancer, plain: &Balancer) {
        let (retry, usual) = (&said.retry, &plain.retry);
        if retry.budget != usual.budget {
            self.lost("retry.budget: there is no limit to repeated requests there");
        }
        if !can.retry_statuses && !retry.statuses.is_empty() {
            self.lost(format!("retry.statuses = {:?}", retry.statuses));
        }
        if !can.non_idempotent && retry.non_idempotent {
            self.lost("retry.non_idempotent = true");
        }
        if retry.body != usual.body {
            self.lost("retry.body: how much of a body is kept for another try is not said there");
        }
        if said.hold != plain.hold {
            self.lost("hold: an answer that has begun is not tried again there");
        }
    }

    fn service(&mut self, can: &Can, service: &Service) {
        let name = &service.name;
        let Some(first) = service.backends.first() else {
            return;
        };
        if service.routes.is_empty() {
            return;
        }
        let any = |of: fn(&crate::config::BackendSpec) -> bool| service.backends.iter().any(of);
        if !can.weights && any(|one| one.weight != 1) {
            self.lost(format!("weight of servers of `{name}`: all get the same"));
        }
        if service
            .backends
            .iter()
            .any(|one| one.weight > can.most_weight)
        {
            self.lost(format!(
                "weight above {} of a server of `{name}`: it has {0}",
                can.most_weight
            ));
        }
        if !can.backup && any(|one| one.backup) {
            self.lost(format!(
                "backup of `{name}`: the server is one like the others"
            ));
        }
        if !can.max_connections && any(|one| one.max_connections > 0) {
            self.lost(format!("max_connections of `{name}`"));
        }
        if !can.slow_start && first.slow_start > Duration::ZERO {
            self.lost(format!("slow_start of `{name}`"));
        }
        if !can.checks && first.health.path.is_some() {
            self.lost(format!("health of `{name}`: {} finds out", can.finds_out));
        }
        if can.checks && !can.status_range && first.health.status.is_some() {
            self.lost(format!("health.status of `{name}`: 200 to 399 pass"));
        }
        if can.checks
            && service
                .backends
                .iter()
                .any(|one| one.health.path != first.health.path)
        {
            self.lost(format!(
                "health.path of `{name}`: all servers have the first one's"
            ));
        }
    }
}
