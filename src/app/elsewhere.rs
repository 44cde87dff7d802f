//! Programs that listen, but not where they were told to.

use super::preflight;
use crate::backend::{BackendId, Kind, Phase};
use crate::error::Report;
use crate::supervisor::BackendView;

/// Tells once of each backend whose program listens, but not on its port.
#[derive(Default)]
pub(super) struct Elsewhere(Vec<BackendId>);

impl Elsewhere {
    /// Looks at those that are starting.
    pub(super) async fn look(&mut self, backends: &[BackendView], say: impl Fn(&Report)) {
        let starting = backends.iter().filter(|backend| {
            backend.phase == Phase::Starting
                && backend.spec.kind == Kind::Managed
                && !self.0.contains(&backend.spec.id)
        });
        let at = |backend: &BackendView| {
            let process = (backend.pid?, backend.spec.id.port()?);
            Some((backend.spec.id.clone(), process))
        };
        let (ids, processes): (Vec<_>, Vec<_>) = starting.filter_map(at).unzip();
        if ids.is_empty() {
            return;
        }
        let found = preflight::other_ports(processes.clone()).await;
        for ((id, (_, port)), others) in ids.into_iter().zip(processes).zip(found) {
            if !others.is_empty() {
                say(&preflight::elsewhere(&id.to_string(), port, &others));
                self.0.push(id);
            }
        }
    }
}
