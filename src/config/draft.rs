//! What somebody said, wherever they said it, before defaults: the meeting point of the file, the flags and what was
//! recognised. `None` is "not said".

use std::time::Duration;

use super::problem::At;
use super::value::Server;
use super::{Engine, HostPattern, Listen, Need, Route, WatchMode};
use crate::backend::{Detect, Ready, RestartMode, Signal};
use crate::balance::{Algorithm, HashKey, Sequence, Sticky};

/// A whole set-up.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Draft {
    pub balancer: BalancerDraft,
    pub dashboard: DashboardDraft,
    pub services: Vec<ServiceDraft>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct BalancerDraft {
    pub listen: Option<At<Listen>>,
    /// Only an option says it.
    pub engine: Option<At<Engine>>,
    pub algorithm: Option<At<Algorithm>>,
    pub hash_key: Option<At<HashKey>>,
    pub sequence: Option<At<Sequence>>,
    pub sticky: Option<At<Sticky>>,
    pub detect: Option<At<Detect>>,
    pub retries: Option<At<u64>>,
    pub retry_body: Option<At<u64>>,
    /// `Some(None)` is "off".
    pub retry_budget: Option<At<Option<u32>>>,
    pub retry_deadline: Option<At<Duration>>,
    pub non_idempotent: Option<At<bool>>,
    pub retry_statuses: Option<At<Vec<u16>>>,
    pub hold: Option<At<u64>>,
    pub passive_failures: Option<At<u64>>,
    pub passive_window: Option<At<Duration>>,
    pub queue_max: Option<At<u64>>,
    pub queue_timeout: Option<At<Duration>>,
    pub connect: Option<At<Duration>>,
    /// `Some(None)` is "off".
    pub client_head: Option<At<Option<Duration>>>,
    /// `Some(None)` is "off".
    pub backend_head: Option<At<Option<Duration>>>,
    /// `Some(None)` is "off".
    pub body: Option<At<Option<Duration>>>,
    pub idle: Option<At<Duration>>,
    pub drain: Option<At<Duration>>,
    pub allow_hosts: Option<At<Vec<HostPattern>>>,
    pub trust_forwarded: Option<At<bool>>,
    pub workers: Option<At<u64>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct DashboardDraft {
    pub enabled: Option<At<bool>>,
    pub listen: Option<At<Listen>>,
    /// Only options say them.
    pub hosts: Option<At<Vec<String>>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ServiceDraft {
    pub name: At<String>,
    pub command: Option<At<CommandDraft>>,
    pub ports: Option<At<PortsDraft>>,
    pub replicas: Option<At<u64>>,
    pub env: Vec<(At<String>, At<String>)>,
    pub env_file: Option<At<String>>,
    pub cwd: Option<At<String>>,
    pub routes: Option<At<Vec<At<Route>>>>,
    pub health: Option<At<HealthDraft>>,
    pub restart: Option<At<RestartDraft>>,
    pub stop: Option<At<StopDraft>>,
    pub external: Option<At<Vec<At<Server>>>>,
    pub slow_start: Option<At<Duration>>,
    pub max_connections: Option<At<u64>>,
    pub pty: Option<At<bool>>,
    pub ready: Option<At<Ready>>,
    pub watch: Option<At<Vec<At<String>>>>,
    pub watch_mode: Option<At<WatchMode>>,
    /// Command lines.
    pub before: Option<At<Vec<At<String>>>>,
    /// Command lines.
    pub after: Option<At<Vec<At<String>>>>,
    pub needs: Option<At<Vec<At<Need>>>>,
    pub weights: Vec<WeightDraft>,
    /// Keys that are there, but could not be read: nothing is to be concluded from their absence here.
    pub unread: Vec<&'static str>,
}

impl ServiceDraft {
    /// A service of which only the name is known.
    pub(super) fn new(name: At<String>) -> Self {
        Self {
            name,
            command: None,
            ports: None,
            replicas: None,
            env: Vec::new(),
            env_file: None,
            cwd: None,
            routes: None,
            health: None,
            restart: None,
            stop: None,
            external: None,
            slow_start: None,
            max_connections: None,
            pty: None,
            ready: None,
            watch: None,
            watch_mode: None,
            before: None,
            after: None,
            needs: None,
            weights: Vec::new(),
            unread: Vec::new(),
        }
    }

    /// Whether a key is there that could not be read.
    pub(super) fn is_unread(&self, key: &str) -> bool {
        self.unread.contains(&key)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CommandDraft {
    /// One text, to be split.
    Line(String),
    /// Words, to be taken as they are.
    Words(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PortsDraft {
    /// These, and on from the last if more are wanted.
    List(Vec<u16>),
    /// Whatever is free.
    Auto,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HealthDraft {
    pub path: Option<At<String>>,
    /// There is one, readable or not.
    pub path_said: bool,
    pub interval: Option<At<Duration>>,
    pub timeout: Option<At<Duration>>,
    pub rise: Option<At<u64>>,
    pub fall: Option<At<u64>>,
    /// First and last.
    pub status: Option<At<(u16, u16)>>,
    pub body: Option<At<String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RestartDraft {
    pub mode: Option<At<RestartMode>>,
    pub backoff: Option<At<(Duration, Duration)>>,
    pub max: Option<At<u64>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StopDraft {
    pub signal: Option<At<Signal>>,
    pub timeout: Option<At<Duration>>,
}

/// `backends.8003 = { weight = 3, backup = true }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WeightDraft {
    /// As written; a key of a table is text.
    pub port: At<String>,
    pub weight: Option<At<u64>>,
    pub backup: Option<bool>,
    pub max_connections: Option<At<u64>>,
}
