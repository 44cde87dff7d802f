//! Each operation: what it takes, and what it answers.

use schemars::generate::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::Operation;
use crate::backend::{Detect, Signal};
use crate::balance::{Algorithm, Sequence, Sticky};
use crate::config::defaults::{MOST_BACKENDS, RETRIES_RANGE, WEIGHT_RANGE};
use crate::control::feed::Topic;
use crate::wire;

fn query(name: &str, text: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "required": false, "description": text, "schema": schema })
}

fn names<T>(all: &[(&'static str, T)]) -> Vec<&'static str> {
    all.iter().map(|(name, _)| *name).collect()
}

/// An object that has these keys and no others.
fn object(properties: Value) -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

/// The same, and this key has to be there.
fn required(key: &str, properties: Value) -> Value {
    let mut schema = object(properties);
    schema["required"] = json!([key]);
    schema
}

/// The same with so many keys at least.
fn some(properties: Value, least: usize) -> Value {
    let mut schema = object(properties);
    schema["minProperties"] = json!(least);
    schema
}

/// What can be done to requests: one of these, to some of them.
fn fault() -> Value {
    let latency =
        json!({ "type": "string", "pattern": "^[1-9][0-9]{0,3}ms$", "examples": ["250ms"] });
    let bandwidth =
        json!({ "type": "string", "pattern": "^[1-9][0-9]{0,3}kb$", "examples": ["64kb"] });
    let kinds = [
        (
            "latency",
            latency.clone(),
            "They wait so long before they are sent; with `jitter` (no more than that) each differently.",
        ),
        (
            "bandwidth",
            bandwidth,
            "Their answers come with so much a second at most.",
        ),
        (
            "cut",
            json!({ "type": "string", "pattern": "^[1-9][0-9]{0,3}kb$", "examples": ["1kb"] }),
            "The connection ends after so much of the answer.",
        ),
        (
            "slow_close",
            latency.clone(),
            "The end of the answer comes so much later.",
        ),
        (
            "status",
            json!({ "type": "integer", "minimum": 200, "maximum": 599 }),
            "An answer with this status, which the backend never gave.",
        ),
        (
            "reset",
            json!({ "const": true }),
            "Their connection is reset.",
        ),
        (
            "hang",
            json!({ "const": true }),
            "Nothing comes, for as long as the fault lasts.",
        ),
    ];
    let rate = json!({ "type": "string", "pattern": "^([1-9][0-9]?|100)%$", "description": "So many of them." });
    let path = json!({ "type": "string", "pattern": "^/[A-Za-z0-9._~/-]{0,60}$", "description": "Those for it or below it." });
    let header = json!({ "type": "string", "pattern": "^X-[A-Za-z]{1,20}(:[A-Za-z0-9]{1,20})?$", "description": "Those that say this, or have this field." });
    let mut all = vec![required("off", json!({ "off": { "const": true } }))];
    for (key, value, text) in kinds {
        let mut one = required(
            key,
            json!({ "latency": latency, "rate": rate, "path": path, "header": header }),
        );
        one["properties"][key] = value;
        one["description"] = text.into();
        all.push(one);
    }
    json!({ "anyOf": all })
}

/// A host name, those below one, or all.
fn host_pattern() -> String {
    let label = "[A-Za-z]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?";
    format!(r"^(\*|(\*?\.)?{label}(\.{label}){{0,5}})$")
}

pub(super) fn operations(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    let of_type = |kind: &str, schema: Value| {
        Map::from_iter([(kind.to_owned(), json!({ "schema": schema }))])
    };
    let status = schemas.subschema_for::<wire::Status>().to_value();
    let history = schemas.subschema_for::<wire::History>().to_value();
    let timeline = schemas.subschema_for::<wire::Timeline>().to_value();
    let requests = schemas.subschema_for::<wire::SeenRequests>().to_value();
    let logs = schemas.subschema_for::<wire::Logs>().to_value();
    let events = schemas.subschema_for::<wire::Events>().to_value();
    let acted = schemas.subschema_for::<wire::Acted>().to_value();
    let settings = schemas.subschema_for::<wire::Settings>().to_value();
    // They come over the stream only.
    schemas.subschema_for::<wire::Second>();
    schemas.subschema_for::<wire::Pulse>();
    let number = json!({ "type": "integer", "minimum": 0 });
    let json_type = "application/json";
    let get = |path, id, summary, query, answer| Operation {
        path,
        method: "get",
        id,
        summary,
        query,
        body: None,
        answer: of_type(json_type, answer),
    };
    let mut all = vec![
        get(
            "/v1/status",
            "status",
            "Everything there is to see.",
            vec![],
            status,
        ),
        get(
            "/v1/history",
            "history",
            "The last minute, second by second.",
            vec![],
            history,
        ),
        get(
            "/v1/timeline",
            "timeline",
            "The last ten minutes, second by second.",
            vec![],
            timeline,
        ),
        get(
            "/v1/requests",
            "requests",
            "The last requests: all while they are few, else a sample.",
            vec![query(
                "after",
                "Only those after this number.",
                number.clone(),
            )],
            requests,
        ),
        get(
            "/v1/logs",
            "logs",
            "The last lines that backends wrote.",
            vec![
                query(
                    "target",
                    "Only of these: as for the other operations.",
                    json!({ "type": "string", "minLength": 1 }),
                ),
                query(
                    "lines",
                    "So many of each, at most 50.",
                    json!({ "type": "integer", "minimum": 1, "maximum": 50 }),
                ),
            ],
            logs,
        ),
        get(
            "/v1/backends/{target}",
            "backends",
            "Some backends.",
            vec![],
            acted.clone(),
        ),
        get(
            "/v1/openapi.json",
            "openapi",
            "This document.",
            vec![],
            json!({ "type": "object" }),
        ),
    ];
    let mut stream = get(
        "/v1/events",
        "events",
        "What happened: a document, or with `Accept: text/event-stream` a stream that begins with what there is, then `live`, and goes on. Events of it are `event`, `status`, `pulse`, `timeline`, `second`, `requests`, `logs`, and `missed` before it ends because its reader was too slow.",
        vec![
            query("after", "Only events after this number.", number),
            query(
                "wait_ms",
                "How long to wait for the first, at most 30000; not for streams.",
                json!({ "type": "integer", "minimum": 0 }),
            ),
            query(
                "with",
                "What a stream is about: a comma list; `events` if it is not said.",
                json!({
                    "type": "string",
                    "pattern": topics_pattern(),
                }),
            ),
        ],
        events,
    );
    stream.answer.insert(
        "text/event-stream".to_owned(),
        json!({ "schema": { "type": "string" } }),
    );
    all.push(stream);
    all.push(Operation {
        path: "/metrics",
        method: "get",
        id: "metrics",
        summary: "The counters in Prometheus' text format.",
        query: vec![],
        body: None,
        answer: of_type("text/plain", json!({ "type": "string" })),
    });
    let change = |path, method, id, summary, body, answer| Operation {
        path,
        method,
        id,
        summary,
        query: vec![],
        body: Some(body),
        answer: of_type(json_type, answer),
    };
    let signals: Vec<&str> = Signal::names().collect();
    let nothing = || object(json!({}));
    for (path, id, summary, body) in [
        (
            "/v1/backends/{target}/kill",
            "kill",
            "A signal to all its processes, KILL if none is said.",
            object(json!({
                "signal": { "enum": signals, "description": "`KILL`; with or without `SIG`, of any case. A number does too." },
                "restart": { "type": "boolean", "description": "The restart policy may bring it back." },
            })),
        ),
        (
            "/v1/backends/{target}/start",
            "start",
            "Starts what is down.",
            nothing(),
        ),
        (
            "/v1/backends/{target}/stop",
            "stop",
            "Lets requests in flight finish, then ends it.",
            nothing(),
        ),
        (
            "/v1/backends/{target}/restart",
            "restart",
            "Lets requests in flight finish, ends it, starts it.",
            nothing(),
        ),
        (
            "/v1/backends/{target}/drain",
            "drain",
            "No new requests for it.",
            object(json!({
                "everyone": { "type": "boolean", "description": "Clients that stick to it go elsewhere too." },
            })),
        ),
        (
            "/v1/backends/{target}/undrain",
            "undrain",
            "Requests for it again.",
            nothing(),
        ),
        (
            "/v1/backends/{target}/freeze",
            "freeze",
            "Its processes hang, and its port accepts.",
            nothing(),
        ),
        (
            "/v1/backends/{target}/thaw",
            "thaw",
            "They go on.",
            nothing(),
        ),
        (
            "/v1/backends/{target}/fault",
            "fault",
            "A fault is put into what goes to it, or taken out.",
            fault(),
        ),
    ] {
        all.push(change(path, "post", id, summary, body, acted.clone()));
    }
    all.push(change(
        "/v1/backends/{target}",
        "patch",
        "set_of_backend",
        "Changes its weight.",
        required("weight", json!({ "weight": { "type": "integer", "minimum": WEIGHT_RANGE.start(), "maximum": WEIGHT_RANGE.end() } })),
        acted.clone(),
    ));
    all.push(change(
        "/v1/services/{name}/scale",
        "post",
        "scale",
        "So many backends from now on.",
        required(
            "backends",
            json!({ "backends": { "type": "integer", "minimum": 1, "maximum": MOST_BACKENDS } }),
        ),
        acted,
    ));
    all.push(change(
        "/v1/settings",
        "patch",
        "set",
        "Changes settings of the balancer, all of them or none.",
        some(json!({
            "algorithm": { "enum": names(Algorithm::NAMES) },
            "hash_key": {
                "type": "string",
                "pattern": "^(path|(header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]{1,60})$",
                "examples": ["path", "header:X-User", "cookie:sessionid"],
            },
            "sequence": { "enum": names(Sequence::NAMES) },
            "sticky": { "enum": names(Sticky::NAMES) },
            "detect": { "enum": names(Detect::NAMES) },
            "retries": { "type": "integer", "minimum": RETRIES_RANGE.start(), "maximum": RETRIES_RANGE.end() },
            "allow_hosts": {
                "description": "In place of those before; as a text with commas between them.",
                "anyOf": [
                    { "type": "array", "items": { "type": "string", "pattern": host_pattern() } },
                    { "type": "string", "pattern": host_pattern() },
                    { "const": "" },
                ],
            },
        }), 1),
        settings,
    ));
    all
}

fn topics_pattern() -> String {
    let one = names(Topic::NAMES).join("|");
    format!("^({one})(,({one}))*$")
}
