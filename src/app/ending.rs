//! The end of an instance, in order, and the exit code that it has.

use std::time::Duration;

use super::notes::Notes;
use super::serve::Running;
use crate::backend::{BackendId, Kind, Phase};
use crate::process;
use crate::shutdown::{Level, Reason};
use crate::supervisor::{BackendView, Verb, ending_words};
use crate::ui;

/// After so long, and again after it, what holds up the end is named.
const HELD_UP: Duration = Duration::from_secs(1);

impl Running {
    /// The end, in order: no new connections, what is in flight, the backends, the socket, the files.
    pub(super) async fn end(self, notes: &Notes) -> (Level, Option<Reason>) {
        let Running {
            current,
            shutdown,
            order,
            supervisor,
            mut loop_task,
            proxy,
            guardian,
            sessions,
            door,
            page_door,
            lock,
            ..
        } = self;
        let config = current.load_full();
        let mut view = supervisor.view();
        let running = view
            .borrow()
            .backends
            .iter()
            .filter(|backend| backend.run.is_some() && backend.spec.kind == Kind::Managed)
            .count();
        if running > 0 && shutdown.now().reason == Some(Reason::Interrupt) {
            notes.tell(format!(
                "stopping {}; Ctrl-C again kills them",
                ui::plural(running, "backend", "backends")
            ));
        }
        let mut closing = Box::pin(proxy.close(config.balancer.timeouts.drain));
        // Who balances ends first: what it has passed on is answered.
        let engine = (view.borrow().backends.iter())
            .map(|backend| backend.spec.id.clone())
            .find(BackendId::is_engine);
        if let Some(engine) = engine {
            tokio::select! {
                _ = supervisor.act(vec![engine], Verb::Stop) => {}
                _ = shutdown.reached(Level::Force) => {}
            }
        }
        supervisor.shutdown().await;
        let mut forced = false;
        let mut closed = false;
        let mut told = None;
        let mut waited = tokio::time::interval_at(tokio::time::Instant::now() + HELD_UP, HELD_UP);
        loop {
            tokio::select! {
                _ = &mut loop_task => break,
                () = &mut closing, if !closed => closed = true,
                _ = shutdown.reached(Level::Force), if !forced => {
                    forced = true;
                    supervisor.abort().await;
                }
                state = shutdown.reached(Level::Exit) => return (state.level, state.reason),
                _ = waited.tick() => {
                    let now = held_up(&view.borrow_and_update().backends);
                    if let Some(text) = now.as_ref().filter(|_| now != told) {
                        notes.tell(text.clone());
                    }
                    told = now;
                }
            }
        }
        if !closed {
            tokio::select! {
                () = closing => {}
                // Dropping it ends it.
                _ = shutdown.reached(Level::Force) => {}
            }
        }
        tokio::select! {
            failed = order.finish(&config.services, notes) => {
                for report in failed {
                    notes.report(&report);
                }
            }
            state = shutdown.reached(Level::Exit) => return (state.level, state.reason),
        }
        drop((door, page_door));
        let dismissed = tokio::task::spawn_blocking(move || {
            process::end_strays();
            guardian.dismiss();
        });
        // Only a panic in there could fail, and there is nothing left to end.
        drop(dismissed.await);
        if let Some(sessions) = sessions {
            // It has nothing to give back, and ends with the guardian.
            let _ = sessions.await;
        }
        if let Err(error) = lock.remove() {
            notes.report(&error.into());
        }
        let state = shutdown.now();
        (state.level, state.reason)
    }
}

/// What an end still waits for.
fn held_up(backends: &[BackendView]) -> Option<String> {
    let names = |phase: Phase| {
        let these = backends.iter().filter(|backend| backend.phase == phase);
        these
            .map(|backend| backend.spec.id.short())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut waits = Vec::new();
    let draining = names(Phase::Draining);
    if !draining.is_empty() {
        waits.push(format!("requests in flight at {draining}"));
    }
    let stopping = names(Phase::Stopping);
    if let Some(one) = backends
        .iter()
        .find(|backend| backend.phase == Phase::Stopping)
    {
        let words = ending_words(one.spec.stop.signal, one.spec.stop.timeout);
        waits.push(format!("{stopping}, {words}"));
    }
    (!waits.is_empty()).then(|| format!("still waiting for {}", waits.join(", and ")))
}

/// 0 for an orderly end; 128 + the signal's number when it was cut short.
pub(super) fn exit_code(level: Level, reason: Option<Reason>, was_ready: bool) -> u8 {
    let cut_short = level > Level::Drain || !was_ready;
    match reason {
        Some(Reason::Interrupt) if cut_short => 130,
        Some(Reason::Terminate) if cut_short => 143,
        Some(Reason::HangUp) if cut_short => 129,
        Some(Reason::Interrupt | Reason::Terminate | Reason::HangUp | Reason::Asked) | None => 0,
    }
}
