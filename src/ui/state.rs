//! How a state looks: always a glyph and a word, never a colour alone.

use crate::backend::Phase;
use crate::ui::Paint;

/// Glyph, word and meaning of one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// One column wide.
    pub glyph: &'static str,
    /// The word of the contract.
    pub word: &'static str,
    tone: Tone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Good,
    Changing,
    Bad,
    Idle,
}

impl Look {
    const ALL: [Look; 9] = [
        Look::new("◌", "starting", Tone::Changing),
        Look::new("●", "up", Tone::Good),
        Look::new("!", "unhealthy", Tone::Bad),
        Look::new("◑", "draining", Tone::Changing),
        Look::new("◑", "stopping", Tone::Changing),
        Look::new("✗", "stopped", Tone::Bad),
        Look::new("‖", "frozen", Tone::Changing),
        Look::new("↻", "backoff", Tone::Changing),
        Look::new("✗", "failed", Tone::Bad),
    ];

    const fn new(glyph: &'static str, word: &'static str, tone: Tone) -> Self {
        Self { glyph, word, tone }
    }

    /// Of a backend that lbdev ended because it ends itself: that is no trouble.
    pub const ENDED: Look = Look::new("○", "stopped", Tone::Idle);

    /// A job that has ended as it should.
    pub const DONE: Look = Look::new("✓", "done", Tone::Good);

    /// Of a phase.
    pub fn of(phase: Phase) -> Look {
        Self::of_word(phase.word())
    }

    /// Of a state as it comes over the socket. One from a newer lbdev is shown as unknown.
    pub fn of_word(state: &str) -> Look {
        let known = Self::ALL.into_iter().find(|look| look.word == state);
        known.unwrap_or(Look::new("?", "unknown", Tone::Idle))
    }

    /// In its colour.
    pub(super) fn paint(self, paint: Paint, text: &str) -> String {
        match self.tone {
            Tone::Good => paint.good(text),
            Tone::Changing => paint.attention(text),
            Tone::Bad => paint.bad(text),
            Tone::Idle => paint.dim(text),
        }
    }

    /// `● up`.
    pub(super) fn show(self, paint: Paint) -> String {
        self.paint(paint, &format!("{} {}", self.glyph, self.word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_has_a_look_one_column_wide() {
        for phase in [
            Phase::Starting,
            Phase::Up,
            Phase::Unhealthy,
            Phase::Draining,
            Phase::Stopping,
            Phase::Stopped,
            Phase::Frozen,
            Phase::Backoff,
            Phase::Failed,
        ] {
            let look = Look::of(phase);
            assert_ne!(look.word, "unknown");
            assert_eq!(console::measure_text_width(look.glyph), 1, "{look:?}");
        }
        assert_eq!(Look::of_word("levitating").word, "unknown");
    }
}
