//! Targets, names and values of odd bytes, all of which are allowed.

use fastrand::Rng;

/// What a path may have besides letters and digits (RFC 3986 §3.3).
const IN_PATHS: &[u8] = b"/-._~!$&'()*+,;=:@";
/// What a query may have too, and what browsers leave in it as it is (WHATWG URL §1.3).
const IN_QUERIES: &[u8] = b"/?-._~!$&'()*+,;=:@[]|{}^`\\";

pub fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}

/// Never one that lbdev itself answers: that is `*` alone.
pub fn path_and_query(rng: &mut Rng) -> Vec<u8> {
    let mut target = b"/".to_vec();
    let length = pick(rng, &[0, 1, 5, 30, 30, 300, 6000]);
    odd_bytes(rng, &mut target, length, IN_PATHS);
    if rng.bool() {
        target.push(b'?');
        let length = pick(rng, &[0, 1, 20, 20, 200]);
        odd_bytes(rng, &mut target, length, IN_QUERIES);
    }
    target
}

fn odd_bytes(rng: &mut Rng, to: &mut Vec<u8>, length: usize, odd: &[u8]) {
    for _ in 0..length {
        match rng.u8(..8) {
            0..4 => to.push(rng.alphanumeric() as u8),
            4..7 => to.push(pick(rng, odd)),
            _ => to.extend(format!("%{:02x}", rng.u8(..)).bytes()),
        }
    }
}

pub fn odd_name(rng: &mut Rng) -> String {
    let length = rng.usize(1..24);
    let mut byte = || match rng.u8(..3) {
        0 => pick(rng, b"!#$%&'*+-.^_`|~") as char,
        _ => rng.alphanumeric(),
    };
    let name: String = std::iter::repeat_with(&mut byte).take(length).collect();
    // None that means something by chance.
    format!("x{name}z")
}

/// Neither begins nor ends with a blank, which is not of the value (RFC 9112 §5).
pub fn odd_value(rng: &mut Rng) -> Vec<u8> {
    let length = match rng.u8(..40) {
        0 => rng.usize(1000..6000),
        1..8 => 0,
        _ => rng.usize(1..60),
    };
    let mut value = Vec::with_capacity(length);
    for place in 0..length {
        value.push(match rng.u8(..10) {
            0 if place > 0 && place + 1 < length => pick(rng, b" \t"),
            1 => rng.u8(0x80..),
            2 => pick(rng, b",;:=\"\\()<>@[]{}?/"),
            _ => rng.u8(0x21..0x7f),
        });
    }
    value
}
