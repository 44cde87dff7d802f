//! The JSON schema of `lbdev.toml`, for editors: it is what the file's own reader asks for, so the two cannot differ.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::file;

/// The keys of one table, in the order in which they are asked for.
pub(super) type Keys = Rc<RefCell<Vec<(String, Shape)>>>;

/// What a value may be.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// A text, read by a rule of its own.
    Text,
    /// True or false.
    Boolean,
    /// A whole number in a range.
    Integer(u64, u64),
    /// One of these texts.
    Choice(Vec<&'static str>),
    /// So many bytes, as a number or with a unit.
    Size,
    /// Several of one kind.
    List(Box<Shape>),
    /// One of several kinds.
    AnyOf(Vec<Shape>),
    /// A table with keys of its own.
    Table(Keys),
    /// A table whose keys a person chooses.
    Map(Box<Shape>),
}

const TEMPLATE: &str = include_str!("../../templates/lbdev.toml");

/// The schema, of draft 7, which editors know.
pub fn schema() -> Value {
    let keys = file::describe();
    let mut schema = table(&keys, "");
    let own = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "lbdev.toml",
        "description": "How lbdev starts a project's servers, and what it does with requests to them.",
    });
    if let (Value::Object(schema), Value::Object(own)) = (&mut schema, own) {
        schema.extend(own);
    }
    schema
}

fn table(keys: &Keys, section: &str) -> Value {
    let mut properties = Map::new();
    for (key, shape) in keys.borrow().iter() {
        let inner = match section {
            "" => key.clone(),
            outer => format!("{outer}.{key}"),
        };
        let mut value = of(shape, &inner);
        if let (Some(text), Value::Object(value)) = (described(section, key), &mut value) {
            value.insert("description".to_owned(), text.into());
        }
        properties.insert(key.clone(), value);
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn of(shape: &Shape, section: &str) -> Value {
    match shape {
        Shape::Text => json!({ "type": "string" }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Integer(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Shape::Choice(names) => json!({ "enum": names }),
        Shape::Size => json!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? *([kKmMgG]?[bB])?$" },
        ] }),
        Shape::List(inner) => json!({ "type": "array", "items": of(inner, section) }),
        Shape::AnyOf(all) => {
            json!({ "anyOf": all.iter().map(|one| of(one, section)).collect::<Vec<_>>() })
        }
        Shape::Table(keys) => table(keys, section),
        Shape::Map(inner) => {
            json!({ "type": "object", "additionalProperties": of(inner, &format!("{section}.*")) })
        }
    }
}

/// What the template says of a key: the lines of prose before it.
fn described(section: &str, key: &str) -> Option<String> {
    let head = match section {
        "balancer" => "[balancer]",
        "dashboard" => "[dashboard]",
        "services.*" => "[services.web]",
        _ => return None,
    };
    let (_, text) = TEMPLATE.split_once(&format!("{head}\n"))?;
    let mut prose: Vec<&str> = Vec::new();
    for line in text.lines() {
        let plain = line.trim_start_matches('#').trim_start();
        let is_key = |name: &str| !name.contains(' ') && name.chars().all(|c| c != '`');
        match plain.split_once(" = ") {
            Some((name, _)) if is_key(name) && name == key => {
                let text = prose.join(" ");
                return (!text.is_empty()).then_some(text);
            }
            Some((name, _)) if is_key(name) => prose.clear(),
            _ if plain.is_empty() || line.starts_with('[') => prose.clear(),
            _ => prose.push(plain),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the repository it is a file: `lbdev config --schema > templates/lbdev.schema.json` writes it anew.
    #[test]
    fn the_file_is_what_is_generated() {
        let file: Value =
            serde_json::from_str(include_str!("../../templates/lbdev.schema.json")).unwrap();
        assert_eq!(file, schema());
    }

    #[test]
    fn it_knows_what_the_reader_knows() {
        let schema = schema();
        let at = |path: &str| {
            schema
                .pointer(path)
                .unwrap_or_else(|| panic!("{path}"))
                .clone()
        };
        let service = "/properties/services/additionalProperties/properties";
        assert_eq!(at("/properties/balancer/properties/retries/maximum"), 100);
        assert_eq!(
            at("/properties/balancer/properties/detect/enum/0"),
            "instant"
        );
        assert_eq!(
            at("/properties/balancer/properties/retry/properties/non_idempotent/type"),
            "boolean"
        );
        assert_eq!(at(&format!("{service}/command/anyOf/1/type")), "array");
        assert_eq!(at(&format!("{service}/watch/items/type")), "string");
        assert_eq!(
            at(&format!(
                "{service}/backends/additionalProperties/properties/weight/maximum"
            )),
            256
        );
        let text = at(&format!("{service}/needs/description"));
        assert!(
            text.as_str().unwrap().contains("tcp:127.0.0.1:5432"),
            "{text}"
        );
    }
}
