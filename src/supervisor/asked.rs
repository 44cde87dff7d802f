//! What people ask of the loop, and what it refuses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::handle::{Command, Refused, Reply};
use super::run::{Supervisor, now};
use super::unit::Unit;
use super::{Cause, Verb};
use crate::backend::{BackendId, By, Event, Kind, RunId, Signal, State};
use crate::config::{BackendSpec, Live};

/// How long the reply to a KILL waits for the processes to be gone.
pub(super) const KILL_REPLY: Duration = Duration::from_secs(2);

/// A KILL whose sender waits for the end of these runs.
pub(super) struct PendingKill {
    ids: Vec<BackendId>,
    runs: Vec<RunId>,
    pub(super) until: Instant,
    reply: Reply,
}

impl Supervisor {
    pub(super) fn take_command(&mut self, command: Command) {
        match command {
            Command::StartAll { reply } => {
                for place in 0..self.units.len() {
                    self.apply(place, Event::Start, Cause::Asked(Verb::Start), now());
                }
                let _ = reply.send(());
            }
            Command::Wait {
                service,
                why,
                reply,
            } => {
                self.wait(&service, why);
                let _ = reply.send(());
            }
            Command::Adopt { wanted, reply } => {
                let _ = reply.send(self.adopt(*wanted));
            }
            Command::Mark { reply } => {
                let _ = reply.send(self.fresh);
            }
            Command::OnlyFrom {
                service,
                first,
                reply,
            } => {
                match first {
                    Some(first) => self.only_from.insert(service.clone(), first),
                    None => self.only_from.remove(&service),
                };
                self.publish_service(&service);
                let _ = reply.send(());
            }
            Command::Act { ids, verb, reply } => self.act(&ids, verb, reply),
            Command::Live { change, reply } => {
                let live = change.over(&self.pools.live());
                self.set_live(live.clone());
                let _ = reply.send(live);
            }
            Command::Replace { live, reply } => {
                self.set_live(*live);
                let _ = reply.send(());
            }
            Command::Debug { id, reply } => {
                let live = Live::clone(&self.pools.live());
                let _ = reply.send(match (live.debugged.clone(), &id) {
                    (Some(by), Some(_)) => Err(Refused::Debugged { by }),
                    _ => {
                        let debugged = id.clone();
                        self.set_live(Live { debugged, ..live });
                        Ok(())
                    }
                });
            }
            Command::Weight { ids, weight, reply } => {
                let mut places: Vec<usize> =
                    ids.iter().filter_map(|id| self.place_of(id)).collect();
                if let Err(refused) = self.permit_weight(&mut places, weight) {
                    let _ = reply.send(Err(refused));
                    return;
                }
                for &place in &places {
                    self.units[place].weight = weight;
                    self.publish_pool(place);
                }
                self.publish_view();
                let _ = reply.send(Ok(places
                    .iter()
                    .map(|&place| self.units[place].view())
                    .collect()));
            }
            Command::Scale {
                service,
                count,
                reply,
            } => {
                let _ = reply.send(self.scale(&service, count));
            }
            Command::Shutdown => {
                self.stopping = true;
                for place in 0..self.units.len() {
                    self.apply(place, Event::Stop(By::Lbdev), Cause::Shutdown, now());
                }
            }
            Command::Abort => {
                self.stopping = true;
                for place in 0..self.units.len() {
                    self.apply(place, Event::Abort, Cause::Shutdown, now());
                }
            }
        }
    }

    /// Has those of a service wait that nobody has started yet, or starts those that wait.
    fn wait(&mut self, service: &str, why: Option<String>) {
        for place in 0..self.units.len() {
            let unit = &mut self.units[place];
            if unit.spec.id.service() != service {
                continue;
            }
            let untouched = matches!(unit.backend.state, State::Stopped { last: None });
            match &why {
                Some(why) if untouched && (unit.waiting.is_some() || !unit.backend.desired) => {
                    unit.waiting = Some(why.clone());
                }
                Some(_) => {}
                None if unit.waiting.take().is_some() => {
                    self.apply(place, Event::Start, Cause::Turn, now());
                }
                None => {}
            }
        }
        self.publish_service(service);
        self.publish_view();
    }

    /// Takes out of `places` what has no share of the requests, or says why it cannot have this weight.
    fn permit_weight(&self, places: &mut Vec<usize>, weight: u32) -> Result<(), Refused> {
        // Both are about who gets requests.
        self.permit(places, Verb::Undrain)?;
        if weight > 0 {
            return Ok(());
        }
        for &place in places.iter() {
            let service = self.units[place].spec.id.service();
            let mut others = (0..self.units.len()).filter(|other| {
                let unit = &self.units[*other];
                unit.spec.id.service() == service && !unit.spec.backup && !unit.leaving
            });
            // Backups may all be at 0: nobody is then left who steps in, but the others serve.
            if !self.units[place].spec.backup
                && others.all(|other| places.contains(&other) || self.units[other].weight == 0)
            {
                let service = service.to_owned();
                return Err(Refused::AllWeightsZero { service });
            }
        }
        Ok(())
    }

    fn act(&mut self, ids: &[BackendId], verb: Verb, reply: Reply) {
        let heard = now();
        let mut places: Vec<usize> = ids.iter().filter_map(|id| self.place_of(id)).collect();
        if let Err(refused) = self.permit(&mut places, verb) {
            let _ = reply.send(Err(refused));
            return;
        }
        if self.stopping {
            let _ = reply.send(Err(Refused::Stopping));
            return;
        }
        let runs = places
            .iter()
            .filter_map(|&place| self.units[place].backend.run())
            .collect();
        if verb == Verb::Renew {
            for &place in &places {
                self.make_anew(place);
            }
        }
        for &place in &places {
            let event = match verb {
                Verb::Start => Event::Start,
                Verb::Stop => Event::Stop(By::Operator),
                Verb::Restart => Event::Restart,
                Verb::Renew => Event::Renew,
                Verb::Drain { everyone } => Event::Disable { everyone },
                Verb::Undrain => Event::Enable,
                Verb::Freeze => Event::Freeze,
                Verb::Thaw => Event::Thaw,
                Verb::Kill { signal, restart } => Event::Kill { signal, restart },
            };
            self.apply(place, event, Cause::Asked(verb), heard);
        }
        match verb {
            Verb::Kill {
                signal: Signal::Kill,
                ..
            } => {
                self.kills.push(PendingKill {
                    ids: ids.to_vec(),
                    runs,
                    until: heard + KILL_REPLY,
                    reply,
                });
            }
            Verb::Start
            | Verb::Stop
            | Verb::Restart
            | Verb::Renew
            | Verb::Drain { .. }
            | Verb::Undrain
            | Verb::Freeze
            | Verb::Thaw
            | Verb::Kill { .. } => {
                let _ = reply.send(Ok(places
                    .iter()
                    .map(|&place| self.units[place].view())
                    .collect()));
            }
        }
    }

    /// What the command is made of may be what was saved: the variables of a file.
    fn make_anew(&mut self, place: usize) {
        let unit = &mut self.units[place];
        let Some(more) = self.more.get(unit.spec.id.service()) else {
            return;
        };
        // One that cannot be made goes on as it was made.
        if let Ok(made) = more.backend(unit.spec.id.slot(), unit.spec.index)
            && made.command != unit.spec.command
        {
            let spec = BackendSpec::clone(&unit.spec);
            unit.spec = Arc::new(BackendSpec {
                command: made.command,
                ..spec
            });
        }
    }

    /// Takes out of `places` what `verb` cannot mean, or says why it cannot be done.
    fn permit(&self, places: &mut Vec<usize>, verb: Verb) -> Result<(), Refused> {
        let id = |place: usize| self.units[place].spec.id.clone();
        match verb {
            // Requests are lbdev's own to give, whoever runs the process.
            Verb::Drain { .. } | Verb::Undrain => {
                let first = places.first().copied();
                places.retain(|&place| self.units[place].place.is_some());
                match first {
                    Some(first) if places.is_empty() => Err(Refused::NotBalanced(id(first))),
                    _ => Ok(()),
                }
            }
            Verb::Start
            | Verb::Stop
            | Verb::Restart
            | Verb::Renew
            | Verb::Kill { .. }
            | Verb::Freeze
            | Verb::Thaw => {
                let external = |&&place: &&usize| self.units[place].spec.kind == Kind::External;
                if let Some(&place) = places.iter().find(external) {
                    return Err(Refused::External(id(place)));
                }
                let first = places.first().copied();
                if matches!(verb, Verb::Start | Verb::Restart | Verb::Renew) {
                    // Whoever starts all means those that are wanted.
                    places.retain(|&place| !self.units[place].leaving);
                }
                if verb == Verb::Freeze {
                    // Whoever freezes all means those that can hang.
                    let hangs =
                        |state: &State| matches!(state, State::Up { .. } | State::Frozen { .. });
                    places.retain(|&place| hangs(&self.units[place].backend.state));
                    return match first {
                        Some(first) if places.is_empty() => Err(Refused::NotUp {
                            id: id(first),
                            phase: self.units[first].phase(),
                        }),
                        _ => Ok(()),
                    };
                }
                match first {
                    Some(first) if places.is_empty() => Err(Refused::Leaving {
                        id: id(first),
                        index: self.units[first].spec.index,
                    }),
                    _ => Ok(()),
                }
            }
        }
    }

    pub(super) fn answer_kills(&mut self) {
        let now = now();
        let gone = |kill: &mut PendingKill| {
            let alive = |unit: &Unit| {
                unit.backend
                    .run()
                    .is_some_and(|run| kill.runs.contains(&run))
            };
            now >= kill.until || !self.units.iter().any(alive)
        };
        for kill in self.kills.extract_if(.., gone).collect::<Vec<_>>() {
            let places = kill.ids.iter().filter_map(|id| self.place_of(id));
            let _ = kill
                .reply
                .send(Ok(places.map(|place| self.units[place].view()).collect()));
        }
    }
}
