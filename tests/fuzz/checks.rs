//! What must hold of any bytes: the fuzzers in `targets` try these, and `tests/it/corpus.rs` does so without a fuzzer. Each
//! function panics where it does not hold, and tells whether the bytes were taken for what they are to be.

// Each fuzzer uses one.
#![allow(dead_code)]

use std::cell::OnceCell;

use lbdev::internals;

/// Backends with sticky cookies.
const BACKENDS: usize = 4;

/// The head of a response ends at one place, however it comes, and no line of it can be read as two or as none.
pub fn response_head(bytes: &[u8]) -> bool {
    let mut taken = false;
    for method in ["GET", "HEAD"] {
        let Ok(Some((length, body))) = internals::response_head(bytes, method) else {
            continue;
        };
        taken = true;
        let head = &bytes[..length];
        assert_eq!(
            internals::response_head(head, method),
            Ok(Some((length, body)))
        );
        for part in parts(head) {
            assert_eq!(internals::response_head(part, method), Ok(None), "{part:?}");
        }
        let bare = |pair: &[u8]| pair[0] == b'\r' && pair[1] != b'\n';
        assert!(!head.contains(&0) && !head.windows(2).any(bare), "{head:?}");
        let folded = |three: &[u8]| three[0] == b'\n' && matches!(three[1], b' ' | b'\t');
        assert!(
            !head.windows(3).any(folded),
            "a field goes on in a second line"
        );
        if method == "HEAD" {
            assert_eq!(body, Some(0));
        }
    }
    taken
}

/// The head of a request ends at one place, however it comes; and what a backend gets of it says the same, as whoever reads it:
/// a reader that goes by lines, and our own, for which it is as a client's would be.
pub fn request_head(bytes: &[u8]) -> bool {
    let Ok(Some((length, body))) = internals::request_head(bytes) else {
        return false;
    };
    let head = &bytes[..length];
    assert_eq!(internals::request_head(head), Ok(Some((length, body))));
    for part in parts(head) {
        assert_eq!(internals::request_head(part), Ok(None), "{part:?}");
    }
    let written = internals::request_forwarded(head);
    let written = written.expect("it was accepted").expect("it was whole");
    let (ours, theirs) = (Lines::of(head), Lines::of(&written));
    assert_eq!(theirs.body(), body, "{theirs:?}");
    assert_eq!(ours.words[0], theirs.words[0], "another method");
    if ours.words[1].starts_with(b"/") {
        assert_eq!(ours.words[1], theirs.words[1], "another target");
    }
    assert_eq!(theirs.words[2], b"HTTP/1.1");
    for (name, _) in &theirs.fields {
        let hop = [
            &b"connection"[..],
            b"keep-alive",
            b"proxy-connection",
            b"upgrade",
        ];
        assert!(!hop.contains(&name.as_slice()), "{theirs:?}");
    }
    // What is for the backend came from the client, in its order, but for the framing and `TE`.
    let mut came = ours.fields.iter();
    for field in &theirs.fields {
        let made = [&b"content-length"[..], b"transfer-encoding", b"te"];
        assert!(
            made.contains(&field.0.as_slice()) || came.any(|other| other == field),
            "{field:?} of {theirs:?} came from nowhere"
        );
    }
    assert_eq!(
        internals::request_head(&written),
        Ok(Some((written.len(), body)))
    );
    assert_eq!(
        internals::request_forwarded(&written),
        Ok(Some(written.clone())),
        "what was forwarded is forwarded as something else"
    );
    true
}

/// A head as the simplest of all readers takes it.
#[derive(Debug)]
struct Lines {
    words: Vec<Vec<u8>>,
    /// Names in small letters, values without blanks around them.
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Lines {
    fn of(head: &[u8]) -> Self {
        let head = head
            .strip_suffix(b"\r\n\r\n")
            .expect("it ends with an empty line");
        // Empty lines before a request are passed over (RFC 9112 §2.2).
        let mut lines = head
            .split(|&byte| byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let first = lines
            .find(|line| !line.is_empty())
            .expect("there is a first line");
        let fields = lines.map(|line| {
            let colon = line
                .iter()
                .position(|&byte| byte == b':')
                .expect("a field has a colon");
            (
                line[..colon].to_ascii_lowercase(),
                line[colon + 1..].trim_ascii().to_vec(),
            )
        });
        Self {
            words: first
                .split(|&byte| byte == b' ')
                .map(<[u8]>::to_vec)
                .collect(),
            fields: fields.collect(),
        }
    }

    /// How long the body is; `None` where it is chunked.
    fn body(&self) -> Option<u64> {
        let all = |name: &[u8]| {
            let name = name.to_vec();
            let of_name = self.fields.iter().filter(move |field| field.0 == name);
            of_name.map(|field| field.1.as_slice()).collect::<Vec<_>>()
        };
        match (&all(b"content-length")[..], &all(b"transfer-encoding")[..]) {
            ([], []) => Some(0),
            ([digits], []) => {
                let digits = std::str::from_utf8(digits).expect("digits are ASCII");
                Some(digits.parse().expect("a length is a number"))
            }
            ([], [b"chunked"]) => None,
            framings => panic!("two framings, or an odd one: {framings:?}"),
        }
    }
}

/// Beginnings of a head that are not all of it: all of them where they are few.
fn parts(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let step = (head.len() / 64).max(1);
    let ends = (0..head.len()).step_by(step).chain([head.len() - 1]);
    ends.map(|end| &head[..end])
}

/// A chunked body is the same however it comes, and as the backend gets it.
pub fn chunked(bytes: &[u8]) -> bool {
    let whole = internals::chunked(&[bytes]);
    // The bytes themselves say where they are cut.
    for seed in bytes.iter().take(8) {
        let cut = usize::from(*seed) * bytes.len() / 256;
        let (one, two) = bytes.split_at(cut);
        let cut_up = internals::chunked(&[one, two]);
        assert_eq!(whole.is_ok(), cut_up.is_ok(), "cut at {cut}");
        if let (Ok(whole), Ok(cut_up)) = (&whole, cut_up) {
            assert_eq!(*whole, cut_up, "cut at {cut}");
        }
    }
    let Ok(body) = whole else { return false };
    if body.ended {
        for chunk in [1, 7, 4096] {
            let written = internals::chunked_written(&body, chunk);
            let again = internals::chunked(&[&written.expect("what was read is writable")]);
            let same = internals::Body {
                rest: Vec::new(),
                ..body.clone()
            };
            assert_eq!(again, Ok(same));
        }
    }
    body.ended
}

/// A cookie leads to a backend only if that backend's own code is in it; and with that in front it always does.
pub fn cookie(bytes: &[u8]) -> bool {
    type Known = (Box<dyn Fn(&[u8]) -> Option<usize>>, Vec<String>);
    thread_local! {
        static KNOWN: OnceCell<Known> = const { OnceCell::new() };
    }
    KNOWN.with(|known| {
        let (find, each) = known.get_or_init(|| {
            let (find, each) = internals::sticky_cookies(BACKENDS);
            (Box::new(find), each)
        });
        let found = find(bytes);
        if let Some(index) = found {
            let own = each[index].as_bytes();
            let (_, code) = each[index].split_once('=').expect("it is a pair");
            let holds = |part: &[u8]| bytes.windows(part.len()).any(|some| some == part);
            assert!(
                holds(own) || holds(code.as_bytes()),
                "{bytes:?} is taken for {index}"
            );
        }
        // What may stand in a field's value (RFC 9110 §5.5).
        if bytes
            .iter()
            .all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
        {
            for (index, own) in each.iter().enumerate() {
                let value = [own.as_bytes(), b"; ", bytes].concat();
                assert_eq!(find(&value), Some(index));
            }
        }
        found.is_some()
    })
}

/// Whatever stands in an `lbdev.toml`, it is a set-up that can be written and read again, or a person is told why not.
pub fn config(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    // Files that an `env_file` names are read, and some never end.
    if text.contains("dev") || text.contains("proc") {
        return false;
    }
    let read = internals::config(text);
    if let Err(told) = &read {
        assert!(!told.is_empty());
        for report in told {
            assert!(
                !report.message.is_empty() && report.code.starts_with("LB"),
                "{report:?}"
            );
        }
    }
    read.is_ok()
}

/// What is taken for a host is one name in small letters, and is that name when it is asked again.
pub fn host(bytes: &[u8]) -> bool {
    let Some(name) = internals::host(bytes) else {
        return false;
    };
    let odd = |byte: u8| {
        byte.is_ascii_uppercase() || byte.is_ascii_control() || b" ,/@\"\\#?".contains(&byte)
    };
    assert!(!name.is_empty() && !name.bytes().any(odd), "{name:?}");
    assert_eq!(internals::host(name.as_bytes()), Some(name));
    true
}
