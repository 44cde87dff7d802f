//! `status` and `ls`.

use std::path::Path;

use jiff::tz::TimeZone;

use super::connect;
use crate::cli::Place;
use crate::control::client::Client;
use crate::error::{Exit, Report};
use crate::instance;
use crate::ui::{Ui, ls as listing, status as screen};
use crate::wire::{Instance, Status};

/// One row a backend; the exit code says whether all, some or none serve.
pub(super) async fn status(place: &Place, ui: &Ui) -> Result<u8, Report> {
    let (_, client) = match connect(place, ui) {
        Ok(connected) => connected,
        Err(report) if report.code == "LB005" => {
            return Err(Report {
                exit: Exit::NothingRuns,
                ..report
            });
        }
        Err(report) => return Err(report),
    };
    let status = client.status().await?;
    if ui.json {
        ui.json(&status);
    } else {
        ui.out(&screen::render(
            &status,
            ui.out,
            ui.width(),
            &TimeZone::system(),
        ));
    }
    Ok(exit_code(&status))
}

/// 0 all serve, 3 some do, 4 none does.
fn exit_code(status: &Status) -> u8 {
    let any = status.backends.iter().any(|backend| backend.state == "up");
    match status.state.as_str() {
        "serving" => 0,
        _ if any => 3,
        _ => 4,
    }
}

/// Every running project of this user.
pub(super) async fn ls(ui: &Ui) -> Result<u8, Report> {
    let mut found: Vec<(Instance, Option<Status>)> = Vec::new();
    for one in instance::all_running()? {
        let status = ask(&one.instance).await;
        found.push((one.instance, status));
    }
    let list = listing::listing(&found);
    if ui.json {
        ui.json(&list);
    } else if found.is_empty() {
        ui.progress(
            "nothing is running; `lbdev up` in your project, or `lbdev demo`, starts something",
        );
    } else {
        ui.out(&listing::render(&list, ui.out, ui.width()));
    }
    Ok(0)
}

/// `None` for one that does not answer: it is listed all the same.
async fn ask(instance: &Instance) -> Option<Status> {
    let client = Client::new(Path::new(&instance.socket)).ok()?;
    client.status().await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes() {
        let text = r#"{"version":1,"project":"p","dir":"/","pid":1,"state":"S","uptime_s":1,
            "balancer":{"url":"","engine":"","algorithm":"","sequence":"","sticky":"","detect":"","requests":0,"retries":0,"failures":0,"waiting":0},
            "backends":[{"id":"web:1","service":"web","index":1,"kind":"managed","address":null,"port":1,"pid":null,"state":"B","desired":"up",
            "enabled":true,"healthy":true,"weight":1,"uptime_s":0,"restarts":0,"requests":0,"failures":0,"retried_elsewhere":0,"in_flight":0,
            "p50_ms":null,"p99_ms":null,"last_exit":null,"last_check":null}]}"#;
        for (state, backend, expected) in [
            ("serving", "up", 0),
            ("degraded", "up", 3),
            ("starting", "up", 3),
            ("starting", "starting", 4),
            ("down", "stopped", 4),
            ("stopping", "stopping", 4),
        ] {
            let text = text
                .replace("\"S\"", &format!("\"{state}\""))
                .replace("\"B\"", &format!("\"{backend}\""));
            let status: Status = serde_json::from_str(&text).unwrap();
            assert_eq!(exit_code(&status), expected, "{state} {backend}");
        }
    }
}
