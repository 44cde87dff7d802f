//! Keeps `sessions.json` true: which processes run, for whoever has to end them where neither lbdev nor its guardian can.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::error::Report;
use crate::instance::Lock;
use crate::process::sessions;
use crate::supervisor::View;
use crate::wire::{BackendSession, Sessions};

/// What is written from.
pub(super) struct Source {
    pub(super) instance: String,
    pub(super) view: watch::Receiver<Arc<View>>,
    /// The guardian that is on guard. Its sender's end is the end of the work.
    pub(super) guardian: watch::Receiver<Option<u32>>,
}

/// Writes the file now and after each change. That it cannot be written is said once, to `troubles`:
/// serving goes on, and nearly every process can be found without it.
/// `None` where the system does not say when a process started: then there is nothing to be written.
pub(super) fn keep(
    lock: Arc<Lock>,
    mut source: Source,
    troubles: mpsc::UnboundedSender<Report>,
) -> Option<JoinHandle<()>> {
    let empty = sessions::document(&source.instance)?;
    Some(tokio::spawn(async move {
        let mut last = None;
        let mut told = false;
        loop {
            let now = now(&empty, &mut source);
            if last.as_ref() != Some(&now) {
                let (lock, writing) = (lock.clone(), now.clone());
                let written = tokio::task::spawn_blocking(move || lock.write_sessions(&writing));
                if let Ok(Err(error)) = written.await
                    && !std::mem::replace(&mut told, true)
                {
                    // Whoever would read it may be gone.
                    let _ = troubles.send(error.into());
                }
                last = Some(now);
            }
            tokio::select! {
                Ok(()) = source.view.changed() => {}
                changed = source.guardian.changed() => if changed.is_err() { return },
            }
        }
    }))
}

fn now(empty: &Sessions, source: &mut Source) -> Sessions {
    let guardian = *source.guardian.borrow_and_update();
    let view = source.view.borrow_and_update().clone();
    let backends = view.backends.iter().filter_map(|backend| {
        Some(BackendSession {
            backend: backend.spec.id.to_string(),
            process: sessions::started(backend.pid?)?,
        })
    });
    Sessions {
        guardian: guardian.and_then(sessions::started),
        backends: backends.collect(),
        ..empty.clone()
    }
}
