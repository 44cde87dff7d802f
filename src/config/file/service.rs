//! `[services.NAME]`.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::Lookup;
use crate::config::defaults::{
    CHECKS_RANGE, CONNECTIONS_RANGE, MOST_BACKENDS, RESTARTS_RANGE, SHORTEST, WEIGHT_RANGE,
};
use crate::config::draft::{
    CommandDraft, HealthDraft, PortsDraft, RestartDraft, ServiceDraft, StopDraft, WeightDraft,
};
use crate::config::problem::{At, Problem};
use crate::config::schema::Shape;
use crate::config::table::{Table, place};
use crate::config::{WatchMode, value};

/// Reads one table of `[services]`.
pub(super) fn read<'a>(
    tables: &Table<'a>,
    name: At<String>,
    found: &'a Spanned<DeValue<'a>>,
    lookup: Lookup<'_>,
) -> Option<ServiceDraft> {
    if !is_service_name(&name.value) {
        let problem = Problem::ServiceName {
            name: name.value.clone(),
        };
        tables.fault(name.at.clone(), problem);
    }
    let table = tables.as_table(&name.value, &name.value, found)?.value;
    let draft = read_table(&table, name, lookup);
    table.close();
    Some(draft)
}

/// Every key of a service.
pub(super) fn read_table(table: &Table<'_>, name: At<String>, lookup: Lookup<'_>) -> ServiceDraft {
    let mut draft = ServiceDraft {
        command: command(table),
        ports: ports(table),
        replicas: table.integer("replicas", &(1..=MOST_BACKENDS as u64)),
        env: env(table),
        env_file: table.string("env_file"),
        cwd: table.string("cwd"),
        routes: table.list("routes", "a list of paths or host names", value::route),
        health: table.table("health").map(health),
        restart: table.table("restart").map(restart),
        stop: table.table("stop").map(stop),
        external: external(table, lookup),
        slow_start: table.duration("slow_start", Duration::ZERO),
        max_connections: table.integer("max_connections", &CONNECTIONS_RANGE),
        pty: table.boolean("pty"),
        ready: table.parsed("ready", "a string", value::ready),
        watch: table.list(
            "watch",
            "a list of patterns such as [\"**/*.py\"]",
            value::pattern,
        ),
        watch_mode: table.choice("watch_mode", WatchMode::NAMES),
        before: lines(table, "before"),
        after: lines(table, "after"),
        needs: table.list(
            "needs",
            "a list of services and `tcp:` addresses",
            value::need,
        ),
        weights: weights(table),
        unread: Vec::new(),
        name,
    };
    for (key, read) in [
        ("command", draft.command.is_some()),
        ("ports", draft.ports.is_some()),
        ("external", draft.external.is_some()),
        ("routes", draft.routes.is_some()),
        ("needs", draft.needs.is_some()),
    ] {
        if !read && table.get(key).is_some() {
            draft.unread.push(key);
        }
    }
    // One that is spelt wrong is told as that, not as missing.
    for (written, _) in table.each() {
        for key in ["command", "ports", "external"] {
            let meant = value::alike(&written.value, std::iter::once(key)).is_some();
            if meant && written.value != key {
                draft.unread.push(key);
            }
        }
    }
    draft
}

/// A name that is told from a port, from `all` and from `worker.1` wherever a target is typed.
fn is_service_name(name: &str) -> bool {
    name.len() <= 40
        && name != "all"
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn command(table: &Table<'_>) -> Option<At<CommandDraft>> {
    table.shape("command", || {
        Shape::AnyOf(vec![Shape::Text, Shape::List(Box::new(Shape::Text))])
    });
    let found = table.get("command")?;
    let wanted = "a string or a list of strings";
    let words = match found.get_ref() {
        DeValue::String(text) => {
            return Some(At {
                value: CommandDraft::Line(text.to_string()),
                at: place(found),
            });
        }
        DeValue::Array(words) => words,
        _ => {
            table.wrong_type("command", found, wanted);
            return None;
        }
    };
    let word = |word: &Spanned<DeValue<'_>>| match word.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        _ => {
            table.wrong_type("command", word, wanted);
            None
        }
    };
    let all: Vec<Option<String>> = words.iter().map(word).collect();
    Some(At {
        value: CommandDraft::Words(all.into_iter().collect::<Option<_>>()?),
        at: place(found),
    })
}

/// Commands that run one after the other: a list of lines, or one line alone.
fn lines(table: &Table<'_>, key: &'static str) -> Option<At<Vec<At<String>>>> {
    table.shape(key, || {
        Shape::AnyOf(vec![Shape::Text, Shape::List(Box::new(Shape::Text))])
    });
    let found = table.get(key)?;
    let line = |text: &str| Ok(text.to_owned());
    match found.get_ref() {
        DeValue::String(_) => {
            let one = table.parse_value(key, found, "a string", line)?;
            Some(At {
                at: one.at.clone(),
                value: vec![one],
            })
        }
        _ => table.list(key, "a command or a list of commands", line),
    }
}

fn ports(table: &Table<'_>) -> Option<At<PortsDraft>> {
    table.shape("ports", || {
        Shape::AnyOf(vec![Shape::Integer(1, 65535), Shape::Text])
    });
    let found = table.get("ports")?;
    let read = |text: &str| value::ports(text).map(PortsDraft::List);
    match found.get_ref() {
        DeValue::Integer(number) => match read(&number.to_string()) {
            Ok(ports) => Some(At {
                value: ports,
                at: place(found),
            }),
            Err(source) => {
                let key = "ports".to_owned();
                table.fault(place(found), Problem::Value { key, source });
                None
            }
        },
        _ => table.parse_value(
            "ports",
            found,
            "a port or a range such as \"8000-8003\"",
            read,
        ),
    }
}

fn env(table: &Table<'_>) -> Vec<(At<String>, At<String>)> {
    if table.is_description() {
        let whole = Shape::Integer(0, u64::MAX);
        let value = Shape::AnyOf(vec![Shape::Text, whole, Shape::Boolean]);
        table.shape("env", || Shape::Map(Box::new(value)));
        return Vec::new();
    }
    let Some(variables) = table.table("env") else {
        return Vec::new();
    };
    let variables = variables.value;
    let text = |name: &str, found: &Spanned<DeValue<'_>>| match found.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            variables.wrong_type(name, found, "a string");
            None
        }
    };
    let pair = |(name, found): (At<String>, &Spanned<DeValue<'_>>)| {
        let value = text(&name.value, found)?;
        let at = place(found);
        Some((name, At { value, at }))
    };
    variables.each().filter_map(pair).collect()
}

fn external(table: &Table<'_>, lookup: Lookup<'_>) -> Option<At<Vec<At<value::Server>>>> {
    let groups = table.list("external", "a list of addresses", |text| {
        value::servers(text, lookup)
    })?;
    let flat = groups.value.into_iter().flat_map(|group| {
        let at = group.at;
        let one = move |server| At {
            value: server,
            at: at.clone(),
        };
        group.value.into_iter().map(one)
    });
    Some(At {
        value: flat.collect(),
        at: groups.at,
    })
}

fn health(table: At<Table<'_>>) -> At<HealthDraft> {
    let inner = table.value;
    let value = HealthDraft {
        path: inner.parsed("path", "a string", value::path),
        path_said: inner.get("path").is_some(),
        interval: inner.duration("interval", SHORTEST),
        timeout: inner.duration("timeout", SHORTEST),
        rise: inner.integer("rise", &CHECKS_RANGE),
        fall: inner.integer("fall", &CHECKS_RANGE),
        status: expected_status(&inner),
        body: inner.parsed("body", "a string", value::expected_body),
    };
    inner.close();
    At {
        value,
        at: table.at,
    }
}

/// `status = 200` or `status = "200-399"`.
fn expected_status(table: &Table<'_>) -> Option<At<(u16, u16)>> {
    let key = "status";
    table.shape(key, || {
        Shape::AnyOf(vec![Shape::Integer(100, 599), Shape::Text])
    });
    let found = table.get(key)?;
    let wanted = "a status or a range such as \"200-399\"";
    match found.get_ref() {
        DeValue::Integer(number) => match value::expected_status(&number.to_string()) {
            Ok(value) => Some(At {
                value,
                at: place(found),
            }),
            Err(source) => {
                let key = key.to_owned();
                table.fault(place(found), Problem::Value { key, source });
                None
            }
        },
        _ => table.parse_value(key, found, wanted, value::expected_status),
    }
}

fn restart(table: At<Table<'_>>) -> At<RestartDraft> {
    let inner = table.value;
    let value = RestartDraft {
        mode: inner.choice("policy", value::RESTART_MODES),
        backoff: inner.parsed(
            "backoff",
            "two durations such as \"200ms..10s\"",
            value::backoff,
        ),
        max: inner.integer("max", &RESTARTS_RANGE),
    };
    inner.close();
    At {
        value,
        at: table.at,
    }
}

fn stop(table: At<Table<'_>>) -> At<StopDraft> {
    let inner = table.value;
    let value = StopDraft {
        signal: inner.parsed("signal", "a signal such as \"TERM\"", value::stop_signal),
        timeout: inner.duration("timeout", Duration::ZERO),
    };
    inner.close();
    At {
        value,
        at: table.at,
    }
}

fn weight(entry: &Table<'_>, port: At<String>) -> WeightDraft {
    WeightDraft {
        port,
        weight: entry.integer("weight", &WEIGHT_RANGE),
        backup: entry.boolean("backup").map(|backup| backup.value),
        max_connections: entry.integer("max_connections", &CONNECTIONS_RANGE),
    }
}

fn weights(table: &Table<'_>) -> Vec<WeightDraft> {
    if table.is_description() {
        table.shape_each("backends", |entry| {
            weight(entry, At::nowhere(String::new()));
        });
        return Vec::new();
    }
    let Some(backends) = table.table("backends") else {
        return Vec::new();
    };
    let backends = backends.value;
    let one = |(port, found): (At<String>, _)| {
        let entry = backends.as_table(&port.value, &port.value, found)?.value;
        let draft = weight(&entry, port);
        entry.close();
        Some(draft)
    };
    backends.each().filter_map(one).collect()
}
