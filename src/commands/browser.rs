//! `open`: the application in a browser.

use super::connect;
use crate::cli::Place;
use crate::error::Report;
use crate::ui::Ui;
use crate::ui::banner::app_url;
use crate::wire::VERSION;

/// Opens the address that `up` prints, or only prints it.
pub(super) async fn open(place: &Place, print: bool, ui: &Ui) -> Result<u8, Report> {
    let (_, client) = connect(place, ui)?;
    let status = client.status().await?;
    let url = app_url(&status.balancer.url, &status.project);
    if ui.json {
        ui.json(&serde_json::json!({ "version": VERSION, "url": url }));
    } else {
        ui.out(&url);
    }
    if !print {
        in_browser(&url)?;
    }
    Ok(0)
}

/// Hands an address to the system's browser, and waits for nothing.
pub(crate) fn in_browser(url: &str) -> Result<(), Report> {
    open::that_detached(url).map_err(|error| {
        Report::failed("LB013", format!("no browser can be started: {error}"))
            .hint(format!("open it by hand: {url}"))
    })
}
