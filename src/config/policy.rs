//! How each backend of a service is checked, restarted, stopped and weighted.

use std::time::Duration;

use super::BackendSpec;
use super::defaults::{
    BACKOFF_MAX, BACKOFF_MIN, FALL, HEALTH_INTERVAL, HEALTH_TIMEOUT, RESTARTS, RISE, RISE_EXTERNAL,
    STOP_TIMEOUT,
};
use super::draft::{HealthDraft, WeightDraft};
use super::problem::{Fault, Problem, Where};
use super::service::{Maker, number};
use super::value::{self, ports_text};
use super::words::Scene;
use crate::backend::{
    BackendId, HealthPolicy, Kind, Ready, RestartMode, RestartPolicy, Signal, StopPolicy,
};

impl Maker<'_> {
    /// A backend with every policy, and no command yet.
    pub(super) fn spec(
        &mut self,
        id: BackendId,
        index: u32,
        kind: Kind,
        addresses: Vec<std::net::SocketAddr>,
    ) -> BackendSpec {
        let health = self.health(&id, index, kind);
        let restart = self.draft.restart.as_ref().map(|restart| &restart.value);
        let backoff = restart.and_then(|r| r.backoff.as_ref());
        let (backoff_min, backoff_max) =
            backoff.map_or((BACKOFF_MIN, BACKOFF_MAX), |backoff| backoff.value);
        let stop = self.draft.stop.as_ref().map(|stop| &stop.value);
        BackendSpec {
            id,
            index,
            kind,
            addresses,
            command: None,
            weight: 1,
            backup: false,
            max_connections: number(self.draft.max_connections.as_ref(), 0),
            slow_start: (self.draft.slow_start.as_ref()).map_or(Duration::ZERO, |x| x.value),
            ready: (self.draft.ready.as_ref()).map_or(Ready::Http, |ready| ready.value.clone()),
            health,
            restart: RestartPolicy {
                mode: restart
                    .and_then(|r| r.mode.as_ref())
                    .map_or(RestartMode::OnFailure, |mode| mode.value),
                backoff_min,
                backoff_max,
                max: number(restart.and_then(|r| r.max.as_ref()), RESTARTS),
            },
            stop: StopPolicy {
                signal: stop
                    .and_then(|s| s.signal.as_ref())
                    .map_or(Signal::Term, |signal| signal.value),
                timeout: stop
                    .and_then(|s| s.timeout.as_ref())
                    .map_or(STOP_TIMEOUT, |timeout| timeout.value),
            },
        }
    }

    fn health(&mut self, id: &BackendId, index: u32, kind: Kind) -> HealthPolicy {
        let none = HealthDraft::default();
        let draft = self.draft.health.as_ref().map_or(&none, |h| &h.value);
        let scene = Scene {
            port: id.port(),
            index,
            python: None,
            lbdev: "",
        };
        let mut path = None;
        if let Some(written) = &draft.path {
            let (service, key) = (self.name(), "health.path".to_owned());
            match scene.fill(&written.value) {
                Ok(filled) => path = Some(filled),
                Err(source) => {
                    let problem = Problem::Fill {
                        service,
                        key,
                        source,
                    };
                    self.fault(&written.at, problem);
                }
            }
        }
        let (status, body) = (draft.status.as_ref(), draft.body.as_ref());
        let asked = [
            ("status", status.map(|x| &x.at)),
            ("body", body.map(|x| &x.at)),
        ];
        for (key, at) in asked {
            if let (Some(at), false) = (at, draft.path_said) {
                let service = self.name();
                self.fault(at, Problem::NeedsPath { service, key });
            }
        }
        let rise = match kind {
            Kind::Managed => RISE,
            Kind::External => RISE_EXTERNAL,
        };
        HealthPolicy {
            path,
            interval: draft.interval.as_ref().map_or(HEALTH_INTERVAL, |x| x.value),
            timeout: draft.timeout.as_ref().map_or(HEALTH_TIMEOUT, |x| x.value),
            rise: number(draft.rise.as_ref(), rise),
            fall: number(draft.fall.as_ref(), FALL),
            status: status.map(|x| x.value),
            body: body.map(|x| x.value.clone()),
        }
    }

    /// Gives a backend that was made later what was said of it alone.
    pub(super) fn own_words_of(&self, backend: &mut BackendSpec) {
        let of_it = |said: &&WeightDraft| value::port(&said.port.value).ok() == backend.id.port();
        if let Some(said) = self.draft.weights.iter().find(of_it)
            && backend.id.port().is_some()
        {
            own_words(said, backend);
        }
    }

    /// Gives backends the weights that were said, and makes backups of those that shall be.
    pub(super) fn weights(&mut self, backends: &mut [BackendSpec]) {
        if self.draft.is_unread("ports") || self.draft.is_unread("external") {
            return;
        }
        let flagged = |at: Option<&Where>| matches!(at, Some(Where::Option(_)));
        // Fewer by a flag, for this once: what the file says about the others still holds the next time.
        let fewer = flagged(self.draft.ports.as_ref().map(|ports| &ports.at))
            || flagged(self.draft.replicas.as_ref().map(|count| &count.at));
        for weight in &self.draft.weights {
            let port = value::port(&weight.port.value).ok();
            let found = backends
                .iter_mut()
                .find(|backend| port.is_some() && backend.id.port() == port);
            match found {
                Some(backend) => own_words(weight, backend),
                None if fewer && port.is_some() => {}
                None => {
                    let has: Vec<u16> = backends.iter().filter_map(|b| b.id.port()).collect();
                    let problem = Problem::NoSuchBackend {
                        service: self.draft.name.value.clone(),
                        port: weight.port.value.clone(),
                        has: match has.is_empty() {
                            true => "no ports".to_owned(),
                            false => format!("`{}`", ports_text(&has)),
                        },
                    };
                    self.faults.push(Fault {
                        at: weight.port.at.clone(),
                        problem,
                    });
                }
            }
        }
        if !backends.is_empty()
            && backends.iter().all(|backend| backend.weight == 0)
            && let Some(first) = self.draft.weights.first()
        {
            let service = self.name();
            self.fault(&first.port.at, Problem::AllWeightsZero { service });
        }
    }
}

fn own_words(said: &WeightDraft, backend: &mut BackendSpec) {
    backend.weight = number(said.weight.as_ref(), backend.weight);
    backend.backup = said.backup.unwrap_or(backend.backup);
    backend.max_connections = number(said.max_connections.as_ref(), backend.max_connections);
}
