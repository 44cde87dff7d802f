//! What hostile backends say: well-formed answers, spoilt by bytes. All that belongs to an exchange carries its mark, which
//! no spoiling makes another's.

use fastrand::Rng;

use super::super::message::Message;

/// How a backend's connection goes on after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With the next request, if there is one.
    Stays,
    Ends,
    Reset,
    /// Not at all: nothing more is said until lbdev ends it.
    Silent,
}

/// A request and what is said to it.
pub struct Attack {
    pub mark: Vec<u8>,
    pub request: Message,
    pub request_bytes: Vec<u8>,
    /// What a kind backend would have said.
    pub body: Vec<u8>,
    pub said: Vec<u8>,
    pub ending: Ending,
    /// It is said as it was meant.
    pub is_kind: bool,
    /// It breaks off before the end that it has promised.
    pub is_cut: bool,
}

/// Marks are so long: sixteen digits between brackets.
const MARK: usize = 18;

/// The first mark in `bytes` of an exchange other than `own`, of all the marks.
pub fn foreign<'a>(bytes: &'a [u8], own: &[u8], all: &[Attack]) -> Option<&'a [u8]> {
    let mut marks = bytes
        .windows(MARK)
        .filter(|mark| mark.starts_with(b"<") && mark.ends_with(b">") && *mark != own);
    marks.find(|mark| all.iter().any(|attack| attack.mark == *mark))
}

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}

/// The one of this number.
pub fn attack(seed: u64, number: u32) -> Attack {
    let rng = &mut Rng::with_seed(seed.wrapping_mul(999_983).wrapping_add(number.into()));
    let mark = format!("<{:016x}>", rng.u64(..)).into_bytes();
    let repeated = |times: usize| mark.repeat(times);

    let method = pick(rng, &["GET", "GET", "HEAD", "PUT", "POST", "DELETE"]);
    // `<` and `>` have no place in a target.
    let target = [b"/", &mark[1..MARK - 1]].concat();
    let mut request = Message::new([method.as_bytes(), &target, b"HTTP/1.1"]);
    request.push("Host", "localhost");
    request.push("X-Exchange", number.to_string());
    request.push("X-Mark", &mark);
    if matches!(method, "PUT" | "POST") {
        request.framing = super::super::message::Framing::Length;
        request.body = repeated(rng.usize(1..200));
        request.push("Content-Length", request.body.len().to_string());
    }

    let body = match method {
        "HEAD" => Vec::new(),
        _ => repeated(rng.usize(1..150)),
    };
    let (head, rest, until_close) = answer(rng, &mark, &body);
    let whole = [head.clone(), rest].concat();
    let mut said = whole.clone();
    let is_kind = rng.u8(..5) == 0;
    let mut is_cut = false;
    if !is_kind {
        is_cut = rng.u8(..6) == 0;
        if is_cut {
            // Behind the last byte that makes it whole nothing is missing.
            said.truncate(rng.usize(..whole.len()));
            is_cut = !until_close && (method != "HEAD" || said.len() < head.len());
        } else {
            for _ in 0..rng.usize(1..4) {
                spoil(rng, &mut said, head.len());
            }
        }
    }
    let ending = match (is_kind, until_close) {
        (true, true) => Ending::Ends,
        (true, false) => pick(rng, &[Ending::Stays, Ending::Stays, Ending::Ends]),
        (false, _) => pick(
            rng,
            &[
                Ending::Stays,
                Ending::Stays,
                Ending::Ends,
                Ending::Ends,
                Ending::Ends,
                Ending::Ends,
                Ending::Reset,
                Ending::Silent,
            ],
        ),
    };
    let request_bytes = [
        request.start.join(&b' '),
        b"\r\n".to_vec(),
        lines(&request),
        request.body.clone(),
    ];
    Attack {
        request_bytes: request_bytes.concat(),
        request,
        body,
        said,
        ending,
        is_kind,
        is_cut,
        mark,
    }
}

fn lines(message: &Message) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in &message.fields {
        lines.extend([&name[..], b": ", value, b"\r\n"].concat());
    }
    lines.extend(b"\r\n");
    lines
}

/// Head and body of an answer, and whether the end of the connection ends it.
fn answer(rng: &mut Rng, mark: &[u8], body: &[u8]) -> (Vec<u8>, Vec<u8>, bool) {
    let mut head = Vec::new();
    if rng.u8(..4) == 0 {
        head.extend(b"HTTP/1.1 103 Early Hints\r\nX-Early: ");
        head.extend([mark, b"\r\n\r\n"].concat());
    }
    let mut last = Message::new([b"HTTP/1.1", b"200", b"OK"]);
    last.push("X-Mark", mark);
    last.push("Content-Type", "text/plain");
    let mut rest = body.to_vec();
    let kind = rng.u8(..5);
    match kind {
        0 | 1 => last.push("Content-Length", body.len().to_string()),
        2 => {
            last.push("Connection", "close");
        }
        _ if body.is_empty() => last.push("Transfer-Encoding", "chunked"),
        _ => {
            last.push("Transfer-Encoding", "chunked");
            rest.clear();
            for chunk in body.chunks(rng.usize(1..800).max(body.len() / 20)) {
                rest.extend(format!("{:x}\r\n", chunk.len()).bytes());
                rest.extend([chunk, b"\r\n"].concat());
            }
            rest.extend(b"0\r\n");
            if kind == 4 {
                rest.extend([b"X-After: ", mark, b"\r\n"].concat());
            }
            rest.extend(b"\r\n");
        }
    }
    head.extend(last.start.join(&b' '));
    head.extend(b"\r\n");
    head.extend(lines(&last));
    (head, rest, kind == 2)
}

/// What turns one message into another where it is put in.
const MISCHIEF: [&[u8]; 16] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\xff",
    b"0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close, x-mark, content-length\r\n",
    b"\r\nSet-Cookie: a=b",
];

/// Changes something, more often in the head than behind it.
fn spoil(rng: &mut Rng, said: &mut Vec<u8>, head: usize) {
    if said.is_empty() {
        return;
    }
    let end = match rng.u8(..10) {
        0..7 => head.min(said.len()),
        _ => said.len(),
    };
    let at = rng.usize(..end);
    match rng.u8(..9) {
        0 | 1 => said[at] ^= 1 << rng.u8(..8),
        2 => said[at] = rng.u8(..),
        3 => said.truncate(at),
        4 => {
            let to = (at + rng.usize(1..40)).min(said.len());
            said.drain(at..to);
        }
        5 => {
            let to = (at + rng.usize(1..200)).min(said.len());
            let twice = said[at..to].to_vec();
            said.splice(at..at, twice);
        }
        6 => said.extend_from_within(..),
        _ => {
            let mischief = pick(rng, &MISCHIEF);
            said.splice(at..at, mischief.iter().copied());
        }
    }
}
