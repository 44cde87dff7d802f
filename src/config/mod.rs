//! What is meant: the whole set-up with every default filled in. How it was written (a file, flags, nothing at all) is
//! the business of [`file`] and [`resolve`], and no clap or serde type comes past here.

mod choice;
mod dashboard;
pub mod defaults;
mod draft;
mod env_file;
mod environment;
mod fault;
mod file;
mod flags;
mod hosts;
mod init;
#[cfg(feature = "internals")]
pub(crate) mod internals;
mod json;
pub mod lab;
mod live;
mod more;
mod needs;
mod origins;
mod platform;
mod policy;
mod ports;
mod problem;
mod procfile;
mod python;
mod render;
pub mod request;
mod resolve;
mod schema;
mod service;
mod surroundings;
mod table;
mod tasks;
mod value;
mod words;

pub use dashboard::Dashboard;
pub use fault::{FAULT_KEYS, Fault, Instead};
pub use hosts::{HostError, HostList, HostPattern};
pub use init::{PLACEHOLDER, init};
pub use json::{fingerprint, json, json_with_origins};
pub use live::{
    LIVE_KEYS, LiveChange, WEIGHT_KEY, read_weight, unknown_of_backend, unknown_setting,
    whole_number,
};
pub use more::{Elsewhere, More};
pub use origins::Origins;
pub use procfile::{ProcfileLine, procfile_lines};
pub use render::{render, render_with_origins};
pub use request::Request;
pub use resolve::{resolve, resolve_text, resolve_with_origins};
pub use schema::schema;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use defaults::{
    BACKEND_HEAD_TIMEOUT, BODY_TIMEOUT, CLIENT_HEAD_TIMEOUT, CONNECT_TIMEOUT, DRAIN, HOLD,
    IDLE_TIMEOUT, LISTEN, PASSIVE_FAILURES, PASSIVE_WINDOW, QUEUE_MAX, QUEUE_TIMEOUT, RETRIES,
    RETRY_BODY, RETRY_BUDGET, RETRY_DEADLINE, WORKERS,
};

use crate::backend::{
    BackendId, Detect, HealthPolicy, Kind, PassivePolicy, Ready, RestartPolicy, StopPolicy,
};
use crate::balance::{Algorithm, HashKey, Sequence, Sticky};

/// A resolved configuration: nothing in it is left to decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The project's name: its folder's, or `demo`.
    pub project: String,
    /// The project's folder, absolute. Commands run below it.
    pub dir: PathBuf,
    /// What the set-up was taken from, for the banner: `Django (manage.py)`, `lbdev.toml`, `the command line`.
    pub origin: String,
    /// Notes for the person: what else could have been taken, what was left out.
    pub notes: Vec<String>,
    /// The front.
    pub balancer: Balancer,
    /// The page and its API.
    pub dashboard: Dashboard,
    /// What stands behind it, in the order written.
    pub services: Vec<Service>,
}

/// The load balancer's part.
#[derive(Debug, Clone, PartialEq)]
pub struct Balancer {
    /// Where clients connect.
    pub listen: Listen,
    /// Who balances.
    pub engine: Engine,
    /// What can be changed while it serves.
    pub live: Live,
    /// What may be tried again.
    pub retry: Retry,
    /// A response of this length at most, in bytes, that did not come with its head is held until it is whole, so that it
    /// can still be tried again; 0 holds none.
    pub hold: u64,
    /// When users' requests take a backend out.
    pub passive: PassivePolicy,
    /// Requests that may wait while no backend is eligible.
    pub queue_max: usize,
    /// How long one may wait.
    pub queue_timeout: Duration,
    /// Time limits of the data path.
    pub timeouts: Timeouts,
    /// `Forwarded` and `X-Forwarded-*` of a client are passed on, because another proxy stands before this one. Else they
    /// are replaced: anybody can write them.
    pub trust_forwarded: bool,
    /// Threads of the data path, at least 1.
    pub workers: usize,
}

/// Nothing was said: see [`defaults`].
impl Default for Balancer {
    fn default() -> Self {
        Self {
            listen: LISTEN,
            engine: Engine::default(),
            live: Live {
                algorithm: Algorithm::default(),
                hash_key: HashKey::default(),
                sequence: Sequence::default(),
                sticky: Sticky::default(),
                detect: Detect::default(),
                retries: RETRIES,
                allow_hosts: HostList::default(),
                debugged: None,
            },
            retry: Retry {
                body: RETRY_BODY,
                budget: Some(RETRY_BUDGET),
                deadline: RETRY_DEADLINE,
                non_idempotent: false,
                statuses: Vec::new(),
            },
            hold: HOLD,
            passive: PassivePolicy {
                failures: PASSIVE_FAILURES,
                window: PASSIVE_WINDOW,
            },
            queue_max: QUEUE_MAX,
            queue_timeout: QUEUE_TIMEOUT,
            timeouts: Timeouts {
                connect: CONNECT_TIMEOUT,
                client_head: Some(CLIENT_HEAD_TIMEOUT),
                backend_head: Some(BACKEND_HEAD_TIMEOUT),
                body: Some(BODY_TIMEOUT),
                idle: IDLE_TIMEOUT,
                drain: DRAIN,
            },
            trust_forwarded: false,
            workers: WORKERS,
        }
    }
}

/// Who balances: lbdev itself, or a program of somebody else's that it runs with the same set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// lbdev's own balancer.
    #[default]
    Builtin,
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// Apache httpd.
    Apache,
}

impl Engine {
    /// Every name there is, as `--engine` takes it.
    pub const NAMES: &[(&str, Engine)] = &[
        ("builtin", Engine::Builtin),
        ("nginx", Engine::Nginx),
        ("haproxy", Engine::Haproxy),
        ("apache", Engine::Apache),
    ];

    /// The name.
    pub fn name(self) -> &'static str {
        value::name_of(self, Self::NAMES)
    }

    /// It is none of lbdev's: what only lbdev's balancer does or knows is not there.
    pub fn is_foreign(self) -> bool {
        self != Engine::Builtin
    }
}

/// Settings that `lbdev set` changes while requests are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// How the next backend is chosen.
    pub algorithm: Algorithm,
    /// What [`Algorithm::Hash`] goes by. Names in it are tokens (RFC 9110 §5.6.2).
    pub hash_key: HashKey,
    /// What moves the choice on.
    pub sequence: Sequence,
    /// Whether a client stays with its backend.
    pub sticky: Sticky,
    /// How the death of a backend is noticed.
    pub detect: Detect,
    /// Further backends tried for one request; 0 turns failover off.
    pub retries: u32,
    /// For which hosts requests are answered.
    pub allow_hosts: HostList,
    /// The backend that somebody debugs: it gets every request of its service, however long it takes for an answer, and no
    /// request is tried twice.
    pub debugged: Option<BackendId>,
}

/// What may be tried again at another backend, besides what is always safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Request bodies up to so many bytes are kept for another try.
    pub body: u64,
    /// Further tries of requests that a backend may have seen, in percent of the requests of the last 10 s; `None` is no
    /// limit. A few are always allowed.
    pub budget: Option<u32>,
    /// No new try begins after this; one that runs is never cut.
    pub deadline: Duration,
    /// POST and other methods that are not idempotent (RFC 9110 §9.2.2) are repeated like GET.
    pub non_idempotent: bool,
    /// Answers with these statuses (502, 503, 504) count as failures.
    pub statuses: Vec<u16>,
}

/// Time limits of the data path.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeouts {
    /// To connect to a backend.
    pub connect: Duration,
    /// From the first byte of a client's request to the end of its head; `None` is no limit.
    pub client_head: Option<Duration>,
    /// From a request sent to a backend to the head of its response; `None` is no limit.
    pub backend_head: Option<Duration>,
    /// Between two pieces of a body; `None` is no limit.
    pub body: Option<Duration>,
    /// An idle connection of a client or to a backend.
    pub idle: Duration,
    /// For requests in flight when a backend or lbdev stops.
    pub drain: Duration,
}

/// Where clients connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// Which addresses.
    pub host: ListenHost,
    /// Which port.
    pub port: u16,
}

/// Which addresses to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenHost {
    /// 127.0.0.1 and ::1; a machine without one of them gets a note.
    Localhost,
    /// This one.
    Address(IpAddr),
}

impl Listen {
    /// The sockets to bind.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        match self.host {
            ListenHost::Localhost => vec![
                SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)),
                SocketAddr::from((Ipv6Addr::LOCALHOST, self.port)),
            ],
            ListenHost::Address(ip) => vec![SocketAddr::from((ip, self.port))],
        }
    }

    /// What a browser on this machine types.
    pub fn url(&self) -> String {
        let host = match self.host {
            ListenHost::Localhost => "localhost".to_owned(),
            ListenHost::Address(ip) if ip.is_unspecified() => "localhost".to_owned(),
            ListenHost::Address(IpAddr::V4(ip)) => ip.to_string(),
            ListenHost::Address(IpAddr::V6(ip)) => format!("[{ip}]"),
        };
        match self.port {
            80 => format!("http://{host}"),
            port => format!("http://{host}:{port}"),
        }
    }
}

/// A named group of backends with one command; balanced if it has ports.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// What it answers; empty for a service without ports.
    pub routes: Vec<Route>,
    /// Its backends, in order.
    pub backends: Vec<BackendSpec>,
    /// What makes further ones; `None` for an external service.
    pub more: Option<More>,
    /// Which saved files restart its backends; `None` where nothing is watched.
    pub watch: Option<Watching>,
    /// What runs once, one after the other, before its first backend.
    pub before: Vec<Task>,
    /// What runs once, one after the other, after its last backend.
    pub after: Vec<Task>,
    /// What has to be there before it starts.
    pub needs: Vec<Need>,
}

/// Which saved files restart a service's backends, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watching {
    /// Patterns of files, relative to the folder: `**/*.py`. One without `*`, `?`, `[` or `{` names a file, ignored by git
    /// or not.
    pub patterns: Vec<String>,
    /// The folder, absolute.
    pub dir: PathBuf,
    /// Who answers meanwhile.
    pub mode: WatchMode,
}

/// Who answers while backends are restarted one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WatchMode {
    /// Nobody with the code from before the save, as soon as one with the new code can.
    #[default]
    Fresh,
    /// Old and new side by side, as in production.
    Mixed,
}

impl WatchMode {
    /// Every name there is, as `lbdev.toml` spells it.
    pub const NAMES: &[(&str, WatchMode)] =
        &[("fresh", WatchMode::Fresh), ("mixed", WatchMode::Mixed)];
}

/// A command that runs once, to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// As it was written, for people.
    pub line: String,
    /// What is executed.
    pub command: Command,
}

/// What a service needs before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Another service: one of its backends is ready.
    Service(String),
    /// Something that lbdev does not start: its port accepts.
    Tcp {
        /// A name or an address, without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Need::Service(name) => f.write_str(name),
            Need::Tcp { host, port } if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Need::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
        }
    }
}

/// Which requests a service gets. The longest match wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Paths that begin so, at a `/` boundary: `/api` has `/api` and `/api/x`, not `/apix`.
    Prefix(String),
    /// Requests for this host name, any port, lower-case.
    Host(String),
}

/// One backend, as it is to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct BackendSpec {
    /// Its name.
    pub id: BackendId,
    /// Its place within its service, from 1.
    pub index: u32,
    /// Who runs it.
    pub kind: Kind,
    /// Where it listens, in the order to try: both loopback addresses for a managed one. Empty without a port.
    pub addresses: Vec<SocketAddr>,
    /// How it is launched; `None` for an external one.
    pub command: Option<Command>,
    /// Its share in weighted algorithms.
    pub weight: u32,
    /// It gets requests only while no other backend of the service can.
    pub backup: bool,
    /// Requests it may have at once; 0 is no limit.
    pub max_connections: u32,
    /// How long its share grows after it is ready, until it is whole.
    pub slow_start: Duration,
    /// How it shows that it is ready.
    pub ready: Ready,
    /// How it is checked.
    pub health: HealthPolicy,
    /// When it is started again.
    pub restart: RestartPolicy,
    /// How it is asked to end.
    pub stop: StopPolicy,
}

/// What to execute, every placeholder and variable filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments. A command that needs a shell is `sh -c …` here (`cmd /C …` on Windows).
    pub argv: Vec<String>,
    /// Variables set on top of lbdev's own environment.
    pub env: Vec<(String, String)>,
    /// The working directory, absolute.
    pub cwd: PathBuf,
    /// It has a terminal of its own instead of pipes.
    pub pty: bool,
    /// A line with this text is news.
    pub awaits: Option<String>,
}
