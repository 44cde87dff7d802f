//! The guardian as a running instance has it: started first, and told of where somebody ends it.

use tokio::sync::{mpsc, watch};

use crate::backend::{ExitStatus, signal_name};
use crate::error::Report;
use crate::instance::Lock;
use crate::process::guardian::{self, Guardians, Lost};

/// Starts the guardian. Whoever ends it is told of, with the process that has taken its place.
pub(super) fn start(
    instance: &str,
    lock: &Lock,
    troubles: mpsc::UnboundedSender<Report>,
) -> std::io::Result<(Guardians, watch::Receiver<Option<u32>>)> {
    let (on_guard_to, on_guard) = watch::channel(None);
    let tell = on_guard_to.clone();
    let lost = move |lost: Lost| {
        tell.send_replace(lost.next.as_ref().ok().copied());
        // Nobody listens any more when lbdev has ended.
        let _ = troubles.send(lost_guardian(&lost));
    };
    let guardians = guardian::keep(instance, &lock.folder().sessions_file(), lost)?;
    on_guard_to.send_replace(guardians.pid());
    Ok((guardians, on_guard))
}

fn lost_guardian(lost: &Lost) -> Report {
    let how = match lost.status {
        Some(ExitStatus::Signal(number)) => format!("was ended by {}", signal_name(number)),
        Some(ExitStatus::Code(_)) | None => "has ended".to_owned(),
    };
    let (pid, guardian) = (
        lost.pid,
        "the guardian, which ends the servers if lbdev cannot,",
    );
    match &lost.next {
        Ok(next) => Report::failed(
            "LB009",
            format!("{guardian} {how} (pid {pid}); another one (pid {next}) has taken its place"),
        ),
        Err(error) => Report::failed(
            "LB009",
            format!("{guardian} {how} (pid {pid}), and no other one can be started: {error}"),
        )
        .hint("end lbdev with `lbdev down`, not with `kill -9`: nobody would end the servers"),
    }
}
