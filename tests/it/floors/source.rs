//! A look at Rust source that is just deep enough to find the paths in it: comments and literals are passed over, and each
//! word knows its line, the inline modules around it, and whether it belongs to tests.

/// A word or a single character of punctuation.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub text: String,
    pub line: usize,
    /// Below `#[cfg(test)]`, or in a file of tests.
    pub in_test: bool,
    /// How many inline `mod name { … }` are around it.
    pub depth: usize,
}

/// A use of another module of this crate.
#[derive(Debug, Clone, PartialEq)]
pub struct Used {
    pub name: String,
    pub line: usize,
    pub in_test: bool,
}

/// One file.
#[derive(Debug)]
pub struct Source {
    pub name: String,
    pub module: Vec<String>,
    pub tokens: Vec<Token>,
}

impl Source {
    /// Takes a file apart. `module` is its path within the crate.
    pub fn read(name: String, module: Vec<String>, text: &str) -> Source {
        let is_test = module
            .iter()
            .any(|part| part == "tests" || part.ends_with("_tests"));
        let mut tokens = tokens(text);
        for token in &mut tokens {
            token.in_test |= is_test;
        }
        Source {
            name,
            module,
            tokens,
        }
    }

    /// Its top-level module: `main` for `main.rs`.
    pub fn top(&self) -> &str {
        &self.module[0]
    }

    /// Every top-level module of this crate that a path leads to: `crate::x`, `super::x` where that is the crate, and
    /// `lbdev::x` in `main.rs`.
    pub fn modules_used(&self) -> Vec<Used> {
        let mut used = Vec::new();
        for at in 0..self.tokens.len() {
            if let Some(next) = self.after_crate_root(at) {
                self.names_at(next, &mut used);
            }
        }
        used
    }

    /// Where the path goes on, if at this token stands one that begins at the crate's root.
    fn after_crate_root(&self, at: usize) -> Option<usize> {
        if self.follows_a_path(at) {
            return None;
        }
        let token = &self.tokens[at];
        match token.text.as_str() {
            "crate" => self.after_colons(at),
            "lbdev" if self.top() == "main" => self.after_colons(at),
            "super" => {
                let mut at = at;
                let levels = self.module.len() + token.depth;
                let mut supers = 0;
                while self
                    .tokens
                    .get(at)
                    .is_some_and(|token| token.text == "super")
                {
                    supers += 1;
                    at = self.after_colons(at)?;
                }
                (supers == levels).then_some(at)
            }
            _ => None,
        }
    }

    fn after_colons(&self, at: usize) -> Option<usize> {
        let is_colon = |at: usize| self.tokens.get(at).is_some_and(|token| token.text == ":");
        (is_colon(at + 1) && is_colon(at + 2)).then_some(at + 3)
    }

    fn follows_a_path(&self, at: usize) -> bool {
        let before = |n: usize| at.checked_sub(n).map(|at| self.tokens[at].text.as_str());
        before(1) == Some(".") || before(1) == Some(":") && before(2) == Some(":")
    }

    /// The name at this place, or all first names of a `{…}` group.
    fn names_at(&self, at: usize, used: &mut Vec<Used>) {
        let Some(token) = self.tokens.get(at) else {
            return;
        };
        let mut add = |token: &Token| {
            used.push(Used {
                name: token.text.clone(),
                line: token.line,
                in_test: token.in_test,
            });
        };
        if token.text != "{" {
            // `crate::Type` is a re-export at the root, not a module.
            if token.text.starts_with(|c: char| c.is_lowercase()) {
                add(token);
            }
            return;
        }
        let mut open = 0;
        let mut first = true;
        for token in &self.tokens[at..] {
            match token.text.as_str() {
                "{" => open += 1,
                "}" => open -= 1,
                "," => first = open == 1,
                _ if open == 1 && first => {
                    first = false;
                    add(token);
                }
                _ => {}
            }
            if open == 0 {
                return;
            }
        }
    }

    /// The first word of every path outside tests, with its line: crates among them.
    pub fn crate_paths(&self) -> impl Iterator<Item = (&str, usize)> {
        let tokens = self.tokens.iter().enumerate();
        tokens
            .filter(|(at, token)| {
                let imported = at.checked_sub(1).is_some_and(|before| {
                    matches!(self.tokens[before].text.as_str(), "use" | "crate")
                        && token.text != ":"
                });
                !token.in_test
                    && !self.follows_a_path(*at)
                    && (self.after_colons(*at).is_some() || imported)
            })
            .map(|(_, token)| (token.text.as_str(), token.line))
    }
}

/// Words and punctuation, without comments and literals.
fn tokens(text: &str) -> Vec<Token> {
    let bytes: Vec<char> = text.chars().collect();
    let mut found: Vec<Token> = Vec::new();
    // For each open brace: whether it begins tests, and whether it begins an inline module.
    let mut open: Vec<(bool, bool)> = Vec::new();
    let mut line = 1;
    let mut at = 0;
    let peek = |at: usize| bytes.get(at).copied().unwrap_or('\0');
    while at < bytes.len() {
        let c = bytes[at];
        let start = at;
        if c == '/' && peek(at + 1) == '/' {
            while at < bytes.len() && bytes[at] != '\n' {
                at += 1;
            }
            continue;
        } else if c == '/' && peek(at + 1) == '*' {
            let mut level = 0;
            loop {
                if peek(at) == '/' && peek(at + 1) == '*' {
                    level += 1;
                    at += 2;
                } else if peek(at) == '*' && peek(at + 1) == '/' {
                    level -= 1;
                    at += 2;
                } else {
                    at += 1;
                }
                if level == 0 || at >= bytes.len() {
                    break;
                }
            }
        } else if let Some(end) = raw_string(&bytes, at) {
            at = end;
        } else if c == '"' || c == 'b' && peek(at + 1) == '"' {
            at += if c == 'b' { 2 } else { 1 };
            while at < bytes.len() && bytes[at] != '"' {
                at += if bytes[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if c == '\'' && (peek(at + 1) == '\\' || peek(at + 2) == '\'') {
            // A character; otherwise it is a lifetime, whose name is harmless.
            at += if peek(at + 1) == '\\' { 3 } else { 2 };
            while at < bytes.len() && bytes[at] != '\'' {
                at += 1;
            }
            at += 1;
        } else if c.is_alphanumeric() || c == '_' {
            while at < bytes.len() && (bytes[at].is_alphanumeric() || bytes[at] == '_') {
                at += 1;
            }
            push(&mut found, bytes[start..at].iter().collect(), line, &open);
        } else {
            at += 1;
            if c == '{' {
                let (test, module) = opens(&found);
                push(&mut found, "{".to_owned(), line, &open);
                open.push((test, module));
            } else if c == '}' {
                open.pop();
                push(&mut found, "}".to_owned(), line, &open);
            } else if !c.is_whitespace() {
                push(&mut found, c.to_string(), line, &open);
            }
        }
        line += bytes[start..at.min(bytes.len())]
            .iter()
            .filter(|&&c| c == '\n')
            .count();
    }
    found
}

fn push(found: &mut Vec<Token>, text: String, line: usize, open: &[(bool, bool)]) {
    found.push(Token {
        text,
        line,
        in_test: open.iter().any(|(test, _)| *test),
        depth: open.iter().filter(|(_, module)| *module).count(),
    });
}

/// The end of a raw string that begins here.
fn raw_string(bytes: &[char], at: usize) -> Option<usize> {
    let mut next = at + usize::from(bytes.get(at) == Some(&'b'));
    if bytes.get(next) != Some(&'r') {
        return None;
    }
    next += 1;
    let hashes = bytes[next..].iter().take_while(|&&c| c == '#').count();
    next += hashes;
    if bytes.get(next) != Some(&'"') {
        return None;
    }
    next += 1;
    while next < bytes.len() {
        let closes = bytes[next] == '"'
            && bytes[next + 1..]
                .iter()
                .take(hashes)
                .filter(|&&c| c == '#')
                .count()
                == hashes;
        next += 1;
        if closes {
            return Some(next + hashes);
        }
    }
    Some(next)
}

/// Whether the brace that comes next begins tests (`#[cfg(test)]` stands before the item), and whether it begins an inline
/// module.
fn opens(found: &[Token]) -> (bool, bool) {
    // The item's own words: back to the end of the one before it.
    let mut words = Vec::new();
    let mut brackets = 0;
    for token in found.iter().rev() {
        match token.text.as_str() {
            "]" => brackets += 1,
            "[" => brackets -= 1,
            ";" | "{" | "}" if brackets == 0 => break,
            _ => {}
        }
        words.push(token.text.as_str());
    }
    words.reverse();
    let test = words
        .windows(4)
        .any(|four| four == ["cfg", "(", "test", ")"]);
    let module = words.len() >= 2 && words[words.len() - 2] == "mod";
    (test, module)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(module: &[&str], text: &str) -> Vec<String> {
        let module = module.iter().map(|&part| part.to_owned()).collect();
        let source = Source::read("x.rs".to_owned(), module, text);
        source
            .modules_used()
            .into_iter()
            .map(|used| used.name)
            .collect()
    }

    #[test]
    fn paths_of_this_crate() {
        let check = |module: &[&str], text: &str, expected: &[&str]| {
            assert_eq!(used(module, text), expected, "{text}");
        };
        check(&["a"], "use crate::b::C;", &["b"]);
        check(
            &["a"],
            "use crate::{b, c::{d, e}, f as g};",
            &["b", "c", "f"],
        );
        check(
            &["a"],
            "fn x() { crate::b::c(); let y = \"crate::d\"; } // crate::e",
            &["b"],
        );
        check(
            &["a"],
            "/* crate::b /* crate::c */ crate::d */ use crate::e;",
            &["e"],
        );
        check(
            &["a"],
            "const X: &str = r#\"use crate::b; \" \"#; use crate::c;",
            &["c"],
        );
        check(
            &["a"],
            "fn f<'a>(x: &'a str) -> char { '\"' } use crate::b;",
            &["b"],
        );
        check(&["a"], "use super::b;", &["b"]);
        check(&["a", "x"], "use super::b;", &[]);
        check(&["a", "x"], "use super::super::b;", &["b"]);
        check(
            &["a"],
            "mod x { use super::b; use super::super::c; }",
            &["c"],
        );
        check(&["main"], "use lbdev::app;", &["app"]);
        check(&["a"], "use crate::Type;", &[]);
        check(&["a"], "pub(crate) fn x() {}", &[]);
    }

    #[test]
    fn crates_outside_tests() {
        let text = "use hyper::body; use clap; fn f() { duct::cmd(1); a.duct::<u8>(); x::console::y() }\n\
                    #[cfg(test)]\nmod tests { use reqwest::Client; }\nfn g() { ctrlc::set() }";
        let source = Source::read("x.rs".to_owned(), vec!["a".to_owned()], text);
        let found: Vec<_> = source.crate_paths().collect();
        assert_eq!(
            found,
            [
                ("hyper", 1),
                ("clap", 1),
                ("duct", 1),
                ("x", 1),
                ("ctrlc", 4)
            ]
        );
    }
}
