//! Verbs of lbdev that are run in the middle of a load, each at its time, as a person would type them.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio::task::JoinSet;

use super::report::Acted;

/// A verb that takes longer than this after the load is cut short.
const LAST_WAIT: Duration = Duration::from_secs(10);
/// So many of its lines are kept.
const LINES: usize = 20;

/// A verb and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verb {
    /// When, since the load began.
    pub at: Duration,
    /// As it was typed, without `lbdev`.
    pub line: String,
    /// Its words.
    pub words: Vec<String>,
}

/// For which project verbs are run.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The folder they are run in.
    pub dir: PathBuf,
    /// The project's name, where it is not the folder that says it.
    pub project: Option<String>,
}

impl Caller {
    /// Runs a verb to its end; gives its exit code (`None`: it was cut short) and its lines.
    pub async fn call(&self, words: &[String]) -> (Option<i32>, Vec<String>) {
        let output = async {
            let mut command = Command::new(std::env::current_exe()?);
            command
                .env_remove("LBDEV_PROJECT")
                .args(["--color", "never"])
                .args(words)
                .current_dir(&self.dir)
                .stdin(Stdio::null())
                .kill_on_drop(true);
            if let Some(project) = &self.project {
                command.env("LBDEV_PROJECT", project);
            }
            command.output().await
        };
        match output.await {
            Ok(output) => {
                let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
                text.push_str(&String::from_utf8_lossy(&output.stderr));
                let lines = text.lines().take(LINES).map(str::to_owned).collect();
                (output.status.code(), lines)
            }
            Err(error) => (None, vec![error.to_string()]),
        }
    }
}

/// The verbs of a load that has begun.
pub(super) struct Verbs {
    running: JoinSet<Acted>,
    done: Vec<Acted>,
}

impl Verbs {
    /// Runs each at its time from now.
    pub(super) fn start(caller: &Caller, planned: &[Verb]) -> Self {
        let began = Instant::now();
        let mut running = JoinSet::new();
        for verb in planned.iter().cloned() {
            let caller = caller.clone();
            running.spawn(async move {
                tokio::time::sleep_until((began + verb.at).into()).await;
                let at = began.elapsed();
                let (exit, output) = caller.call(&verb.words).await;
                Acted {
                    at,
                    command: verb.line,
                    exit,
                    took: began.elapsed() - at,
                    output,
                }
            });
        }
        Self {
            running,
            done: Vec::new(),
        }
    }

    /// The next one that has ended; pending for ever where there is none left.
    pub(super) async fn next(&mut self) -> Option<Acted> {
        match self.running.join_next().await {
            Some(Ok(acted)) => {
                self.done.push(acted.clone());
                Some(acted)
            }
            Some(Err(_)) => None,
            None => std::future::pending().await,
        }
    }

    /// What has not begun will not.
    pub(super) fn stop(&mut self) {
        self.running.abort_all();
    }

    /// Waits for those that run, not for ever; gives all, in the order of their times.
    pub(super) async fn end(mut self) -> Vec<Acted> {
        let rest = async {
            while let Some(ended) = self.running.join_next().await {
                if let Ok(acted) = ended {
                    self.done.push(acted);
                }
            }
        };
        // What is not done by then is cut short.
        let _ = tokio::time::timeout(LAST_WAIT, rest).await;
        self.done.sort_by_key(|acted| acted.at);
        self.done
    }
}
