//! `lbdev compare`: one drill on each balancer, with the same set-up, the same servers and the same load.
//!
//! Every engine has an lbdev of its own, as labs have ([`lab`](crate::lab)), that runs it before built-in servers. What is told
//! was seen from outside, by those who sent the requests: nothing depends on what a balancer says of itself.

mod drill;

use std::time::Duration;

pub use drill::{Onlooker, measure};

/// How long the parts of a drill take, and how many requests a second they have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Undisturbed, for latencies and CPU.
    pub steady: Duration,
    /// Requests a second then.
    pub steady_rps: f64,
    /// With something that goes wrong in it.
    pub disturbed: Duration,
    /// Requests a second then.
    pub rps: f64,
}

impl Pace {
    /// A third of the time: everything happens, and numbers are coarser.
    pub fn quick() -> Self {
        Self {
            steady: Duration::from_secs(1),
            disturbed: Duration::from_secs(3),
            ..Self::default()
        }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            steady: Duration::from_secs(5),
            steady_rps: 1000.0,
            disturbed: Duration::from_secs(6),
            rps: 200.0,
        }
    }
}
