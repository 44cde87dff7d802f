//! Names: which backend, and which of its lives.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

/// What tells the backends of one service apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slot {
    /// The port it listens on; it is balanced.
    Port(u16),
    /// Its number, from 1; it has no port and is only supervised.
    Number(u32),
    /// No backend, but what runs once before the first one of the service.
    Before,
    /// What runs once after the last one.
    After,
    /// No backend, but the balancer: a program of somebody else's that lbdev runs in place of its own (`--engine`).
    Engine,
}

/// A backend's name for as long as lbdev runs: `web:8000`, or `worker.1` without a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendId {
    service: Arc<str>,
    slot: Slot,
}

impl BackendId {
    /// Names one backend of `service`.
    pub fn new(service: impl Into<Arc<str>>, slot: Slot) -> Self {
        Self {
            service: service.into(),
            slot,
        }
    }

    /// The service it belongs to.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// What tells it apart within its service.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// The port it listens on, if it has one.
    pub fn port(&self) -> Option<u16> {
        match self.slot {
            Slot::Port(port) => Some(port),
            Slot::Number(_) | Slot::Before | Slot::After | Slot::Engine => None,
        }
    }

    /// What a person types and reads in a log prefix: `8000`, or `worker.1` without a port.
    pub fn short(&self) -> String {
        match self.slot {
            Slot::Port(port) => port.to_string(),
            Slot::Number(_) | Slot::Before | Slot::After | Slot::Engine => self.to_string(),
        }
    }

    /// It is the balancer itself.
    pub fn is_engine(&self) -> bool {
        self.slot == Slot::Engine
    }
}

impl fmt::Display for BackendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.slot {
            Slot::Port(port) => write!(f, "{}:{port}", self.service),
            Slot::Number(number) => write!(f, "{}.{number}", self.service),
            Slot::Before => write!(f, "{}.before", self.service),
            Slot::After => write!(f, "{}.after", self.service),
            Slot::Engine => f.write_str(&self.service),
        }
    }
}

/// One life of a backend's process. Every process, probe and timer event carries it, so that a late one is inert.
/// Numbers are never used twice while lbdev runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(NonZeroU64);

impl RunId {
    /// The first run there ever is.
    pub const FIRST: RunId = RunId(NonZeroU64::MIN);
    /// The first run of what is no backend (`before`, `after`): no backend ever gets so far.
    pub const FIRST_TASK: RunId = RunId(NonZeroU64::MIN.saturating_add(1 << 62));

    /// The run after this one.
    #[must_use]
    pub fn next(self) -> RunId {
        RunId(self.0.saturating_add(1))
    }

    /// The number, for logs.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}
