//! Verbs of lbdev that are run in the middle of a load, each at its time.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio::task::JoinSet;

use crate::cli::{self, Place, Task, Verb};
use crate::error::Report;
use crate::load::Acted;

/// A verb that takes longer than this is cut short at the end of the load.
const LAST_WAIT: Duration = Duration::from_secs(10);
/// So many of its lines are kept.
const LINES: usize = 20;

/// A verb and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    at: Duration,
    line: String,
    words: Vec<String>,
}

/// Reads times and verbs; what cannot be is told before anything is sent.
pub(super) fn read(typed: &[(String, String)], lasts: Duration) -> Result<Vec<Planned>, Report> {
    let mut all = Vec::new();
    for (time, line) in typed {
        let wrong = |why: String| {
            Report::usage("LB021", format!("`--at {time} '{line}'`: {why}"))
                .hint("say it like `--at 10s 'kill 8000'`")
        };
        let at = cli::time(time).map_err(|why| wrong(format!("`{time}` is no time: {why}")))?;
        if at >= lasts {
            let why = format!(
                "the load has ended by then; it lasts {} s",
                lasts.as_secs_f64()
            );
            return Err(wrong(why).hint("make it longer: `--for 60s`"));
        }
        let (words, invocation) = cli::parse_line(line).map_err(|report| {
            let message = format!("`--at {time} '{line}'`: {}", report.message);
            let hint = report.hint.clone();
            let report = Report::usage("LB021", message);
            match hint {
                Some(hint) => report.hint(hint),
                None => report,
            }
        })?;
        let ends = match &invocation.verb {
            Verb::Up(options) => options.detach,
            Verb::Completions(_) | Verb::Man => false,
            Verb::Task(task) => !matches!(
                task,
                Task::Attach { .. }
                    | Task::Top
                    | Task::Load(_)
                    | Task::Events { follow: true, .. }
                    | Task::Logs(crate::cli::LogsOptions { follow: true, .. })
            ),
        };
        if !ends {
            let why = "that verb does not end by itself, or is no part of a load".to_owned();
            return Err(wrong(why));
        }
        if invocation.json || invocation.place.said || words.iter().any(|w| w == "--project") {
            let why = "the options of all verbs belong to `lbdev load` itself".to_owned();
            return Err(wrong(why).hint("leave it out here, and say it once"));
        }
        if let Verb::Task(Task::Fault { what, .. }) = &invocation.verb {
            crate::commands::read_fault(what)?;
        }
        all.push(Planned {
            at,
            line: line.clone(),
            words,
        });
    }
    all.sort_by_key(|one| one.at);
    Ok(all)
}

/// The verbs of a load that has begun.
pub(super) struct Actions {
    running: JoinSet<Acted>,
    done: Vec<Acted>,
}

impl Actions {
    /// Runs each at its time from now.
    pub(super) fn start(place: &Place, planned: Vec<Planned>) -> Self {
        let began = Instant::now();
        let mut running = JoinSet::new();
        for one in planned {
            let mut global: Vec<String> = Vec::new();
            if let Some(project) = &place.project {
                global.extend(["--project".to_owned(), project.clone()]);
            }
            let dir = place.dir.clone();
            running.spawn(async move {
                tokio::time::sleep_until((began + one.at).into()).await;
                perform(began, one, &global, &dir).await
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

async fn perform(began: Instant, one: Planned, global: &[String], dir: &std::path::Path) -> Acted {
    let at = began.elapsed();
    let output = async {
        let program = std::env::current_exe()?;
        Command::new(program)
            .args(["--color", "never"])
            .args(global)
            .args(&one.words)
            .current_dir(dir)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
    };
    let output = output.await;
    let (exit, lines) = match output {
        Ok(output) => {
            let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.push_str(&String::from_utf8_lossy(&output.stderr));
            let lines = text.lines().take(LINES).map(str::to_owned).collect();
            (output.status.code(), lines)
        }
        Err(error) => (None, vec![error.to_string()]),
    };
    Acted {
        at,
        command: one.line,
        exit,
        took: began.elapsed() - at,
        output: lines,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_run_and_when() {
        let pairs = |said: &[(&str, &str)]| {
            let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
            said.iter().map(owned).collect::<Vec<_>>()
        };
        let lasts = Duration::from_secs(30);
        let read = |said: &[(&str, &str)]| read(&pairs(said), lasts);
        let planned = read(&[("20s", "start 8000"), ("500ms", "kill 8000,8001")]).unwrap();
        let got: Vec<_> = planned
            .iter()
            .map(|p| (p.at.as_millis(), p.words.join(" ")))
            .collect();
        assert_eq!(
            got,
            [
                (500, "kill 8000,8001".to_owned()),
                (20_000, "start 8000".to_owned())
            ]
        );
        let text: String = [
            ("10s", "kil 8000"),
            ("10s", "kill"),
            ("soon", "kill 8000"),
            ("40s", "kill 8000"),
            ("10s", "top"),
            ("10s", "load"),
            ("10s", "logs -f"),
            ("10s", "up"),
            ("10s", "kill 'all"),
            ("10s", "--help"),
            ("10s", "-C / kill 8000"),
            ("10s", "fault 8000 nonsense=1"),
        ]
        .iter()
        .map(|pair| match read(&[*pair]) {
            Err(report) => format!("{report}\n"),
            Ok(_) => format!("{pair:?} is fine\n"),
        })
        .collect();
        insta::assert_snapshot!(text, @"
        error[LB021]: `--at 10s 'kil 8000'`: there is no verb `kil`
          hint: did you mean `lbdev kill`?
        error[LB021]: `--at 10s 'kill'`: `lbdev kill` needs `<TARGET>`
          hint: run `lbdev kill --help` to see what it takes
        error[LB021]: `--at soon 'kill 8000'`: `soon` is no time: want a time like `60s`, `500ms` or `2m`
          hint: say it like `--at 10s 'kill 8000'`
        error[LB021]: `--at 40s 'kill 8000'`: the load has ended by then; it lasts 30 s
          hint: make it longer: `--for 60s`
        error[LB021]: `--at 10s 'top'`: that verb does not end by itself, or is no part of a load
          hint: say it like `--at 10s 'kill 8000'`
        error[LB021]: `--at 10s 'load'`: that verb does not end by itself, or is no part of a load
          hint: say it like `--at 10s 'kill 8000'`
        error[LB021]: `--at 10s 'logs -f'`: that verb does not end by itself, or is no part of a load
          hint: say it like `--at 10s 'kill 8000'`
        error[LB021]: `--at 10s 'up'`: that verb does not end by itself, or is no part of a load
          hint: say it like `--at 10s 'kill 8000'`
        error[LB021]: `--at 10s 'kill 'all'`: `kill 'all` ends within quotes
          hint: close them
        error[LB021]: `--at 10s '--help'`: `lbdev --help` only prints a text
          hint: say a verb, such as `kill 8000`
        error[LB021]: `--at 10s '-C / kill 8000'`: the options of all verbs belong to `lbdev load` itself
          hint: leave it out here, and say it once
        error[LB021]: `nonsense` is nothing that a fault can be; known: `latency`, `jitter`, `status`, `rate`, `reset`, `hang`, `bandwidth`, `cut`, `slow_close`, `path` or `header`
          hint: run `lbdev fault --help` to see what each does
        ");
    }
}
