//! `lbdev.toml`: from text to a [`Draft`], with every error in it at once.
//!
//! The walk is written by hand: serde's derive stops at the first error, and loses the place of most.

use std::net::SocketAddr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::defaults::{
    CHECKS_RANGE, MOST_BACKENDS, QUEUE_RANGE, RESTARTS_RANGE, RETRIES_RANGE, SHORTEST,
    WEIGHT_RANGE, WORKERS_RANGE,
};
use super::draft::{
    BalancerDraft, CommandDraft, Draft, HealthDraft, PortsDraft, RestartDraft, ServiceDraft,
    StopDraft, WeightDraft,
};
use super::problem::{At, Fault, Problem, Where};
use super::table::{Sink, Table, place};
use super::value::{self, ValueError};
use crate::balance::{Algorithm, Sequence};

/// Algorithms that other versions know.
pub(super) const LATER_ALGORITHMS: [&str; 0] = [];
const LATER_TOP: &[&str] = &["dashboard"];
const LATER_BALANCER: &[&str] = &[
    "sticky",
    "detect",
    "hold",
    "passive",
    "allow_hosts",
    "trust_forwarded",
];
const LATER_RETRY: &[&str] = &["body", "budget", "non_idempotent"];
const LATER_TIMEOUTS: &[&str] = &["client_head", "body"];
const LATER_SERVICE: &[&str] = &[
    "watch",
    "watch_mode",
    "before",
    "needs",
    "pty",
    "slow_start",
    "max_connections",
];

/// Resolves a host name of `external`.
pub(super) type Lookup<'a> = &'a dyn Fn(&str, u16) -> Vec<SocketAddr>;

/// Reads a file's text. What could be read is in the draft even where there are faults.
pub(super) fn read(text: &str, lookup: Lookup<'_>) -> (Draft, Vec<Fault>) {
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What a broken syntax left over would only be told wrong things about.
        let fault = |error: toml::de::Error| Fault {
            at: Where::File(error.span().unwrap_or(0..0)),
            problem: Problem::Syntax {
                message: error
                    .message()
                    .trim()
                    .trim_end_matches(", expected nothing")
                    .replace('\n', ", "),
            },
        };
        return (Draft::default(), errors.into_iter().map(fault).collect());
    }
    let sink = Sink::default();
    let top = Table::new("the file", root.get_ref(), &sink);
    let balancer = top.table("balancer").map(|table| balancer(table.value));
    let mut services = Vec::new();
    if let Some(tables) = top.table("services") {
        for (name, value) in tables.value.each() {
            services.extend(service(&tables.value, name, value, lookup));
        }
    }
    top.close(LATER_TOP);
    let draft = Draft {
        balancer: balancer.unwrap_or_default(),
        services,
    };
    (draft, sink.into_inner())
}

fn balancer(table: Table<'_>) -> BalancerDraft {
    let mut draft = BalancerDraft {
        listen: listen(&table),
        algorithm: algorithm(&table),
        hash_key: table.parsed("hash_key", "a string", value::hash_key),
        sequence: table.parsed("sequence", "a string", |text| {
            value::choice(text, Sequence::NAMES)
        }),
        retries: table.integer("retries", &RETRIES_RANGE),
        workers: table.integer("workers", &WORKERS_RANGE),
        ..BalancerDraft::default()
    };
    if let Some(retry) = table.table("retry") {
        draft.retry_deadline = retry.value.duration("deadline", Duration::ZERO);
        retry.value.close(LATER_RETRY);
    }
    if let Some(queue) = table.table("queue") {
        draft.queue_max = queue.value.integer("max", &QUEUE_RANGE);
        draft.queue_timeout = queue.value.duration("timeout", Duration::ZERO);
        queue.value.close(&[]);
    }
    if let Some(timeouts) = table.table("timeouts") {
        let timeouts = timeouts.value;
        draft.connect = timeouts.duration("connect", SHORTEST);
        draft.idle = timeouts.duration("idle", SHORTEST);
        draft.drain = timeouts.duration("drain", Duration::ZERO);
        draft.backend_head = timeouts.parsed(
            "backend_head",
            "a duration such as \"60s\", or \"off\"",
            |text| match text {
                "off" => Ok(None),
                text => value::duration(text).map(Some),
            },
        );
        let short = |at: &At<Option<Duration>>| at.value.is_some_and(|limit| limit < SHORTEST);
        if let Some(head) = draft.backend_head.take_if(|head| short(head)) {
            timeouts.fault(
                head.at,
                Problem::TooShort {
                    key: "backend_head".into(),
                    least: value::duration_text(SHORTEST),
                },
            );
        }
        timeouts.close(LATER_TIMEOUTS);
    }
    table.close(LATER_BALANCER);
    draft
}

fn listen(table: &Table<'_>) -> Option<At<super::Listen>> {
    let found = table.get("listen")?;
    match found.get_ref() {
        DeValue::Integer(number) => match value::listen(&number.to_string()) {
            Ok(listen) => Some(At {
                value: listen,
                at: place(found),
            }),
            Err(source) => {
                let key = "listen".to_owned();
                table.fault(place(found), Problem::Value { key, source });
                None
            }
        },
        _ => table.parse_value(
            "listen",
            found,
            "an address such as \"localhost:8080\" or a port",
            value::listen,
        ),
    }
}

fn algorithm(table: &Table<'_>) -> Option<At<Algorithm>> {
    let found = table.get("algorithm")?;
    if let DeValue::String(text) = found.get_ref()
        && let Some(problem) = algorithm_not_yet(text)
    {
        table.fault(place(found), problem);
        return None;
    }
    table.parse_value("algorithm", found, "a string", |text| {
        value::choice(text, Algorithm::NAMES)
    })
}

/// The problem with an algorithm that other versions know.
pub(super) fn algorithm_not_yet(text: &str) -> Option<Problem> {
    let later = LATER_ALGORITHMS.contains(&text.replace('-', "_").as_str());
    later.then(|| Problem::NameNotYet {
        what: "algorithm",
        name: text.to_owned(),
        known: value::list(Algorithm::NAMES.iter().map(|(name, _)| *name)),
    })
}

fn service<'a>(
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
    let mut draft = ServiceDraft {
        command: command(&table),
        ports: ports(&table),
        replicas: table.integer("replicas", &(1..=MOST_BACKENDS as u64)),
        env: env(&table),
        env_file: table.string("env_file"),
        cwd: table.string("cwd"),
        routes: list(
            &table,
            "routes",
            "a list of paths or host names",
            value::route,
        ),
        health: table.table("health").map(health),
        restart: table.table("restart").map(restart),
        stop: table.table("stop").map(stop),
        external: external(&table, lookup),
        weights: weights(&table),
        unread: Vec::new(),
        name,
    };
    for (key, read) in [
        ("command", draft.command.is_some()),
        ("ports", draft.ports.is_some()),
        ("external", draft.external.is_some()),
        ("routes", draft.routes.is_some()),
    ] {
        if !read && table.get(key).is_some() {
            draft.unread.push(key);
        }
    }
    table.close(LATER_SERVICE);
    Some(draft)
}

/// A name that is told from a port, from `all` and from `worker.1` wherever a target is typed.
pub(super) fn is_service_name(name: &str) -> bool {
    name.len() <= 40
        && name != "all"
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn command(table: &Table<'_>) -> Option<At<CommandDraft>> {
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

fn ports(table: &Table<'_>) -> Option<At<PortsDraft>> {
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

/// A list of strings, each read by `parse`.
fn list<T>(
    table: &Table<'_>,
    key: &'static str,
    wanted: &'static str,
    parse: impl Fn(&str) -> Result<T, ValueError>,
) -> Option<At<Vec<At<T>>>> {
    let found = table.get(key)?;
    let DeValue::Array(entries) = found.get_ref() else {
        table.wrong_type(key, found, wanted);
        return None;
    };
    let read = |entry| table.parse_value(key, entry, "a string", &parse);
    let all: Vec<Option<At<T>>> = entries.iter().map(read).collect();
    Some(At {
        value: all.into_iter().collect::<Option<_>>()?,
        at: place(found),
    })
}

fn external(table: &Table<'_>, lookup: Lookup<'_>) -> Option<At<Vec<At<value::Server>>>> {
    let groups = list(table, "external", "a list of addresses", |text| {
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
        interval: inner.duration("interval", SHORTEST),
        timeout: inner.duration("timeout", SHORTEST),
        rise: inner.integer("rise", &CHECKS_RANGE),
        fall: inner.integer("fall", &CHECKS_RANGE),
    };
    inner.close(&[]);
    At {
        value,
        at: table.at,
    }
}

fn restart(table: At<Table<'_>>) -> At<RestartDraft> {
    let inner = table.value;
    let value = RestartDraft {
        mode: inner.parsed("policy", "a string", |text| {
            value::choice(text, value::RESTART_MODES)
        }),
        backoff: inner.parsed(
            "backoff",
            "two durations such as \"200ms..10s\"",
            value::backoff,
        ),
        max: inner.integer("max", &RESTARTS_RANGE),
    };
    inner.close(&[]);
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
    inner.close(&[]);
    At {
        value,
        at: table.at,
    }
}

fn weights(table: &Table<'_>) -> Vec<WeightDraft> {
    let Some(backends) = table.table("backends") else {
        return Vec::new();
    };
    let backends = backends.value;
    let one = |(port, found): (At<String>, _)| {
        let entry = backends.as_table(&port.value, &port.value, found)?.value;
        let weight = entry.integer("weight", &WEIGHT_RANGE);
        let backup = entry.boolean("backup");
        entry.close(&[]);
        Some(WeightDraft {
            port,
            weight,
            backup,
        })
    };
    backends.each().filter_map(one).collect()
}
