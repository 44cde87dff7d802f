//! `lbdev.toml`: from text to a [`Draft`], with every error in it at once.
//!
//! The walk is written by hand: serde's derive stops at the first error, and loses the place of most.

mod balancer;
mod service;

use std::net::SocketAddr;

use toml::de::DeTable;

use super::dashboard;
use super::draft::Draft;
use super::problem::{At, Fault, Problem, Where};
use super::schema::Keys;
use super::table::{Sink, Table};

/// Resolves a host name of `external`.
pub(super) type Lookup<'a> = &'a dyn Fn(&str, u16) -> Vec<SocketAddr>;

/// What TOML's reader says, in a person's words where those are better.
fn syntax(error: &toml::de::Error, text: &str) -> Problem {
    let there = error
        .span()
        .and_then(|span| text.get(span))
        .unwrap_or_default();
    let said = error.message().trim();
    let said = said
        .trim_end_matches(", expected nothing")
        .replace('\n', ", ");
    let (message, instead) = match there.trim() {
        "" if said.starts_with("string values must be quoted") => {
            ("there is no value after the `=`".to_owned(), None)
        }
        there if said.starts_with("string values must be quoted") => {
            let quoted = toml::Value::String(there.to_owned()).to_string();
            ("a text has to stand in quotes".to_owned(), Some(quoted))
        }
        there if said == "duplicate key" && !there.is_empty() => {
            (format!("`{there}` is there twice"), None)
        }
        _ => (said, None),
    };
    Problem::Syntax { message, instead }
}

/// What TOML's reader found.
pub(super) fn syntax_faults(errors: &[toml::de::Error], text: &str) -> Vec<Fault> {
    let fault = |error: &toml::de::Error| Fault {
        at: Where::File(error.span().unwrap_or(0..0)),
        problem: syntax(error, text),
    };
    errors.iter().map(fault).collect()
}

/// What a file may hold: reading, without a file.
pub(super) fn describe() -> Keys {
    let (nothing, sink, keys) = (DeTable::new(), Sink::default(), Keys::default());
    let top = Table::describing(&nothing, &sink, keys.clone());
    if let Some(table) = top.table("balancer") {
        balancer::read(table.value);
    }
    if let Some(table) = top.table("dashboard") {
        dashboard::read(table.value);
    }
    top.shape_each("services", |service| {
        service::read_table(service, At::nowhere(String::new()), &|_, _| Vec::new());
    });
    keys
}

/// Reads a file's text. What could be read is in the draft even where there are faults.
pub(super) fn read(text: &str, lookup: Lookup<'_>) -> (Draft, Vec<Fault>) {
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What a broken syntax left over would only be told wrong things about.
        return (Draft::default(), syntax_faults(&errors, text));
    }
    let sink = Sink::default();
    let top = Table::new("the file", root.get_ref(), &sink);
    let balancer = top
        .table("balancer")
        .map(|table| balancer::read(table.value));
    let dashboard = top
        .table("dashboard")
        .map(|table| dashboard::read(table.value));
    let mut services = Vec::new();
    if let Some(tables) = top.table("services") {
        for (name, value) in tables.value.each() {
            services.extend(service::read(&tables.value, name, value, lookup));
        }
    }
    top.close();
    let draft = Draft {
        balancer: balancer.unwrap_or_default(),
        dashboard: dashboard.unwrap_or_default(),
        services,
    };
    (draft, sink.into_inner())
}
