//! Another configuration, while requests are answered: who comes, who goes, who is another from now on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::handle::Refused;
use super::run::{Supervisor, now};
use super::{Cause, Verb};
use crate::backend::{BackendId, By, Event};
use crate::config::{BackendSpec, More};

/// What the backends are to be.
#[derive(Debug, Default)]
pub struct Wanted {
    /// All of them, in order.
    pub backends: Vec<BackendSpec>,
    /// By service, what makes further ones.
    pub more: HashMap<String, More>,
    /// By service, what comes before its first launch, in words.
    pub waiting: HashMap<String, String>,
    /// The balancer's own port.
    pub listen: u16,
    /// The `Host` of HTTP checks.
    pub host: String,
    /// How long requests in flight may take when a backend stops.
    pub drain: Duration,
}

/// What became of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// These are new, and started unless they wait.
    pub added: Vec<BackendId>,
    /// These finish their requests, and go.
    pub dropped: Vec<BackendId>,
    /// These run by an old command until they are restarted.
    pub outdated: Vec<BackendId>,
    /// These go by other settings from now on.
    pub retuned: Vec<BackendId>,
}

impl Supervisor {
    /// Takes over another set of backends. What only concerns routing and checks holds at once.
    pub(super) fn adopt(&mut self, wanted: Wanted) -> Result<Adopted, Refused> {
        if self.stopping {
            return Err(Refused::Stopping);
        }
        let there = |unit: &super::unit::Unit, spec: &BackendSpec| unit.spec.id == spec.id;
        for spec in &wanted.backends {
            let unit = self.units.iter().find(|unit| there(unit, spec));
            if let Some(unit) = unit.filter(|unit| unit.spec.kind != spec.kind) {
                return Err(Refused::OtherKind(unit.spec.id.clone()));
            }
        }
        let mut adopted = Adopted::default();
        self.more = wanted.more;
        self.listen = wanted.listen;
        self.host = wanted.host;
        self.drain = wanted.drain;
        for unit in &mut self.units {
            unit.backend.set_drain(wanted.drain);
        }
        let names: Vec<BackendId> = (wanted.backends.iter())
            .map(|spec| spec.id.clone())
            .collect();
        for place in 0..self.units.len() {
            let unit = &mut self.units[place];
            if names.contains(&unit.spec.id) || unit.dropped {
                continue;
            }
            unit.leaving = true;
            unit.dropped = true;
            adopted.dropped.push(unit.spec.id.clone());
            let cause = Cause::Asked(Verb::Stop);
            self.apply(place, Event::Stop(By::Operator), cause, now());
        }
        for spec in wanted.backends {
            match self.place_of(&spec.id) {
                Some(place) => self.retune(place, spec, &mut adopted),
                None => {
                    adopted.added.push(spec.id.clone());
                    let waiting = wanted.waiting.get(spec.id.service()).cloned();
                    let at = self.insert(spec);
                    let first = self.is_first_start(at);
                    match waiting.filter(|_| first) {
                        Some(why) => self.units[at].waiting = Some(why),
                        None => {
                            self.apply(at, Event::Start, Cause::Asked(Verb::Start), now());
                        }
                    }
                }
            }
        }
        let order = |id: &BackendId| {
            let service = |other: &BackendId| other.service() == id.service();
            names.iter().position(service).unwrap_or(names.len())
        };
        self.units
            .sort_by_key(|unit| (order(&unit.spec.id), unit.spec.index));
        self.forget();
        self.publish_all();
        Ok(adopted)
    }

    /// Nobody of its service was ever started.
    fn is_first_start(&self, place: usize) -> bool {
        let service = self.units[place].spec.id.service();
        let of_it = self
            .units
            .iter()
            .filter(|unit| unit.spec.id.service() == service);
        let untouched = |unit: &super::unit::Unit| {
            unit.waiting.is_some() || (!unit.backend.desired && unit.backend.run().is_none())
        };
        of_it.into_iter().all(untouched)
    }

    fn retune(&mut self, place: usize, spec: BackendSpec, adopted: &mut Adopted) {
        let unit = &mut self.units[place];
        if unit.leaving {
            unit.leaving = false;
            unit.dropped = false;
            adopted.added.push(spec.id.clone());
            unit.spec = Arc::new(spec);
            self.apply(place, Event::Start, Cause::Asked(Verb::Start), now());
            return;
        }
        let old = unit.spec.clone();
        if *old == spec {
            return;
        }
        let outdated = (&old.command, &old.ready) != (&spec.command, &spec.ready);
        match outdated {
            true => adopted.outdated.push(spec.id.clone()),
            false => adopted.retuned.push(spec.id.clone()),
        }
        if old.weight != spec.weight {
            unit.weight = spec.weight;
        }
        let checks = (spec.health.rise, spec.health.fall);
        (unit.backend).follow(checks, spec.restart.clone(), spec.stop);
        if old.health != spec.health {
            // It is checked anew, by what is said now.
            unit.checker = None;
        }
        if old.addresses != spec.addresses {
            unit.answered = None;
        }
        unit.spec = Arc::new(spec);
        self.tend_checks(place);
        self.publish_pool(place);
    }
}
