//! How far a response has come, by a glance at the bytes as they are read.
//!
//! Django's runserver and others write a response in several small sends without NODELAY; the receiver's delayed
//! acknowledgement then costs 40 ms each time. Whoever knows that more must come can acknowledge at once. A glance is
//! enough: a wrong guess costs one system call or one delay, never a byte.

use memchr::memchr;

/// What is known of the response that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Progress {
    /// Nothing has come yet.
    #[default]
    Start,
    /// Its head has not ended.
    Head,
    /// This much of its body is to come.
    Body(u64),
    /// It ends with an empty chunk.
    Chunked,
    /// Its end cannot be told.
    Unknown,
    /// It has ended.
    Done,
}

impl Progress {
    /// After these bytes.
    #[must_use]
    pub(super) fn after(self, bytes: &[u8]) -> Self {
        match self {
            Progress::Start | Progress::Done => Self::head(bytes, true),
            Progress::Head => Self::head(bytes, false),
            Progress::Body(left) => Self::body(left, bytes.len()),
            Progress::Chunked => Self::chunked(bytes),
            Progress::Unknown => Progress::Unknown,
        }
    }

    /// More is to come: the sender may be waiting for an acknowledgement.
    pub(super) fn is_partial(self) -> bool {
        match self {
            Progress::Head | Progress::Body(_) | Progress::Chunked | Progress::Unknown => true,
            Progress::Start | Progress::Done => false,
        }
    }

    fn head(bytes: &[u8], whole: bool) -> Self {
        let mut framing = None;
        let mut rest = bytes;
        loop {
            let Some(end) = memchr(b'\n', rest) else {
                return Progress::Head;
            };
            let (line, after) = rest.split_at(end + 1);
            rest = after;
            match line {
                // The empty line after the last field; one before the status line would be no HTTP.
                b"\r\n" => break,
                _ if framing.is_none() => framing = Framing::of(line),
                _ => {}
            }
        }
        match framing {
            Some(Framing::Length(length)) => Self::body(length, rest.len()),
            Some(Framing::Chunked) => Self::chunked(rest),
            // The field that says it may have been in an earlier part.
            None if !whole => Progress::Unknown,
            None if has_no_body(bytes) => Progress::Done,
            None => Progress::Unknown,
        }
    }

    fn body(left: u64, read: usize) -> Self {
        match left.checked_sub(read as u64) {
            Some(0) | None => Progress::Done,
            Some(left) => Progress::Body(left),
        }
    }

    fn chunked(bytes: &[u8]) -> Self {
        if bytes.ends_with(b"0\r\n\r\n") {
            Progress::Done
        } else {
            Progress::Chunked
        }
    }
}

enum Framing {
    Length(u64),
    Chunked,
}

impl Framing {
    /// What this line of a head says of the body.
    fn of(line: &[u8]) -> Option<Self> {
        const LENGTH: &[u8] = b"content-length:";
        const CODING: &[u8] = b"transfer-encoding:";
        // Most lines are told by their first byte.
        match line.first()? {
            b'c' | b'C' if starts_with(line, LENGTH) => {
                let value = std::str::from_utf8(&line[LENGTH.len()..]).ok()?;
                value.trim().parse().ok().map(Framing::Length)
            }
            b't' | b'T' if starts_with(line, CODING) => Some(Framing::Chunked),
            _ => None,
        }
    }
}

fn starts_with(line: &[u8], name: &[u8]) -> bool {
    line.get(..name.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(name))
}

/// By its status: 1xx, 204 and 304 have no body.
fn has_no_body(head: &[u8]) -> bool {
    matches!(head.get(9..12), Some([b'1', ..] | b"204" | b"304"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(parts: &[&str]) -> Progress {
        parts.iter().fold(Progress::Start, |progress, part| {
            progress.after(part.as_bytes())
        })
    }

    #[test]
    fn progress() {
        for (parts, expected) in [
            (&["HTTP/1.1 200 OK\r\n"][..], Progress::Head),
            (
                &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"],
                Progress::Done,
            ),
            (
                &["HTTP/1.1 200 OK\r\ncontent-length:5\r\n\r\nok"],
                Progress::Body(3),
            ),
            (
                &["HTTP/1.1 200 OK\r\ncontent-length:5\r\n\r\nok", "abc"],
                Progress::Done,
            ),
            (
                &["HTTP/1.1 200 OK\r\n", "Content-Length: 2\r\n\r\n", "ok"],
                Progress::Done,
            ),
            (
                &[
                    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
                    "Date: x\r\n\r\n",
                ],
                Progress::Unknown,
            ),
            (
                &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"],
                Progress::Chunked,
            ),
            (
                &[
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
                    "0\r\n\r\n",
                ],
                Progress::Done,
            ),
            (
                &["HTTP/1.1 304 Not Modified\r\nDate: x\r\n\r\n"],
                Progress::Done,
            ),
            (
                &["HTTP/1.0 200 OK\r\nDate: x\r\n\r\n<html>"],
                Progress::Unknown,
            ),
        ] {
            assert_eq!(read(parts), expected, "{parts:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at_without_a_panic(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..8)) {
            let _ = parts.iter().fold(Progress::Start, |progress, part| progress.after(part));
        }
    }
}
