//! How the death of a backend is noticed: what traffic found out, the checks that each way needs, and the switch from one
//! way to another.

use std::time::Instant;

use super::run::{Supervisor, now};
use super::{Cause, Check, failing_words};
use crate::backend::{BackendId, Detect, Event, Moment, RunId, Seen, State};
use crate::config::Live;
use crate::pool::Trouble;
use crate::probe::{Course, Report, Target};

impl Supervisor {
    /// Whether another backend of its pool may get requests.
    pub(super) fn has_spare(&self, place: usize) -> bool {
        let service = self.units[place].spec.id.service();
        let others = self.units.iter().enumerate();
        others
            .filter(|&(other, _)| other != place)
            .any(|(_, unit)| {
                unit.place.is_some()
                    && unit.spec.id.service() == service
                    && unit.weight > 0
                    && unit.backend.eligible()
            })
    }

    /// What users' requests found out. It is published before the pool's own mark is taken away, so that no request slips
    /// in between.
    pub(super) fn take_troubles(&mut self) {
        let mut troubles: Vec<(BackendId, RunId, Trouble)> = self
            .pools
            .all()
            .iter()
            .flat_map(|pool| pool.take_troubles())
            .collect();
        // Refusals first: they hold even for the last backend, and may make another the last.
        troubles.sort_by_key(|(_, _, trouble)| *trouble == Trouble::Failing);
        for (id, run, trouble) in troubles {
            let Some(place) = self.place_of(&id) else {
                continue;
            };
            match trouble {
                Trouble::Refused => {
                    self.apply(place, Event::Refused { run }, Cause::Refused, now())
                }
                Trouble::Failing => self.take_failing(place, run),
            }
            let unit = &self.units[place];
            unit.present.life.settle();
            if unit.backend.eligible() {
                // The last one stays: those that waited meanwhile may go.
                self.publish_pool(place);
            }
        }
    }

    fn take_failing(&mut self, place: usize, run: RunId) {
        let policy = self.pools.passive();
        let event = Event::Failing {
            run,
            spare: self.has_spare(place),
            window: policy.window,
        };
        let cause = Cause::Failing {
            failures: policy.failures,
            window: policy.window,
        };
        let words = failing_words(policy.failures, policy.window);
        self.units[place].failing = Some(words);
        self.apply(place, event, cause, now());
    }

    /// A check: of a run that starts, or of what was ready. Any other is stale.
    pub(super) fn take_report(&mut self, report: Report) {
        let Some(place) = self.place_of(&report.id) else {
            return;
        };
        let spare = self.has_spare(place);
        let unit = &mut self.units[place];
        let run = report.run;
        let starts = matches!(unit.backend.state, State::Starting { run: now, .. } if now == run);
        let was_ready = unit.checker.is_some() && unit.backend.belief.run() == Some(run);
        if !starts && !was_ready {
            return;
        }
        let ok = report.address.is_some();
        let check = Check {
            ok,
            detail: report.detail,
            at: report.at,
        };
        let news = unit
            .last_check
            .as_ref()
            .is_none_or(|last| (last.ok, &last.detail) != (ok, &check.detail));
        unit.last_check = Some(check.clone());
        if starts && ok {
            unit.present.address = report.address;
            unit.answered = report.address;
            unit.present.ready_after = unit
                .present
                .launched
                .map(|since| now().saturating_duration_since(since));
            self.apply(place, Event::Ready { run }, Cause::Ready, now());
        } else if starts {
            if news {
                self.publish_view();
            }
        } else {
            let instant = unit.backend.belief.detect() == Detect::Instant;
            let seen = Seen {
                ok,
                http: report.http,
                began: report.began,
            };
            let event = match report.refused && instant {
                true => Event::Refused { run },
                false => Event::Checked { run, seen, spare },
            };
            self.apply(place, event, Cause::Checked(check), now());
        }
    }

    /// Gives a backend that was ready the checks that it needs now. With `instant` they belong to its run; with `active`
    /// to the backend, since nobody tells the balancer that a run has ended; with `passive` there are none.
    pub(super) fn tend_checks(&mut self, place: usize) {
        let unit = &mut self.units[place];
        if unit.spec.addresses.is_empty() {
            return;
        }
        let alive = matches!(unit.backend.state, State::Up { .. } | State::Frozen { .. });
        let belief = &unit.backend.belief;
        let course = match belief.detect() {
            Detect::Instant if !alive => None,
            Detect::Instant if belief.failing() => Some(Course::Proof),
            Detect::Instant if belief.good() => Some(Course::Up),
            Detect::Instant => Some(Course::Down),
            Detect::Passive => None,
            Detect::Active => belief.listed().then_some(Course::Steady),
        };
        // What found a run ready goes on to check it.
        if alive && let Some(watch) = unit.present.watch.take() {
            unit.checker = Some(watch);
        }
        match (course, belief.run()) {
            (Some(course), Some(run)) => {
                let (prober, reports) = (&self.prober, &self.checks);
                let target = || Target {
                    id: unit.spec.id.clone(),
                    run,
                    addresses: match unit.answered {
                        Some(address) => vec![address],
                        None => unit.spec.addresses.clone(),
                    },
                    was_ready: true,
                    port_is_enough: false,
                    health: unit.spec.health.clone(),
                    host: self.host.clone(),
                };
                unit.checker
                    .get_or_insert_with(|| prober.begin(target(), reports.clone()))
                    .set_course(course);
            }
            _ => unit.checker = None,
        }
    }

    /// Adopts what `set` changed: from now on a death is noticed as it says.
    pub(super) fn set_live(&mut self, live: Live) {
        self.pools.set_live(live);
        let now = now();
        for place in 0..self.units.len() {
            if self.adopt_detect(place, now) {
                self.tend_checks(place);
                self.units[place].present.life.settle();
            }
        }
        self.publish_all();
    }

    /// Whether the way in which this backend's death is noticed is another one now.
    pub(super) fn adopt_detect(&mut self, place: usize, now: Instant) -> bool {
        let detect = self.pools.live().detect;
        let unit = &mut self.units[place];
        let backend = &mut unit.backend;
        // What gets no requests and no checks is known by its process alone.
        if unit.place.is_none() || backend.belief.detect() == detect {
            return false;
        }
        let window = self.pools.passive().window;
        let moment = Moment {
            now,
            dice: 0.0,
            fresh: self.fresh,
        };
        // It begins nothing and signals nobody.
        let effects = backend.step(Event::Detect { detect, window }, moment);
        debug_assert!(effects.is_empty());
        true
    }
}
