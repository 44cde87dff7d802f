use proptest::prelude::*;

use super::quote::{Format, comment, quote};
use crate::import::lexer;

proptest! {
    /// Read again by nginx's own rules it is one word, and the same.
    #[test]
    fn nginx_reads_one_word(text in "\\PC{0,40}") {
        if let Some(quoted) = quote(Format::Nginx, &text) {
            let (tree, flaws) = lexer::read("x", &format!("a {quoted} b;"));
            prop_assert!(flaws.is_empty(), "{}", quoted);
            prop_assert_eq!(&tree[0].words[1], &text);
            prop_assert_eq!(tree[0].words.len(), 3);
        }
    }

    /// What a shell reads in single quotes, HAProxy does too.
    #[test]
    fn haproxy_reads_one_word(text in "\\PC{1,40}") {
        if let Some(quoted) = quote(Format::Haproxy, &text) {
            prop_assert_eq!(shlex::split(&quoted), Some(vec![text]));
        }
    }

    /// JSON's strings are YAML's.
    #[test]
    fn yaml_reads_the_same(text in "(?s).{0,40}") {
        let quoted = quote(Format::Yaml, &text).unwrap();
        let read: String = serde_json::from_str(&quoted).unwrap();
        prop_assert_eq!(read, text);
        let ends_a_line = |c: char| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
        prop_assert!(!quoted.contains(ends_a_line));
    }

    /// None of them has a text that leaves its line.
    #[test]
    fn a_line_is_never_left(text in "(?s).{0,40}") {
        let line = |text: &str| !text.contains(['\n', '\r', '\0']);
        for format in [Format::Nginx, Format::Haproxy, Format::Apache, Format::Caddy] {
            prop_assert!(quote(format, &text).is_none_or(|quoted| line(&quoted)));
        }
        prop_assert!(line(&comment(&text)) && !comment(&text).ends_with('\\'));
    }
}

#[test]
fn what_has_a_meaning_everywhere_is_refused() {
    for (format, text) in [
        (Format::Nginx, "$http_host"),
        (Format::Apache, "${HOME}"),
        (Format::Caddy, "{$HOME}"),
        (Format::Caddy, "{env.HOME}"),
        (Format::Haproxy, "a\nb"),
    ] {
        assert_eq!(quote(format, text), None, "{format:?} {text}");
    }
}
