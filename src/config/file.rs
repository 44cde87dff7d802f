//! `lbdev.toml`: from text to a [`Draft`], with every error in it at once.
//!
//! The walk is written by hand: serde's derive stops at the first error, and loses the place of most.

mod balancer;
mod service;

use std::net::SocketAddr;

use toml::de::DeTable;

use super::draft::Draft;
use super::problem::{Fault, Problem, Where};
use super::table::{Sink, Table};

/// Keys that other versions know.
const LATER_TOP: &[&str] = &["dashboard"];

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
    let balancer = top
        .table("balancer")
        .map(|table| balancer::read(table.value));
    let mut services = Vec::new();
    if let Some(tables) = top.table("services") {
        for (name, value) in tables.value.each() {
            services.extend(service::read(&tables.value, name, value, lookup));
        }
    }
    top.close(LATER_TOP);
    let draft = Draft {
        balancer: balancer.unwrap_or_default(),
        services,
    };
    (draft, sink.into_inner())
}
