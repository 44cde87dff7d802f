//! Whose turn it is, by the algorithm that was chosen.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::{Member, Snapshot};
use crate::balance::{Algorithm, LeastConn, PeakEwma, Ring, RoundRobin, random_two};

/// The state of one algorithm, for each kind of candidates: what one of them picks must not disturb the order of another.
#[derive(Debug)]
pub(super) struct Pickers {
    pub(super) algorithm: Algorithm,
    main: Picker,
    backups: Picker,
    /// Picks for a balancer that is told of no death.
    shadow: Picker,
}

/// Who can be picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Among {
    /// Those who take requests.
    Main,
    /// The backups of these.
    Backups,
    /// All who would take requests if no death were known.
    Listed,
}

impl Pickers {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            main: Picker::new(algorithm),
            backups: Picker::new(algorithm),
            shadow: Picker::new(algorithm),
        }
    }

    /// The ring of these members, if keys decide; `before` is kept where it is the same one.
    pub(super) fn ring(
        &self,
        members: &[Arc<Member>],
        before: Option<&Arc<Ring>>,
    ) -> Option<Arc<Ring>> {
        let Picker::Ring(_) = self.main else {
            return None;
        };
        let shares = || members.iter().map(|member| (member.index, member.weight));
        let same = before.filter(|ring| ring.is_of(shares())).cloned();
        Some(same.unwrap_or_else(|| Arc::new(Ring::new(shares()))))
    }

    /// The next one that `skip` does not name.
    pub(super) fn next(
        &self,
        snapshot: &Snapshot,
        among: Among,
        skip: impl Fn(usize) -> bool,
        now: Instant,
    ) -> Option<usize> {
        let picker = match among {
            Among::Main => &self.main,
            Among::Backups => &self.backups,
            Among::Listed => &self.shadow,
        };
        picker.next(snapshot, among, skip, now)
    }
}

/// One order for all threads. Loads are read as they are at that moment: two threads may see the same ones.
#[derive(Debug)]
enum Picker {
    RoundRobin(Mutex<RoundRobin>),
    LeastConn(Mutex<LeastConn>),
    RandomTwo,
    PeakEwma(Mutex<PeakEwma>),
    /// Keys have their place on the ring of the snapshot; whoever comes without one takes the next backend.
    Ring(Mutex<RoundRobin>),
}

impl Picker {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::RoundRobin => Picker::RoundRobin(Mutex::default()),
            Algorithm::LeastConn => Picker::LeastConn(Mutex::default()),
            Algorithm::RandomTwo => Picker::RandomTwo,
            Algorithm::PeakEwma => Picker::PeakEwma(Mutex::default()),
            Algorithm::IpHash | Algorithm::Hash => Picker::Ring(Mutex::default()),
        }
    }

    fn next(
        &self,
        snapshot: &Snapshot,
        among: Among,
        skip: impl Fn(usize) -> bool,
        now: Instant,
    ) -> Option<usize> {
        match self {
            Picker::RoundRobin(state) | Picker::Ring(state) => state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next(snapshot.candidates(among), skip),
            Picker::LeastConn(state) => state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next(snapshot.loads(among), skip),
            // The generator is the thread's own: nothing is locked.
            Picker::RandomTwo => random_two(snapshot.loads(among), skip, |n| fastrand::u64(..n)),
            Picker::PeakEwma(state) => {
                // Read once: a latency that changes between two looks could leave nobody the cheapest.
                let expected = snapshot.expected(among, now);
                state
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .next(expected.iter().copied(), skip)
            }
        }
    }
}
