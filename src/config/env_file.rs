//! Files such as `.env`: `NAME=value` lines.

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum EnvFileError {
    #[error("it is not `NAME=value`")]
    NoEquals,
    #[error("`{name}` is not a name of a variable")]
    Name { name: String },
    #[error("a quote ({quote}) is not closed on its line")]
    Unclosed { quote: char },
    #[error("there is text after the closing quote ({quote})")]
    After { quote: char },
    #[error("it has a NUL character")]
    Nul,
}

/// The number of a line, from 1, and what is wrong with it.
pub(super) type BadLine = (usize, EnvFileError);

/// Reads the lines, all of them: the variables in order, and each bad line.
///
/// The rules are those that docker compose and most dotenv readers share: `#` comments, an optional `export`, single
/// quotes are literal, double quotes know `\n`, `\t`, `\"`, `\\`; an unquoted value ends before ` #`. Values are not
/// expanded: a password with a `$` in it stays whole.
pub(super) fn parse(text: &str) -> (Vec<(String, String)>, Vec<BadLine>) {
    let mut variables = Vec::new();
    let mut errors = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match variable(line) {
            Ok(pair) => variables.push(pair),
            Err(error) => errors.push((index + 1, error)),
        }
    }
    (variables, errors)
}

fn variable(line: &str) -> Result<(String, String), EnvFileError> {
    if line.contains('\0') {
        return Err(EnvFileError::Nul);
    }
    let line = match line.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
        _ => line,
    };
    let (name, value) = line.split_once('=').ok_or(EnvFileError::NoEquals)?;
    let (name, value) = (name.trim(), value.trim());
    if !is_name(name) {
        return Err(EnvFileError::Name {
            name: name.to_owned(),
        });
    }
    let value = match value.chars().next() {
        Some(quote @ ('\'' | '"')) => quoted(&value[1..], quote)?,
        _ => {
            let end = value.find(" #").or_else(|| value.find("\t#"));
            value[..end.unwrap_or(value.len())].trim_end().to_owned()
        }
    };
    Ok((name.to_owned(), value))
}

fn quoted(text: &str, quote: char) -> Result<String, EnvFileError> {
    let mut out = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next() {
            None => return Err(EnvFileError::Unclosed { quote }),
            Some(c) if c == quote => break,
            Some('\\') if quote == '"' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(c @ ('"' | '\\' | '$')) => out.push(c),
                Some(c) => out.extend(['\\', c]),
                None => return Err(EnvFileError::Unclosed { quote }),
            },
            Some(c) => out.push(c),
        }
    }
    let rest = chars.as_str().trim_start();
    match rest.is_empty() || rest.starts_with('#') {
        true => Ok(out),
        false => Err(EnvFileError::After { quote }),
    }
}

/// Whether a shell could set it (XBD 8.1); dots and hyphens are let pass, as some programs want them.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines() {
        #[track_caller]
        fn check(line: &str, value: Result<&str, EnvFileError>) {
            assert_eq!(
                variable(line).map(|(_, value)| value),
                value.map(str::to_owned),
                "{line}"
            );
        }
        check("A=b", Ok("b"));
        check("export A = b c ", Ok("b c"));
        check("A=", Ok(""));
        check("A=b # c", Ok("b"));
        check("A=b#c", Ok("b#c"));
        check("A='b # $c'", Ok("b # $c"));
        check(r#"A="b\n\"c\"" # d"#, Ok("b\n\"c\""));
        check("A=pa$$word", Ok("pa$$word"));
        check("A", Err(EnvFileError::NoEquals));
        check("1A=b", Err(EnvFileError::Name { name: "1A".into() }));
        check("A='b", Err(EnvFileError::Unclosed { quote: '\'' }));
        check("A='b' c", Err(EnvFileError::After { quote: '\'' }));
    }

    #[test]
    fn every_bad_line_is_told() {
        let (good, bad) = parse("# x\nA=1\nB\n\n2=3\r\nC=4\n");
        assert_eq!(good.len(), 2);
        assert_eq!(
            bad.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
            [3, 5]
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*") {
            let _ = parse(&text);
        }
    }
}
