//! `fault`: what the balancer does on purpose to requests that go to a backend.

use serde_json::{Map, Value};

use super::act::find;
use super::connect;
use crate::cli::Place;
use crate::config::Fault;
use crate::error::Report;
use crate::ui::{Ui, acted};

/// Puts a fault in, in the place of one that is there, or takes it out.
pub(super) async fn fault(
    place: &Place,
    target: &str,
    what: &[String],
    ui: &Ui,
) -> Result<u8, Report> {
    let said = read(what)?;
    let (_, client) = connect(place, ui)?;
    let before = client.status().await?;
    let reply = client
        .act(target, "fault", Some(Value::Object(said)))
        .await?;
    for backend in &reply.backends {
        let was = find(&before, &backend.id).and_then(|old| old.fault.as_deref());
        ui.did(&acted::fault(backend, was, ui.out));
    }
    if ui.json {
        ui.json(&reply);
    } else if let Some(fault) = reply.backends.iter().find_map(|one| one.fault.as_deref()) {
        ui.note(&format!(
            "it lasts until `lbdev fault {target} off`, or the end of lbdev ({fault})"
        ));
    }
    Ok(0)
}

/// What was typed, as the server takes it. It is read here too, so that what cannot be is told without one.
pub(crate) fn read(what: &[String]) -> Result<Map<String, Value>, Report> {
    if let [off] = what
        && off == "off"
    {
        return Ok(Map::from_iter([("off".to_owned(), Value::Bool(true))]));
    }
    let mut said = Map::new();
    for word in what {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key.trim(), Value::from(value.trim())),
            None => (word.trim(), Value::Bool(true)),
        };
        if key == "off" {
            let message = "`off` ends a fault, and stands alone";
            return Err(Report::usage("LB021", message).hint("run `lbdev fault 8000 off`"));
        }
        if said.insert(key.to_owned(), value).is_some() {
            return Err(Report::usage("LB021", format!("`{key}` is said twice")));
        }
    }
    Fault::read(&said)?;
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_what_the_server_takes() {
        let check = |line: &str, expected: Result<&str, &str>| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let got = read(&words).map(|said| Value::Object(said).to_string());
            let got = got.map_err(|report| report.message);
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(got, expected, "{line}");
        };
        check("off", Ok(r#"{"off":true}"#));
        check(
            "latency=250ms rate=20%",
            Ok(r#"{"latency":"250ms","rate":"20%"}"#),
        );
        check("reset path=/a=b", Ok(r#"{"path":"/a=b","reset":true}"#));
        check("off reset", Err("`off` ends a fault, and stands alone"));
        check("hang hang", Err("`hang` is said twice"));
        check(
            "250ms",
            Err(
                "`250ms` is nothing that a fault can be; known: `latency`, `jitter`, `status`, `rate`, `reset`, `hang`, `bandwidth`, `cut`, `slow_close`, `path` or `header`",
            ),
        );
    }
}
