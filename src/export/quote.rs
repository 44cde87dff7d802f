//! How a text is written in each format so that it stays one text, whatever is in it.

/// A format, by its rules of quoting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// nginx's: words, `"…"` with `\"` and `\\` (ngx_conf_file.c).
    Nginx,
    /// HAProxy's: words, `'…'` in which nothing is special (its configuration manual, 2.2).
    Haproxy,
    /// Apache's: `"…"` with `\"` and `\\`; `${…}` is a variable everywhere.
    Apache,
    /// Caddy's: between backticks nothing is special but `{$…}`, a variable everywhere, and `{…}`, a placeholder.
    Caddy,
    /// YAML 1.2 double quoted (7.3.1), which JSON's strings are.
    Yaml,
    /// The same, where `$` begins a variable and `$$` is one `$` (Compose's interpolation).
    Compose,
    /// A Dockerfile: JSON's strings; `$` is escaped where variables are replaced.
    Dockerfile,
}

/// `text` as one token of `format`; `None` where that is not possible.
pub(super) fn quote(format: Format, text: &str) -> Option<String> {
    let fits = |special: &[char]| !text.chars().any(|c| c.is_control() || special.contains(&c));
    match format {
        // `$` begins a variable in many directives, and cannot be escaped.
        Format::Nginx => fits(&['$']).then(|| match is_word(text) {
            true => text.to_owned(),
            false => format!("\"{}\"", escaped(text, &['"', '\\'])),
        }),
        Format::Haproxy => fits(&[]).then(|| match is_word(text) {
            true => text.to_owned(),
            false => format!("'{}'", text.replace('\'', "'\\''")),
        }),
        Format::Apache => {
            let fits = fits(&[]) && !text.contains("${");
            fits.then(|| format!("\"{}\"", escaped(text, &['"', '\\'])))
        }
        Format::Caddy => fits(&['{', '}', '`']).then(|| match is_word(text) {
            true => text.to_owned(),
            false => format!("`{text}`"),
        }),
        Format::Yaml => Some(json(text)),
        Format::Compose => Some(json(text).replace('$', "$$")),
        Format::Dockerfile => Some(json(text)),
    }
}

/// Letters, digits and what is special nowhere.
fn is_word(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b':');
    !text.is_empty() && text.bytes().all(plain) && !text.starts_with('-')
}

fn escaped(text: &str, special: &[char]) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if special.contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A JSON string that YAML reads alike: what YAML takes for a line's end or for unprintable is escaped as well.
fn json(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A text in a comment: one line, whatever is in it.
pub fn comment(text: &str) -> String {
    let plain = |c: char| match c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
        true => ' ',
        false => c,
    };
    // Apache goes on in the next line after a backslash, in comments too.
    let text: String = text.chars().map(plain).collect();
    match text.strip_suffix('\\') {
        Some(rest) => format!("{rest}\\ ."),
        None => text,
    }
}
