//! The verbs that are to be run in the middle of a load, as they were typed.

use std::time::Duration;

use crate::cli::{self, Task, Verb};
use crate::error::Report;
use crate::load;

/// Reads times and verbs; what cannot be is told before anything is sent.
pub(super) fn read(typed: &[(String, String)], lasts: Duration) -> Result<Vec<load::Verb>, Report> {
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
        all.push(load::Verb {
            at,
            line: line.clone(),
            words,
        });
    }
    all.sort_by_key(|one| one.at);
    Ok(all)
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
