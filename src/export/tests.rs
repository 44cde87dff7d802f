use std::sync::OnceLock;

use proptest::prelude::*;

use super::quote::{Format, comment, quote};
use super::{Target, export};
use crate::balance::{Algorithm, HashKey};
use crate::config::{self, Config, Route};
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

/// A set-up of two services, with a word of somebody's in each place where one can be.
fn with(path: &str, header: &str, project: &str, text: &str) -> Config {
    static PLAIN: OnceLock<Config> = OnceLock::new();
    let plain = PLAIN.get_or_init(|| {
        let text = "[services.web]\ncommand = \"srv {port}\"\nports = \"8000-8001\"\n\
                    health = { path = \"/h\", body = \"b\" }\n[services.other]\ncommand = \"srv {port}\"\n\
                    ports = \"8002-8003\"\nroutes = [\"/other\"]\n";
        config::resolve_text(&std::env::temp_dir(), text).unwrap()
    });
    let mut config = plain.clone();
    project.clone_into(&mut config.project);
    config.balancer.live.algorithm = Algorithm::Hash;
    config.balancer.live.hash_key = HashKey::Header(header.to_owned());
    config.services[1].routes = vec![Route::Prefix(path.to_owned())];
    for backend in &mut config.services[0].backends {
        backend.health.path = Some(path.to_owned());
        backend.health.body = Some(text.to_owned());
    }
    config
}

/// What a file is made of, whatever its words are: of each line what it begins with; for nginx the tree.
fn bones(target: Target, text: &str) -> Vec<String> {
    fn tree(all: &[lexer::Directive], depth: usize, out: &mut Vec<String>) {
        for one in all {
            out.push(format!("{depth} {} {}", one.name(), one.words.len()));
            tree(one.block.as_deref().unwrap_or_default(), depth + 1, out);
        }
    }
    if target == Target::Nginx {
        let (all, flaws) = lexer::read("x", text);
        assert_eq!(flaws, [], "{text}");
        let mut out = Vec::new();
        tree(&all, 0, &mut out);
        return out;
    }
    let lines = text.lines().map(str::trim_start);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split([' ', '\t']).next())
        .map(str::to_owned)
        .collect()
}

proptest! {
    /// Whatever stands in a path, a field's name, a project's name or a text: the file has the directives that it has
    /// without them, but for those that are told to be left out.
    #[test]
    fn no_word_becomes_a_directive(
        path in "/[!-\"$-.0-~][!-\"$-~]{0,12}",
        header in "[a-z0-9!#$%&'*+.^_`|~-]{1,10}",
        project in "\\PC{1,20}",
        text in "\\PC{1,20}",
    ) {
        for target in [Target::Nginx, Target::Haproxy, Target::Apache, Target::Caddy] {
            let made = export(&with(&path, &header, &project, &text), target).unwrap();
            let left_out = made.lost.iter().any(|lost| lost.contains("is left out"));
            let unhashed = made.lost.iter().any(|lost| lost.starts_with("hash_key"));
            let unchecked = made.lost.iter().any(|lost| lost.starts_with("health."));
            // What is left out of this one is left out of the plain one, too.
            let plain_path = if left_out { "/a?b" } else { "/plain" };
            let plain_header = if unhashed && target != Target::Apache { "x`y" } else { "x-y" };
            let plain = export(&with(plain_path, plain_header, "p", "t"), target).unwrap();
            let checks = ["health_", "ProxyHCExpr", "http-check", "option"];
            let said = |word: &String| !(unchecked && checks.iter().any(|check| word.starts_with(check)));
            let of = |text: &str| -> Vec<String> {
                bones(target, text).into_iter().filter(said).collect()
            };
            prop_assert_eq!(of(&made.text), of(&plain.text), "{:?}: {}", target, made.text);
        }
    }
}
