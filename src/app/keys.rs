//! Does what single keys ask for, in the foreground of `up`.

use std::ffi::OsString;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::notes::Notes;
use crate::commands;
use crate::control::Client;
use crate::error::Report;
use crate::instance::Lock;
use crate::process::Beside;
use crate::shutdown::Shutdown;
use crate::ui::{self, Order};

/// What it takes.
pub(super) struct Obeyer {
    /// Our own socket: a key does what the verb does.
    pub(super) client: Client,
    pub(super) notes: Notes,
    pub(super) shutdown: Shutdown,
    pub(super) lock: Arc<Lock>,
    /// Where the application answers.
    pub(super) url: String,
    /// Where the dashboard is, if there is one.
    pub(super) dashboard: Option<String>,
    pub(super) dir: std::path::PathBuf,
}

impl Obeyer {
    /// Obeys until nobody orders any more.
    pub(super) async fn run(self, mut orders: mpsc::UnboundedReceiver<Order>) {
        while let Some(order) = orders.recv().await {
            if let Err(report) = self.obey(order).await {
                self.notes.report(&report);
            }
        }
    }

    async fn obey(&self, order: Order) -> Result<(), Report> {
        match order {
            Order::Act { verb, target } => {
                self.client.act(&target, verb, None).await?;
            }
            Order::Fault(words) => {
                let Some((target, what)) = words.split_first() else {
                    return Ok(());
                };
                let said = serde_json::Value::Object(commands::read_fault(what)?);
                self.client.act(target, "fault", Some(said)).await?;
            }
            Order::Top => {
                let shown = self.top().await;
                self.notes.returned();
                shown?;
            }
            Order::Open => {
                let url = self.dashboard.as_ref().unwrap_or(&self.url);
                self.notes.tell(format!("opening {url}"));
                let token = self.lock.folder().dashboard_token();
                match token.filter(|_| self.dashboard.is_some()) {
                    Some(token) => commands::in_browser(&format!("{url}#{token}"))
                        .map_err(|()| commands::no_browser(commands::PRINTED))?,
                    None => commands::in_browser(url).map_err(|()| commands::no_browser(url))?,
                }
            }
            Order::Quit => self.shutdown.interrupt(),
        }
        Ok(())
    }

    /// The live screen is a process of its own: whatever becomes of it, the servers go on.
    async fn top(&self) -> Result<(), Report> {
        let cannot = |error: std::io::Error| {
            Report::failed(
                "LB008",
                format!("the live screen cannot be started: {error}"),
            )
            .hint("run `lbdev top` in another terminal")
        };
        let program = std::env::current_exe().map_err(cannot)?;
        let mut words: Vec<OsString> = vec![program.into(), "top".into()];
        match self.lock.folder().is_demo() {
            true => words.extend(["--project", "demo"].map(OsString::from)),
            false => words.extend([OsString::from("-C"), self.dir.clone().into()]),
        }
        let beside = Beside::start(&words, &self.dir, ("LBDEV_PROJECT", "")).map_err(cannot)?;
        let waited = tokio::task::spawn_blocking(move || beside.wait()).await;
        match waited {
            Ok(Ok(_)) | Err(_) => Ok(()),
            Ok(Err(error)) => Err(cannot(error)),
        }
    }
}

/// What a browser is given for a set-up.
pub(super) fn app_url(config: &crate::config::Config) -> String {
    ui::banner::app_url(&config.balancer.listen.url(), &config.project)
}
