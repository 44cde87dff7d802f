//! What a saved file sets off: hears of it, has requests wait where that is wanted, rolls, and tells how it went.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::notes::Notes;
use crate::backend::{BackendId, RunId};
use crate::config::{Config, WatchMode, Watching};
use crate::error::Report;
use crate::supervisor::{BackendView, Handle, Rolled, View, roll};
use crate::ui;
use crate::watch::{self, Heard, Watch};

/// So long after a save requests wait for the new code, at most; then the old one answers again.
const PATIENCE: Duration = Duration::from_secs(5);
/// After so long without an answer of the new code it is said that it takes its time.
const SLOW: Duration = Duration::from_secs(10);

/// What watches the files of every service; dropping it ends that.
#[derive(Default)]
pub(super) struct Watches(Vec<(String, Watching, AbortHandle)>);

impl Drop for Watches {
    fn drop(&mut self) {
        self.end();
    }
}

/// What the watching of a service needs.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) supervisor: Handle,
    pub(super) notes: Notes,
    /// What a backend wrote since it was launched last, as far as it helps.
    pub(super) last_words: Arc<LastWords>,
}

/// What a backend wrote last, line by line.
pub(super) type LastWords = dyn Fn(&BackendView) -> Vec<String> + Send + Sync;

impl Watches {
    /// Watches what `config` says, and nothing else any more.
    pub(super) async fn follow(&mut self, config: &Config, tools: &Tools) {
        let wanted = |service: &str, watching: &Watching| {
            let named = |one: &&crate::config::Service| one.name == service;
            let service = config.services.iter().find(named);
            service.is_some_and(|service| service.watch.as_ref() == Some(watching))
        };
        let gone = self
            .0
            .extract_if(.., |(service, watching, _)| !wanted(service, watching));
        for (service, _, task) in gone.collect::<Vec<_>>() {
            task.abort();
            tools.supervisor.only_from(&service, None).await;
        }
        for service in &config.services {
            let is_watched = self.0.iter().any(|(known, _, _)| *known == service.name);
            let Some(watching) = service.watch.as_ref().filter(|_| !is_watched) else {
                continue;
            };
            let name = service.name.clone();
            let task = if is_waiting(&tools.supervisor.view().borrow(), &name) {
                // What runs before it may write what is watched.
                let (tools, watching, name) = (tools.clone(), watching.clone(), name.clone());
                tokio::spawn(async move {
                    let mut view = tools.supervisor.view();
                    let begun = view.wait_for(|view| !is_waiting(view, &name)).await.is_ok();
                    if let (true, Some((watch, heard))) = (begun, begin(&name, &watching, &tools)) {
                        follow(name, watching.mode, heard, watch, tools).await;
                    }
                })
            } else {
                let Some((watch, heard)) = begin(&name, watching, tools) else {
                    continue;
                };
                let mode = watching.mode;
                tokio::spawn(follow(name.clone(), mode, heard, watch, tools.clone()))
            };
            self.0.push((name, watching.clone(), task.abort_handle()));
        }
    }

    /// Nothing is watched any more.
    pub(super) fn end(&mut self) {
        for (_, _, task) in self.0.drain(..) {
            task.abort();
        }
    }
}

fn is_waiting(view: &View, service: &str) -> bool {
    let mut backends = view.backends.iter();
    backends.any(|backend| backend.spec.id.service() == service && backend.waiting)
}

fn begin(
    service: &str,
    watching: &Watching,
    tools: &Tools,
) -> Option<(Watch, mpsc::UnboundedReceiver<Heard>)> {
    let (to, heard) = mpsc::unbounded_channel();
    match watch::start(service, watching, to) {
        Ok(watch) => Some((watch, heard)),
        Err(error) => {
            let message = format!("the files of `{service}` cannot be watched: {error}");
            tools.notes.report(&Report::failed("LB008", message));
            None
        }
    }
}

/// One service, for as long as it is watched.
async fn follow(
    service: String,
    mode: WatchMode,
    mut heard: mpsc::UnboundedReceiver<Heard>,
    _watch: Watch,
    tools: Tools,
) {
    let handle = &tools.supervisor;
    // Until when requests wait for new code.
    let mut hold: Option<Instant> = None;
    let mut rolling: Option<Rolling<'_>> = None;
    loop {
        let patience = hold;
        let slow = rolling.as_ref().and_then(|rolling| rolling.slow_at);
        tokio::select! {
            biased;
            news = heard.recv() => match news {
                None => return,
                Some(Heard::Note(text)) => tools.notes.tell(text),
                Some(Heard::Began { .. }) => {
                    // What is under way is of older code.
                    rolling = None;
                    if mode == WatchMode::Fresh && hold.is_none() {
                        let Ok(mark) = handle.mark().await else { return };
                        handle.only_from(&service, Some(mark)).await;
                        hold = Some(Instant::now() + PATIENCE);
                    }
                }
                Some(Heard::Saved { count: 0, .. }) => {
                    hold = None;
                    handle.only_from(&service, None).await;
                }
                Some(Heard::Saved { files, count, .. }) => {
                    let Ok(mark) = handle.mark().await else { return };
                    if hold.is_some() {
                        handle.only_from(&service, Some(mark)).await;
                    }
                    let what = saved(&files, count);
                    tools.notes.tell(format!("{what}: `{service}` takes it up"));
                    rolling = Some(Rolling::new(handle, &service, mode, mark, what));
                }
            },
            outcome = Rolling::end(&mut rolling) => {
                let what = rolling.take().map(|rolling| rolling.what).unwrap_or_default();
                hold = None;
                match outcome {
                    Rolled::All { backends, took } => tools.notes.tell(rolled(&service, &what, backends, took)),
                    Rolled::Failed { failed, kept } => {
                        let code = "the saved code";
                        for report in not_started(code, &service, &failed, &kept, &*tools.last_words) {
                            tools.notes.report(&report);
                        }
                    }
                    Rolled::Stopping => return,
                }
            }
            () = at(patience), if patience.is_some() => {
                hold = None;
                // Unless the first of the new ones answers by now.
                let first = rolling.as_ref().map(|rolling| rolling.first);
                if first.is_none_or(|first| !answers(handle, &service, first)) {
                    handle.only_from(&service, None).await;
                }
            }
            () = at(slow), if slow.is_some() => {
                if let Some(rolling) = &mut rolling {
                    rolling.slow_at = None;
                    if !answers(handle, &service, rolling.first) {
                        tools.notes.tell(format!(
                            "the saved code of `{service}` has not answered for {} s; the others go on with the old code meanwhile",
                            SLOW.as_secs()
                        ));
                    }
                }
            }
        }
    }
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when.into()).await,
        None => std::future::pending().await,
    }
}

/// Whether one of a service's backends runs from `first` on and may have requests.
fn answers(handle: &Handle, service: &str, first: RunId) -> bool {
    let view = handle.view();
    let view = view.borrow();
    view.backends.iter().any(|backend| {
        backend.spec.id.service() == service
            && backend.eligible
            && backend.run.is_some_and(|run| run >= first)
    })
}

/// A roll under way.
struct Rolling<'a> {
    future: std::pin::Pin<Box<dyn Future<Output = Rolled> + Send + 'a>>,
    first: RunId,
    /// What was saved, in words.
    what: String,
    /// When it is said that it takes long.
    slow_at: Option<Instant>,
}

impl<'a> Rolling<'a> {
    fn new(
        handle: &'a Handle,
        service: &'a str,
        mode: WatchMode,
        first: RunId,
        what: String,
    ) -> Self {
        Self {
            future: Box::pin(roll(handle, service, mode, first)),
            first,
            what,
            slow_at: Some(Instant::now() + SLOW),
        }
    }

    async fn end(this: &mut Option<Self>) -> Rolled {
        match this {
            Some(rolling) => (&mut rolling.future).await,
            None => std::future::pending().await,
        }
    }
}

/// "app.py was saved", "app.py and 3 more files were saved".
fn saved(files: &[PathBuf], count: usize) -> String {
    match (files.first(), count) {
        (Some(first), 1) => format!("`{}` was saved", first.display()),
        (Some(first), count) => format!(
            "`{}` and {} were saved",
            first.display(),
            ui::plural(count - 1, "more file", "more files")
        ),
        (None, _) => "files were saved".to_owned(),
    }
}

fn rolled(service: &str, what: &str, backends: usize, took: Duration) -> String {
    match backends {
        0 => format!("{what}: no backend of `{service}` is wanted up, so none was restarted"),
        _ => format!(
            "{what}: {} of `{service}` {} it after {}",
            ui::plural(backends, "backend", "backends"),
            if backends == 1 { "has" } else { "have" },
            ui::units::took(took)
        ),
    }
}

/// What is new does not start: its own words, alike ones once.
pub(super) fn not_started(
    what: &str,
    service: &str,
    failed: &[BackendView],
    kept: &[BackendId],
    last_words: &LastWords,
) -> Vec<Report> {
    let mut reports: Vec<(String, Report)> = Vec::new();
    for backend in failed {
        let why = backend
            .why
            .clone()
            .unwrap_or_else(|| "has ended".to_owned());
        if reports.iter().any(|(told, _)| *told == why) {
            continue;
        }
        let kept: Vec<String> = kept.iter().map(|id| id.short()).collect();
        let others = match kept.as_slice() {
            [] => format!("no backend of `{service}` is left to answer"),
            [one] => format!("{one} goes on with the old code"),
            many => format!("{} go on with the old code", many.join(", ")),
        };
        let report = Report::failed(
            "LB015",
            format!(
                "{what} does not start: `{}` {why}; {others}",
                backend.spec.id
            ),
        )
        .last_lines(last_words(backend))
        .hint("mend it and save: that is tried at once");
        reports.push((why, report));
    }
    reports.into_iter().map(|(_, report)| report).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_in_words() {
        let files = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        for (names, count, words) in [
            (&["app.py"][..], 1, "`app.py` was saved"),
            (&["a.py", "b.py"], 2, "`a.py` and 1 more file were saved"),
            (
                &["a.py", "b.py"],
                500,
                "`a.py` and 499 more files were saved",
            ),
        ] {
            assert_eq!(saved(&files(names), count), words);
        }
        let took = Duration::from_millis(1900);
        assert_eq!(
            rolled("web", "`app.py` was saved", 4, took),
            "`app.py` was saved: 4 backends of `web` have it after 1.9 s"
        );
    }
}
