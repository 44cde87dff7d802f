//! What a person configured about one backend's life: when it is restarted, how it is stopped, how it is checked.

use std::time::Duration;

use super::Signal;

/// When a process that ended by itself is started again. It applies only after the backend was ready once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartMode {
    /// Never.
    Never,
    /// When it ended with another status than 0, or by a signal.
    OnFailure,
    /// Always.
    Always,
}

/// Restart policy: mode, exponential backoff with jitter, and when to give up.
#[derive(Debug, Clone, PartialEq)]
pub struct RestartPolicy {
    /// When.
    pub mode: RestartMode,
    /// The wait before the first restart; it doubles with each further one.
    pub backoff_min: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// After how many restarts in a row it is `failed`. A life longer than [`Timings::long_life`] starts the count anew.
    pub max: u32,
}

/// How a backend shows that it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Ready {
    /// It answers one HTTP request. Without a port: it runs.
    #[default]
    Http,
    /// Its port accepts.
    Tcp,
    /// It writes a line that holds this text.
    Log(String),
    /// It ends with status 0: a job, not a server.
    Exit,
}

/// How a backend is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopPolicy {
    /// The signal sent first.
    pub signal: Signal,
    /// How long after it KILL follows.
    pub timeout: Duration,
}

/// How the balancer learns that a backend is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Detect {
    /// The supervisor, which started it, tells. Traffic and checks tell the rest.
    #[default]
    Instant,
    /// Only users' requests tell, as with nginx's `max_fails` and `fail_timeout`.
    Passive,
    /// Only checks tell, as with HAProxy's `inter`, `rise` and `fall`.
    Active,
}

impl Detect {
    /// Every name there is, as `lbdev.toml` spells it.
    pub const NAMES: &[(&str, Detect)] = &[
        ("instant", Detect::Instant),
        ("passive", Detect::Passive),
        ("active", Detect::Active),
    ];

    /// The name in `lbdev.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Detect::Instant => "instant",
            Detect::Passive => "passive",
            Detect::Active => "active",
        }
    }
}

/// When users' requests take a backend out: so many failures within a window. With `detect = "passive"` it is out for as
/// long (nginx's `max_fails` and `fail_timeout`); with `instant` until a check is answered; with `active` never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassivePolicy {
    /// How many; 0 means never (nginx's `max_fails=0`).
    pub failures: u32,
    /// Within which time.
    pub window: Duration,
}

/// How a backend is checked, before and after it is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthPolicy {
    /// The path of an HTTP check; without one, readiness asks for `/` and takes any answer, and an `up` backend gets TCP checks.
    pub path: Option<String>,
    /// From the end of a check of a backend that is up to the beginning of the next.
    pub interval: Duration,
    /// How long one check may take.
    pub timeout: Duration,
    /// Passed checks in a row that make an unhealthy backend healthy.
    pub rise: u32,
    /// Failed checks in a row that make a healthy backend unhealthy.
    pub fall: u32,
    /// The statuses that pass an HTTP check, readiness included, first and last; `None`: with a `path` 200 to 399, without
    /// one any. A redirect is not followed.
    pub status: Option<(u16, u16)>,
    /// Text that the body of a check's answer has to hold in its first 64 KiB.
    pub body: Option<String>,
}

/// Every duration that `step` needs for one backend.
#[derive(Debug, Clone, PartialEq)]
pub struct Timings {
    /// How long requests in flight may take before a stop signal is sent.
    pub drain: Duration,
    /// How long a start may take before it counts as failed; `None` for no limit.
    pub ready: Option<Duration>,
    /// A life of this length clears the count of restarts in a row.
    pub long_life: Duration,
}
