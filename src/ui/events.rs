//! What happened, a line each.

use jiff::tz::TimeZone;

use super::lines::short;
use super::units::clock;
use super::{Look, Paint};
use crate::wire::Event;

/// `14:02:15 ✗ 8000 killed by you (SIGKILL, pid 4301)`, with a newline.
pub fn line(event: &Event, paint: Paint, zone: &TimeZone) -> String {
    let at = paint.dim(&clock(event.at, zone));
    format!("{at} {}\n", body(event, paint))
}

/// The same without the time.
pub(super) fn body(event: &Event, paint: Paint) -> String {
    let name = event.backend.as_deref().map(short).unwrap_or_default();
    let text = &event.text;
    match event.kind.as_str() {
        "state" => {
            let look = match (event.to.as_deref(), event.by.as_deref()) {
                // A killed or crashed one is down in a person's eyes, whatever comes next.
                (Some("stopping" | "backoff" | "starting"), _) if text.starts_with("killed") => {
                    Look::of_word("stopped")
                }
                (Some(to), _) => Look::of_word(to),
                (None, _) => Look::of_word(""),
            };
            format!(
                "{} {text}",
                look.paint(paint, &format!("{} {name}", look.glyph))
            )
        }
        "failover" => format!("{} {text}", paint.attention("→")),
        "lost" => format!("{} {text}", paint.bad("✗")),
        "fault" => format!("{} {text}", paint.attention(&format!("! {name}"))),
        "settings" if name.is_empty() => format!("= {text}"),
        "settings" => format!("= {name} {text}"),
        "trouble" => {
            let code = event.code.as_deref().unwrap_or_default();
            format!("{} {text}", paint.bad(&format!("error[{code}]:")))
        }
        "note" => format!("{} {text}", paint.link("note:")),
        // One from a newer lbdev.
        _ => format!("{name} {text}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::ui) fn event(kind: &str, backend: Option<&str>, text: &str) -> Event {
        Event {
            at: jiff::Timestamp::from_second(50_535).unwrap(),
            kind: kind.into(),
            backend: backend.map(str::to_owned),
            text: text.into(),
            count: 1,
            ..Event::default()
        }
    }

    #[test]
    fn a_line_each() {
        let state = |to: &str, text: &str| Event {
            to: Some(to.into()),
            ..event("state", Some("web:8000"), text)
        };
        let trouble = Event {
            code: Some("LB014".into()),
            ..event("trouble", None, "`web:8000` was given up")
        };
        let text: String = [
            state("stopping", "killed by you (SIGKILL, pid 4301)"),
            state(
                "up",
                "up again after 0.6 s (pid 4311) · back in the rotation",
            ),
            event(
                "failover",
                Some("web:8001"),
                "GET / 200 8000 closed the connection before it answered → 8001 answered",
            ),
            event("lost", None, "GET / 503 lost: lbdev answered 503"),
            event(
                "fault",
                Some("web:8000"),
                "has a fault from now on: latency=250ms",
            ),
            event("settings", None, "algorithm round_robin → least_conn"),
            event("settings", Some("web:8000"), "weight is 3"),
            event("note", None, "slept 38 m"),
            trouble,
            event("from the future", Some("worker.1"), "something"),
        ]
        .iter()
        .map(|event| line(event, Paint::new(false), &TimeZone::UTC))
        .collect();
        insta::assert_snapshot!(text, @"
        14:02:15 ✗ 8000 killed by you (SIGKILL, pid 4301)
        14:02:15 ● 8000 up again after 0.6 s (pid 4311) · back in the rotation
        14:02:15 → GET / 200 8000 closed the connection before it answered → 8001 answered
        14:02:15 ✗ GET / 503 lost: lbdev answered 503
        14:02:15 ! 8000 has a fault from now on: latency=250ms
        14:02:15 = algorithm round_robin → least_conn
        14:02:15 = 8000 weight is 3
        14:02:15 note: slept 38 m
        14:02:15 error[LB014]: `web:8000` was given up
        14:02:15 worker.1 something
        ");
    }
}
