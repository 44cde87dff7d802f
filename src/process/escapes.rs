//! Terminal escapes: kept in the files, taken out for those who want text.

use std::borrow::Cow;

const ESC: char = '\u{1b}';

/// `text` without terminal escape sequences (ECMA-48: CSI, OSC and other strings, two-character ones) and without
/// control characters except the tab.
pub fn strip_escapes(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(char) = rest.next() {
        match char {
            ESC => match rest.next() {
                Some('[') => skip_csi(&mut rest),
                Some(']' | 'P' | 'X' | '^' | '_') => skip_string(&mut rest),
                // Designations such as `ESC ( B` have intermediate bytes before their last one.
                Some(' '..='/') => {
                    while rest.next_if(|c| matches!(c, ' '..='/')).is_some() {}
                    rest.next();
                }
                Some(_) | None => {}
            },
            '\u{9b}' => skip_csi(&mut rest),
            '\u{90}' | '\u{9d}' => skip_string(&mut rest),
            char if is_control(char) => {}
            char => plain.push(char),
        }
    }
    Cow::Owned(plain)
}

fn is_control(char: char) -> bool {
    char.is_control() && char != '\t'
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Parameters and intermediates, then one final byte. Anything else is not part of the sequence.
fn skip_csi(rest: &mut Rest<'_>) {
    while rest.next_if(|c| matches!(c, ' '..='?')).is_some() {}
    rest.next_if(|c| matches!(c, '@'..='~'));
}

/// Up to BEL or the string terminator `ESC \`.
fn skip_string(rest: &mut Rest<'_>) {
    while let Some(char) = rest.next() {
        match char {
            '\u{7}' | '\u{9c}' => return,
            ESC => {
                rest.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_go_and_text_stays() {
        for (input, expected) in [
            ("plain\ttext", "plain\ttext"),
            ("\u{1b}[1;31mred\u{1b}[0m!", "red!"),
            ("\u{1b}[38;2;1;2;3mx\u{1b}[K", "x"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}(Bx\u{1b}=y\u{1b}7", "xy"),
            ("a\0b\u{8}c\u{7f}", "abc"),
            ("end\u{1b}", "end"),
            ("end\u{1b}[12", "end"),
            ("end\u{1b}]never closed", "end"),
            ("\u{9b}31mc1", "c1"),
            ("käse ✓", "käse ✓"),
        ] {
            assert_eq!(strip_escapes(input), expected, "{input:?}");
        }
    }
}
