//! New code, one backend after the other.
//!
//! With [`WatchMode::Mixed`] each is drained, stopped, started, and the next one follows when it answers. With
//! [`WatchMode::Fresh`] requests wait for the first that has the new code; from then on the others get none, and so they are
//! restarted together. Either way the first that does not start ends it: the others go on with what they have.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{BackendView, Handle, Refused, Verb, View};
use crate::backend::{BackendId, Kind, Phase, RunId};
use crate::config::WatchMode;

/// What became of it.
#[derive(Debug)]
pub enum Rolled {
    /// Every backend that is wanted up runs from then on.
    All {
        /// So many.
        backends: usize,
        /// From the beginning of the first restart.
        took: Duration,
    },
    /// These did not start.
    Failed {
        /// As they are.
        failed: Vec<BackendView>,
        /// How many go on with what they had.
        kept: Vec<BackendId>,
    },
    /// lbdev is ending.
    Stopping,
}

/// Restarts the backends of a service whose run is older than `first` ([`Handle::mark`]). Dropping the future ends it between
/// two backends; what it has begun is finished by the supervisor. With [`WatchMode::Fresh`] the caller says with
/// [`Handle::only_from`] that requests wait for the first; at its end all may have requests again.
pub async fn roll(handle: &Handle, service: &str, mode: WatchMode, first: RunId) -> Rolled {
    roll_some(handle, service, mode, first, |_| true).await
}

/// [`roll`], of those that `among` takes.
pub async fn roll_some(
    handle: &Handle,
    service: &str,
    mode: WatchMode,
    first: RunId,
    among: impl Fn(&BackendId) -> bool,
) -> Rolled {
    let began = Instant::now();
    match roll_all(handle, service, mode, first, among).await {
        Ok(Ok(backends)) => {
            handle.only_from(service, None).await;
            Rolled::All {
                backends,
                took: began.elapsed(),
            }
        }
        Ok(Err(failed)) => {
            handle.only_from(service, None).await;
            let view = handle.view().borrow().clone();
            let kept = of_service(&view, service);
            let kept = kept.filter(|backend| backend.eligible && is_older(backend, first));
            Rolled::Failed {
                kept: kept.map(|backend| backend.spec.id.clone()).collect(),
                failed,
            }
        }
        Err(_) => Rolled::Stopping,
    }
}

/// How many were restarted, or those that did not start.
async fn roll_all(
    handle: &Handle,
    service: &str,
    mode: WatchMode,
    first: RunId,
    among: impl Fn(&BackendId) -> bool,
) -> Result<Result<usize, Vec<BackendView>>, Refused> {
    let mut done = 0;
    loop {
        let mut changes = handle.view();
        let view = changes.borrow_and_update().clone();
        let to_go = |one: &&BackendView| is_to_go(one, first) && among(&one.spec.id);
        let Some(next) = next(of_service(&view, service).filter(to_go)) else {
            return Ok(Ok(done));
        };
        let together = match mode {
            WatchMode::Fresh if done > 0 => {
                // Those that are left get no requests: nobody waits for them.
                let left = of_service(&view, service).filter(to_go);
                left.map(|backend| backend.spec.id.clone()).collect()
            }
            WatchMode::Fresh | WatchMode::Mixed => vec![next],
        };
        if let Err(refused) = handle.act(together.clone(), Verb::Renew).await {
            match refused {
                Refused::Stopping => return Err(refused),
                // Fewer are wanted by now: the next look, when it is gone, passes it over.
                _ => match changes.changed().await {
                    Ok(()) => continue,
                    Err(_) => return Err(Refused::Stopping),
                },
            }
        }
        let failed = until_settled(handle, &together, first).await?;
        if !failed.is_empty() {
            return Ok(Err(failed));
        }
        done += together.len();
        if mode == WatchMode::Fresh {
            handle.only_from(service, Some(first)).await;
        }
    }
}

fn of_service<'a>(view: &'a View, service: &'a str) -> impl Iterator<Item = &'a BackendView> {
    let backends = view.backends.iter();
    backends.filter(move |backend| backend.spec.id.service() == service)
}

fn is_older(backend: &BackendView, first: RunId) -> bool {
    backend.run.is_some_and(|run| run < first)
}

/// It is wanted up, and does not run from `first` on. One that waits for its first launch will.
fn is_to_go(backend: &BackendView, first: RunId) -> bool {
    let down = backend.run.is_none() && !backend.is_done();
    backend.desired
        && !backend.waiting
        && backend.spec.kind == Kind::Managed
        && (is_older(backend, first) || down)
}

/// The next one. What does not serve comes first: it costs nobody a place, and code that cannot start is found out there.
fn next<'a>(to_go: impl Iterator<Item = &'a BackendView>) -> Option<BackendId> {
    let next = to_go.min_by_key(|backend| backend.eligible)?;
    Some(next.spec.id.clone())
}

/// Waits until each of these runs from `first` on, or does not. Those that did not start.
async fn until_settled(
    handle: &Handle,
    ids: &[BackendId],
    first: RunId,
) -> Result<Vec<BackendView>, Refused> {
    let mut changes = handle.view();
    loop {
        let view: Arc<View> = changes.borrow_and_update().clone();
        if view.stopping {
            return Err(Refused::Stopping);
        }
        // Who is gone has left for good.
        let there = (view.backends.iter()).filter(|backend| ids.contains(&backend.spec.id));
        let states: Vec<(&BackendView, Settled)> =
            there.map(|one| (one, settled(one, first))).collect();
        if states
            .iter()
            .all(|(_, settled)| *settled != Settled::NotYet)
        {
            let failed = states
                .iter()
                .filter(|(_, settled)| *settled == Settled::Failed);
            return Ok(failed.map(|(backend, _)| (*backend).clone()).collect());
        }
        if changes.changed().await.is_err() {
            return Err(Refused::Stopping);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    NotYet,
    Well,
    Failed,
}

fn settled(backend: &BackendView, first: RunId) -> Settled {
    // A person has said otherwise meanwhile.
    if !backend.desired {
        return Settled::Well;
    }
    match backend.phase {
        Phase::Failed | Phase::Backoff => Settled::Failed,
        Phase::Stopped if backend.is_done() => Settled::Well,
        Phase::Stopped => Settled::Failed,
        Phase::Up | Phase::Frozen | Phase::Unhealthy if !is_older(backend, first) => Settled::Well,
        // Drained by a person, not about to end.
        Phase::Draining if !backend.enabled && !is_older(backend, first) => Settled::Well,
        Phase::Up
        | Phase::Frozen
        | Phase::Unhealthy
        | Phase::Draining
        | Phase::Starting
        | Phase::Stopping => Settled::NotYet,
    }
}
