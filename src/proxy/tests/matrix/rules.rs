//! What the rules of failing over say of each cell, without a look at the proxy.

use super::*;
use crate::pool::AttemptFailure;

/// What is to be seen of one cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) status: u16,
    /// The response's body is as long as it says, or ends with an empty chunk.
    pub(super) whole: bool,
    /// A backend's body as far as it came; `None` on lbdev's own pages.
    pub(super) body: Option<String>,
    /// The port in `X-Lbdev-Backend`.
    pub(super) backend: Option<u16>,
    pub(super) attempts: Option<u16>,
    /// Why it was not tried again, on lbdev's own pages.
    pub(super) reason: Option<&'static str>,
    /// Requests of this cell whose heads reached each backend.
    pub(super) asked: [usize; 3],
    /// Every body that a backend read to its end is the one that was sent.
    pub(super) intact: bool,
    /// Failures of each backend.
    pub(super) failures: [u64; 3],
    pub(super) retries: u64,
    pub(super) unanswered: u64,
}

const TWICE: &str = "could act twice";
const LONG: &str = "longer than what is kept";
const NOBODY: &str = "no backend is left";
const DEADLY: &str = "may be the request that ends them";
const SLOW: &str = "only slow";
const WAITED: &str = "no backend took requests";

pub(super) const REASONS: [&str; 6] = [TWICE, LONG, NOBODY, DEADLY, SLOW, WAITED];

/// The answer of a backend that is well or does not fail in the end, without a further try.
fn answered(port: u16, body: &str, asked: [usize; 3]) -> Seen {
    Seen {
        status: 200,
        whole: true,
        body: Some(body.to_owned()),
        backend: Some(port),
        attempts: Some(1),
        reason: None,
        asked,
        intact: true,
        failures: [0; 3],
        retries: 0,
        unanswered: 0,
    }
}

/// The next backend's answer after a failure.
fn retried(heads: usize) -> Seen {
    Seen {
        attempts: Some(2),
        failures: [1, 0, 0],
        retries: 1,
        ..answered(8001, "ok", [heads, 1, 0])
    }
}

/// A page of lbdev's own that names the failing backend.
fn gave_up(status: u16, reason: &'static str, heads: usize) -> Seen {
    Seen {
        status,
        body: None,
        reason: Some(reason),
        failures: [1, 0, 0],
        unanswered: 1,
        ..answered(8000, "", [heads, 0, 0])
    }
}

/// The same after a second failure, with a third backend that is not asked.
fn gave_up_twice(reason: &'static str, heads: usize) -> Seen {
    Seen {
        backend: Some(8001),
        attempts: Some(2),
        asked: [heads, heads, 0],
        failures: [1, 1, 0],
        retries: 1,
        ..gave_up(502, reason, heads)
    }
}

/// Why a request that a backend may have seen is not sent to another one.
fn hindrance(asked: Asked) -> Option<&'static str> {
    match asked {
        Asked::Post => Some(TWICE),
        Asked::LongPut => Some(LONG),
        Asked::Get | Asked::Head | Asked::Put | Asked::PostWithKey | Asked::ChunkedPut => None,
    }
}

/// Not a byte of it has left: it is safe to try every request again.
fn unsent(which: Try) -> Seen {
    match which {
        Try::First => retried(0),
        Try::Last => gave_up(502, NOBODY, 0),
        Try::Spent => gave_up_twice(NOBODY, 0),
    }
}

/// The backend may have seen it, and the client has no byte of an answer.
fn sent(asked: Asked, which: Try, heads: usize) -> Seen {
    match (hindrance(asked), which) {
        (Some(why), _) => gave_up(502, why, heads),
        (None, Try::First) => retried(heads),
        (None, Try::Last) => gave_up(502, NOBODY, heads),
        // As many as may be have failed under it.
        (None, Try::Spent) => gave_up_twice(DEADLY, heads),
    }
}

/// The rules of failing over. Where it is chance how far a request gets before the backend is gone, there are several.
pub(super) fn expected(failure: Failure, asked: Asked, which: Try) -> Vec<Seen> {
    let heads_only = asked == Asked::Head;
    let body = |body| match heads_only {
        true => "",
        false => body,
    };
    let mut allowed = vec![match failure {
        // Without another one it waits for one, and in vain.
        Failure::Refuse if which == Try::Last => Seen {
            backend: None,
            ..gave_up(503, WAITED, 0)
        },
        Failure::Refuse => unsent(which),
        Failure::AcceptAndClose => sent(asked, which, 0),
        Failure::Reset | Failure::ResetInRequest | Failure::HalfHead | Failure::Garbage => {
            sent(asked, which, 1)
        }
        // The process lives: a breakpoint must not fire on the next one too.
        Failure::Hang => gave_up(504, SLOW, 1),
        // HEAD has no body that could be missing (RFC 9110 §9.3.2).
        Failure::HeadThenClose
        | Failure::HalfBody
        | Failure::HalfLongBody
        | Failure::HalfChunks
            if heads_only =>
        {
            answered(8000, "", [1, 0, 0])
        }
        // Short enough to be held: none of it is with the client.
        Failure::HeadThenClose | Failure::HalfBody => sent(asked, which, 1),
        // The client has a part of it, and sees that it is a part.
        Failure::HalfLongBody | Failure::HalfChunks => Seen {
            whole: false,
            failures: [1, 0, 0],
            ..answered(8000, "half", [1, 0, 0])
        },
        Failure::SlowBody => answered(8000, body("half whole"), [1, 0, 0]),
        // What the kernel has told by now is not even tried.
        Failure::StaleEnd | Failure::StaleReset => answered(8000, body("ok"), [1, 0, 0]),
        // A stale connection costs no try and is nobody's failure; the request was asked for twice.
        Failure::StaleEndAtWrite | Failure::StaleResetAtWrite
            if asked.goes_on_used_connections() =>
        {
            answered(8000, body("ok"), [2, 0, 0])
        }
        Failure::StaleEndAtWrite | Failure::StaleResetAtWrite => {
            answered(8000, body("ok"), [1, 0, 0])
        }
    }];
    if failure == Failure::AcceptAndClose {
        // The close may be known before the first byte is written, at each of the tries.
        allowed.push(unsent(which));
        if which == Try::Spent {
            allowed.push(gave_up_twice(hindrance(asked).unwrap_or(NOBODY), 0));
        }
    }
    for one in &mut allowed {
        if heads_only {
            // A page about a HEAD has no body that could say why, and an answer none at all.
            one.reason = None;
            one.body = one.body.take().map(|_| String::new());
        }
    }
    allowed
}

/// What each failure is called, in the counters and on the pages.
pub(super) fn names(failure: Failure) -> &'static [AttemptFailure] {
    match failure {
        Failure::Refuse => &[AttemptFailure::Refused],
        // With the request unread in its socket, a close is a reset.
        Failure::AcceptAndClose => &[AttemptFailure::Closed, AttemptFailure::Reset],
        Failure::Reset | Failure::ResetInRequest => &[AttemptFailure::Reset],
        Failure::Hang => &[AttemptFailure::HeadTimeout],
        Failure::HalfHead => &[AttemptFailure::Closed],
        Failure::Garbage => &[AttemptFailure::BadResponse],
        Failure::HeadThenClose
        | Failure::HalfBody
        | Failure::HalfLongBody
        | Failure::HalfChunks => &[AttemptFailure::CutBody],
        Failure::SlowBody
        | Failure::StaleEnd
        | Failure::StaleReset
        | Failure::StaleEndAtWrite
        | Failure::StaleResetAtWrite => &[],
    }
}
