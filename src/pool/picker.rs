//! Whose turn it is, by the algorithm that was chosen.

use std::sync::{Mutex, PoisonError};

use super::Snapshot;
use crate::balance::{Algorithm, LeastConn, RoundRobin, random_two};

/// One order for all threads. Loads are read as they are at that moment: two threads may see the same ones.
#[derive(Debug)]
pub(super) enum Picker {
    RoundRobin(Mutex<RoundRobin>),
    LeastConn(Mutex<LeastConn>),
    RandomTwo,
}

impl Picker {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::RoundRobin => Picker::RoundRobin(Mutex::default()),
            Algorithm::LeastConn => Picker::LeastConn(Mutex::default()),
            Algorithm::RandomTwo => Picker::RandomTwo,
        }
    }

    /// The next one that `skip` does not name.
    pub(super) fn next(&self, snapshot: &Snapshot, skip: impl Fn(usize) -> bool) -> Option<usize> {
        match self {
            Picker::RoundRobin(state) => state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next(snapshot.candidates(), skip),
            Picker::LeastConn(state) => state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next(snapshot.loads(), skip),
            // The generator is the thread's own: nothing is locked.
            Picker::RandomTwo => random_two(snapshot.loads(), skip, |n| fastrand::u64(..n)),
        }
    }
}
