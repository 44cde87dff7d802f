//! `lbdev doctor --json`.

use serde::{Deserialize, Serialize};

/// What was looked at, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Doctor {
    pub version: u32,
    pub checks: Vec<Finding>,
}

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Finding {
    /// `project | programs | ports | limits | instances | environment | code | django`
    pub check: String,
    /// `ok | note | problem`: a problem keeps lbdev or the project from working behind it.
    pub state: String,
    pub text: String,
    pub hint: Option<String>,
    /// For `lbdev explain`.
    pub code: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(check: &str, text: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            state: "ok".to_owned(),
            text: text.into(),
            hint: None,
            code: None,
        }
    }

    /// Worth knowing.
    pub fn note(check: &str, text: impl Into<String>) -> Self {
        Self {
            state: "note".to_owned(),
            ..Self::ok(check, text)
        }
    }

    /// It will not work.
    pub fn problem(check: &str, text: impl Into<String>) -> Self {
        Self {
            state: "problem".to_owned(),
            ..Self::ok(check, text)
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What `lbdev explain` knows of it.
    #[must_use]
    pub fn code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }
}
