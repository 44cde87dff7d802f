//! The lines that backends write, each behind its backend's name.

use std::collections::HashMap;

use console::{AnsiCodeIterator, measure_text_width};

use super::Paint;

/// The backends that stand together on a screen: how wide their names are, and whose colour is whose.
#[derive(Debug, Clone, Default)]
pub struct Names {
    places: HashMap<String, usize>,
    width: usize,
}

impl Names {
    /// In this order, which gives the colours.
    pub fn new<I>(names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let mut all = Self::default();
        for name in names {
            let name = name.into();
            all.width = all.width.max(measure_text_width(&name));
            let place = all.places.len();
            all.places.entry(name).or_insert(place);
        }
        all
    }

    /// Its place, from 0; one that is not known comes after all others.
    pub fn place(&self, name: &str) -> usize {
        self.places.get(name).copied().unwrap_or(self.places.len())
    }

    /// `text` in the colour of the backend `name`.
    fn paint(&self, name: &str, text: &str, paint: Paint) -> String {
        paint.backend(self.place(name), text)
    }
}

/// `8000` of `web:8000`, `worker.1` of `worker.1`: as in the foreground of `up`.
pub fn short(id: &str) -> &str {
    id.rsplit_once(':').map_or(id, |(_, port)| port)
}

/// `8000 │ text`, with a newline.
pub fn render(name: &str, text: &str, names: &Names, paint: Paint) -> String {
    let fill = " ".repeat(names.width.saturating_sub(measure_text_width(name)));
    let prefix = names.paint(name, &format!("{name}{fill} │"), paint);
    format!("{prefix} {}\n", tame(text, paint.on()))
}

/// A backend's own text, made fit to stand among others': colours stay where there are colours, and nothing moves the
/// cursor, clears the screen or rings.
pub fn tame(text: &str, colors: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut colored = false;
    for (piece, escape) in AnsiCodeIterator::new(text) {
        if escape {
            if colors && piece.ends_with('m') {
                colored = true;
                out.push_str(piece);
            }
            continue;
        }
        for char in piece.chars() {
            match char {
                '\t' => out.push(char),
                char if char.is_control() => {}
                char => out.push(char),
            }
        }
    }
    if colored {
        out.push_str("\u{1b}[0m");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_align() {
        let names = Names::new(["8000", "worker.1"]);
        let plain = Paint::new(false);
        assert_eq!(render("8000", "hello", &names, plain), "8000     │ hello\n");
        assert_eq!(render("worker.1", "", &names, plain), "worker.1 │ \n");
        assert_eq!(
            render("8000", "hello", &names, Paint::new(true)),
            "\u{1b}[36m8000     │\u{1b}[0m hello\n"
        );
    }

    #[test]
    fn only_colours_survive() {
        for (text, colors, expected) in [
            ("\u{1b}[31mred\u{1b}[0m", false, "red"),
            ("\u{1b}[31mred", true, "\u{1b}[31mred\u{1b}[0m"),
            ("\u{1b}[2J\u{1b}[Hgone?", true, "gone?"),
            ("a\u{7}b\tc\u{0}", true, "ab\tc"),
            ("日本 é", false, "日本 é"),
        ] {
            assert_eq!(tame(text, colors), expected, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_moves_the_cursor(text in "(\\PC|[\u{0}-\u{1f}]|\u{1b}\\[[0-9;]*[A-Za-z])*") {
            let tamed = tame(&text, false);
            proptest::prop_assert!(!tamed.chars().any(|c| c.is_control() && c != '\t'), "{:?}", tamed);
        }
    }
}
