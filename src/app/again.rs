//! What `up` and `run` do where lbdev runs already.

use std::ffi::OsString;
use std::time::Instant;

use super::Start;
use super::detach::{Followed, LOOK, SOCKET, client, follow_start};
use crate::cli::{LogsOptions, Place, Task};
use crate::error::Report;
use crate::{commands, instance, shutdown, wire};

/// What `up` does where lbdev runs already: that one takes the set-up over, if it is another. `None` when it has ended: the way
/// is free.
pub(super) fn already_running(start: &Start) -> Result<Option<u8>, Vec<Report>> {
    let Start {
        options,
        config,
        folder,
        ui,
        ..
    } = start;
    let runtime = commands::runtime().map_err(|report| vec![report])?;
    let Some(instance) = runtime.block_on(settled(start))? else {
        return Ok(None);
    };
    let drawn = options.request.ports.as_deref() == Some("auto");
    let changed = instance.setup != super::setup(config, folder) && !drawn;
    if let Some(words) = &options.then {
        return beside_running(start, &instance, words, changed).map(Some);
    }
    if changed {
        let (request, client) = (options.request.clone(), client(start)?);
        ui.note(&format!(
            "already running (pid {}): it takes over what has changed",
            instance.pid
        ));
        runtime.block_on(async {
            let before = client.status().await.map_err(all)?;
            let reloaded = client.reload(Some(request.into())).await.map_err(all)?;
            commands::tell_reload(&reloaded, ui);
            if options.detach && !options.wait {
                return Ok(());
            }
            let followed = commands::follow_reload(&client, &reloaded, &before, ui).await;
            followed.map(drop).map_err(|report| vec![report])
        })?;
    } else {
        already(start, &instance);
    }
    if options.detach {
        let code = runtime.block_on(follow_start(start, &Followed::Theirs(&instance)))?;
        return Ok(Some(code));
    }
    ui.note("following its logs; Ctrl-C only lets go");
    // Without a handler Ctrl-C ends it all the same.
    let _ = shutdown::let_go_on_interrupt();
    let logs = LogsOptions {
        target: None,
        follow: true,
        last: Some(0),
        since: None,
        grep: None,
    };
    // Exactly this one, wherever `up` was typed.
    let place = Place {
        dir: config.dir.clone(),
        said: true,
        project: folder.is_demo().then(|| config.project.clone()),
    };
    commands::run(Task::Logs(logs), &place, ui).map(Some)
}

fn already(start: &Start, instance: &wire::Instance) {
    start.ui.note(&format!(
        "already running (pid {}) at {}",
        instance.pid, instance.url
    ));
}

fn all(error: crate::control::ClientError) -> Vec<Report> {
    error.reports()
}

/// `run` where lbdev runs already: it is used as it is, and left running.
fn beside_running(
    start: &Start,
    instance: &wire::Instance,
    words: &[OsString],
    changed: bool,
) -> Result<u8, Vec<Report>> {
    if changed {
        let message = format!(
            "lbdev is already running here (pid {}, {}) with another set-up",
            instance.pid, instance.url
        );
        return Err(vec![Report::failed("LB003", message).hint(
            "run `lbdev reload` for it to take over this one, or `lbdev down` first",
        )]);
    }
    already(start, instance);
    start.ui.note("it is left running");
    let runtime = commands::runtime().map_err(|report| vec![report])?;
    runtime.block_on(async {
        let code = follow_start(start, &Followed::Theirs(instance)).await?;
        if code != 0 {
            return Ok(code);
        }
        let shutdown = shutdown::Shutdown::default();
        // Without it a signal ends this command, and leaves the other alone, all the same.
        let _ = shutdown.listen();
        let ran = super::run::run(words, &instance.url, &shutdown).await;
        ran.map_err(|report| vec![report])
    })
}

/// The instance that runs here, when it is one that answers and goes on; `None` when it has ended. One that is starting,
/// or stopping, is waited for.
async fn settled(start: &Start) -> Result<Option<wire::Instance>, Vec<Report>> {
    let Start { folder, ui, .. } = start;
    let mut until = Instant::now() + SOCKET;
    let mut said = false;
    while folder.is_locked() {
        if let Some(instance) = instance::running(folder)
            && let Ok(status) = client(start)?.status().await
        {
            if status.state != "stopping" {
                return Ok(Some(instance));
            }
            // It takes what its backends take.
            until = Instant::now() + SOCKET;
            if !std::mem::replace(&mut said, true) {
                ui.note(&format!(
                    "lbdev (pid {}) is still stopping; waiting for its end",
                    instance.pid
                ));
            }
        }
        if Instant::now() >= until {
            let report = Report::failed(
                "LB006",
                "another lbdev holds this project and does not answer".to_owned(),
            );
            return Err(vec![
                report.hint(format!("run `lbdev down`, then `{}`", start.command())),
            ]);
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(None)
}
