//! May a request whose attempt came to nothing be tried again? Pure; the rules are those of nginx's
//! `proxy_next_upstream` with RFC 9110 §9.2.2 for what is idempotent.

use std::time::Duration;

use hyper::Method;

use crate::pool::AttemptFailure;

/// Whether a method may be repeated without asking (RFC 9110 §9.2.2).
pub(super) fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

/// What is known after an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// What became of it.
    pub(super) failure: AttemptFailure,
    /// The backend may have seen the request.
    pub(super) sent: bool,
    /// What stands against sending it once more, if a backend has seen it.
    pub(super) hindrance: Option<Why>,
    /// Backends tried since the request came or last waited, this one counted.
    pub(super) tries: usize,
    /// Backends that may have seen it since it came, this one counted; waiting does not clear it.
    pub(super) sends: usize,
    /// Since the request came.
    pub(super) elapsed: Duration,
}

/// How far failover may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Further backends after the first.
    pub(super) retries: u32,
    /// No new try begins after this.
    pub(super) deadline: Duration,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The next backend.
    Again,
    /// The next backend, had the limit on tries not been reached: an error, unless it turns out that nobody is left.
    Spent,
    /// An error to the client.
    GiveUp(Why),
}

/// Why a request is not tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The backend may have acted on it already.
    NotReplayable,
    /// It could be repeated, had its body been short enough to be kept.
    LongBody,
    /// The client failed or left in the middle of its body.
    TornBody,
    /// Failover is off.
    Off,
    /// Every backend that takes requests was tried, or as many as may be.
    NobodyLeft,
    /// As many backends as may have seen it, and each failed under it: it may be what ends them.
    Deadly,
    /// It took too long already.
    Deadline,
    /// More requests are repeated already than the budget allows.
    Budget,
    /// The backend lives and is slow: a breakpoint must not fire on the next one too.
    Slow,
}

impl Why {
    /// In words, after "it was not tried again:".
    pub(super) fn words(self) -> &'static str {
        match self {
            Why::NotReplayable => {
                "the backend may already have acted on it, and a repetition could act twice"
            }
            Why::LongBody => "its body is longer than what is kept for another try (`retry.body`)",
            Why::TornBody => "its body ended before it was whole",
            Why::Off => "`retries` is 0",
            Why::NobodyLeft => {
                "no backend is left to try, or as many were tried as `retries` allows"
            }
            Why::Deadly => {
                "as many backends as `retries` allows have failed under it, so it may be the request that ends them"
            }
            Why::Deadline => "the retry deadline has passed",
            Why::Budget => "too many requests are being repeated already (`retry.budget`)",
            Why::Slow => "the backend runs, it is only slow",
        }
    }
}

/// What to do after a failed attempt.
pub(super) fn verdict(facts: Facts, limits: Limits, may_repeat: impl FnOnce() -> bool) -> Verdict {
    match facts.failure {
        AttemptFailure::HeadTimeout => return Verdict::GiveUp(Why::Slow),
        // A response that was cut while it was held: none of it is with the client.
        AttemptFailure::CutBody
        | AttemptFailure::Status(_)
        | AttemptFailure::Refused
        | AttemptFailure::ConnectTimeout
        | AttemptFailure::ConnectFailed
        | AttemptFailure::Closed
        | AttemptFailure::Reset
        | AttemptFailure::BadResponse => {}
    }
    let over = |count: usize| count > usize::try_from(limits.retries).unwrap_or(usize::MAX);
    if facts.sent
        && let Some(why) = facts.hindrance
    {
        Verdict::GiveUp(why)
    } else if limits.retries == 0 {
        Verdict::GiveUp(Why::Off)
    } else if facts.sent && over(facts.sends) {
        Verdict::GiveUp(Why::Deadly)
    } else if facts.elapsed >= limits.deadline {
        Verdict::GiveUp(Why::Deadline)
    } else if over(facts.tries) {
        Verdict::Spent
    } else if facts.sent && !may_repeat() {
        // Whoever was refused has cost nobody anything.
        Verdict::GiveUp(Why::Budget)
    } else {
        Verdict::Again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        use AttemptFailure::*;
        let facts = Facts {
            failure: Refused,
            sent: false,
            hindrance: None,
            tries: 1,
            sends: 1,
            elapsed: Duration::ZERO,
        };
        let sent = Facts {
            sent: true,
            failure: Closed,
            ..facts
        };
        let post = Facts {
            hindrance: Some(Why::NotReplayable),
            ..facts
        };
        let late = Duration::from_secs(10);
        let give_up = Verdict::GiveUp;
        for (name, facts, retries, expected) in [
            ("refused", facts, 3, Verdict::Again),
            ("refused post", post, 3, Verdict::Again),
            ("closed get", sent, 3, Verdict::Again),
            (
                "closed post, sent",
                Facts {
                    hindrance: Some(Why::NotReplayable),
                    ..sent
                },
                3,
                give_up(Why::NotReplayable),
            ),
            (
                "closed put, too long to be kept",
                Facts {
                    hindrance: Some(Why::LongBody),
                    ..sent
                },
                3,
                give_up(Why::LongBody),
            ),
            (
                "closed post, unsent",
                Facts {
                    sent: false,
                    hindrance: Some(Why::NotReplayable),
                    ..sent
                },
                3,
                Verdict::Again,
            ),
            (
                "reset get",
                Facts {
                    failure: Reset,
                    ..sent
                },
                3,
                Verdict::Again,
            ),
            (
                "not HTTP",
                Facts {
                    failure: BadResponse,
                    ..sent
                },
                3,
                Verdict::Again,
            ),
            (
                "slow",
                Facts {
                    failure: HeadTimeout,
                    ..sent
                },
                3,
                give_up(Why::Slow),
            ),
            (
                "cut while it was held",
                Facts {
                    failure: CutBody,
                    ..sent
                },
                3,
                Verdict::Again,
            ),
            ("off", facts, 0, give_up(Why::Off)),
            (
                "third further try",
                Facts { tries: 3, ..facts },
                3,
                Verdict::Again,
            ),
            (
                "fourth further try",
                Facts { tries: 4, ..facts },
                3,
                Verdict::Spent,
            ),
            (
                "third to fail under it",
                Facts { sends: 3, ..sent },
                3,
                Verdict::Again,
            ),
            (
                "fourth to fail under it, though it waited in between",
                Facts { sends: 4, ..sent },
                3,
                give_up(Why::Deadly),
            ),
            (
                "refused after as many",
                Facts { sends: 4, ..facts },
                3,
                Verdict::Again,
            ),
            (
                "late",
                Facts {
                    elapsed: late,
                    ..facts
                },
                3,
                give_up(Why::Deadline),
            ),
        ] {
            let limits = Limits {
                retries,
                deadline: late,
            };
            assert_eq!(verdict(facts, limits, || true), expected, "{name}");
        }
    }

    #[test]
    fn the_budget_is_asked_only_for_what_was_seen() {
        let limits = Limits {
            retries: 3,
            deadline: Duration::from_secs(10),
        };
        let facts = Facts {
            failure: AttemptFailure::Closed,
            sent: true,
            hindrance: None,
            tries: 1,
            sends: 1,
            elapsed: Duration::ZERO,
        };
        let spent = Verdict::GiveUp(Why::Budget);
        assert_eq!(verdict(facts, limits, || false), spent);
        let unsent = Facts {
            sent: false,
            ..facts
        };
        assert_eq!(verdict(unsent, limits, || panic!("asked")), Verdict::Again);
    }

    #[test]
    fn idempotent_methods() {
        for (method, expected) in [
            ("GET", true),
            ("HEAD", true),
            ("OPTIONS", true),
            ("TRACE", true),
            ("PUT", true),
            ("DELETE", true),
            ("POST", false),
            ("PATCH", false),
            ("LOCK", false),
            ("get", false),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(is_idempotent(&method), expected, "{method}");
        }
    }
}
