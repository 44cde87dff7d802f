//! `/v1/history`: the last minute, second by second.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happened in each of the last whole seconds, the oldest first. The present one is not among them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct History {
    pub version: u32,
    pub seconds: usize,
    /// How much of the last time the percentiles are about, in seconds.
    pub window_s: usize,
    /// Over all backends: percentiles of all answers, not of backends.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// Requests that nobody answered.
    pub lost: Vec<u64>,
    pub backends: Vec<BackendHistory>,
}

/// One backend's part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct BackendHistory {
    pub id: String,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub requests: Vec<u64>,
    /// Answers with a status from 500 on.
    pub errors: Vec<u64>,
    /// Attempts that came to nothing.
    pub failed: Vec<u64>,
    /// Of those, how many went on to another backend.
    pub elsewhere: Vec<u64>,
    /// The 99th percentile of each second.
    pub p99s_ms: Vec<Option<f64>>,
    /// Its state in that second; where it had several, the least good one.
    pub states: Vec<String>,
}
