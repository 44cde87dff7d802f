//! `scale`: more backends of a service, or fewer.

use std::time::Instant;

use super::act::{LOOK, PATIENCE, find, judge_start, wait};
use super::{connect, tell_backends};
use crate::cli::Place;
use crate::config::defaults::MOST_BACKENDS;
use crate::control::client::Client;
use crate::error::Report;
use crate::ui::{Ui, acted};
use crate::wire::{BackendStatus, Status};

/// Has a service run so many backends: waits until new ones answer, or until those that go are gone.
pub(super) async fn scale(place: &Place, wanted: &str, ui: &Ui) -> Result<u8, Report> {
    let (service, count) = read(wanted)?;
    let (_, client) = connect(place, ui)?;
    let before = client.status().await?;
    let service = match service {
        Some(service) => service,
        None => only_service(&before)?,
    };
    let mut reply = client.scale(service, count).await?.backends;
    reply.sort_by_key(|backend| backend.index);
    let kept = reply.split_off(
        reply
            .len()
            .min(usize::try_from(count).unwrap_or(usize::MAX)),
    );
    let (mut going, kept) = (kept, reply);
    let gone_already = before.backends.iter().filter(|old| {
        let listed = |all: &[BackendStatus]| all.iter().any(|one| one.id == old.id);
        old.service == service && !listed(&kept) && !listed(&going)
    });
    going.extend(gone_already.cloned().collect::<Vec<_>>());
    let new: Vec<BackendStatus> = kept
        .into_iter()
        .filter(|backend| find(&before, &backend.id).is_none())
        .collect();
    if new.is_empty() && going.is_empty() {
        ui.did(&acted::scaled_already(service, count));
        tell_backends(&client, service, ui).await?;
        return Ok(0);
    }
    until_gone(&client, going, &before, ui).await?;
    wait(&client, new, ui, |now, _, took| judge_start(now, took, ui)).await?;
    tell_backends(&client, service, ui).await?;
    Ok(0)
}

/// `6` or `web=6`.
fn read(wanted: &str) -> Result<(Option<&str>, u32), Report> {
    let (service, number) = match wanted.split_once('=') {
        Some((service, number)) => (Some(service.trim()), number.trim()),
        None => (None, wanted.trim()),
    };
    // `parse` would take a leading `+`.
    let plain = number.bytes().all(|byte| byte.is_ascii_digit());
    let count = plain.then(|| number.parse::<u32>().ok()).flatten();
    let most = u32::try_from(MOST_BACKENDS).unwrap_or(u32::MAX);
    match count.filter(|count| (1..=most).contains(count)) {
        Some(count) => Ok((service, count)),
        None => Err(Report::usage(
            "LB021",
            format!("`{number}` is no number of backends: they are from 1 to {MOST_BACKENDS}"),
        )
        .hint("run `lbdev scale 4`, or with a service `lbdev scale web=4`")),
    }
}

/// The one service that has ports.
fn only_service(status: &Status) -> Result<&str, Report> {
    let balanced = status.backends.iter().filter(|b| b.port.is_some());
    let mut services: Vec<&str> = balanced.map(|b| b.service.as_str()).collect();
    // Backends that were added stand behind all others.
    services.sort_unstable();
    services.dedup();
    match services.as_slice() {
        [one] => Ok(one),
        [] => Err(Report::usage("LB021", "there is no service with ports")
            .hint("name one, as in `lbdev scale worker=2`")),
        [first, ..] => {
            let names: Vec<String> = services.iter().map(|name| format!("`{name}`")).collect();
            let message = format!(
                "it is not said of which service: {} have ports",
                names.join(", ")
            );
            Err(Report::usage("LB021", message)
                .hint(format!("name one, as in `lbdev scale {first}=4`")))
        }
    }
}

/// Waits until none of `going` is there any more.
async fn until_gone(
    client: &Client,
    mut going: Vec<BackendStatus>,
    before: &Status,
    ui: &Ui,
) -> Result<(), Report> {
    let began = Instant::now();
    while !going.is_empty() {
        let status = client.status().await?;
        let took = began.elapsed();
        going.retain(|backend| {
            let there = find(&status, &backend.id).is_some();
            if !there {
                let pid = find(before, &backend.id).and_then(|old| old.pid);
                ui.did(&acted::gone(backend, pid, took, ui.out));
            }
            there
        });
        if let Some(slow) = going.first()
            && took >= PATIENCE
        {
            let (id, seconds) = (&slow.id, PATIENCE.as_secs());
            let message = format!("backend `{id}` is still there after {seconds} s");
            return Err(Report::failed("LB011", message)
                .hint(format!("run `lbdev logs {}`", acted::name(slow))));
        }
        if !going.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_with_or_without_a_service() {
        for (text, expected) in [
            ("6", Some((None, 6))),
            ("web=6", Some((Some("web"), 6))),
            ("web = 256", Some((Some("web"), 256))),
            ("0", None),
            ("257", None),
            ("+3", None),
            ("-3", None),
            ("", None),
            ("web", None),
            ("web=", None),
            ("web=two", None),
            ("99999999999", None),
        ] {
            assert_eq!(read(text).ok(), expected, "{text:?}");
        }
        assert_eq!(read("0").unwrap_err().code, "LB021");
    }
}
