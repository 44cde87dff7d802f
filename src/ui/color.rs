//! When to use colours, and which.

use console::{Color, Style};

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorChoice {
    /// Where a person looks at a terminal that has them.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What the environment says about one stream.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Surroundings<'a> {
    /// `NO_COLOR`.
    pub(super) no_color: Option<&'a str>,
    /// `CLICOLOR_FORCE`.
    pub(super) force: Option<&'a str>,
    /// `TERM`.
    pub(super) term: Option<&'a str>,
    /// The stream is a terminal.
    pub(super) terminal: bool,
}

/// The flag, then `NO_COLOR` (<https://no-color.org>: any value but an empty one), then `CLICOLOR_FORCE`, then the terminal.
pub(super) fn wanted(choice: ColorChoice, around: Surroundings<'_>) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if around.no_color.is_some_and(|value| !value.is_empty()) => false,
        ColorChoice::Auto if around.force.is_some_and(|v| !v.is_empty() && v != "0") => true,
        ColorChoice::Auto => around.terminal && around.term != Some("dumb"),
    }
}

/// Paints text, or leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Colours, or none.
    pub fn new(on: bool) -> Self {
        Self { on }
    }

    /// Whether it paints.
    pub fn on(self) -> bool {
        self.on
    }

    fn with(self, style: Style, text: &str) -> String {
        if !self.on || text.is_empty() {
            return text.to_owned();
        }
        style.force_styling(true).apply_to(text).to_string()
    }

    pub(super) fn good(self, text: &str) -> String {
        self.with(Style::new().green(), text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.with(Style::new().red(), text)
    }

    pub(super) fn attention(self, text: &str) -> String {
        self.with(Style::new().yellow(), text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.with(Style::new().dim(), text)
    }

    pub(super) fn strong(self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }

    pub(super) fn link(self, text: &str) -> String {
        self.with(Style::new().cyan(), text)
    }

    /// Text that leads somewhere when it is clicked on, in terminals that know OSC 8; others show the text.
    pub(super) fn leads_to(self, text: &str, target: &str) -> String {
        match self.on {
            true => format!("\u{1b}]8;;{target}\u{1b}\\{text}\u{1b}]8;;\u{1b}\\"),
            false => text.to_owned(),
        }
    }

    /// `✓`
    pub fn check(self) -> String {
        self.good("✓")
    }

    /// The colour of the backend at this place. Neither red nor green, which mean something.
    pub(super) fn backend(self, place: usize, text: &str) -> String {
        const COLORS: [Color; 5] = [
            Color::Cyan,
            Color::Magenta,
            Color::Blue,
            Color::Yellow,
            Color::White,
        ];
        // Before the second round the same colours come bright.
        let style = Style::new().fg(COLORS[place % COLORS.len()]);
        let bright = (place / COLORS.len()) % 2 == 1;
        self.with(if bright { style.bright() } else { style }, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_then_no_color_then_force_then_terminal() {
        use ColorChoice::{Always, Auto, Never};
        #[allow(clippy::type_complexity)]
        let cases: &[(
            ColorChoice,
            Option<&str>,
            Option<&str>,
            Option<&str>,
            bool,
            bool,
        )] = &[
            (Auto, None, None, Some("xterm"), true, true),
            (Auto, None, None, Some("xterm"), false, false),
            (Auto, None, None, Some("dumb"), true, false),
            (Auto, Some("1"), None, None, true, false),
            (Auto, Some(""), None, None, true, true),
            (Auto, Some("1"), Some("1"), None, true, false),
            (Auto, None, Some("1"), None, false, true),
            (Auto, None, Some("0"), None, false, false),
            (Always, Some("1"), None, None, false, true),
            (Never, None, Some("1"), None, true, false),
        ];
        for &(choice, no_color, force, term, terminal, expected) in cases {
            let around = Surroundings {
                no_color,
                force,
                term,
                terminal,
            };
            assert_eq!(wanted(choice, around), expected, "{choice:?} {around:?}");
        }
    }

    #[test]
    fn no_colour_means_no_escape_codes() {
        assert_eq!(Paint::new(false).bad("x"), "x");
        assert_eq!(Paint::new(true).bad("x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
