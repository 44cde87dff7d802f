//! `/echo`: the request as it arrived here, which is how a person sees what a balancer adds and changes.

use std::fmt::Write as _;

use bytes::Bytes;
use http_body::Body as HttpBody;
use http_body_util::BodyExt as _;
use hyper::{Request, Response, StatusCode};
use serde_json::json;

use super::body::Body;
use super::form::{self, Format};
use super::page;
use super::site::Site;

/// Bytes of the body that are shown.
const SHOWN: usize = 1024;

/// Answers with method, target, fields in order, and the body's length, CRC-32 and beginning. However long the body
/// is, no more of it than its beginning is kept.
pub(super) async fn answer<B>(site: &Site, request: Request<B>) -> Response<Body>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let (parts, body) = request.into_parts();
    let sent = Sent::read(body).await;
    let first = String::from_utf8_lossy(&sent.first);
    let fields: Vec<(&str, _)> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let target = parts.uri.to_string();
    let version = format!("{:?}", parts.version);
    if form::accepts(&parts.headers) == Format::Json {
        let answer = json!({
            "port": site.port,
            "method": parts.method.as_str(),
            "target": target,
            "version": version,
            "headers": fields,
            "body": {
                "bytes": sent.bytes,
                "crc32": format!("{:08x}", sent.crc.value()),
                "complete": sent.complete,
                "first": first,
            },
        });
        return page::json(StatusCode::OK, &answer);
    }
    let mut text = format!("{} {target} {version}\n", parts.method);
    for (name, value) in fields {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}: {value}");
    }
    let _ = writeln!(
        text,
        "\nbody: {} bytes, CRC-32 {:08x}, as port {} read it",
        sent.bytes,
        sent.crc.value(),
        site.port
    );
    text.push_str(&first);
    page::text(StatusCode::OK, text)
}

/// What is known of a body after it has passed.
struct Sent {
    bytes: u64,
    crc: Crc32,
    first: Vec<u8>,
    complete: bool,
}

impl Sent {
    async fn read<B>(mut body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let mut sent = Self {
            bytes: 0,
            crc: Crc32::default(),
            first: Vec::new(),
            complete: false,
        };
        loop {
            match body.frame().await {
                None => {
                    sent.complete = true;
                    return sent;
                }
                Some(Err(_)) => return sent,
                Some(Ok(frame)) => {
                    let Some(data) = frame.data_ref() else {
                        continue;
                    };
                    sent.bytes += data.len() as u64;
                    sent.crc.add(data);
                    let room = SHOWN - sent.first.len();
                    sent.first.extend(data.iter().take(room));
                }
            }
        }
    }
}

/// The CRC-32 of Ethernet, gzip and Python's `zlib.crc32` (polynomial 0xEDB88320, reflected).
struct Crc32(u32);

impl Default for Crc32 {
    fn default() -> Self {
        Self(!0)
    }
}

impl Crc32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut value = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                let carry = value & 1;
                value >>= 1;
                if carry == 1 {
                    value ^= 0xEDB8_8320;
                }
                bit += 1;
            }
            table[byte] = value;
            byte += 1;
        }
        table
    };

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let [low, ..] = self.0.to_le_bytes();
            self.0 = Self::TABLE[usize::from(low ^ byte)] ^ (self.0 >> 8);
        }
    }

    fn value(&self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc() {
        fn check(bytes: &[u8], expected: u32) {
            let mut crc = Crc32::default();
            crc.add(bytes);
            assert_eq!(crc.value(), expected, "{bytes:?}");
        }
        // The check value of the CRC catalogue.
        check(b"123456789", 0xCBF4_3926);
        check(b"", 0);
    }
}
