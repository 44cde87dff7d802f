//! What the loop sees, published: to the pools for the proxy, to the view for everybody else.

use std::sync::Arc;
use std::time::Instant;

use super::View;
use super::run::{Supervisor, now};
use super::slow_start::{Ramp, shares};
use super::unit::Unit;

impl Supervisor {
    /// Those whose share grows get the one of this moment.
    pub(super) fn publish_ramps(&self, now: Instant) {
        for place in 0..self.units.len() {
            let slow_start = self.units[place].spec.slow_start;
            let since = self.units[place].ramp().since;
            // A little longer than it takes, for the last step.
            if since.is_some_and(|since| now < since + slow_start * 2) {
                self.publish_pool(place);
            }
        }
    }

    pub(super) fn publish_pool(&self, place: usize) {
        self.publish_service(self.units[place].spec.id.service());
    }

    pub(super) fn publish_service(&self, service: &str) {
        if let Some(pool) = self.pools.of(service) {
            let units = self.units.iter();
            let mut of_service: Vec<&Unit> = units
                .filter(|unit| unit.spec.id.service() == service)
                .collect();
            of_service.sort_by_key(|unit| unit.place);
            let ramps: Vec<Ramp> = of_service.iter().map(|unit| unit.ramp()).collect();
            let shares = shares(&ramps, now());
            let members = of_service.iter().zip(shares);
            let live = self.pools.live();
            let debugged = live.debugged.as_ref();
            let debugged = debugged.filter(|id| id.service() == service);
            let only_from = self.only_from.get(service).copied();
            let members = members.filter_map(|(unit, share)| match (debugged, only_from) {
                (Some(id), _) => unit.member_beside(id),
                (None, Some(first)) => unit.member_from(first, share),
                (None, None) => unit.member(share),
            });
            pool.publish(members.collect());
        }
    }

    pub(super) fn publish_view(&self) {
        let backends = self.units.iter().map(Unit::view).collect();
        self.view.send_replace(Arc::new(View {
            backends,
            stopping: self.stopping,
        }));
    }

    pub(super) fn publish_all(&self) {
        for place in 0..self.units.len() {
            self.publish_pool(place);
        }
        self.publish_view();
    }
}
