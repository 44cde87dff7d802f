//! One backend with everything that belongs to its present run.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::slow_start::Ramp;
use super::words::{ending_words, why_down};
use super::{BackendView, Check};
use crate::backend::{Backend, BackendId, Detect, Phase, RunId, State, Timings};
use crate::config::BackendSpec;
use crate::pool::{Life, Member, Tally};
use crate::probe::Watch;

/// A life of this length clears the count of restarts in a row: as long as the longest wait by default.
const LONG_LIFE: Duration = Duration::from_secs(10);

pub(super) struct Unit {
    pub(super) spec: Arc<BackendSpec>,
    pub(super) backend: Backend,
    pub(super) tally: Arc<Tally>,
    /// Its share, as the configuration or a person set it.
    pub(super) weight: u32,
    /// A person wants fewer backends: it goes as soon as its process has ended.
    pub(super) leaving: bool,
    /// The configuration has it no more: it goes whatever its place is.
    pub(super) dropped: bool,
    /// What comes before its first launch, in words.
    pub(super) waiting: Option<String>,
    /// Since when nothing speaks against it.
    pub(super) well_since: Option<Instant>,
    /// Its place in its service's pool, if it is balanced.
    pub(super) place: Option<usize>,
    pub(super) phase_since: Instant,
    pub(super) last_check: Option<Check>,
    /// Where a run answered last.
    pub(super) answered: Option<SocketAddr>,
    /// What checks it since it was ready; with `active` it outlives the run.
    pub(super) checker: Option<Watch>,
    /// How users' requests failed at it last, in words.
    pub(super) failing: Option<String>,
    pub(super) launch_failure: Option<String>,
    pub(super) present: Present,
}

/// What belongs to one run, and is forgotten with it.
#[derive(Default)]
pub(super) struct Present {
    pub(super) life: Arc<Life>,
    pub(super) pid: Option<u32>,
    pub(super) address: Option<SocketAddr>,
    pub(super) launched: Option<Instant>,
    /// It wrote the line that it was to write.
    pub(super) said: bool,
    pub(super) ready_after: Option<Duration>,
    /// What waits for its readiness.
    pub(super) watch: Option<Watch>,
}

impl Unit {
    pub(super) fn new(
        spec: Arc<BackendSpec>,
        place: Option<usize>,
        drain: Duration,
        now: Instant,
    ) -> Self {
        let timings = Timings {
            drain,
            ready: None,
            long_life: LONG_LIFE,
        };
        let health = (spec.health.rise, spec.health.fall);
        let backend = Backend::new(
            spec.id.clone(),
            spec.kind,
            health,
            spec.restart.clone(),
            spec.stop,
            timings,
        );
        Self {
            weight: spec.weight,
            spec,
            backend,
            tally: Arc::default(),
            leaving: false,
            dropped: false,
            waiting: None,
            well_since: None,
            place,
            phase_since: now,
            last_check: None,
            answered: None,
            checker: None,
            failing: None,
            launch_failure: None,
            present: Present::default(),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.waiting {
            Some(_) => Phase::Starting,
            None => self.backend.phase(),
        }
    }

    fn why(&self) -> Option<String> {
        if self.waiting.is_some() {
            return self.waiting.clone();
        }
        if let State::Stopping { asked: true, .. } = self.backend.state {
            let stop = self.spec.stop;
            return Some(ending_words(stop.signal, stop.timeout));
        }
        let check = match self.backend.belief.failing() {
            true => self.failing.as_deref(),
            false => (self.last_check.as_ref())
                .filter(|check| !check.ok)
                .map(|check| check.detail.as_str()),
        };
        why_down(&self.backend, self.launch_failure.as_deref(), check)
    }

    /// What it brings to the shares of its service.
    pub(super) fn ramp(&self) -> Ramp {
        let since = match self.backend.state {
            // Back after it was not well is like new, as with nginx; back after a drain it is as warm as before.
            State::Up { since, .. } if self.backend.eligible() => {
                Some(self.well_since.map_or(since, |well| well.max(since)))
            }
            _ => None,
        };
        Ramp {
            weight: self.weight,
            since,
            length: self.spec.slow_start,
        }
    }

    /// The run whose connections are of use. Where nobody tells of deaths, that is the last one that was ready.
    fn routed_run(&self) -> Option<RunId> {
        match self.backend.belief.detect() {
            Detect::Instant => self.backend.run(),
            Detect::Passive | Detect::Active => {
                self.backend.belief.run().or_else(|| self.backend.run())
            }
        }
    }

    /// How the proxy sees it, with this share among the backends of its service.
    pub(super) fn member(&self, share: u32) -> Option<Arc<Member>> {
        let unknown = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Some(Arc::new(Member {
            index: self.place?,
            id: self.spec.id.clone(),
            run: self.routed_run(),
            address: self
                .present
                .address
                .or(self.answered)
                .or(self.spec.addresses.first().copied())
                .unwrap_or(unknown),
            weight: self.weight,
            share,
            backup: self.spec.backup,
            max_connections: self.spec.max_connections,
            eligible: self.backend.eligible(),
            stays: self.backend.stays(),
            listed: self.backend.listed(),
            phase: self.phase(),
            why: self.why(),
            life: self.present.life.clone(),
            tally: self.tally.clone(),
        }))
    }

    /// The same while somebody debugs one of its service: that one gets every request as long as it lives, whatever checks
    /// say of a server that stands at a breakpoint, and the others get none.
    pub(super) fn member_beside(&self, debugged: &BackendId) -> Option<Arc<Member>> {
        let member = self.member(self.weight.max(1))?;
        let it_is = self.spec.id == *debugged;
        let alive = matches!(self.backend.state, State::Up { .. } | State::Frozen { .. });
        Some(Arc::new(Member {
            eligible: it_is && alive,
            stays: false,
            listed: it_is,
            backup: false,
            ..Member::clone(&member)
        }))
    }

    /// The same while requests go to runs from `first` on only.
    pub(super) fn member_from(&self, first: RunId, share: u32) -> Option<Arc<Member>> {
        let member = self.member(share)?;
        if self.backend.run().is_some_and(|run| run >= first) {
            return Some(member);
        }
        Some(Arc::new(Member {
            eligible: false,
            stays: false,
            listed: false,
            ..Member::clone(&member)
        }))
    }

    /// How everybody else sees it.
    pub(super) fn view(&self) -> BackendView {
        BackendView {
            spec: self.spec.clone(),
            weight: self.weight,
            phase: self.phase(),
            desired: self.backend.desired || self.waiting.is_some(),
            enabled: self.backend.enabled,
            healthy: self.backend.healthy(),
            eligible: self.backend.eligible(),
            run: self.backend.run(),
            pid: self.present.pid,
            since: self.phase_since,
            launched: self.present.launched,
            ready_after: self.present.ready_after,
            was_ready: self.backend.was_ready,
            restarts: self.backend.restarts,
            last_exit: self.backend.last_exit,
            last_check: self.last_check.clone(),
            why: self.why(),
            on_trial: self.backend.is_on_trial(),
            waiting: self.waiting.is_some(),
        }
    }
}
