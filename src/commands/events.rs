//! `events`: what happened, as the running lbdev tells it.

use std::time::Duration;

use super::connect;
use crate::cli::Place;
use crate::error::Report;
use crate::ui::Ui;
use crate::ui::events as lines;
use jiff::tz::TimeZone;

/// One question waits for an event so long.
const WAIT: Duration = Duration::from_secs(5);

/// Prints those that are kept, and with `follow` those that come, until lbdev has ended.
pub(super) async fn events(
    place: &Place,
    follow: bool,
    last: Option<usize>,
    ui: &Ui,
) -> Result<u8, Report> {
    let (found, client) = connect(place, ui)?;
    let zone = TimeZone::system();
    let first = client.events(0, Duration::ZERO).await?;
    let skipped = last.map_or(0, |last| first.events.len().saturating_sub(last));
    if first.events.is_empty() && !follow {
        ui.progress("nothing has happened yet");
    }
    let show = |event: &crate::wire::Event| match ui.json {
        true => ui.json(event),
        false => ui.out(&lines::line(event, ui.out, &zone)),
    };
    first.events.iter().skip(skipped).for_each(show);
    let mut seen = first.last;
    if !follow {
        return Ok(0);
    }
    loop {
        match client.events(seen, WAIT).await {
            Ok(more) => {
                if let Some(first) = more.events.first()
                    && first.seq > seen + 1
                {
                    let missed = first.seq - seen - 1;
                    ui.note(&format!("{missed} events came too fast to be kept"));
                }
                more.events.iter().for_each(show);
                seen = more.last;
            }
            Err(_) if !found.folder.is_locked() => {
                ui.note("lbdev has ended");
                return Ok(0);
            }
            Err(error) => {
                // It is ending, or it hangs: the lock tells these apart in a moment.
                tokio::time::sleep(Duration::from_secs(1)).await;
                if found.folder.is_locked() {
                    return Err(error.into());
                }
            }
        }
    }
}
