//! What became of one request.

use std::fmt;
use std::time::Duration;

/// One request that has ended. Times are since the load began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// When it was to be sent.
    pub due: Duration,
    /// When it was.
    pub sent: Duration,
    /// When its answer was whole, or it had failed.
    pub done: Duration,
    /// Which of the plan's samples it was.
    pub sample: u16,
    /// Who answered, by its place in [`Tally::backends`](super::Tally::backends).
    pub backend: Option<u16>,
    /// So many backends were tried for it, as the balancer says.
    pub attempts: u8,
    /// The answer's status; 0 without one.
    pub status: u16,
    /// Why it does not count as answered.
    pub failure: Option<Failure>,
}

impl Answer {
    /// How long somebody waited who wanted it when it was due.
    pub fn latency(&self) -> Duration {
        self.done.saturating_sub(self.due)
    }

    /// How long the server had it.
    pub fn service(&self) -> Duration {
        self.done.saturating_sub(self.sent)
    }
}

/// Why a request does not count as answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Nobody listens there.
    Refused,
    /// The connection could not be made for another reason.
    Connect,
    /// The connection ended before an answer.
    Closed,
    /// It was reset before an answer.
    Reset,
    /// It ended in the middle of the answer's body.
    Cut,
    /// There was no whole answer in time.
    Timeout,
    /// What came is not HTTP.
    Bad,
    /// All connections were busy until it was too late to send it.
    Unsent,
    /// An answer that says so: a status from 400 on.
    Status(u16),
}

/// As reports and JSON spell it.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::Refused => "refused",
            Failure::Connect => "connect_failed",
            Failure::Closed => "closed",
            Failure::Reset => "reset",
            Failure::Cut => "cut_body",
            Failure::Timeout => "timeout",
            Failure::Bad => "bad_response",
            Failure::Unsent => "unsent",
            Failure::Status(status) => return write!(f, "status_{status}"),
        })
    }
}
