//! `drain` and `undrain`: who gets requests, whatever its process does.

use serde_json::json;

use super::act::find;
use super::connect;
use crate::cli::Place;
use crate::error::Report;
use crate::ui::status::serves;
use crate::ui::{Ui, acted};
use crate::wire::{BackendStatus, Status};

/// No new requests from now on, but for clients that stick to it unless `everyone`. What is in flight is not waited for.
pub(super) async fn drain(
    place: &Place,
    target: &str,
    everyone: bool,
    ui: &Ui,
) -> Result<u8, Report> {
    let (_, client) = connect(place, ui)?;
    let before = client.status().await?;
    let body = json!({ "everyone": everyone });
    let reply = client.act(target, "drain", Some(body)).await?;
    let stay = before.balancer.sticky != "off" && !everyone;
    for backend in &reply.backends {
        // Drained already, it may still have had clients that stuck to it.
        let again = is_as_before(backend, &before) && !everyone;
        let line = match again {
            true => acted::drained_already(backend, ui.out),
            false => acted::drained(backend, stay, ui.out),
        };
        ui.did(&line);
    }
    let after = client.status().await?;
    for service in idle_services(&reply.backends, &after) {
        ui.note(&format!(
            "no backend of `{service}` takes requests now: they wait until one does"
        ));
    }
    if ui.json {
        ui.json(&reply);
    }
    Ok(0)
}

/// New requests again.
pub(super) async fn undrain(place: &Place, target: &str, ui: &Ui) -> Result<u8, Report> {
    let (_, client) = connect(place, ui)?;
    let before = client.status().await?;
    let reply = client.act(target, "undrain", None).await?;
    for backend in &reply.backends {
        let line = match is_as_before(backend, &before) {
            true => acted::drained_already(backend, ui.out),
            false => acted::undrained(backend, ui.out),
        };
        ui.did(&line);
    }
    if ui.json {
        ui.json(&reply);
    }
    Ok(0)
}

fn is_as_before(backend: &BackendStatus, before: &Status) -> bool {
    find(before, &backend.id).is_some_and(|old| old.enabled == backend.enabled)
}

/// The services of `drained` where nobody serves any more, each once.
fn idle_services<'a>(drained: &'a [BackendStatus], now: &Status) -> Vec<&'a str> {
    let mut services: Vec<&str> = drained.iter().map(|b| b.service.as_str()).collect();
    services.dedup();
    services.retain(|service| {
        let mut of_service = now.backends.iter().filter(|b| b.service == *service);
        !of_service.any(serves)
    });
    services
}
