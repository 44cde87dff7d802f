//! What a code means, for eyes.

use console::measure_text_width;

use super::Paint;
use crate::error::{CODES, Explanation};

/// Lines of text are no wider, however wide the terminal is: long lines are hard to read.
const WIDEST: usize = 88;

/// A line each.
pub fn all(paint: Paint) -> String {
    let lines = CODES.iter().map(|(code, title)| {
        let code = paint.strong(code);
        format!("{code}  {title}\n")
    });
    lines.collect()
}

/// One at length.
pub fn one(
    (code, title): (&str, &str),
    text: &Explanation,
    paint: Paint,
    width: Option<usize>,
) -> String {
    let width = width.unwrap_or(WIDEST).min(WIDEST);
    let mut out = format!("{}  {}\n\n", paint.strong(code), paint.strong(title));
    out.push_str(&wrap(&text.happened, "", width));
    out.push('\n');
    out.push_str(&wrap(&text.why, "", width));
    out.push('\n');
    for line in &text.to_do {
        let wrapped = wrap(line, "  ", width);
        let marked = wrapped.trim_start();
        out.push_str(&format!("{} {marked}", paint.good("➜")));
    }
    out
}

/// At spaces, each line behind `indent`; what is longer than a line stands alone.
pub(super) fn wrap(text: &str, indent: &str, width: usize) -> String {
    let mut out = String::new();
    let mut line = indent.to_owned();
    for word in text.split_whitespace() {
        let empty = line.len() == indent.len();
        let needs = measure_text_width(&line) + measure_text_width(word) + usize::from(!empty);
        if !empty && needs > width {
            out.push_str(&line);
            out.push('\n');
            line = indent.to_owned();
        } else if !empty {
            line.push(' ');
        }
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::explanation;

    #[test]
    fn a_code_at_length() {
        let (code, title, text) = explanation("LB032").unwrap();
        let shown = one((code, title), text, Paint::new(false), Some(40));
        insta::assert_snapshot!(shown, @"
        LB032  a backend is not up

        The verb needs a backend that is up, and
        this one is not.

        What does not run cannot hang.

        ➜ start it: `lbdev start 8000`
        ");
    }

    #[test]
    fn no_line_is_wider_than_the_window() {
        for (code, title) in CODES {
            let (.., text) = explanation(code).unwrap();
            let shown = one((code, title), text, Paint::new(false), Some(80));
            for line in shown.lines() {
                assert!(measure_text_width(line) <= 80, "{line}");
            }
        }
    }
}
