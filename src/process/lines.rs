//! Bytes from a pipe to lines.

use memchr::{memchr, memrchr};

/// The longest line that is kept, in bytes. What goes beyond it is left out, and the line says so.
pub(super) const LONGEST: usize = 64 * 1024;

/// Puts lines together from whatever pieces the pipe gives.
///
/// `\r\n` ends a line as `\n` does. A carriage return within a line begins it anew, as on a terminal: of a progress bar
/// the last state is kept. Bytes that are no UTF-8 become U+FFFD.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    /// A carriage return was read, and nothing after it.
    returned: bool,
    cut: bool,
}

impl Lines {
    /// Takes the next piece and gives each line that it completes to `emit`.
    pub(super) fn push(&mut self, mut bytes: &[u8], emit: &mut impl FnMut(String)) {
        while let Some(end) = memchr(b'\n', bytes) {
            self.append(&bytes[..end]);
            emit(self.complete());
            bytes = &bytes[end + 1..];
        }
        self.append(bytes);
    }

    /// The pipe has ended: what is there without a newline is a line.
    pub(super) fn finish(&mut self, emit: &mut impl FnMut(String)) {
        if !self.line.is_empty() {
            emit(self.complete());
        }
    }

    fn append(&mut self, piece: &[u8]) {
        let body_end = piece
            .iter()
            .rposition(|byte| *byte != b'\r')
            .map_or(0, |last| last + 1);
        let mut body = &piece[..body_end];
        if let Some(last) = memrchr(b'\r', body) {
            body = &body[last + 1..];
            self.begin_anew();
        } else if self.returned && !body.is_empty() {
            self.begin_anew();
        }
        if !piece.is_empty() {
            self.returned = body_end < piece.len() || (self.returned && body.is_empty());
        }
        let room = LONGEST.saturating_sub(self.line.len());
        self.cut |= body.len() > room;
        self.line.extend_from_slice(&body[..body.len().min(room)]);
    }

    fn begin_anew(&mut self) {
        self.line.clear();
        self.cut = false;
    }

    fn complete(&mut self) -> String {
        let mut text = String::from_utf8_lossy(&self.line).into_owned();
        if self.cut {
            text.push_str(" … [lbdev: a line longer than 64 KiB, the rest is left out]");
        }
        self.begin_anew();
        self.returned = false;
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut all = Vec::new();
        let mut lines = Lines::default();
        for piece in pieces {
            lines.push(piece, &mut |line| all.push(line));
        }
        lines.finish(&mut |line| all.push(line));
        all
    }

    #[test]
    fn pieces_become_lines() {
        let check = |input: &[u8], expected: &[&str]| {
            assert_eq!(lines(&[input]), expected, "{:?}", input.escape_ascii());
        };
        check(b"", &[]);
        check(b"\n", &[""]);
        check(b"a\n\nb\n", &["a", "", "b"]);
        check(b"no newline", &["no newline"]);
        check(b"a\r\nb\r\r\n", &["a", "b"]);
        check(b"10%\r55%\r100%\nend\r", &["100%", "end"]);
        check(b"\r", &[]);
        check(b"\x1b[31mred\x1b[0m\n", &["\x1b[31mred\x1b[0m"]);
        check(b"\xff\xfe\x00x\n", &["\u{fffd}\u{fffd}\0x"]);
        check("käse\n".as_bytes(), &["käse"]);
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        let long = vec![b'x'; 1_000_000];
        for (input, cut) in [(&long[..LONGEST], false), (&long[..LONGEST + 1], true)] {
            let line = &lines(&[input, b"\nnext\n"])[0];
            assert_eq!(line.ends_with("left out]"), cut);
            assert!(line.len() < LONGEST + 100);
        }
        assert_eq!(lines(&[&long, b"\nnext\n"])[1], "next");
        assert_eq!(
            lines(&[&long, b"\rshort\n"]),
            ["short"],
            "a carriage return begins anew"
        );
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_pipe_cuts(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), b'a'..=b'c', any::<u8>()], 0..60),
            cuts in proptest::collection::vec(0usize..60, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(lines(&pieces), lines(&[&bytes]));
        }
    }
}
