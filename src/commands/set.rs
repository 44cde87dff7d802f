//! `set`: what can be changed while requests are answered.

use serde_json::{Map, Value};

use super::act::find;
use super::connect;
use crate::cli::Place;
use crate::config::{WEIGHT_KEY, unknown_of_backend, unknown_setting};
use crate::error::Report;
use crate::ui::{Ui, settings};

/// What was typed, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Wanted<'a> {
    target: Option<&'a str>,
    settings: Vec<(&'a str, &'a str)>,
}

/// Changes settings of the balancer, or with a target those of backends: all that were typed, or none.
pub(super) async fn set(place: &Place, words: &[String], ui: &Ui) -> Result<u8, Report> {
    let wanted = wanted(words)?;
    let (_, client) = connect(place, ui)?;
    let before = client.status().await?;
    let pair = |&(key, value): &(&str, &str)| (key.to_owned(), Value::from(value));
    let body: Map<String, Value> = wanted.settings.iter().map(pair).collect();
    match wanted.target {
        Some(target) => {
            let reply = client.set_of(target, body).await?;
            if ui.json {
                ui.json(&reply);
                return Ok(0);
            }
            for backend in &reply.backends {
                let was = find(&before, &backend.id).map(|old| old.weight);
                ui.did(&settings::weight(backend, was, ui.out));
            }
        }
        None => {
            let reply = client.set(body).await?;
            if ui.json {
                ui.json(&reply);
                return Ok(0);
            }
            for (key, _) in &wanted.settings {
                ui.did(&settings::changed(key, &before.balancer, &reply.balancer));
            }
        }
    }
    Ok(0)
}

/// A target, if the first word is no setting, and the settings.
fn wanted(words: &[String]) -> Result<Wanted<'_>, Report> {
    let (target, rest) = match words {
        [first, rest @ ..] if !first.contains('=') => (Some(first.as_str()), rest),
        all => (None, all),
    };
    let mut settings: Vec<(&str, &str)> = Vec::new();
    for word in rest {
        let Some((key, value)) = word.split_once('=') else {
            return Err(no_setting(word));
        };
        let (key, value) = (key.trim(), value.trim());
        match target {
            Some(_) if key != WEIGHT_KEY => return Err(unknown_of_backend(key)),
            None if key == WEIGHT_KEY => return Err(unknown_setting(key)),
            Some(_) | None => {}
        }
        if settings.iter().any(|(known, _)| *known == key) {
            return Err(Report::usage("LB021", format!("`{key}` is set twice")));
        }
        settings.push((key, value));
    }
    match (settings.is_empty(), target) {
        (true, Some(word)) => Err(no_setting(word)),
        _ => Ok(Wanted { target, settings }),
    }
}

fn no_setting(word: &str) -> Report {
    Report::usage(
        "LB021",
        format!("`{word}` says nothing to set: KEY=VALUE is missing"),
    )
    .hint("run `lbdev set algorithm=least_conn`, or `lbdev set 8000 weight=3`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_comes_first_and_is_only_for_weights() {
        let check = |line: &str, expected: Result<Wanted<'_>, &str>| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let got = wanted(&words).map_err(|report| report.message);
            assert_eq!(got, expected.map_err(str::to_owned), "{line}");
        };
        fn read<'a>(
            target: Option<&'a str>,
            settings: &[(&'a str, &'a str)],
        ) -> Result<Wanted<'a>, &'static str> {
            let settings = settings.to_vec();
            Ok(Wanted { target, settings })
        }
        check("8000 weight=3", read(Some("8000"), &[("weight", "3")]));
        check(
            "algorithm=hash hash_key=header:A=b",
            read(None, &[("algorithm", "hash"), ("hash_key", "header:A=b")]),
        );
        check("algoritm=hash", read(None, &[("algoritm", "hash")]));
        check("retries=", read(None, &[("retries", "")]));
        check(
            "8000",
            Err("`8000` says nothing to set: KEY=VALUE is missing"),
        );
        check(
            "algorithm=hash 8000",
            Err("`8000` says nothing to set: KEY=VALUE is missing"),
        );
        check(
            "weight=3",
            Err("`weight` is a setting of a backend, and none is named"),
        );
        check(
            "8000 retries=3",
            Err("`retries` is a setting of the whole balancer, not of a backend"),
        );
        check(
            "8000 wieght=3",
            Err("`wieght` cannot be set; known: `weight`"),
        );
        check("retries=1 retries=2", Err("`retries` is set twice"));
        check("8000 weight=1 weight=2", Err("`weight` is set twice"));
    }
}
