//! Texts and expressions of a lab in which names stand for what was measured. The language is Jinja's.

use minijinja::{Environment, Error, UndefinedBehavior, Value};

/// A text with `{{ names }}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

/// What is true or not, or has a value: `calm.failed == 0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression(String);

/// A name that is not there is a mistake, and not nothing.
fn environment<'a>() -> Environment<'a> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_filter("n", number);
    environment
}

/// A number as a person reads it: whole where it is large, else with a digit or two.
fn number(value: f64) -> String {
    let text = match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// An error in a person's words.
fn words(error: &Error) -> String {
    match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    }
}

impl Template {
    /// Reads it, and gives the names that it needs.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(text: &str) -> Result<(Self, Vec<String>), String> {
        let environment = environment();
        let template = environment
            .template_from_str(text)
            .map_err(|error| words(&error))?;
        let names = template.undeclared_variables(false);
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort_unstable();
        Ok((Self(text.to_owned()), names))
    }

    /// A text without names.
    pub fn plain(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.0
    }

    /// With every name filled in.
    ///
    /// # Errors
    /// What is wrong, in words: something is not there, or not of that kind.
    pub fn fill(&self, values: &Value) -> Result<String, String> {
        environment()
            .render_str(&self.0, values)
            .map_err(|error| format!("`{}`: {}", self.0.trim(), words(&error)))
    }

    /// Another text in the place of a part of it; whether that part was there.
    pub(super) fn replace(&mut self, old: &str, new: &str) -> bool {
        let there = self.0.contains(old);
        if there {
            self.0 = self.0.replace(old, new);
        }
        there
    }
}

impl Expression {
    /// Reads it, and gives the names that it needs.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(text: &str) -> Result<(Self, Vec<String>), String> {
        let environment = environment();
        let expression = environment
            .compile_expression(text)
            .map_err(|error| words(&error))?;
        let names = expression.undeclared_variables(false);
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort_unstable();
        Ok((Self(text.to_owned()), names))
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.0
    }

    /// Whether it is true.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn holds(&self, values: &Value) -> Result<bool, String> {
        let environment = environment();
        let told = |error: Error| format!("`{}`: {}", self.0.trim(), words(&error));
        let expression = environment.compile_expression(&self.0).map_err(told)?;
        Ok(expression.eval(values).map_err(told)?.is_true())
    }
}
