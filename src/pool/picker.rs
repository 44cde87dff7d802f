//! Whose turn it is, by the algorithm that was chosen.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Member, Snapshot};
use crate::balance::{Algorithm, LeastConn, Ring, RoundRobin, random_two};

/// One order for all threads. Loads are read as they are at that moment: two threads may see the same ones.
#[derive(Debug)]
pub(super) enum Picker {
    RoundRobin(Mutex<RoundRobin>),
    LeastConn(Mutex<LeastConn>),
    RandomTwo,
    /// Keys have their place on the ring of the snapshot; whoever comes without one takes the next backend.
    Ring(Mutex<RoundRobin>),
}

impl Picker {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::RoundRobin => Picker::RoundRobin(Mutex::default()),
            Algorithm::LeastConn => Picker::LeastConn(Mutex::default()),
            Algorithm::RandomTwo => Picker::RandomTwo,
            Algorithm::PeakEwma => Picker::LeastConn(Mutex::default()),
            Algorithm::IpHash | Algorithm::Hash => Picker::Ring(Mutex::default()),
        }
    }

    /// The ring of these members, if keys decide; `before` is kept where it is the same one.
    pub(super) fn ring(
        &self,
        members: &[Arc<Member>],
        before: Option<&Arc<Ring>>,
    ) -> Option<Arc<Ring>> {
        let Picker::Ring(_) = self else {
            return None;
        };
        let shares = || members.iter().map(|member| (member.index, member.weight));
        let same = before.filter(|ring| ring.is_of(shares())).cloned();
        Some(same.unwrap_or_else(|| Arc::new(Ring::new(shares()))))
    }

    /// The next one of the backups, or of the others, that `skip` does not name.
    pub(super) fn next(
        &self,
        snapshot: &Snapshot,
        backups: bool,
        skip: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        match self {
            Picker::RoundRobin(state) | Picker::Ring(state) => state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next(snapshot.candidates(backups), skip),
            Picker::LeastConn(state) => state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next(snapshot.loads(backups), skip),
            // The generator is the thread's own: nothing is locked.
            Picker::RandomTwo => random_two(snapshot.loads(backups), skip, |n| fastrand::u64(..n)),
        }
    }
}
