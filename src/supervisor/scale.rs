//! More backends of a service, or fewer, while it runs.

use std::sync::Arc;

use super::handle::Refused;
use super::run::{Supervisor, now};
use super::unit::Unit;
use super::{BackendView, Cause, Verb};
use crate::backend::{BackendId, By, Event, Kind, Slot};
use crate::config::defaults::MOST_BACKENDS;
use crate::config::{BackendSpec, More};
use crate::process::ports;

impl Supervisor {
    /// Makes `service` have `count` backends: launches further ones, or drains and stops the last ones.
    pub(super) fn scale(&mut self, service: &str, count: u32) -> Result<Vec<BackendView>, Refused> {
        if self.stopping {
            return Err(Refused::Stopping);
        }
        let more = self.permit_scale(service, count)?;
        let staying = |unit: &Unit| unit.spec.id.service() == service && !unit.leaving;
        let wanted = usize::try_from(count).unwrap_or(MOST_BACKENDS);
        let have = self.units.iter().filter(|unit| staying(unit)).count();
        if wanted < have {
            self.let_go(service, have - wanted)?;
        } else {
            self.add(service, wanted - have, &more)?;
        }
        Ok(self.of_service(service).map(Unit::view).collect())
    }

    fn of_service<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Unit> {
        let units = self.units.iter();
        units.filter(move |unit| unit.spec.id.service() == service)
    }

    fn permit_scale(&self, service: &str, count: u32) -> Result<More, Refused> {
        let name = service.to_owned();
        let first = self.of_service(service).next();
        let first = first.ok_or_else(|| Refused::NoSuchService {
            service: name.clone(),
            known: self.services(),
        })?;
        if first.spec.kind == Kind::External {
            return Err(Refused::ExternalService { service: name });
        }
        if count == 0 || usize::try_from(count).is_ok_and(|count| count > MOST_BACKENDS) {
            return Err(Refused::Count { count });
        }
        let more = self.more.get(service).cloned();
        more.ok_or(Refused::ExternalService { service: name })
    }

    fn services(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for unit in &self.units {
            let name = unit.spec.id.service();
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// The last ones of a service stay no longer than their requests need.
    fn let_go(&mut self, service: &str, count: usize) -> Result<(), Refused> {
        let of_service = |unit: &Unit| unit.spec.id.service() == service && !unit.leaving;
        let mut places: Vec<usize> = (0..self.units.len())
            .filter(|&place| of_service(&self.units[place]))
            .collect();
        places.sort_by_key(|&place| self.units[place].spec.index);
        let going = places.split_off(places.len().saturating_sub(count));
        let gets_some = |&place: &usize| {
            let unit = &self.units[place];
            unit.place.is_none() || unit.weight > 0
        };
        if !places.iter().any(gets_some) {
            let service = service.to_owned();
            return Err(Refused::AllWeightsZero { service });
        }
        for place in going.into_iter().rev() {
            self.units[place].leaving = true;
            let cause = Cause::Asked(Verb::Stop);
            self.apply(place, Event::Stop(By::Operator), cause, now());
        }
        self.forget();
        Ok(())
    }

    /// Forgets those that have left: from the last one on, so that no other changes its place in the pool.
    pub(super) fn forget(&mut self) {
        let mut forgot = false;
        loop {
            let is_last = |unit: &Unit| {
                let mut others = self.of_service(unit.spec.id.service());
                others.all(|other| other.spec.index <= unit.spec.index)
            };
            let gone = self.units.iter().position(|unit| {
                unit.leaving && unit.backend.run().is_none() && (unit.dropped || is_last(unit))
            });
            let Some(place) = gone else { break };
            let unit = self.units.remove(place);
            self.close_ranks(unit.spec.id.service());
            self.publish_service(unit.spec.id.service());
            forgot = true;
        }
        if forgot {
            self.publish_view();
        }
    }

    /// No place in a pool is empty.
    fn close_ranks(&mut self, service: &str) {
        let of_it = |unit: &&mut Unit| unit.spec.id.service() == service && unit.place.is_some();
        let mut units: Vec<&mut Unit> = self.units.iter_mut().filter(of_it).collect();
        units.sort_by_key(|unit| unit.place);
        for (place, unit) in units.into_iter().enumerate() {
            unit.place = Some(place);
        }
    }

    fn add(&mut self, service: &str, count: usize, more: &More) -> Result<(), Refused> {
        // Those that are about to leave stay, first.
        let leaving = |unit: &Unit| unit.spec.id.service() == service && unit.leaving;
        let mut back: Vec<BackendId> = self
            .units
            .iter()
            .filter(|unit| leaving(unit))
            .map(|unit| unit.spec.id.clone())
            .collect();
        back.truncate(count);
        let specs = self.further(service, count - back.len(), more)?;
        for id in back {
            if let Some(place) = self.place_of(&id) {
                self.units[place].leaving = false;
                self.apply(place, Event::Start, Cause::Asked(Verb::Start), now());
            }
        }
        for spec in specs {
            let at = self.insert(spec);
            self.apply(at, Event::Start, Cause::Asked(Verb::Start), now());
        }
        Ok(())
    }

    /// A further backend, which nobody has started yet; where it stands.
    pub(super) fn insert(&mut self, spec: BackendSpec) -> usize {
        let service = spec.id.service().to_owned();
        let in_pool = self
            .of_service(&service)
            .filter(|unit| unit.place.is_some())
            .count();
        let place = super::run::is_pooled(&spec).then_some(in_pool);
        let unit = Unit::new(Arc::new(spec), place, self.drain, now());
        // Behind the others of its service: that is the order in which people look.
        let after = self
            .units
            .iter()
            .rposition(|unit| unit.spec.id.service() == service);
        let at = after.map_or(self.units.len(), |last| last + 1);
        self.units.insert(at, unit);
        at
    }

    /// What is to be launched, on the ports after the last one that nobody has.
    fn further(
        &self,
        service: &str,
        count: usize,
        more: &More,
    ) -> Result<Vec<BackendSpec>, Refused> {
        let index = |unit: &Unit| unit.spec.index;
        let next = self.of_service(service).map(index).max().unwrap_or(0) + 1;
        let last = self
            .of_service(service)
            .filter_map(|unit| unit.spec.id.port())
            .max();
        let mut port = last;
        let mut specs = Vec::with_capacity(count);
        for next_index in (next..).take(count) {
            let slot = match &mut port {
                None => Slot::Number(next_index),
                Some(port) => {
                    *port = self.next_port(*port).ok_or(Refused::NoPort)?;
                    Slot::Port(*port)
                }
            };
            let made = more.backend(slot, next_index);
            specs.push(made.map_err(|reports| {
                let messages = reports.into_iter().map(|report| report.message);
                Refused::NotMade(messages.collect::<Vec<_>>().join("; "))
            })?);
        }
        Ok(specs)
    }

    fn next_port(&self, after: u16) -> Option<u16> {
        let ours = |port: u16| {
            port == self.listen
                || self
                    .units
                    .iter()
                    .any(|unit| unit.spec.id.port() == Some(port))
        };
        (after.checked_add(1)?..=u16::MAX)
            .find(|&port| !ours(port) && ports::probe(&ports::loopback(port)).is_ok())
    }
}
