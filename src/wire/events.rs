//! `lbdev events --json` and `/v1/events`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that happened. `text` says it all in words; the rest is for programs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct Event {
    pub version: u32,
    /// From 1, without a gap: which is the first one that is still kept shows whether some are missed.
    pub seq: u64,
    pub at: jiff::Timestamp,
    /// `state | failover | lost | settings | fault | note | trouble`
    pub kind: String,
    pub backend: Option<String>,
    pub text: String,
    /// So many alike, in about a second.
    pub count: u64,
    /// Of `state`: from which state to which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Of `state`: `operator | lbdev | self | outside | checks | traffic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Of `state`: how long it was in `from`; when it becomes ready, since its launch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<f64>,
    /// Of `state`, where it is about the rotation: `out` or `back`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<String>,
    /// With `out`: from the moment lbdev learnt of the cause to the moment no request is sent there any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_after_ms: Option<f64>,
    /// Of `failover` and `lost`: the request; where `count` is more than 1, one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<EventRequest>,
    /// Of `trouble`: what `lbdev explain` knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A request that was not answered at its first try.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct EventRequest {
    pub method: String,
    pub target: String,
    pub status: u16,
    pub took_ms: f64,
    pub waited_ms: f64,
    pub attempts: Vec<EventAttempt>,
}

/// A try that came to nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct EventAttempt {
    pub backend: String,
    pub failure: String,
    pub after_ms: f64,
}

/// Events after a number, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct Events {
    pub version: u32,
    pub events: Vec<Event>,
    /// The number of the last one there is: what to ask for those after.
    pub last: u64,
}
