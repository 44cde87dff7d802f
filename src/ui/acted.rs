//! What a verb did, one line a backend.

use std::time::Duration;

use super::units::{plural, took};
use super::{Look, Paint};
use crate::wire::{BackendStatus, Reloaded};

/// What a person types for it: its port, or its id where it has none.
pub fn name(backend: &BackendStatus) -> String {
    match backend.port {
        Some(port) => port.to_string(),
        None => backend.id.clone(),
    }
}

pub(super) fn head(state: &str, backend: &BackendStatus, paint: Paint) -> String {
    let look = Look::of_word(state);
    look.paint(paint, &format!("{} {}", look.glyph, name(backend)))
}

fn brings_back(backend: &BackendStatus) -> String {
    format!(" · lbdev start {} brings it back", name(backend))
}

/// How a killed backend comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    /// By `lbdev start`, which is said beside it.
    ByStart,
    /// By the restart policy.
    ByPolicy,
    /// That is said once for several.
    SaidElsewhere,
}

/// `✗ 8000 killed (SIGKILL, pid 4301) · lbdev start 8000 brings it back`
pub fn killed(backend: &BackendStatus, signal: &str, pid: u32, back: Back, paint: Paint) -> String {
    let back = match back {
        Back::ByStart => brings_back(backend),
        Back::ByPolicy => " · the restart policy brings it back".to_owned(),
        Back::SaidElsewhere => String::new(),
    };
    let head = head("stopped", backend, paint);
    format!("{head} killed ({signal}, pid {pid}){back}")
}

/// Another signal than KILL: what the process makes of it is its own business.
pub fn signalled(backend: &BackendStatus, signal: &str, pid: u32, paint: Paint) -> String {
    format!(
        "{} got {signal} (pid {pid})",
        head(&backend.state, backend, paint)
    )
}

/// What a reload changed at once, and what is under way, a line each.
pub fn reloaded(reloaded: &Reloaded) -> Vec<String> {
    let of = |ids: &[String]| ids.join(", ");
    let mut lines = Vec::new();
    for (ids, what) in [
        (&reloaded.added, "new, starting"),
        (&reloaded.dropped, "gone from the set-up, finishing"),
        (
            &reloaded.outdated,
            "changed, restarting one after the other",
        ),
        (&reloaded.retuned, "goes by other settings"),
    ] {
        if !ids.is_empty() {
            lines.push(format!("{}: {what}", of(ids)));
        }
    }
    match &reloaded.moved {
        Some(url) => lines.push(format!("the balancer listens at {url} now")),
        None if reloaded.balancer => lines.push("the balancer goes by other settings".to_owned()),
        None => {}
    }
    if lines.is_empty() {
        lines.push("nothing has changed".to_owned());
    }
    lines
}

/// `● 8000 has the fault latency=250ms now (was none)`
pub fn fault(backend: &BackendStatus, was: Option<&str>, paint: Paint) -> String {
    let head = head(&backend.state, backend, paint);
    match (backend.fault.as_deref(), was) {
        (Some(now), Some(was)) if now == was => format!("{head} has the fault {now} already"),
        (Some(now), Some(was)) => format!("{head} has the fault {now} now (was {was})"),
        (Some(now), None) => format!("{head} has the fault {now} now"),
        (None, Some(was)) => format!("{head} has no fault any more (was {was})"),
        (None, None) => format!("{head} has no fault"),
    }
}

/// The last line after several were killed.
pub fn bring_back(target: &str) -> String {
    format!("lbdev start {target} brings them back")
}

/// There was nothing to do: `● 8000 is up already (pid 4301)`
pub fn already(backend: &BackendStatus, paint: Paint) -> String {
    let pid = backend.pid.map(|pid| format!(" (pid {pid})"));
    format!(
        "{} is {} already{}",
        head(&backend.state, backend, paint),
        backend.state,
        pid.unwrap_or_default()
    )
}

/// `● 8000 up after 0.6 s (pid 4311) · back in the rotation`
pub fn up(backend: &BackendStatus, after: Duration, paint: Paint) -> String {
    let pid = backend.pid.map(|pid| format!(" (pid {pid})"));
    let back = match backend.port {
        Some(_) if !backend.enabled => format!(" · still drained: {}", undrain(backend)),
        Some(_) if backend.healthy => BACK.to_owned(),
        _ => String::new(),
    };
    format!(
        "{} up after {}{}{back}",
        head(
            if backend.enabled { "up" } else { "draining" },
            backend,
            paint
        ),
        took(after),
        pid.unwrap_or_default()
    )
}

const BACK: &str = " · back in the rotation";

fn undrain(backend: &BackendStatus) -> String {
    format!("lbdev undrain {} brings it back", name(backend))
}

fn pid(backend: &BackendStatus) -> String {
    backend
        .pid
        .map_or(String::new(), |pid| format!(" (pid {pid})"))
}

/// `◑ 8000 drained (pid 4301) · 2 requests in flight finish, no new ones · lbdev undrain 8000 brings it back`
///
/// With `stay` clients that stick to it are let alone.
pub fn drained(backend: &BackendStatus, stay: bool, paint: Paint) -> String {
    let now = match (backend.state.as_str(), backend.in_flight) {
        ("draining", _) if stay => "no new clients, those that stick to it stay".to_owned(),
        ("draining", None | Some(0)) => "no new requests".to_owned(),
        ("draining", Some(n)) => {
            let n = usize::try_from(n).unwrap_or(usize::MAX);
            let requests = plural(n, "request", "requests");
            let finish = if n == 1 { "finishes" } else { "finish" };
            format!("{requests} in flight {finish}, no new ones")
        }
        (state, _) => format!("it is {state}, and gets no requests when it is up either"),
    };
    format!(
        "{} drained{} · {now} · {}",
        head(&backend.state, backend, paint),
        pid(backend),
        undrain(backend)
    )
}

/// `● 8000 undrained (pid 4301) · back in the rotation`
pub fn undrained(backend: &BackendStatus, paint: Paint) -> String {
    let back = match backend.state.as_str() {
        "up" => BACK.to_owned(),
        state => format!(" · it is {state}, and gets requests when it is up"),
    };
    let head = head(&backend.state, backend, paint);
    format!("{head} undrained{}{back}", pid(backend))
}

/// There was nothing to drain, or to undo: `◑ 8000 is drained already`
pub fn drained_already(backend: &BackendStatus, paint: Paint) -> String {
    let is = if backend.enabled {
        "is not drained"
    } else {
        "is drained already"
    };
    format!("{} {is}", head(&backend.state, backend, paint))
}

/// There was nothing to start: `◑ 8000 is up already, but drained (pid 4301) · lbdev undrain 8000 brings it back`
pub fn up_but_drained(backend: &BackendStatus, paint: Paint) -> String {
    format!(
        "{} is up already, but drained{} · {}",
        head(&backend.state, backend, paint),
        pid(backend),
        undrain(backend)
    )
}

/// `‖ 8000 frozen (pid 4301) · its port still accepts, requests have to find out · lbdev thaw 8000 lets it go on`
pub fn frozen(backend: &BackendStatus, detect: &str, paint: Paint) -> String {
    let who = match (backend.port, detect) {
        (None, _) => String::new(),
        (Some(_), "active") => " · its port still accepts, checks have to find out".to_owned(),
        (Some(_), _) => " · its port still accepts, requests have to find out".to_owned(),
    };
    let head = head(&backend.state, backend, paint);
    let name = name(backend);
    format!(
        "{head} frozen{}{who} · lbdev thaw {name} lets it go on",
        pid(backend)
    )
}

/// `● 8000 goes on (pid 4301)`, or that it was not frozen.
pub fn thawed(backend: &BackendStatus, was_frozen: bool, paint: Paint) -> String {
    let head = head(&backend.state, backend, paint);
    match was_frozen {
        true => format!("{head} goes on{}", pid(backend)),
        false => format!("{head} is not frozen{}", pid(backend)),
    }
}

/// `web has 4 backends already`
pub fn scaled_already(service: &str, count: u32) -> String {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    format!(
        "{service} has {} already",
        plural(count, "backend", "backends")
    )
}

/// `✗ 8004 gone after 0.3 s (pid 4305)`: there is nothing left to start again.
pub fn gone(backend: &BackendStatus, pid: Option<u32>, after: Duration, paint: Paint) -> String {
    let pid = pid.map(|pid| format!(" (pid {pid})"));
    format!(
        "{} gone after {}{}",
        head("stopped", backend, paint),
        took(after),
        pid.unwrap_or_default()
    )
}

/// `✗ 8000 stopped after 0.3 s (pid 4301) · lbdev start 8000 brings it back`
pub fn stopped(
    backend: &BackendStatus,
    pid: Option<u32>,
    after: Duration,
    hint: bool,
    paint: Paint,
) -> String {
    let pid = pid.map(|pid| format!(" (pid {pid})"));
    let back = if hint {
        brings_back(backend)
    } else {
        String::new()
    };
    format!(
        "{} stopped after {}{}{back}",
        head("stopped", backend, paint),
        took(after),
        pid.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::status::tests::backend;

    #[test]
    fn one_line_a_backend() {
        let paint = Paint::new(false);
        let (on, down) = (backend(8000, "up"), backend(8001, "stopped"));
        let after = Duration::from_millis(600);
        let off = |backend: &BackendStatus, in_flight| BackendStatus {
            enabled: false,
            in_flight: Some(in_flight),
            state: match backend.state.as_str() {
                "up" => "draining".to_owned(),
                other => other.to_owned(),
            },
            ..backend.clone()
        };
        let drains = [
            drained(&off(&on, 0), false, paint),
            drained(&off(&on, 1), false, paint),
            drained(&off(&on, 2), false, paint),
            drained(&off(&on, 2), true, paint),
            drained(&off(&down, 0), true, paint),
            drained_already(&off(&on, 0), paint),
            up_but_drained(&off(&on, 0), paint),
            up(&off(&on, 0), after, paint),
            undrained(&on, paint),
            undrained(&down, paint),
            drained_already(&on, paint),
        ]
        .join("\n");
        insta::assert_snapshot!(drains, @"
        ◑ 8000 drained (pid 4301) · no new requests · lbdev undrain 8000 brings it back
        ◑ 8000 drained (pid 4301) · 1 request in flight finishes, no new ones · lbdev undrain 8000 brings it back
        ◑ 8000 drained (pid 4301) · 2 requests in flight finish, no new ones · lbdev undrain 8000 brings it back
        ◑ 8000 drained (pid 4301) · no new clients, those that stick to it stay · lbdev undrain 8000 brings it back
        ✗ 8001 drained · it is stopped, and gets no requests when it is up either · lbdev undrain 8001 brings it back
        ◑ 8000 is drained already
        ◑ 8000 is up already, but drained (pid 4301) · lbdev undrain 8000 brings it back
        ◑ 8000 up after 0.6 s (pid 4301) · still drained: lbdev undrain 8000 brings it back
        ● 8000 undrained (pid 4301) · back in the rotation
        ✗ 8001 undrained · it is stopped, and gets requests when it is up
        ● 8000 is not drained
        ");
        let text = [
            killed(&down, "SIGKILL", 4302, Back::ByStart, paint),
            killed(&down, "SIGKILL", 4302, Back::ByPolicy, paint),
            signalled(&on, "SIGHUP", 4301, paint),
            already(&on, paint),
            already(&down, paint),
            up(&on, after, paint),
            stopped(&down, Some(4302), after, true, paint),
            gone(&down, Some(4302), after, paint),
            scaled_already("web", 1),
        ]
        .join("\n");
        insta::assert_snapshot!(text, @"
        ✗ 8001 killed (SIGKILL, pid 4302) · lbdev start 8001 brings it back
        ✗ 8001 killed (SIGKILL, pid 4302) · the restart policy brings it back
        ● 8000 got SIGHUP (pid 4301)
        ● 8000 is up already (pid 4301)
        ✗ 8001 is stopped already
        ● 8000 up after 0.6 s (pid 4301) · back in the rotation
        ✗ 8001 stopped after 0.6 s (pid 4302) · lbdev start 8001 brings it back
        ✗ 8001 gone after 0.6 s (pid 4302)
        web has 1 backend already
        ");
    }
}
