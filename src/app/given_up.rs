//! Backends that served, and that the restart policy has given up: told once, with their last words.

use tokio::sync::broadcast::error::RecvError;

use super::notes::Notes;
use crate::backend::Phase;
use crate::error::Report;
use crate::supervisor::{BackendView, Handle};

/// Tells of each, until the supervisor has ended. `last_lines` are the last lines of a backend's output.
pub(super) async fn tell(
    supervisor: Handle,
    notes: Notes,
    last_lines: impl Fn(&BackendView) -> Vec<String>,
) {
    let mut changes = supervisor.changes();
    loop {
        let change = match changes.recv().await {
            Ok(change) => change,
            // So many changes at once: what has failed stays failed, and is in `status`.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        if change.to != Phase::Failed {
            continue;
        }
        let view = supervisor.view().borrow().clone();
        let backend = view.backends.iter().find(|one| one.spec.id == change.id);
        // Those that never were ready are told of by the start, and new code by whoever heard of the save.
        let given_up = |one: &&BackendView| one.was_ready && !one.on_trial;
        if let Some(backend) = (backend.filter(given_up)).filter(|one| one.phase == Phase::Failed) {
            notes.report(&report(backend, last_lines(backend)));
        }
    }
}

fn report(backend: &BackendView, lines: Vec<String>) -> Report {
    let why = backend.why.as_deref().unwrap_or("has ended");
    let (id, name) = (&backend.spec.id, backend.spec.id.short());
    let message = format!("backend `{id}` {why}: it is not started again");
    Report::failed("LB014", message)
        .last_lines(lines)
        .hint(format!(
            "run `lbdev logs {name}`, mend it, then run `lbdev start {name}`"
        ))
}
