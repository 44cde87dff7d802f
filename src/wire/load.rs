//! `lbdev load --json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a load has measured. Moments are seconds since it began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LoadReport {
    pub version: u32,
    pub url: String,
    pub began: jiff::Timestamp,
    /// `open | closed`
    pub mode: String,
    /// What was asked for, of an open loop.
    pub rps: Option<f64>,
    /// What it was: requests that have ended over the time in which they were sent.
    pub rate: f64,
    /// Connections that were made.
    pub connections: u64,
    pub users: u64,
    pub planned_s: f64,
    pub lasted_s: f64,
    /// It was stopped before its end.
    pub stopped: bool,
    pub requests: u64,
    pub ok: u64,
    pub failed: u64,
    pub failed_pct: f64,
    /// Failures by reason: `refused`, `timeout`, `status_503`, …
    pub failures: BTreeMap<String, u64>,
    pub statuses: BTreeMap<String, u64>,
    /// Answered by another backend than the one that was tried first.
    pub elsewhere: u64,
    pub bytes: u64,
    /// From the moment a request was due; `null` where nothing was answered.
    pub latency_ms: Option<LoadLatency>,
    /// From the moment it was sent.
    pub service_ms: Option<LoadLatency>,
    /// How late the load itself came to requests that were due: nobody else's doing.
    pub behind_ms: Option<LoadLatency>,
    pub backends: Vec<LoadBackend>,
    /// Shares before anything happened to a backend.
    pub evenness: Option<LoadEvenness>,
    pub timeline: LoadTimeline,
    pub actions: Vec<LoadAction>,
    pub failovers: Vec<LoadFailover>,
    pub limits: Vec<LoadLimit>,
}

/// Percentiles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LoadLatency {
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// Who answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LoadBackend {
    pub id: String,
    pub requests: u64,
    pub share_pct: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// How evenly requests were shared out until the first action or failover.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LoadEvenness {
    pub until_s: f64,
    pub least_pct: f64,
    pub most_pct: f64,
}

/// The time in parts of equal length, by when requests were due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LoadTimeline {
    pub width_s: f64,
    pub requests: Vec<u64>,
    pub failed: Vec<u64>,
    pub p50_ms: Vec<Option<f64>>,
    pub p99_ms: Vec<Option<f64>>,
    /// As `backends`: requests of each in each part.
    pub backends: Vec<Vec<u64>>,
}

/// A verb of `--at`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LoadAction {
    pub at_s: f64,
    pub command: String,
    /// Its exit code; `null` where it was cut short.
    pub exit: Option<i32>,
    pub took_ms: f64,
    /// What it printed.
    pub output: Vec<String>,
}

/// A backend that left the rotation, or should have. Times are since then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LoadFailover {
    pub backend: String,
    pub at_s: f64,
    pub what: String,
    /// `operator | lbdev | self | outside | checks | traffic`
    pub by: String,
    /// Until no request was sent there any more.
    pub noticed_ms: Option<f64>,
    /// Until a new process was launched.
    pub restarted_ms: Option<f64>,
    /// Until that answered its first check.
    pub ready_ms: Option<f64>,
    /// Until it was in the rotation again.
    pub back_ms: Option<f64>,
    /// From then until it had answered its first request.
    pub first_request_ms: Option<f64>,
    /// Requests that it answered although they were sent after that was noticed, and before it was back: 0, or something is
    /// wrong.
    pub answered_while_out: Option<u64>,
}

/// A limit that the exit code depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LoadLimit {
    /// `max_errors | max_p99`
    pub name: String,
    pub limit: String,
    pub measured: String,
    pub held: bool,
}

/// What `lbdev compare --json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Compare {
    pub version: u32,
    /// In the order in which they were asked for.
    pub engines: Vec<CompareEngine>,
    /// Those that are not installed here.
    pub missing: Vec<String>,
}

/// One balancer in the drill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct CompareEngine {
    /// `builtin | nginx | haproxy | apache`
    pub engine: String,
    /// While a server was killed, and started again.
    pub gets: CompareCount,
    pub posts: CompareCount,
    /// While all servers were restarted at once.
    pub restarted: CompareCount,
    /// While a server hung.
    pub hung: CompareCount,
    /// From then to the last request that was sent there.
    pub noticed_ms: Option<f64>,
    pub undisturbed: CompareCount,
    /// Of the undisturbed part, from the moment a request was due.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// CPU of the balancer's own processes for one request, in microseconds; `null` where the system does not tell.
    pub cpu_us: Option<f64>,
}

/// Requests, and those without a good answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct CompareCount {
    pub sent: u64,
    pub lost: u64,
}
