//! `open`: the dashboard, or the application, in a browser.

use super::connect;
use crate::cli::Place;
use crate::error::Report;
use crate::ui::Ui;
use crate::ui::banner::app_url;
use crate::wire::VERSION;

/// Opens the dashboard, or prints its address with the token. That is shown only where it is asked for.
pub(super) async fn open(
    place: &Place,
    print: bool,
    new_token: bool,
    ui: &Ui,
) -> Result<u8, Report> {
    let (found, client) = connect(place, ui)?;
    let status = client.status().await?;
    let Some(dashboard) = status.dashboard else {
        return Err(Report::failed("LB040", "this lbdev has no dashboard").hint(
            "run `lbdev open --app` for the application, or `lbdev down` and `lbdev up` without `--no-dashboard`",
        ));
    };
    if new_token {
        client.new_dashboard_token().await?;
    }
    let url = dashboard.url;
    let Some(token) = found.folder.dashboard_token() else {
        let file = found.folder.dashboard_token_file();
        let message = format!(
            "the dashboard's token cannot be read from `{}`",
            file.display()
        );
        return Err(Report::failed("LB007", message).hint("run `lbdev open --new-token`"));
    };
    let whole = format!("{url}#{token}");
    let shown = if print { &whole } else { &url };
    tell(shown, ui);
    if !print {
        in_browser(&whole).map_err(|()| no_browser(PRINTED))?;
    }
    Ok(0)
}

/// Opens the application, or only prints its address.
pub(super) async fn open_app(place: &Place, print: bool, ui: &Ui) -> Result<u8, Report> {
    let (_, client) = connect(place, ui)?;
    let status = client.status().await?;
    let url = app_url(&status.balancer.url, &status.project);
    tell(&url, ui);
    if !print {
        in_browser(&url).map_err(|()| no_browser(&url))?;
    }
    Ok(0)
}

fn tell(url: &str, ui: &Ui) {
    if ui.json {
        ui.json(&serde_json::json!({ "version": VERSION, "url": url }));
    } else {
        ui.out(url);
    }
}

/// Hands an address to the system's browser, and waits for nothing. What goes wrong may hold the address, and is not told.
pub(crate) fn in_browser(url: &str) -> Result<(), ()> {
    open::that_detached(url).map_err(|_| ())
}

/// What is opened by hand where there is no browser to start.
pub(crate) const PRINTED: &str = "what `lbdev open --print` prints";

/// There is none; `what` can be opened by hand.
pub(crate) fn no_browser(what: &str) -> Report {
    Report::failed("LB013", "no browser can be started here").hint(format!("open {what}"))
}
