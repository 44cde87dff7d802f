//! How a start is going: a pure look at all backends.

use std::time::{Duration, Instant};

use crate::backend::{Kind, Phase};
use crate::error::Report;
use crate::supervisor::{BackendView, View};

/// An external server that has not answered for this long counts as down: nobody is starting it.
const EXTERNAL_GRACE: Duration = Duration::from_secs(2);

/// Where a start stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Startup {
    /// Somebody may still become ready.
    Pending,
    /// Everybody is ready.
    Ready,
    /// Nobody is on the way any more, and not everybody is ready.
    Degraded,
    /// Every backend of this service ended before it was ready.
    Hopeless(String),
}

/// Judges a start.
pub(super) fn judge(view: &View, now: Instant) -> Startup {
    let mut services: Vec<&str> = view
        .backends
        .iter()
        .map(|backend| backend.spec.id.service())
        .collect();
    services.dedup();
    for service in services {
        let mut of_service = view
            .backends
            .iter()
            .filter(|backend| backend.spec.id.service() == service);
        if of_service.all(never_ready) {
            return Startup::Hopeless(service.to_owned());
        }
    }
    let serves = |backend: &BackendView| backend.eligible || backend.is_done();
    if view.backends.iter().all(serves) {
        Startup::Ready
    } else if view.backends.iter().any(|backend| on_the_way(backend, now)) {
        Startup::Pending
    } else {
        Startup::Degraded
    }
}

/// It ended before its first readiness.
fn never_ready(backend: &BackendView) -> bool {
    backend.phase == Phase::Failed && !backend.was_ready
}

fn on_the_way(backend: &BackendView, now: Instant) -> bool {
    match backend.phase {
        Phase::Starting | Phase::Backoff => true,
        Phase::Unhealthy => {
            backend.spec.kind == Kind::External
                && now.saturating_duration_since(backend.since) < EXTERNAL_GRACE
        }
        Phase::Up
        | Phase::Draining
        | Phase::Stopping
        | Phase::Stopped
        | Phase::Frozen
        | Phase::Failed => false,
    }
}

/// What is said when backends ended before they were ready: alike failures once. `last_lines` are the last lines of a
/// backend's output.
pub(super) fn failures(
    view: &View,
    service: &str,
    last_lines: impl Fn(&BackendView) -> Vec<String>,
) -> Vec<Report> {
    let failed: Vec<&BackendView> = view
        .backends
        .iter()
        .filter(|backend| backend.spec.id.service() == service && never_ready(backend))
        .collect();
    let told: Vec<(String, Vec<String>)> = failed
        .iter()
        .map(|backend| {
            (
                backend
                    .why
                    .clone()
                    .unwrap_or_else(|| "could not be started".to_owned()),
                last_lines(backend),
            )
        })
        .collect();
    // The last words may name the port; the reason may not differ.
    let alike = told.len() > 1 && told.iter().all(|(why, _)| *why == told[0].0);
    let shown = if alike { 1 } else { failed.len() };
    let mut reports = Vec::new();
    for (backend, (why, lines)) in failed.iter().zip(told).take(shown) {
        let who = if alike {
            match view
                .backends
                .iter()
                .filter(|backend| backend.spec.id.service() == service)
                .count()
            {
                all if all == failed.len() => format!("all {all} backends of `{service}`"),
                all => format!("{} of {all} backends of `{service}`", failed.len()),
            }
        } else {
            format!("`{}`", backend.spec.id)
        };
        let launched = backend.last_exit.is_some();
        let mut report = if launched {
            Report::failed(
                "LB010",
                format!(
                    "{who} {why} before {} ready",
                    if alike { "they were" } else { "it was" }
                ),
            )
        } else {
            Report::failed("LB013", format!("{who} cannot be started: {why}"))
        };
        report = report.last_lines(lines);
        reports.push(if launched {
            report.hint(format!("run `lbdev logs {}`", backend.spec.id.short()))
        } else {
            report.hint("correct the command, then run `lbdev up` again")
        });
    }
    reports
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::*;
    use crate::backend::{
        BackendId, By, Exit, ExitStatus, HealthPolicy, RestartMode, RestartPolicy, Signal, Slot,
        StopPolicy,
    };
    use crate::config::BackendSpec;

    fn backend(service: &str, port: u16, phase: Phase) -> BackendView {
        let spec = BackendSpec {
            id: BackendId::new(service, Slot::Port(port)),
            index: 1,
            kind: Kind::Managed,
            addresses: Vec::new(),
            command: None,
            weight: 1,
            backup: false,
            max_connections: 0,
            slow_start: Duration::ZERO,
            ready: crate::backend::Ready::Http,
            health: HealthPolicy {
                path: None,
                interval: Duration::from_secs(1),
                timeout: Duration::from_secs(1),
                rise: 1,
                fall: 2,
                status: None,
                body: None,
            },
            restart: RestartPolicy {
                mode: RestartMode::Never,
                backoff_min: Duration::ZERO,
                backoff_max: Duration::ZERO,
                max: 0,
            },
            stop: StopPolicy {
                signal: Signal::Term,
                timeout: Duration::from_secs(5),
            },
        };
        let failed = phase == Phase::Failed;
        let exit = Exit {
            status: ExitStatus::Code(1),
            at: SystemTime::UNIX_EPOCH,
            by: By::Itself,
            asked: false,
        };
        BackendView {
            spec: Arc::new(spec),
            weight: 1,
            phase,
            desired: true,
            enabled: true,
            healthy: phase == Phase::Up,
            eligible: phase == Phase::Up,
            run: None,
            pid: None,
            since: Instant::now(),
            launched: None,
            ready_after: (phase == Phase::Up).then_some(Duration::from_millis(5)),
            was_ready: phase == Phase::Up,
            restarts: 0,
            last_exit: failed.then_some(exit),
            last_check: None,
            why: failed.then(|| "exited with status 1".to_owned()),
            on_trial: false,
            waiting: false,
        }
    }

    fn view(backends: &[(&str, u16, Phase)]) -> View {
        View {
            backends: backends
                .iter()
                .map(|&(s, p, phase)| backend(s, p, phase))
                .collect(),
            stopping: false,
        }
    }

    #[test]
    fn a_start_is_judged_by_all_of_a_service() {
        use Phase::{Failed, Starting, Up};
        let check = |backends: &[(&str, u16, Phase)], expected: Startup| {
            assert_eq!(
                judge(&view(backends), Instant::now()),
                expected,
                "{backends:?}"
            );
        };
        check(&[("web", 1, Up), ("web", 2, Up)], Startup::Ready);
        check(&[("web", 1, Up), ("web", 2, Starting)], Startup::Pending);
        check(&[("web", 1, Up), ("web", 2, Failed)], Startup::Degraded);
        check(
            &[("web", 1, Failed), ("web", 2, Starting)],
            Startup::Pending,
        );
        check(
            &[("web", 1, Failed), ("web", 2, Failed)],
            Startup::Hopeless("web".into()),
        );
        check(
            &[("web", 1, Up), ("api", 2, Failed)],
            Startup::Hopeless("api".into()),
        );

        // One that served and died since: its command is not what is wrong.
        let mut died = view(&[("web", 1, Failed), ("web", 2, Failed)]);
        died.backends[0].was_ready = true;
        assert_eq!(judge(&died, Instant::now()), Startup::Degraded);
    }

    #[test]
    fn alike_failures_are_told_once() {
        let both = view(&[("web", 8000, Phase::Failed), ("web", 8001, Phase::Failed)]);
        let reports = failures(&both, "web", |_| vec!["boom".into()]);
        insta::assert_snapshot!(reports[0], @r"
        error[LB010]: all 2 backends of `web` exited with status 1 before they were ready
          its last line: boom
          hint: run `lbdev logs 8000`
        ");
        assert_eq!(reports.len(), 1);
        let one = view(&[("web", 8000, Phase::Failed), ("web", 8001, Phase::Up)]);
        insta::assert_snapshot!(failures(&one, "web", |_| Vec::new())[0], @r"
        error[LB010]: `web:8000` exited with status 1 before it was ready
          hint: run `lbdev logs 8000`
        ");
    }
}
