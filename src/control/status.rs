//! `status`: what supervisor and pools know, as one document.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use crate::backend::{By, Exit, ExitStatus, Kind, Phase, signal_name};
use crate::pool::{Member, Pools};
use crate::process::Usages;
use crate::supervisor::{BackendView, View};
use crate::wire::{BackendStatus, LastCheck, LastExit};

/// The totals over every pool.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) requests: u64,
    pub(super) retries: u64,
    pub(super) failures: u64,
    pub(super) waiting: u64,
}

impl Totals {
    pub(super) fn of(pools: &Pools) -> Self {
        let mut totals = Totals::default();
        for pool in pools.all().iter() {
            totals.requests += pool.snapshot().answered() + pool.unanswered();
            totals.retries += pool.retries();
            totals.failures += pool.unanswered();
            totals.waiting += pool.waiting() as u64;
        }
        totals
    }
}

/// It gets requests and its process lives: with some `detect` the balancer believes in dead ones too.
fn serves(backend: &BackendView) -> bool {
    backend.eligible && matches!(backend.phase, Phase::Up | Phase::Frozen)
}

/// The project's state in one word.
pub(super) fn project_state(view: &View) -> &'static str {
    let count = |wanted: fn(&BackendView) -> bool| {
        view.backends
            .iter()
            .filter(|backend| wanted(backend))
            .count()
    };
    let serving = count(|backend| serves(backend) || backend.is_done());
    // Without the balancer nobody is served, whoever runs.
    let mut engines = (view.backends.iter()).filter(|one| one.spec.id.is_engine());
    let engine_down = engines.any(|one| !serves(one) && one.was_ready);
    let first_start = count(|backend| {
        backend.phase == Phase::Starting && backend.restarts == 0 && backend.last_exit.is_none()
    });
    let failed = count(|backend| backend.phase == Phase::Failed);
    if view.stopping {
        "stopping"
    } else if engine_down {
        "down"
    } else if serving == view.backends.len() {
        "serving"
    } else if first_start > 0 && failed == 0 {
        "starting"
    } else if serving > 0 {
        "degraded"
    } else {
        "down"
    }
}

/// One backend's row.
pub(super) fn backend_status(
    backend: &BackendView,
    pools: &Pools,
    usages: &Usages,
    now: Instant,
) -> BackendStatus {
    let spec = &backend.spec;
    let snapshot = pools.of(spec.id.service()).map(|pool| pool.snapshot());
    let member = snapshot
        .as_deref()
        .and_then(|snapshot| snapshot.members.iter().find(|member| member.id == spec.id));
    let latency = member.and_then(|member| member.tally.latency(now));
    let ms = |place: usize| latency.map(|latency| self::ms(latency[place]));
    let counted = |read: fn(&Member) -> u64| {
        let counts = pools.count();
        counts.then(|| member.map_or(0, |member| read(member)))
    };
    let uptime = backend
        .launched
        .or(serves(backend).then_some(backend.since));
    let usage = backend.run.and_then(|run| usages.get(&run));
    let usage = usage.copied().unwrap_or_default();
    BackendStatus {
        id: spec.id.to_string(),
        service: spec.id.service().to_owned(),
        index: spec.index,
        kind: match spec.kind {
            Kind::Managed if spec.id.is_engine() => "engine",
            Kind::Managed => "managed",
            Kind::External => "external",
        }
        .to_owned(),
        address: member.map(|member| member.address.to_string()),
        port: spec.id.port(),
        pid: backend.pid,
        state: backend.phase.word().to_owned(),
        desired: if backend.desired { "up" } else { "stopped" }.to_owned(),
        enabled: backend.enabled,
        healthy: backend.healthy,
        weight: backend.weight,
        backup: spec.backup,
        eligible: member.map_or(backend.eligible, |member| member.takes_requests()),
        share: member.map_or(backend.weight, |member| member.share),
        max_connections: spec.max_connections,
        uptime_s: uptime.map_or(0.0, |since| {
            round(now.saturating_duration_since(since).as_secs_f64(), 3)
        }),
        restarts: backend.restarts,
        requests: counted(|member| member.tally.requests()),
        errors: counted(|member| member.tally.errors()),
        fault: member.and_then(|member| Some(member.tally.fault()?.to_string())),
        failures: counted(|member| member.tally.failures()),
        failures_by: member.map_or_else(BTreeMap::new, |member| {
            let by = member.tally.failures_by();
            by.map(|(kind, count)| (kind.to_owned(), count)).collect()
        }),
        spared: counted(|member| member.tally.spared()),
        retried_elsewhere: counted(|member| member.tally.retried_elsewhere()),
        in_flight: counted(|member| u64::from(member.life.in_flight())),
        p50_ms: ms(0),
        p99_ms: ms(1),
        cpu_pct: round(usage.cpu_pct, 1),
        rss_bytes: usage.rss_bytes,
        threads: usage.threads,
        children: usage.children,
        last_exit: backend.last_exit.as_ref().map(last_exit),
        last_check: backend.last_check.as_ref().map(|check| LastCheck {
            ok: check.ok,
            detail: check.detail.clone(),
            at: timestamp(check.at),
        }),
        why: backend.why.clone(),
        waiting: backend.waiting,
        done: backend.is_done(),
    }
}

fn last_exit(exit: &Exit) -> LastExit {
    let (signal, code) = match exit.status {
        ExitStatus::Signal(number) => (Some(signal_name(number)), None),
        ExitStatus::Code(code) => (None, Some(code)),
    };
    let by = match exit.by {
        By::Operator => "operator",
        By::Lbdev => "lbdev",
        By::Itself => "self",
        By::Outside => "outside",
    };
    LastExit {
        signal,
        code,
        at: timestamp(exit.at),
        by: by.to_owned(),
    }
}

/// To the millisecond: more says nothing.
pub(super) fn timestamp(at: SystemTime) -> jiff::Timestamp {
    let millis = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let millis = i64::try_from(millis).unwrap_or_default();
    jiff::Timestamp::from_millisecond(millis).unwrap_or_default()
}

/// In milliseconds, to a thousandth.
pub(super) fn ms(duration: Duration) -> f64 {
    round(duration.as_secs_f64() * 1e3, 3)
}

pub(super) fn round(value: f64, digits: i32) -> f64 {
    let factor = 10f64.powi(digits);
    (value * factor).round() / factor
}
