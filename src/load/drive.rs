//! A load with all that belongs to it: verbs in the middle, the events of the running lbdev, and whoever looks on.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::plan::Plan;
use super::report::Acted;
use super::run::{Control, Live, Measured, RunError, run};
use super::verbs::{Caller, Verb, Verbs};
use crate::control::client::Client;
use crate::wire::Event;

/// Whoever looks on is told so often.
const LOOK: Duration = Duration::from_millis(250);
/// Events are fetched so often, so that none is dropped from the journal before.
const FETCH: Duration = Duration::from_secs(2);

/// What is seen while it runs.
#[derive(Debug)]
pub enum Seen<'a> {
    /// How far it is.
    Live(&'a Live),
    /// A verb in the middle has ended.
    Acted(&'a Acted),
}

/// Everything that came of it.
#[derive(Debug)]
pub struct Driven {
    /// What was measured.
    pub measured: Measured,
    /// What verbs in the middle did.
    pub acted: Vec<Acted>,
    /// What happened meanwhile, where there is an lbdev that tells.
    pub events: Vec<Event>,
}

/// Sends what is planned, and runs `verbs` meanwhile. When `stop` resolves, no more is sent.
///
/// # Errors
/// When the machine refuses what it needs.
pub async fn drive(
    plan: &Plan,
    verbs: &[Verb],
    caller: &Caller,
    client: Option<&Client>,
    mut seen: impl FnMut(Seen<'_>),
    stop: impl Future<Output = ()>,
) -> Result<Driven, RunError> {
    let mut last = match client {
        // One that does not answer now tells nothing of failovers later.
        Some(client) => client.events(0, Duration::ZERO).await.map_or(0, |e| e.last),
        None => 0,
    };
    let control = Arc::new(Control::default());
    let (done, mut ended) = tokio::sync::oneshot::channel();
    let (theirs, planned) = (control.clone(), plan.clone());
    let thread = std::thread::Builder::new()
        .name("lbdev-load".to_owned())
        .spawn(move || {
            // Whoever waits for it is there, or the process ends.
            let _ = done.send(run(&planned, &theirs));
        })?;
    let mut verbs = Verbs::start(caller, verbs);
    let mut look = tokio::time::interval(LOOK);
    let mut fetch = tokio::time::interval(FETCH);
    let mut events: Vec<Event> = Vec::new();
    let mut stop = std::pin::pin!(stop);
    let mut stopping = false;
    let measured = loop {
        tokio::select! {
            measured = &mut ended => break measured,
            _ = look.tick() => seen(Seen::Live(&control.live())),
            Some(one) = verbs.next() => seen(Seen::Acted(&one)),
            _ = fetch.tick(), if client.is_some() => take(client, &mut last, &mut events).await,
            () = &mut stop, if !stopping => {
                stopping = true;
                control.stop();
                verbs.stop();
            }
        }
    };
    let acted = verbs.end().await;
    take(client, &mut last, &mut events).await;
    let measured = measured.map_err(|_| io::Error::other("the thread of the load has ended"))??;
    // It has sent its result, and has nothing more to do.
    let _ = thread.join();
    Ok(Driven {
        measured,
        acted,
        events,
    })
}

/// What cannot be fetched is missing in the report, which says nothing of failovers then.
async fn take(client: Option<&Client>, last: &mut u64, events: &mut Vec<Event>) {
    let Some(client) = client else { return };
    if let Ok(more) = client.events(*last, Duration::ZERO).await {
        *last = more.last;
        events.extend(more.events);
    }
}
