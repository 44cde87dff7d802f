//! `[balancer]`.

use std::time::Duration;

use toml::de::DeValue;

use crate::backend::Detect;
use crate::balance::{Algorithm, Sequence, Sticky};
use crate::config::defaults::{
    HOLD_MAX, PASSIVE_RANGE, QUEUE_RANGE, RETRIES_RANGE, RETRY_BODY_MAX, SHORTEST, WORKERS_RANGE,
};
use crate::config::draft::BalancerDraft;
use crate::config::problem::{At, Problem};
use crate::config::schema::Shape;
use crate::config::table::{Table, place};
use crate::config::value;
use crate::config::{HostPattern, Listen};

/// Reads `[balancer]`.
pub(super) fn read(table: Table<'_>) -> BalancerDraft {
    let mut draft = BalancerDraft {
        listen: listen(&table),
        algorithm: table.choice("algorithm", Algorithm::NAMES),
        hash_key: table.parsed("hash_key", "a string", value::hash_key),
        sequence: table.choice("sequence", Sequence::NAMES),
        sticky: table.choice("sticky", Sticky::NAMES),
        detect: table.choice("detect", Detect::NAMES),
        hold: table.size("hold", HOLD_MAX),
        retries: table.integer("retries", &RETRIES_RANGE),
        allow_hosts: hosts(&table),
        trust_forwarded: table.boolean("trust_forwarded"),
        workers: table.integer("workers", &WORKERS_RANGE),
        ..BalancerDraft::default()
    };
    if let Some(retry) = table.table("retry") {
        let retry = retry.value;
        draft.retry_body = retry.size("body", RETRY_BODY_MAX);
        draft.retry_budget = retry.parsed(
            "budget",
            "a share such as \"20%\", or \"off\"",
            value::budget,
        );
        draft.retry_deadline = retry.duration("deadline", Duration::ZERO);
        draft.non_idempotent = retry.boolean("non_idempotent");
        draft.retry_statuses = statuses(&retry);
        retry.close();
    }
    if let Some(passive) = table.table("passive") {
        let passive = passive.value;
        draft.passive_failures = passive.integer("failures", &PASSIVE_RANGE);
        draft.passive_window = passive.duration("window", SHORTEST);
        passive.close();
    }
    if let Some(queue) = table.table("queue") {
        draft.queue_max = queue.value.integer("max", &QUEUE_RANGE);
        draft.queue_timeout = queue.value.duration("timeout", Duration::ZERO);
        queue.value.close();
    }
    if let Some(timeouts) = table.table("timeouts") {
        let timeouts = timeouts.value;
        draft.connect = timeouts.duration("connect", SHORTEST);
        draft.idle = timeouts.duration("idle", SHORTEST);
        draft.drain = timeouts.duration("drain", Duration::ZERO);
        draft.client_head = timeouts.limit("client_head");
        draft.backend_head = timeouts.limit("backend_head");
        draft.body = timeouts.limit("body");
        timeouts.close();
    }
    table.close();
    draft
}

/// Entries of `allow_hosts`.
fn hosts(table: &Table<'_>) -> Option<At<Vec<HostPattern>>> {
    let wanted = "a list of host names such as [\"app.test\", \"*.app.test\"]";
    let found = table.list("allow_hosts", wanted, value::host)?;
    Some(At {
        value: found.value.into_iter().map(|host| host.value).collect(),
        at: found.at,
    })
}

fn listen(table: &Table<'_>) -> Option<At<Listen>> {
    table.shape("listen", || {
        Shape::AnyOf(vec![Shape::Integer(0, 65535), Shape::Text])
    });
    let found = table.get("listen")?;
    match found.get_ref() {
        DeValue::Integer(number) => {
            let text = number.to_string();
            table.parse_text("listen", place(found), &text, value::listen)
        }
        _ => table.parse_value(
            "listen",
            found,
            "an address such as \"localhost:8080\" or a port",
            value::listen,
        ),
    }
}

/// The answers that count as failures.
fn statuses(table: &Table<'_>) -> Option<At<Vec<u16>>> {
    let key = "statuses";
    table.shape(key, || Shape::List(Box::new(Shape::Integer(502, 504))));
    let found = table.get(key)?;
    let DeValue::Array(entries) = found.get_ref() else {
        table.wrong_type(key, found, "a list of statuses such as [502, 503, 504]");
        return None;
    };
    let mut all = Vec::new();
    for entry in entries {
        let DeValue::Integer(number) = entry.get_ref() else {
            table.wrong_type(key, entry, "a list of whole numbers");
            return None;
        };
        match value::retry_status(&number.to_string()) {
            Ok(status) => all.push(status),
            Err(source) => {
                let key = key.to_owned();
                table.fault(place(entry), Problem::Value { key, source });
                return None;
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    Some(At {
        value: all,
        at: place(found),
    })
}
