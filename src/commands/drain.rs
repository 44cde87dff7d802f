//! `drain` and `undrain`: who gets requests, whatever its process does.

use super::act::find;
use super::connect;
use crate::cli::Place;
use crate::error::Report;
use crate::ui::status::serves;
use crate::ui::{Ui, acted};
use crate::wire::{BackendStatus, Status};

/// No new requests from now on, or with `off` new ones again. What is in flight is not waited for.
pub(super) async fn drain(place: &Place, target: &str, off: bool, ui: &Ui) -> Result<u8, Report> {
    let (_, client) = connect(place, ui)?;
    let before = client.status().await?;
    let verb = if off { "undrain" } else { "drain" };
    let reply = client.act(target, verb, None).await?;
    for backend in &reply.backends {
        let old = find(&before, &backend.id);
        let line = match old.is_some_and(|old| old.enabled == backend.enabled) {
            true => acted::drained_already(backend, ui.out),
            false if off => acted::undrained(backend, ui.out),
            false => acted::drained(backend, ui.out),
        };
        ui.out(&line);
    }
    if !off {
        let after = client.status().await?;
        for service in idle_services(&reply.backends, &after) {
            ui.note(&format!(
                "no backend of `{service}` takes requests now: they wait until one does"
            ));
        }
    }
    Ok(0)
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
