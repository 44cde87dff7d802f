//! `freeze` and `thaw`: a backend hangs, as a server in a deadlock does.

use super::act::find;
use super::connect;
use crate::cli::Place;
use crate::error::Report;
use crate::ui::{Ui, acted};

/// Its processes stop, and its port still accepts. Those that are down are passed over.
pub(super) async fn freeze(place: &Place, target: &str, ui: &Ui) -> Result<u8, Report> {
    let (_, client) = connect(place, ui)?;
    let before = client.status().await?;
    let reply = client.act(target, "freeze", None).await?;
    for backend in &reply.backends {
        let was = find(&before, &backend.id).is_some_and(|old| old.state == "frozen");
        ui.did(&match was {
            true => acted::already(backend, ui.out),
            false => acted::frozen(backend, &before.balancer.detect, ui.out),
        });
    }
    if ui.json {
        ui.json(&reply);
    }
    Ok(0)
}

/// They go on.
pub(super) async fn thaw(place: &Place, target: &str, ui: &Ui) -> Result<u8, Report> {
    let (_, client) = connect(place, ui)?;
    let before = client.status().await?;
    let reply = client.act(target, "thaw", None).await?;
    for backend in &reply.backends {
        let was = find(&before, &backend.id).is_some_and(|old| old.state == "frozen");
        ui.did(&acted::thawed(backend, was, ui.out));
    }
    if ui.json {
        ui.json(&reply);
    }
    Ok(0)
}
