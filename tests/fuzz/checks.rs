//! What must hold of any bytes: the fuzzers in `targets` try these, and `tests/it/corpus.rs` does so without a fuzzer. Each
//! function panics where it does not hold, and tells whether the bytes were taken for what they are to be. (That of the head of a request comes with the codec's half towards clients: what is
//! accepted must be read again as the same request from what is written to a backend.)

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
