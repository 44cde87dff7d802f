//! What a backend wrote last, for whoever has to mend it.

use crate::process::{self, output};
use crate::supervisor::BackendView;

/// Lines of a failed backend's output that are shown.
const LAST_LINES: usize = 6;
/// The same for new code, which its author waits to mend.
const LAST_WORDS_LINES: usize = 14;
/// Where Python begins to say what went wrong.
const TRACEBACK: &str = "Traceback (most recent call last)";

/// What a backend wrote last, from its last traceback on if there is one.
pub(super) fn last_words(output: &output::Store, backend: &BackendView) -> Vec<String> {
    let lines = output.tail(&backend.spec.id, output::TAIL);
    let lines: Vec<String> = lines
        .iter()
        .map(|line| process::strip_escapes(&line.text).trim_end().to_owned())
        .collect();
    let traceback = lines.iter().rposition(|line| line.starts_with(TRACEBACK));
    let from = traceback.unwrap_or(lines.len().saturating_sub(LAST_WORDS_LINES));
    lines[from..].to_vec()
}

/// The last lines that a backend wrote, as plain text.
pub(super) fn last_lines(output: &output::Store, backend: &BackendView) -> Vec<String> {
    let lines = output.tail(&backend.spec.id, LAST_LINES);
    lines
        .iter()
        .map(|line| process::strip_escapes(&line.text).trim_end().to_owned())
        .collect()
}
