//! Whose turn it is, by the algorithm that was chosen.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::member::since_start;
use super::snapshot::{loads, paces, shares};
use super::{Member, Snapshot, Tried, Turn};
use crate::balance::{Algorithm, LeastConn, PeakEwma, Ring, RoundRobin, random_two};

/// All that one pool's algorithm remembers.
#[derive(Debug)]
pub(super) struct Pickers {
    pub(super) algorithm: Algorithm,
    main: Picker,
    /// Backups have an order of their own: theirs and the others' would else disturb each other.
    backups: Picker,
    /// What a balancer that is not told of deaths would do.
    shadow: Picker,
    shadow_backups: Picker,
}

impl Pickers {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        let new = || Picker::new(algorithm);
        Self {
            algorithm,
            main: new(),
            backups: new(),
            shadow: new(),
            shadow_backups: new(),
        }
    }

    /// The ring of these members, if keys decide; `before` is kept where it is the same one.
    pub(super) fn ring(
        &self,
        members: &[Arc<Member>],
        before: Option<&Arc<Ring>>,
    ) -> Option<Arc<Ring>> {
        if !matches!(self.algorithm, Algorithm::IpHash | Algorithm::Hash) {
            return None;
        }
        let shares = || members.iter().map(|member| (member.index, member.weight));
        let same = before.filter(|ring| ring.is_of(shares())).cloned();
        Some(same.unwrap_or_else(|| Arc::new(Ring::new(shares()))))
    }

    /// The one of the backups, or of the others, that may have this request and was not tried.
    pub(super) fn next(
        &self,
        snapshot: &Snapshot,
        backups: bool,
        (turn, tried, now): (Turn, &Tried, Instant),
    ) -> Option<usize> {
        let member = |index: usize| snapshot.members.get(index);
        if let (Turn::Key(place), Some(ring)) = (turn, &snapshot.ring) {
            let may = |one: &Arc<Member>| {
                one.backup == backups && one.share > 0 && one.takes_requests() && one.is_open(tried)
            };
            return ring.next(place, |index| member(index).is_some_and(may));
        }
        let picker = match backups {
            true => &self.backups,
            false => &self.main,
        };
        let skip = |index| !member(index).is_some_and(|one| one.is_open(tried));
        picker.next(snapshot.eligible(backups), now, skip)
    }

    /// The one that would have had the next request if nobody had been told of deaths.
    pub(super) fn next_of_listed(
        &self,
        snapshot: &Snapshot,
        turn: Turn,
        now: Instant,
    ) -> Option<usize> {
        let may = |one: &Arc<Member>| one.listed && one.share > 0;
        let backups = !snapshot.listed(false).any(may);
        if let (Turn::Key(place), Some(ring)) = (turn, &snapshot.ring) {
            let may = |one: &Arc<Member>| one.backup == backups && may(one);
            return ring.next(place, |index| snapshot.members.get(index).is_some_and(may));
        }
        let picker = match backups {
            true => &self.shadow_backups,
            false => &self.shadow,
        };
        picker.next(snapshot.listed(backups), now, |_| false)
    }
}

/// One order for all threads. Loads are read as they are at that moment: two threads may see the same ones.
#[derive(Debug)]
enum Picker {
    /// Also where keys decide, for whoever comes without one.
    RoundRobin(Mutex<RoundRobin>),
    LeastConn(Mutex<LeastConn>),
    RandomTwo,
    PeakEwma(Mutex<PeakEwma>),
}

impl Picker {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::RoundRobin | Algorithm::IpHash | Algorithm::Hash => {
                Picker::RoundRobin(Mutex::default())
            }
            Algorithm::LeastConn => Picker::LeastConn(Mutex::default()),
            Algorithm::RandomTwo => Picker::RandomTwo,
            Algorithm::PeakEwma => Picker::PeakEwma(Mutex::default()),
        }
    }

    /// The next one of `members` that `skip` does not name.
    fn next<'a>(
        &self,
        members: impl Iterator<Item = &'a Arc<Member>> + Clone,
        now: Instant,
        skip: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        match self {
            Picker::RoundRobin(state) => state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next(shares(members), skip),
            Picker::LeastConn(state) => state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next(loads(members), skip),
            // The generator is the thread's own: nothing is locked.
            Picker::RandomTwo => random_two(loads(members), skip, |n| fastrand::u64(..n)),
            Picker::PeakEwma(state) => state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next(paces(members, since_start(now)), skip),
        }
    }
}
