//! What the dashboard is made of: the last requests, what backends wrote, the last ten minutes, and what comes over the event
//! stream besides events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EventAttempt;

/// `/v1/requests`: the last requests, the oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct SeenRequests {
    pub version: u32,
    /// All there were while they are few; of many a sample: about fifty a second, and each that needed another try.
    pub requests: Vec<SeenRequest>,
    /// The number of the last one: what to ask for those after.
    pub last: u64,
}

/// One request, when its response has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct SeenRequest {
    pub seq: u64,
    /// When it came.
    pub at: jiff::Timestamp,
    pub method: String,
    /// Path and query, cut where they are long.
    pub target: String,
    /// What the client got.
    pub status: u16,
    pub took_ms: f64,
    /// How long of that it waited for a backend.
    pub waited_ms: f64,
    /// Who answered; without one lbdev did.
    pub backend: Option<String>,
    /// Why that one, in words.
    pub why: Option<String>,
    /// A fault that somebody put in had a part in it.
    pub fault: bool,
    /// What was tried before, in vain.
    pub attempts: Vec<EventAttempt>,
}

/// `/v1/logs`: the last lines of each backend, in the order in which they were read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct Logs {
    pub version: u32,
    pub lines: Vec<LogLine>,
    /// Over the event stream: so many more came too fast to be sent.
    #[serde(default)]
    pub left_out: u64,
}

/// One line that a backend wrote, without terminal escapes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct LogLine {
    pub at: jiff::Timestamp,
    pub backend: String,
    /// On standard error.
    pub err: bool,
    pub text: String,
}

/// `/v1/timeline`: the last ten minutes in columns, one for each whole second, the oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct Timeline {
    pub version: u32,
    /// When the first second began, in seconds since 1970.
    pub first: f64,
    /// Of all answers of a second, over all backends.
    pub p50_ms: Vec<Option<f64>>,
    pub p99_ms: Vec<Option<f64>>,
    /// Requests that nobody answered.
    pub lost: Vec<u64>,
    pub backends: Vec<BackendTimeline>,
}

/// One backend's part of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct BackendTimeline {
    pub id: String,
    /// Requests that it answered.
    pub requests: Vec<u64>,
    /// Of those, with a status from 500 on.
    pub errors: Vec<u64>,
    /// Attempts that came to nothing.
    pub failed: Vec<u64>,
    /// Its state; where it had several in a second the least good one, and empty where it was not there.
    pub states: Vec<String>,
}

/// Event `second`: one more column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct Second {
    /// When it began, in seconds since 1970.
    pub at: f64,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub lost: u64,
    pub backends: Vec<BackendSecond>,
}

/// One backend's part of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct BackendSecond {
    pub id: String,
    pub requests: u64,
    pub errors: u64,
    pub failed: u64,
    pub state: String,
}

/// Event `pulse`: the counters since the start, a few times a second while they change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct Pulse {
    /// Requests that wait for a backend now.
    pub waiting: u64,
    /// Requests that nobody answered.
    pub lost: u64,
    pub backends: Vec<BackendPulse>,
}

/// One backend's part of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct BackendPulse {
    pub id: String,
    pub requests: u64,
    pub failures: u64,
    pub in_flight: u64,
}
