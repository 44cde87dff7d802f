//! Commands as a person writes them: words as a shell would split them, variables, placeholders.

use super::value::alike;

/// A command that cannot be split into words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SplitError {
    #[error("a quote ({quote}) is not closed")]
    Unclosed { quote: char },
    #[error("it ends in a backslash")]
    Backslash,
    #[error("it has a NUL character")]
    Nul,
}

/// A placeholder that cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FillError {
    #[error(
        "unknown placeholder `{{{name}}}`; known: `{{port}}`, `{{index}}`, `{{python}}`, `{{lbdev}}`"
    )]
    Unknown {
        name: String,
        like: Option<&'static str>,
    },
    #[error("it uses `{{port}}`, but the service has no `ports`")]
    NoPort,
    #[error("no Python was found")]
    NoPython,
}

impl FillError {
    pub(super) fn hint(&self) -> Option<String> {
        match self {
            FillError::Unknown {
                like: Some(like), ..
            } => Some(format!("did you mean `{{{like}}}`?")),
            FillError::Unknown { name, like: None } => Some(format!(
                "write `{{{{{name}}}}}` for the text `{{{name}}}` itself"
            )),
            FillError::NoPort => Some("add `ports = \"8000-8003\"`".into()),
            FillError::NoPython => None,
        }
    }
}

/// A command, split. Values are filled in later, for each backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// To execute as it is.
    Words {
        /// Leading `A=b`.
        assigns: Vec<(String, Word)>,
        words: Vec<Word>,
    },
    /// Only a shell can do it.
    Shell(String),
}

/// One word before its variables are expanded.
pub(super) type Word = Vec<Piece>;

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    /// `$NAME` or `${NAME}`; unquoted, its value is split at blanks as a shell does.
    Variable {
        name: String,
        quoted: bool,
    },
}

/// Words that only a shell knows, at the head of a command.
const SHELL_WORDS: &[&str] = &[
    ".", "cd", "eval", "exec", "export", "for", "if", "set", "source", "trap", "ulimit", "umask",
    "until", "while", "{", "!",
];

/// Splits by the rules of POSIX's shell (XCU 2.2, 2.3). Globs are not expanded: a server's arguments are rarely files, and
/// what is meant literally stays so.
pub(super) fn split(text: &str) -> Result<Line, SplitError> {
    if text.contains('\0') {
        return Err(SplitError::Nul);
    }
    let text = text.trim();
    let mut words: Vec<Word> = Vec::new();
    let mut shell = false;
    let mut word: Option<Word> = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            // A further line is a further command, which is a shell's business.
            '\n' => {
                shell = true;
            }
            c if c.is_whitespace() => words.extend(word.take()),
            '|' | '&' | ';' | '<' | '>' | '(' | ')' | '`' => shell = true,
            '#' if word.is_none() => {
                for (_, c) in chars.by_ref() {
                    if c == '\n' {
                        shell = true;
                        break;
                    }
                }
            }
            '~' if word.is_none() => {
                shell = true;
                push(&mut word, c);
            }
            '\'' => {
                word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some((_, '\'')) => break,
                        Some((_, c)) => push(&mut word, c),
                        None => return Err(SplitError::Unclosed { quote: '\'' }),
                    }
                }
            }
            '"' => {
                word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some((_, '"')) => break,
                        Some((_, '\\')) => match chars.next() {
                            Some((_, '\n')) => {}
                            Some((_, c @ ('$' | '`' | '"' | '\\'))) => push(&mut word, c),
                            Some((_, c)) => {
                                push(&mut word, '\\');
                                push(&mut word, c);
                            }
                            None => return Err(SplitError::Unclosed { quote: '"' }),
                        },
                        Some((_, '`')) => shell = true,
                        Some((at, '$')) => {
                            dollar(text, at, true, &mut chars, &mut word, &mut shell)
                        }
                        Some((_, c)) => push(&mut word, c),
                        None => return Err(SplitError::Unclosed { quote: '"' }),
                    }
                }
            }
            '\\' => match chars.next() {
                Some((_, '\n')) => {}
                Some((_, c)) => push(&mut word, c),
                None => return Err(SplitError::Backslash),
            },
            '$' => dollar(text, at, false, &mut chars, &mut word, &mut shell),
            c => push(&mut word, c),
        }
    }
    words.extend(word);

    let mut assigns = Vec::new();
    while let Some((name, value)) = words.first().and_then(assignment) {
        assigns.push((name, value));
        words.remove(0);
    }
    if let Some([Piece::Text(first)]) = words.first().map(Vec::as_slice) {
        shell |= SHELL_WORDS.contains(&first.as_str());
    }
    Ok(match shell {
        true => Line::Shell(text.to_owned()),
        false => Line::Words { assigns, words },
    })
}

type Chars<'a> = std::iter::Peekable<std::str::CharIndices<'a>>;

/// What follows a `$` at byte `at`.
fn dollar(
    text: &str,
    at: usize,
    quoted: bool,
    chars: &mut Chars<'_>,
    word: &mut Option<Word>,
    shell: &mut bool,
) {
    let rest = &text[at + 1..];
    let variable = |name: &str| Piece::Variable {
        name: name.to_owned(),
        quoted,
    };
    let skip = |chars: &mut Chars<'_>, until: usize| {
        while chars.next_if(|&(at, _)| at < until).is_some() {}
    };
    let name = name_at(rest);
    if !name.is_empty() {
        word.get_or_insert_default().push(variable(name));
        skip(chars, at + 1 + name.len());
        return;
    }
    if let Some(inner) = rest.strip_prefix('{') {
        let name = name_at(inner);
        if !name.is_empty() && inner[name.len()..].starts_with('}') {
            word.get_or_insert_default().push(variable(name));
            skip(chars, at + 1 + name.len() + 2);
            return;
        }
    }
    // `${A:-b}`, `$(…)`, `$1`, `$$` and the like are a shell's; a lone `$` is itself.
    *shell |= rest.starts_with(|c: char| "{(*@#?-$!'\"".contains(c) || c.is_ascii_digit());
    push(word, '$');
}

/// The variable name that a text begins with.
fn name_at(text: &str) -> &str {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return "";
    }
    &text[..text.find(|c: char| !inside(c)).unwrap_or(text.len())]
}

fn push(word: &mut Option<Word>, c: char) {
    let pieces = word.get_or_insert_default();
    match pieces.last_mut() {
        Some(Piece::Text(text)) => text.push(c),
        _ => pieces.push(Piece::Text(c.to_string())),
    }
}

fn assignment(word: &Word) -> Option<(String, Word)> {
    let Some(Piece::Text(first)) = word.first() else {
        return None;
    };
    let (name, value) = first.split_once('=')?;
    if name.is_empty() || name_at(name) != name {
        return None;
    }
    let mut rest = vec![Piece::Text(value.to_owned())];
    rest.extend(word[1..].iter().cloned());
    Some((name.to_owned(), rest))
}

/// What placeholders stand for, for one backend.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    pub port: Option<u16>,
    pub index: u32,
    /// The interpreter; `None` where none was found.
    pub python: Option<&'a str>,
    /// This program.
    pub lbdev: &'a str,
}

const PLACEHOLDERS: [&str; 4] = ["port", "index", "python", "lbdev"];

impl Scene<'_> {
    /// Fills in `{port}` and the like. `{{name}}` is the text `{name}`; other braces are left alone, as JSON and awk have
    /// them.
    pub(super) fn fill(&self, text: &str) -> Result<String, FillError> {
        self.fill_with(text, |value| value.to_owned())
    }

    /// As [`Scene::fill`], in a text for a shell.
    pub(super) fn fill_shell(&self, text: &str) -> Result<String, FillError> {
        self.fill_with(text, |value| match shlex::try_quote(value) {
            Ok(quoted) => quoted.into_owned(),
            // Only a NUL cannot be quoted, and no path has one.
            Err(_) => value.to_owned(),
        })
    }

    fn fill_with(&self, text: &str, quote: impl Fn(&str) -> String) -> Result<String, FillError> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let after = &rest[open + 1..];
            out.push_str(&rest[..open]);
            let escaped = after.strip_prefix('{');
            let inner = escaped.unwrap_or(after);
            let name = placeholder_at(inner);
            let closed = inner[name.len()..].starts_with(match escaped {
                Some(_) => "}}",
                None => "}",
            });
            if name.is_empty() || !closed || out.ends_with('$') {
                out.push('{');
                rest = after;
                continue;
            }
            match escaped {
                Some(_) => {
                    out.push('{');
                    out.push_str(name);
                    out.push('}');
                    rest = &inner[name.len() + 2..];
                }
                None => {
                    out.push_str(&quote(&self.value(name)?));
                    rest = &inner[name.len() + 1..];
                }
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn value(&self, name: &str) -> Result<String, FillError> {
        match name {
            "port" => Ok(self.port.ok_or(FillError::NoPort)?.to_string()),
            "index" => Ok(self.index.to_string()),
            "python" => Ok(self.python.ok_or(FillError::NoPython)?.to_owned()),
            "lbdev" => Ok(self.lbdev.to_owned()),
            _ => Err(FillError::Unknown {
                name: name.to_owned(),
                like: alike(name, PLACEHOLDERS.into_iter()),
            }),
        }
    }
}

/// The name that could stand in braces here: letters and `_` only, so that `{1,2}` and `{"a":1}` stay as they are.
fn placeholder_at(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphabetic() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Writes a text so that [`Scene::fill`] leaves it as it is.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..=open]);
        rest = &rest[open + 1..];
        let name = placeholder_at(rest);
        if !name.is_empty()
            && rest[name.len()..].starts_with('}')
            && !out[..out.len() - 1].ends_with('$')
        {
            out.push('{');
            out.push_str(name);
            out.push_str("}}");
            rest = &rest[name.len() + 1..];
        }
    }
    out.push_str(rest);
    out
}

/// Expands the words for one backend. `variable` looks a name up; unset is empty, as in a shell.
pub(super) fn expand(
    words: &[Word],
    scene: &Scene<'_>,
    variable: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<Vec<String>, FillError> {
    let mut all = Vec::new();
    for word in words {
        // `None` is "no word yet": an unquoted variable without a value leaves nothing behind.
        let mut current: Option<String> = word.is_empty().then(String::new);
        for piece in word {
            match piece {
                Piece::Text(text) => current.get_or_insert_default().push_str(&scene.fill(text)?),
                Piece::Variable { name, quoted: true } => current
                    .get_or_insert_default()
                    .push_str(&variable(name).unwrap_or_default()),
                Piece::Variable {
                    name,
                    quoted: false,
                } => {
                    let value = variable(name).unwrap_or_default();
                    if value.starts_with(char::is_whitespace) {
                        all.extend(current.take());
                    }
                    for (i, field) in value.split_whitespace().enumerate() {
                        if i > 0 {
                            all.extend(current.take());
                        }
                        current.get_or_insert_default().push_str(field);
                    }
                    if value.ends_with(char::is_whitespace) {
                        all.extend(current.take());
                    }
                }
            }
        }
        all.extend(current);
    }
    Ok(all)
}

/// Expands the value of an assignment, which is one word whatever is in it.
pub(super) fn expand_value(
    word: &Word,
    scene: &Scene<'_>,
    variable: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<String, FillError> {
    let mut out = String::new();
    for piece in word {
        match piece {
            Piece::Text(text) => out.push_str(&scene.fill(text)?),
            Piece::Variable { name, .. } => out.push_str(&variable(name).unwrap_or_default()),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
