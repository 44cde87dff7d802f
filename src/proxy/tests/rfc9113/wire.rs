//! Frames by hand, for what no client of good faith sends.

use super::*;

/// What begins a connection (§3.4), with empty settings.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// One frame (§4.1).
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A field section, each field spelt out and none remembered (RFC 7541 §6.2.2).
pub(super) fn section<V: AsRef<[u8]>>(fields: &[(&str, V)]) -> Vec<u8> {
    let mut section = Vec::new();
    for (name, value) in fields {
        section.push(0);
        for text in [name.as_bytes(), value.as_ref()] {
            // RFC 7541 §5.1, with a prefix of 7 bits.
            match text.len() {
                short @ ..127 => section.push(u8::try_from(short).unwrap()),
                long => {
                    section.push(127);
                    let mut rest = long - 127;
                    while rest >= 128 {
                        section.push(u8::try_from(rest % 128).unwrap() | 128);
                        rest /= 128;
                    }
                    section.push(u8::try_from(rest).unwrap());
                }
            }
            section.extend(text);
        }
    }
    section
}

pub(super) const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "a"),
];

/// A whole request without a body.
pub(super) fn ask(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    let section = section(&[&GET, more].concat());
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &section)
}

/// What came.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

/// The next frame. `None` when the connection has ended.
pub(super) async fn next(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<Came> {
    let mut head = [0; 9];
    within(stream.read_exact(&mut head)).await.ok()?;
    let [a, b, c, kind, flags, id @ ..] = head;
    let length = u32::from_be_bytes([0, a, b, c]);
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    within(stream.read_exact(&mut payload)).await.ok()?;
    Some(Came {
        kind,
        flags,
        stream: u32::from_be_bytes(id),
        payload,
    })
}

/// Reads up to the first frame that is so.
pub(super) async fn until(
    stream: &mut (impl AsyncReadExt + Unpin),
    mut so: impl FnMut(&Came) -> bool,
) -> Option<Came> {
    loop {
        let came = next(stream).await?;
        if so(&came) {
            return Some(came);
        }
    }
}

/// Reads up to the end of a stream: true where it ended whole, false where it was reset, or with its connection.
pub(super) async fn ends_whole(stream: &mut TcpStream, id: u32) -> bool {
    let ends = |came: &Came| {
        let last = matches!(came.kind, DATA | HEADERS) && came.flags & END_STREAM != 0;
        came.stream == id && (last || came.kind == RST_STREAM)
    };
    let end = until(stream, ends).await;
    end.is_some_and(|came| came.kind != RST_STREAM)
}
