//! What breaks behind a balancer, said once a project.

use std::collections::BTreeSet;
use std::time::Duration;

use super::notes::Notes;
use super::startup::{self, Startup};
use super::tasks::Tasks;
use crate::config::{Config, Service, Task};
use crate::instance::Folder;
use crate::recognise::pitfalls;
use crate::shutdown::{Level, Shutdown};
use crate::supervisor::Handle;

/// A start is looked at so often.
const LOOK: Duration = Duration::from_millis(250);

/// The lines that were not said for this folder before. The folder for lbdev's own files has to be there; what cannot be
/// written there is only said again.
pub(super) fn news(config: &Config, folder: &Folder) -> Vec<String> {
    if folder.is_demo() {
        return Vec::new();
    }
    let now: BTreeSet<String> = (pitfalls(&config.dir).iter())
        .map(ToString::to_string)
        .collect();
    let path = folder.told_file();
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let before: BTreeSet<String> = serde_json::from_str(&before).unwrap_or_default();
    if now != before
        && let Ok(text) = serde_json::to_string(&now)
    {
        let _ = std::fs::write(&path, text);
    }
    now.difference(&before).cloned().collect()
}

/// Asks Django, once everything is ready, whether its database has what the code needs.
pub(super) async fn migrations(
    config: &Config,
    supervisor: Handle,
    tasks: &Tasks,
    shutdown: &Shutdown,
    notes: Notes,
) {
    let Some((service, task)) = config.services.iter().find_map(check) else {
        return;
    };
    let mut view = supervisor.view();
    loop {
        let now = view.borrow_and_update().clone();
        match startup::judge(&now, std::time::Instant::now()) {
            Startup::Ready => break,
            Startup::Pending => {}
            Startup::Degraded | Startup::Hopeless(_) => return,
        }
        let changed = tokio::time::timeout(LOOK, view.changed()).await;
        if matches!(changed, Ok(Err(_))) {
            return;
        }
    }
    let missing = tasks
        .answers(service, &task, (shutdown, Level::Drain))
        .await;
    if missing == Some(1) {
        let hint =
            "run `python manage.py migrate`, or add `before = [\"{python} manage.py migrate\"]`";
        notes.tell(format!("the database lacks migrations of the code: {hint}"));
    }
}

/// `manage.py migrate --check`, as the service runs its `manage.py`; not where it migrates by itself.
fn check(service: &Service) -> Option<(&Service, Task)> {
    let migrates = |task: &Task| task.line.contains("migrate");
    if service.before.iter().any(migrates) {
        return None;
    }
    let command = service.backends.first()?.command.as_ref()?;
    let place = command
        .argv
        .iter()
        .position(|word| word.ends_with("manage.py"))?;
    let mut argv = command.argv[..=place].to_vec();
    argv.extend(["migrate", "--check"].map(str::to_owned));
    let mut command = command.clone();
    command.argv = argv;
    command.pty = false;
    command.awaits = None;
    let line = "manage.py migrate --check".to_owned();
    Some((service, Task { line, command }))
}
