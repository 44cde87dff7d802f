//! Fills a template in. What is filled in is quoted by the format's rules; only what the template marks is not.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};
use serde::Serialize;

use super::quote::{Format, comment, quote};
use super::{ExportError, Target};

/// Fills `template` with `model`, quoting as `format` wants it.
pub(super) fn fill(
    target: Target,
    format: Format,
    template: &str,
    model: impl Serialize,
) -> Result<String, ExportError> {
    let model = Value::from(Serde(model));
    filled(format, template, &model).map_err(|source| ExportError::Template {
        target: target.called(),
        source,
    })
}

fn filled(format: Format, template: &str, model: &Value) -> Result<String, Error> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build()?;
    templates.set_syntax(syntax);
    templates.set_formatter(move |out: &mut Output, _: &mut State, value: &Value| {
        let text = match value.kind() {
            ValueKind::Number => value.to_string(),
            ValueKind::String if value.is_safe() => value.to_string(),
            ValueKind::String => token(format, value.as_str().unwrap_or_default())?,
            kind => {
                let what = format!("a template fills in {kind}");
                return Err(Error::new(ErrorKind::InvalidOperation, what));
            }
        };
        std::fmt::Write::write_str(out, &text).map_err(Error::from)
    });
    let safe = Value::from_safe_string;
    // In a comment.
    templates.add_filter("said", move |text: &str| safe(comment(text)));
    // A text with something of the template's own before or behind it, in one token.
    templates.add_filter("within", move |text: &str, before: &str, behind: &str| {
        token(format, &format!("{before}{text}{behind}")).map(safe)
    });
    // Something of ours, with a meaning of its own there.
    templates.add_filter("raw", move |text: String| safe(text));
    // A regular expression that only this text matches.
    templates.add_filter("regex", |text: &str| regex::escape(text));
    // A Dockerfile's value, in which `$` would be a variable.
    templates.add_filter("env", move |text: &str| {
        let plain = text.replace(['\n', '\r'], " ");
        safe(format!(
            "\"{}\"",
            plain
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('$', "\\$")
        ))
    });
    // nginx's expression of ours: `$` in it is an end, and no variable.
    templates.add_filter("expression", move |text: &str| {
        safe(format!("\"{}\"", text.replace('\\', "\\\\")))
    });
    // nginx's variable of a cookie.
    templates.add_filter("variable", move |name: &str| {
        safe(format!("$cookie_{name}"))
    });
    // A time, as all of them read it.
    templates.add_filter("time", move |ms: u64| safe(time(ms)));
    templates.add_filter("whole_s", move |ms: u64| ms.div_ceil(1000).max(1));
    // A list of words, as JSON has it.
    templates.add_filter("words", move |words: Vec<String>| {
        let all: Option<Vec<String>> = words.iter().map(|word| quote(format, word)).collect();
        let all = all.ok_or_else(|| cannot("a command"))?;
        Ok::<_, Error>(safe(format!("[{}]", all.join(", "))))
    });
    // Lines of a file within this one; each begins where the first does.
    templates.add_filter("lines", move |text: &str, indent: usize| {
        let indent = " ".repeat(indent);
        let doubled = match format {
            Format::Compose => text.replace('$', "$$"),
            _ => text.to_owned(),
        };
        let line = |line: &str| match line.is_empty() {
            true => "\n".to_owned(),
            false => format!("{indent}{line}\n"),
        };
        let all: String = doubled.lines().map(line).collect();
        safe(all.trim_end().to_owned())
    });
    templates.add_template("it", template)?;
    templates.get_template("it")?.render(model)
}

fn token(format: Format, text: &str) -> Result<String, Error> {
    quote(format, text).ok_or_else(|| cannot(&comment(text)))
}

fn cannot(what: &str) -> Error {
    Error::new(
        ErrorKind::BadSerialization,
        format!("`{what}` cannot be written there"),
    )
}

fn time(ms: u64) -> String {
    match ms.is_multiple_of(1000) {
        true => format!("{}s", ms / 1000),
        false => format!("{ms}ms"),
    }
}
