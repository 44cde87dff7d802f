//! What goes over the control socket and out of `--json`: the serde mirrors of the core types, version 1. Fields are only
//! ever added.

mod doctor;
mod events;
mod history;
mod live;
mod load;

pub use doctor::{Doctor, Finding};
pub use events::{Event, EventAttempt, EventRequest, Events};
pub use history::{BackendHistory, History};
pub use live::{
    BackendPulse, BackendSecond, BackendTimeline, LogLine, Logs, Pulse, Second, SeenRequest,
    SeenRequests, Timeline,
};
pub use load::{
    Compare, CompareCount, CompareEngine, LoadAction, LoadBackend, LoadEvenness, LoadFailover,
    LoadLatency, LoadLimit, LoadReport, LoadTimeline,
};

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version field of every JSON document.
pub const VERSION: u32 = 1;

/// `lbdev status --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // the contract documents each field
pub struct Status {
    pub version: u32,
    pub project: String,
    pub dir: String,
    pub pid: u32,
    /// `starting | serving | degraded | down | stopping`
    pub state: String,
    pub uptime_s: f64,
    pub balancer: BalancerStatus,
    /// The page; `null` where there is none.
    #[serde(default)]
    pub dashboard: Option<DashboardStatus>,
    pub backends: Vec<BackendStatus>,
}

/// The dashboard's part of [`Status`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct DashboardStatus {
    /// Without what it asks for: `lbdev open --print` adds that.
    pub url: String,
}

/// The balancer's part of [`Status`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct BalancerStatus {
    pub url: String,
    pub engine: String,
    pub algorithm: String,
    /// What `hash` goes by: `path`, `header:NAME`, `cookie:NAME`.
    #[serde(default)]
    pub hash_key: String,
    pub sequence: String,
    pub sticky: String,
    pub detect: String,
    /// The setting `retries`: further backends that are tried for one request. `retries` counts them.
    #[serde(default)]
    pub retry_limit: u32,
    /// Hosts for which requests are answered besides `localhost`, `*.localhost`, IP addresses and hosts of routes.
    #[serde(default)]
    pub allow_hosts: Vec<String>,
    /// The backend that somebody debugs: it gets every request of its service.
    #[serde(default)]
    pub debugged: Option<String>,
    /// `null` where another balancer counts (`--engine`); the same for the next three.
    pub requests: Option<u64>,
    pub retries: Option<u64>,
    pub failures: Option<u64>,
    pub waiting: Option<u64>,
}

impl BalancerStatus {
    /// The value of one of its settings, as `lbdev set` takes it; `None` for a name that is none.
    pub fn setting(&self, key: &str) -> Option<String> {
        Some(match key {
            "algorithm" => self.algorithm.clone(),
            "hash_key" => self.hash_key.clone(),
            "sequence" => self.sequence.clone(),
            "sticky" => self.sticky.clone(),
            "detect" => self.detect.clone(),
            "retries" => self.retry_limit.to_string(),
            "allow_hosts" if self.allow_hosts.is_empty() => "empty".to_owned(),
            "allow_hosts" => self.allow_hosts.join(","),
            _ => return None,
        })
    }
}

/// One backend's row of [`Status`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct BackendStatus {
    pub id: String,
    pub service: String,
    pub index: u32,
    /// `managed | external`
    pub kind: String,
    pub address: Option<String>,
    pub port: Option<u16>,
    pub pid: Option<u32>,
    /// `starting | up | unhealthy | draining | stopping | stopped | frozen | backoff | failed`
    pub state: String,
    /// `up | stopped`
    pub desired: String,
    pub enabled: bool,
    pub healthy: bool,
    pub weight: u32,
    /// It gets requests only while no other backend of its service can.
    #[serde(default)]
    pub backup: bool,
    /// The balancer may send it requests. Where `detect` is not `instant`, that can be so after its death.
    #[serde(default)]
    pub eligible: bool,
    /// Its share among the backends of its service now, which a slow start makes smaller than its weight.
    #[serde(default)]
    pub share: u32,
    /// Requests it may have at once; 0 is no limit.
    #[serde(default)]
    pub max_connections: u32,
    pub uptime_s: f64,
    pub restarts: u32,
    pub requests: Option<u64>,
    /// Requests that it answered with a status from 500 on.
    #[serde(default)]
    pub errors: Option<u64>,
    /// The fault that somebody put in, as it is typed.
    #[serde(default)]
    pub fault: Option<String>,
    pub failures: Option<u64>,
    /// The same by reason: `refused`, `connect_timeout`, …
    #[serde(default)]
    pub failures_by: BTreeMap<String, u64>,
    pub retried_elsewhere: Option<u64>,
    /// Requests that would have gone to it, had its death not been known.
    #[serde(default)]
    pub spared: Option<u64>,
    pub in_flight: Option<u64>,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// Processor time of all its processes over real time, in percent of one core: two busy threads are 200. It is the
    /// average of the last 1 to 6 s, or since its launch where that is less long ago. 0 where it has no process, and for
    /// one that lbdev did not start.
    #[serde(default)]
    pub cpu_pct: f64,
    /// Resident memory of all its processes in bytes: of the largest all, of each other what it shares with none, since a
    /// sum would count what forked workers share once for each (macOS does not tell these apart: there it is the sum). 0
    /// as above.
    #[serde(default)]
    pub rss_bytes: u64,
    /// Threads of all its processes; 0 as above, and where the system does not say (macOS).
    #[serde(default)]
    pub threads: u32,
    /// Its processes besides the first. All of them are those that a stop ends: its session, their descendants, and what
    /// carries its environment.
    #[serde(default)]
    pub children: u32,
    pub last_exit: Option<LastExit>,
    pub last_check: Option<LastCheck>,
    /// Why it is not up, in words, where it is not.
    #[serde(default)]
    pub why: Option<String>,
    /// It is not launched yet: what it needs, or what runs before it, comes first.
    #[serde(default)]
    pub waiting: bool,
    /// It is a job (`ready = "exit"`) that has ended with status 0.
    #[serde(default)]
    pub done: bool,
}

/// How the last process of a backend ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct LastExit {
    pub signal: Option<String>,
    pub code: Option<i32>,
    pub at: jiff::Timestamp,
    /// `operator | lbdev | self | outside`
    pub by: String,
}

/// What the last check of a backend said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct LastCheck {
    pub ok: bool,
    pub detail: String,
    pub at: jiff::Timestamp,
}

/// The answer to a verb on backends: each as it now is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct Acted {
    pub version: u32,
    pub backends: Vec<BackendStatus>,
}

/// The answer to a change of settings: the balancer as it now is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct Settings {
    pub version: u32,
    pub balancer: BalancerStatus,
}

/// What `up` was asked for, for an instance that runs already: the mirror of [`Request`](crate::config::Request).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct UpRequest {
    pub dir: PathBuf,
    pub file: Option<PathBuf>,
    pub demo: bool,
    pub command: Option<String>,
    pub from: Option<String>,
    pub replicas: Option<u32>,
    pub ports: Option<String>,
    pub listen: Option<String>,
    pub external: Option<String>,
    pub algorithm: Option<String>,
    pub sticky: Option<String>,
    pub detect: Option<String>,
    #[serde(default)]
    pub engine: Option<String>,
    pub workers: Option<usize>,
    pub no_watch: bool,
    #[serde(default)]
    pub no_dashboard: bool,
    #[serde(default)]
    pub dashboard_listen: Option<String>,
    #[serde(default)]
    pub dashboard_hosts: Vec<String>,
    pub services: Vec<String>,
}

/// The answer to a reload: the backends that it is about, by their ids.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Reloaded {
    pub version: u32,
    /// New ones, which are being started.
    pub added: Vec<String>,
    /// These finish their requests, and go.
    pub dropped: Vec<String>,
    /// Their command is another: they are restarted one after the other.
    pub outdated: Vec<String>,
    /// These go by other settings from now on.
    pub retuned: Vec<String>,
    /// The balancer's settings are others.
    pub balancer: bool,
    /// Where it answers now, if that is another address.
    pub moved: Option<String>,
    /// For the person.
    pub notes: Vec<String>,
}

/// An error, over the socket and under `--json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct Problem {
    pub version: u32,
    pub error: ProblemBody,
    /// Where there are several: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemBody>,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub struct ProblemBody {
    pub code: String,
    pub message: String,
    pub hint: Option<String>,
    /// Further lines, such as the one of a file with a caret below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// The file that says where a running instance is, in its state folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Instance {
    pub version: u32,
    /// The `LBDEV_INSTANCE` of its backends.
    pub id: String,
    pub project: String,
    pub dir: String,
    pub pid: u32,
    pub url: String,
    pub socket: String,
    pub started: jiff::Timestamp,
    /// Where the dashboard is, without its token; `None` where there is none.
    #[serde(default)]
    pub dashboard: Option<String>,
    /// Tells one resolved set-up from another: `up` on a running instance compares it.
    pub setup: String,
    /// The folder itself, by which it is found after it was moved; 0 where that is not known.
    #[serde(default)]
    pub device: u64,
    /// With `device`.
    #[serde(default)]
    pub inode: u64,
}

/// The file that says which processes an instance has started, for whoever has to end them in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Sessions {
    pub version: u32,
    /// The `LBDEV_INSTANCE` of its backends.
    pub instance: String,
    /// Process ids and start times are of this boot of the machine.
    pub boot_id: String,
    /// And of this pid namespace, where the system has them.
    pub pid_namespace: Option<String>,
    pub lbdev: Option<StartedProcess>,
    pub guardian: Option<StartedProcess>,
    pub backends: Vec<BackendSession>,
}

/// One process for ever: its number, and when it started in the unit of the system's process table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct StartedProcess {
    pub pid: u32,
    pub start: u64,
}

/// The process that leads the session of a backend's present run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct BackendSession {
    pub backend: String,
    #[serde(flatten)]
    pub process: StartedProcess,
}
