//! What holds when nobody says otherwise, each with its reason, and the limits of what may be said.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Listen, ListenHost};

/// 8080 is what people type for "not quite port 80", and needs no rights. Loopback only: a development server is not for
/// the neighbours.
pub const LISTEN: Listen = Listen {
    host: ListenHost::Localhost,
    port: 8080,
};
/// Beside the balancer's 8080, and nobody's backend. The next free one does as well.
pub const DASHBOARD: Listen = Listen {
    host: ListenHost::Localhost,
    port: 8090,
};
/// Enough to see an order, few enough to fit on one screen and in a laptop's memory.
pub const BACKENDS: usize = 4;
/// 8000 is where `manage.py runserver` and many others listen when started alone.
pub const FIRST_PORT: u16 = 8000;
/// With four backends: every other one gets its chance.
pub const RETRIES: u32 = 3;
/// A person has reloaded the page by then.
pub const RETRY_DEADLINE: Duration = Duration::from_secs(10);
/// Forms and JSON fit; an upload streams.
pub const RETRY_BODY: u64 = 1024 * 1024;
/// Of the requests of the last 10 s, in percent: Finagle's and Linkerd's, too little to make an overload worse.
pub const RETRY_BUDGET: u32 = 20;
/// Most pages and API answers; what is longer is worth more early than whole.
pub const HOLD: u64 = 16 * 1024;
/// One failure can be an accident, three in a row of seconds are not.
pub const PASSIVE_FAILURES: u32 = 3;
/// nginx's `fail_timeout`.
pub const PASSIVE_WINDOW: Duration = Duration::from_secs(10);
/// A page with all it loads, from many clients at once, waits through a restart.
pub const QUEUE_MAX: usize = 1024;
/// Longer than a restart takes, shorter than a person's patience.
pub const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);
/// A server on this machine that takes longer to accept does not accept.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A browser sends its head in one piece; who takes longer only holds a connection (slowloris).
pub const CLIENT_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// nginx's `proxy_read_timeout`.
pub const BACKEND_HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// nginx's `client_body_timeout` and `send_timeout`.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// nginx's `keepalive_timeout`.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// A page has been sent by then; longer, and Ctrl-C feels stuck.
pub const DRAIN: Duration = Duration::from_secs(2);
/// One thread carries more than four development servers can answer.
pub const WORKERS: usize = 1;

/// Often enough that a death nobody reported shows within a breath.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(1);
/// On loopback a check that takes longer has failed.
pub const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);
/// A backend of our own that answers once is up: we saw it start.
pub const RISE: u32 = 1;
/// A server that somebody else runs must show twice that it is back.
pub const RISE_EXTERNAL: u32 = 2;
/// One lost check is an accident, two are not.
pub const FALL: u32 = 2;

/// The first restart feels immediate.
pub const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// A broken server does not eat the machine.
pub const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// After about a minute of trying, it is not going to work by itself.
pub const RESTARTS: u32 = 10;
/// Time to finish a request and close a database; less than docker's 10 s, because a person waits.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// The name of the only service when there is no `lbdev.toml`.
pub const SERVICE: &str = "web";
/// The file looked for.
pub const FILE: &str = "lbdev.toml";

/// Each is a process on one machine; more is a slip of the pen.
pub const MOST_BACKENDS: usize = 256;
/// The range of `retries`: beyond it a request would never end.
pub const RETRIES_RANGE: RangeInclusive<u64> = 0..=100;
/// The most that `retry.body` keeps of one request: each request in flight may hold as much.
pub const RETRY_BODY_MAX: u64 = 64 * 1024 * 1024;
/// The most that `hold` keeps of one response.
pub const HOLD_MAX: u64 = 16 * 1024 * 1024;
/// The range of `passive.failures`; 0 means never.
pub const PASSIVE_RANGE: RangeInclusive<u64> = 0..=1000;
/// The range of `max_connections`; 0 is no limit, and there are not more ports to connect from.
pub const CONNECTIONS_RANGE: RangeInclusive<u64> = 0..=65_535;
/// The longest text that `health.body` may look for, in bytes: it has to fit into what a check reads.
pub const EXPECTED_BODY_MAX: usize = 1024;
/// The range of `queue.max`; each waiting request holds a connection and its buffers.
pub const QUEUE_RANGE: RangeInclusive<u64> = 0..=100_000;
/// The range of `workers`.
pub const WORKERS_RANGE: RangeInclusive<u64> = 1..=64;
/// The range of a weight, HAProxy's. 0 means: only drained, never picked.
pub const WEIGHT_RANGE: RangeInclusive<u64> = 0..=256;
/// The range of `rise` and `fall`.
pub const CHECKS_RANGE: RangeInclusive<u64> = 1..=100;
/// The range of `restart.max`.
pub const RESTARTS_RANGE: RangeInclusive<u64> = 0..=1_000_000;
/// The longest duration that can be written; far below what a clock can add without overflow.
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest interval and time limit that make sense: below it, the check itself is the load.
pub const SHORTEST: Duration = Duration::from_millis(10);
