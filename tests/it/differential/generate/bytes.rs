//! Messages as bytes: what may be written in several ways is.

use fastrand::Rng;

use super::super::message::{Field, Framing, Message};
use super::odd::pick;

/// A message as bytes: its head, and `body` in its framing.
pub fn encode(rng: &mut Rng, message: &Message, body: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut head = message.start.join(&b' ');
    head.extend(b"\r\n");
    fields(rng, &mut head, &message.fields);
    if message.framing != Framing::Chunked {
        return (head, body.to_vec());
    }
    let (mut out, mut rest) = (Vec::new(), body);
    while !rest.is_empty() {
        let most = pick(rng, &[1, 2, 15, 16, 1000, 4096, 16_385, 70_000]);
        // Single bytes all the way would take a while.
        let length = match out.len() > body.len() + 2000 {
            true => rest.len(),
            false => rng.usize(1..=most).min(rest.len()),
        };
        let (chunk, after) = rest.split_at(length);
        size(rng, &mut out, length);
        out.extend(chunk);
        out.extend(b"\r\n");
        rest = after;
    }
    size(rng, &mut out, 0);
    fields(rng, &mut out, &message.trailers);
    (head, out)
}

/// The size line of a chunk, with whatever is allowed there (RFC 9112 §7.1).
fn size(rng: &mut Rng, out: &mut Vec<u8>, size: usize) {
    let line = match rng.u8(..8) {
        0 => format!("{size:X}"),
        1 => format!("{size:06x}"),
        2 => format!("{size:x};odd"),
        3 => format!("{size:x};odd=\"a;b\";c=d"),
        _ => format!("{size:x}"),
    };
    out.extend(line.bytes());
    out.extend(b"\r\n");
}

/// Lines, and the empty one behind them. Blanks around a value are not of it.
fn fields(rng: &mut Rng, out: &mut Vec<u8>, fields: &[Field]) {
    for (name, value) in fields {
        out.extend(name);
        out.extend(pick(rng, &[&b": "[..], b":", b":\t", b":  "]));
        out.extend(value);
        out.extend(pick(rng, &[&b""[..], b"", b"", b" ", b" \t"]));
        out.extend(b"\r\n");
    }
    out.extend(b"\r\n");
}
