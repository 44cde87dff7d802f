//! `/v1/openapi.json`: what both doors answer, as OpenAPI 3.1. Schemas are made from the documents' own types, so that the two
//! cannot differ.

mod operations;

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::wire;
use operations::operations;

/// The document. It is the same for every instance.
pub(super) fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(make);
    &DOCUMENT
}

/// One operation.
struct Operation {
    path: &'static str,
    method: &'static str,
    id: &'static str,
    summary: &'static str,
    /// What it takes besides what its path names.
    query: Vec<Value>,
    body: Option<Value>,
    /// By content type.
    answer: Map<String, Value>,
}

fn make() -> Value {
    let settings = SchemaSettings::draft2020_12();
    let mut schemas = settings
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .for_serialize()
        .into_generator();
    let operations = operations(&mut schemas);
    let problem = schemas.subschema_for::<wire::Problem>();
    let refusal = |text: &str| {
        json!({
            "description": text,
            "content": { "application/json": { "schema": problem } },
        })
    };
    let mut paths = Map::new();
    for one in operations {
        let changes = one.method != "get";
        let mut responses = Map::new();
        responses.insert(
            "200".to_owned(),
            json!({ "description": "Done.", "content": one.answer }),
        );
        for (status, text) in [
            ("400", "The request cannot be read, or its body is no JSON."),
            (
                "401",
                "The token is missing, or is not this project's (over TCP).",
            ),
            (
                "403",
                "Another page asks, or the host is not one of the dashboard's (over TCP).",
            ),
            ("422", "What was asked for cannot be."),
        ] {
            responses.insert(status.to_owned(), refusal(text));
        }
        if one.path.contains('{') || one.id == "logs" {
            responses.insert(
                "404".to_owned(),
                refusal("There is no such backend or service."),
            );
        }
        if changes {
            responses.insert("409".to_owned(), refusal("It cannot be done now."));
            responses.insert("413".to_owned(), refusal("The body is longer than 64 KiB."));
            responses.insert(
                "415".to_owned(),
                refusal("The body is not said to be JSON (over TCP)."),
            );
        }
        if one.path == "/v1/events" {
            responses.insert(
                "503".to_owned(),
                refusal("Too many event streams are open."),
            );
        }
        let mut parameters = path_parameters(one.path);
        parameters.extend(one.query);
        let mut operation = json!({
            "operationId": one.id,
            "summary": one.summary,
            "parameters": parameters,
            "responses": responses,
        });
        if let Some(body) = one.body {
            operation["requestBody"] = json!({
                "required": true,
                "content": { "application/json": { "schema": body } },
            });
        }
        let path = paths.entry(one.path).or_insert_with(|| json!({}));
        path[one.method] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "lbdev",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What lbdev answers at its control socket (no token: only its owner may open it), and at the dashboard's address.",
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(false),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "What stands behind `#` in what `lbdev open --print` prints.",
                },
            },
        },
    })
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let described = |name| match name {
        "target" => "A port, a service, an id like `web:8000`, a comma list, or `all`.",
        _ => "The name of a service.",
    };
    let parameter = |name| {
        json!({
            "name": name,
            "in": "path",
            "required": true,
            "description": described(name),
            "schema": { "type": "string", "minLength": 1 },
        })
    };
    names.map(parameter).collect()
}
