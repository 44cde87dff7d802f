//! Well-formed exchanges, as odd as RFC 9110 and 9112 let them be. The same seed and number make the same exchange.

mod bytes;
mod odd;

use fastrand::Rng;

use bytes::encode;
use odd::{odd_name, odd_value, path_and_query, pick};

use super::message::{Field, Framing, Message};

/// A request and how it is answered.
pub struct Exchange {
    pub request: Message,
    /// The client waits for `100 Continue` before it sends the body.
    pub waits: bool,
    /// The client ends the connection afterwards, and says so.
    pub closes: bool,
    /// Interim answers (1xx).
    pub interims: Vec<Message>,
    pub answer: Message,
    /// The backend ends the connection afterwards, and says so where it has to.
    pub ends: bool,
    /// As it is written: head and body.
    pub request_bytes: (Vec<u8>, Vec<u8>),
    pub interim_bytes: Vec<Vec<u8>>,
    pub answer_bytes: Vec<u8>,
    /// The answer is written in so many parts.
    pub parts: usize,
}

const METHODS: [&str; 12] = [
    "GET",
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "HEAD",
    "HEAD",
    "PROPFIND",
    "M-SEARCH",
    "x!#$%&'*+-.^_`|~9",
];
const HOSTS: [&str; 6] = [
    "localhost:8080",
    "LocalHost",
    "shop.localhost:80",
    "127.0.0.1:8000",
    "[::1]:8080",
    "192.0.2.7",
];
const OF_REQUESTS: [&str; 16] = [
    "accept",
    "accept-language",
    "accept-encoding",
    "user-agent",
    "cookie",
    "cookie",
    "authorization",
    "content-type",
    "if-none-match",
    "range",
    "referer",
    "origin",
    "traceparent",
    "via",
    "sec-fetch-dest",
    "idempotency-key",
];
const OF_ANSWERS: [&str; 16] = [
    "set-cookie",
    "set-cookie",
    "set-cookie",
    "content-type",
    "cache-control",
    "etag",
    "last-modified",
    "location",
    "link",
    "server",
    "vary",
    "via",
    "www-authenticate",
    "retry-after",
    "accept-ranges",
    "content-language",
];
const STATUSES: [u16; 36] = [
    200, 200, 200, 201, 202, 203, 204, 205, 206, 207, 226, 299, 300, 301, 302, 303, 304, 304, 307,
    308, 400, 401, 403, 404, 405, 409, 418, 422, 429, 451, 500, 501, 502, 503, 504, 599,
];
const REASONS: [&[u8]; 6] = [
    b"",
    b"OK",
    b"Fine, thanks: \"really\"",
    b"two  blanks",
    b"na\xefve caf\xe9",
    b"100 Continue",
];
/// The exchange of this number.
pub fn exchange(seed: u64, number: u32) -> Exchange {
    let rng = &mut Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(number.into()));
    let mut request = request(rng, number);
    let closes = rng.u8(..8) == 0;
    let waits = !request.body.is_empty() && rng.u8(..8) == 0;
    if waits {
        insert(rng, &mut request, "Expect", b"100-continue");
    }
    hop_by_hop(rng, &mut request, closes);
    let is_head = request.start[0] == b"HEAD";
    let mut answer = answer(rng, number, is_head);
    // Who ends it need not say so where nothing else could follow.
    let says = rng.u8(..8) == 0;
    let is_last = answer.framing == Framing::UntilClose || answer.start[0] == b"HTTP/1.0";
    let ends = is_last || says;
    hop_by_hop(rng, &mut answer, says);
    let interims = interims(rng, waits);
    Exchange {
        waits,
        closes,
        ends,
        parts: rng.usize(1..5),
        request_bytes: encode(rng, &request, &request.body),
        interim_bytes: interims.iter().map(|it| encode(rng, it, b"").0).collect(),
        answer_bytes: {
            let (head, body) = encode(rng, &answer, &answer.body);
            [head, body].concat()
        },
        request,
        interims,
        answer,
    }
}

fn request(rng: &mut Rng, number: u32) -> Message {
    let host = pick(rng, &HOSTS);
    let mut target = path_and_query(rng);
    if rng.u8(..16) == 0 {
        // Absolute form: what it names counts, whatever `Host` says (RFC 9112 §3.2.2).
        target = [b"http://", pick(rng, &HOSTS).as_bytes(), &target].concat();
    }
    let method = pick(rng, &METHODS);
    let mut request = Message::new([method.as_bytes(), &target, b"HTTP/1.1"]);
    some_fields(rng, &mut request, &OF_REQUESTS);
    insert(rng, &mut request, "Host", host.as_bytes());
    insert(
        rng,
        &mut request,
        "X-Exchange",
        number.to_string().as_bytes(),
    );
    if rng.u8(..12) == 0 {
        insert(
            rng,
            &mut request,
            "X-Forwarded-For",
            b"203.0.113.9, 10.0.0.1",
        );
        insert(rng, &mut request, "X-Forwarded-Proto", b"https");
        insert(rng, &mut request, "Forwarded", b"for=203.0.113.9");
    }
    request.framing = match rng.u8(..6) {
        0 | 1 if method != "HEAD" => Framing::Length,
        2 if method != "HEAD" => Framing::Chunked,
        _ => Framing::None,
    };
    content(rng, &mut request);
    request
}

fn answer(rng: &mut Rng, number: u32, is_head: bool) -> Message {
    let status = pick(rng, &STATUSES);
    let old = rng.u8(..16) == 0;
    let version: &[u8] = if old { b"HTTP/1.0" } else { b"HTTP/1.1" };
    let reason = pick(rng, &REASONS);
    let mut answer = Message::new([version, status.to_string().as_bytes(), reason]);
    some_fields(rng, &mut answer, &OF_ANSWERS);
    insert(
        rng,
        &mut answer,
        "X-Exchange",
        number.to_string().as_bytes(),
    );
    if rng.bool() {
        insert(rng, &mut answer, "Date", b"Tue, 15 Nov 1994 08:12:31 GMT");
    }
    if rng.u8(..16) == 0 {
        // Another lbdev may stand behind this one.
        insert(rng, &mut answer, "X-Lbdev-Backend", b"other:1");
        insert(rng, &mut answer, "X-Lbdev-Attempts", b"7");
    }
    answer.framing = match (status, rng.u8(..4)) {
        (204, _) => Framing::None,
        // It has no content (RFC 9110 §15.3.6), and says so.
        (205, _) => Framing::Length,
        (304, 0 | 1) => Framing::None,
        (304, _) => Framing::Length,
        (_, 0) if !old => Framing::Chunked,
        (_, 1) => Framing::UntilClose,
        _ if old && !is_head => Framing::UntilClose,
        _ => Framing::Length,
    };
    if status != 205 {
        content(rng, &mut answer);
    } else {
        insert(rng, &mut answer, "Content-Length", b"0");
    }
    if is_head || status == 304 {
        // Its fields speak of a body that does not come (RFC 9112 §6.3).
        answer.framing = Framing::None;
        answer.body.clear();
        answer.trailers.clear();
    }
    answer
}

/// A leave for who waits for it, early hints and the like.
fn interims(rng: &mut Rng, waits: bool) -> Vec<Message> {
    let mut interims = Vec::new();
    if waits {
        let reason = pick(rng, &REASONS);
        interims.push(Message::new([b"HTTP/1.1", b"100", reason]));
    }
    while rng.u8(..5) == 0 {
        let status = pick(rng, &["102", "103", "103", "199"]);
        let reason = pick(rng, &REASONS);
        let mut interim = Message::new([b"HTTP/1.1", status.as_bytes(), reason]);
        some_fields(rng, &mut interim, &["link", "Server-Timing"]);
        interims.push(interim);
    }
    interims
}

/// A body, the field that frames it, and trailers.
fn content(rng: &mut Rng, message: &mut Message) {
    let most = pick(
        rng,
        &[0, 1, 20, 20, 1000, 1000, 9000, 20_000, 70_000, 200_000],
    );
    let length = match most {
        0 => 0,
        most => rng.usize(most / 2..=most),
    };
    if message.framing != Framing::None {
        message.body = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
    }
    match message.framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Length => {
            insert(
                rng,
                message,
                "Content-Length",
                length.to_string().as_bytes(),
            );
        }
        Framing::Chunked => {
            insert(rng, message, "Transfer-Encoding", b"chunked");
            if rng.bool() {
                let mut after = Message::new([b"", b"", b""]);
                some_fields(rng, &mut after, &["X-Sum", "Server-Timing", "ETag"]);
                if rng.u8(..4) == 0 {
                    // What only a head may say.
                    insert(rng, &mut after, "Content-Length", b"5");
                    insert(rng, &mut after, "X-Forwarded-For", b"203.0.113.9");
                    insert(rng, &mut after, "X-Lbdev-Backend", b"other:1");
                }
                message.trailers = after.fields;
                insert(rng, message, "Trailer", b"X-Sum, Server-Timing");
            }
        }
    }
}

/// Puts fields in that are for one hop only.
fn hop_by_hop(rng: &mut Rng, message: &mut Message, close: bool) {
    let is_request = message.start[2] == b"HTTP/1.1";
    let mut words: Vec<&str> = Vec::new();
    if close {
        words.push(pick(rng, &["close", "Close"]));
    }
    match rng.u8(..24) {
        0 => {
            words.push("X-Hop");
            insert(rng, message, "X-Hop", b"only here");
        }
        1 => {
            words.push("keep-alive");
            insert(rng, message, "Keep-Alive", b"timeout=5");
            words.retain(|word| !close || *word != "keep-alive");
        }
        2 => insert(rng, message, "Proxy-Connection", b"keep-alive"),
        3 if is_request => {
            words.push("TE");
            let te = pick(rng, &["trailers", "gzip;q=0.5, trailers", "gzip"]);
            insert(rng, message, "TE", te.as_bytes());
        }
        4 => {
            words.push("Upgrade");
            insert(rng, message, "Upgrade", b"made-up/1");
        }
        5 => insert(rng, message, "Upgrade", b"unnamed/1"),
        _ => {}
    }
    if !words.is_empty() {
        let together = words.join(pick(rng, &[", ", ",", " , "]));
        insert(rng, message, "Connection", together.as_bytes());
    }
}

/// Some of the known names and of names that nobody knows, some of them several times.
fn some_fields(rng: &mut Rng, message: &mut Message, known: &[&str]) {
    for _ in 0..pick(rng, &[0, 1, 3, 6, 12]) {
        let name = match rng.u8(..4) {
            0 => odd_name(rng),
            1 => "x-odd".to_owned(),
            _ => pick(rng, known).to_owned(),
        };
        let value = odd_value(rng);
        insert(rng, message, &name, &value);
    }
}

/// Puts a field anywhere, its name in any case.
fn insert(rng: &mut Rng, message: &mut Message, name: &str, value: &[u8]) {
    let name: Vec<u8> = match rng.u8(..4) {
        0 => name.bytes().map(|byte| any_case(rng, byte)).collect(),
        1 => name.to_ascii_lowercase().into_bytes(),
        2 => name.to_ascii_uppercase().into_bytes(),
        _ => name.as_bytes().to_vec(),
    };
    let field: Field = (name, value.to_vec());
    let place = rng.usize(..=message.fields.len());
    message.fields.insert(place, field);
}

fn any_case(rng: &mut Rng, byte: u8) -> u8 {
    match rng.bool() {
        true => byte.to_ascii_uppercase(),
        false => byte.to_ascii_lowercase(),
    }
}
