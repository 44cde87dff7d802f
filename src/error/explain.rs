//! What each code means, at length.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use super::CODES;

/// A code at length.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// What has happened.
    pub happened: String,
    /// Why that is so.
    pub why: String,
    /// What to do, one thing or another.
    #[serde(rename = "do")]
    pub to_do: Vec<String>,
}

fn all() -> &'static BTreeMap<String, Explanation> {
    static ALL: OnceLock<BTreeMap<String, Explanation>> = OnceLock::new();
    ALL.get_or_init(|| {
        let text = include_str!("../../templates/codes.toml");
        toml::from_str(text).expect("embedded, and read by a test")
    })
}

/// Of a code in [`CODES`], with its title; in any case, and with or without `LB`.
pub fn explanation(code: &str) -> Option<(&'static str, &'static str, &'static Explanation)> {
    let digits = code.trim().trim_start_matches(['L', 'l', 'B', 'b']);
    let number: u32 = digits.parse().ok()?;
    let code = format!("LB{number:03}");
    let (code, title) = CODES.iter().find(|(known, _)| *known == code)?;
    Some((code, title, all().get(*code)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_and_nothing_else_is() {
        let explained: Vec<&str> = all().keys().map(String::as_str).collect();
        let known: Vec<&str> = CODES.iter().map(|(code, _)| *code).collect();
        assert_eq!(explained, known);
        for (code, one) in all() {
            let whole = [&one.happened, &one.why];
            assert!(whole.iter().all(|text| text.ends_with('.')), "{code}");
            assert!(!one.to_do.is_empty(), "{code}");
            // Commands are told apart from words.
            for line in &one.to_do {
                assert_eq!(line.matches('`').count() % 2, 0, "{code}: {line}");
                assert!(!line.ends_with('.'), "{code}: {line}");
            }
        }
    }

    #[test]
    fn a_code_in_any_form() {
        for typed in ["LB001", "lb001", "lb1", "1", " LB001 "] {
            assert_eq!(explanation(typed).unwrap().0, "LB001", "{typed}");
        }
        for typed in ["", "LB", "LB999", "x", "-1"] {
            assert_eq!(explanation(typed), None, "{typed}");
        }
    }
}
