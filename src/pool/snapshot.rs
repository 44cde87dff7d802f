//! A pool at one moment: its backends, and what chooses among them.

use std::sync::Arc;
use std::time::Duration;

use super::picker::Pickers;
use super::{Member, Tried};
use crate::balance::{Candidate, Ring};

/// A pool's immutable view, swapped whole.
#[derive(Debug)]
pub struct Snapshot {
    /// Every backend, eligible or not, each at the place that its `index` says.
    pub members: Vec<Arc<Member>>,
    /// Whose turn it is. One snapshot hands it on to the next, until another algorithm is chosen.
    pub(super) pickers: Arc<Pickers>,
    /// Whose a key is, under an algorithm with keys.
    pub(super) ring: Option<Arc<Ring>>,
    /// Requests that were answered by backends that are gone for good.
    gone: u64,
    /// Some are backups.
    has_backups: bool,
    /// Some have a limit of requests.
    pub(super) has_limits: bool,
    /// Some are known to be gone, and a balancer that is not told of it would go on sending them requests.
    pub(super) has_ghosts: bool,
}

impl Snapshot {
    /// `before` is the view that there was.
    pub(super) fn new(
        members: Vec<Arc<Member>>,
        pickers: Arc<Pickers>,
        before: Option<&Snapshot>,
    ) -> Self {
        Self {
            ring: pickers.ring(&members, before.and_then(|before| before.ring.as_ref())),
            gone: before.map_or(0, |before| {
                before.gone + before.answered_by_others(&members)
            }),
            has_backups: members.iter().any(|member| member.backup),
            has_limits: members.iter().any(|member| member.max_connections > 0),
            has_ghosts: members.iter().any(|member| member.is_ghost()),
            members,
            pickers,
        }
    }

    /// Requests that backends answered, also those that are gone for good: this never falls.
    pub fn answered(&self) -> u64 {
        let members = self.members.iter();
        self.gone + members.map(|member| member.tally.requests()).sum::<u64>()
    }

    /// Requests answered by members that `others` have no more.
    fn answered_by_others(&self, others: &[Arc<Member>]) -> u64 {
        let gone = |member: &&Arc<Member>| {
            let same = |other: &Arc<Member>| Arc::ptr_eq(&other.tally, &member.tally);
            // Nearly always they are the same ones at the same places.
            !others.get(member.index).is_some_and(same) && !others.iter().any(same)
        };
        let members = self.members.iter().filter(gone);
        members.map(|member| member.tally.requests()).sum()
    }

    /// Those that take requests: the backups, or the others.
    pub(super) fn eligible(&self, backups: bool) -> impl Iterator<Item = &Arc<Member>> + Clone {
        let of_kind = move |member: &&Arc<Member>| member.backup == backups;
        let members = self.members.iter().filter(of_kind);
        members.filter(|member| member.takes_requests())
    }

    /// Those that a balancer that is not told of deaths would take for alive: the backups, or the others.
    pub(super) fn listed(&self, backups: bool) -> impl Iterator<Item = &Arc<Member>> + Clone {
        let of_kind = move |member: &&Arc<Member>| member.backup == backups;
        let members = self.members.iter().filter(of_kind);
        members.filter(|member| member.listed)
    }

    /// Whether a request that has `tried` some has to make do with the backups: nobody else may have it, or has room for it
    /// (nginx asks its `backup` servers, too, when the others are at their `max_conns`).
    pub(super) fn is_for_backups(&self, tried: &Tried) -> bool {
        let has_it = |member: &Arc<Member>| member.share > 0 && member.is_open(tried);
        self.has_backups && !self.eligible(false).any(has_it)
    }

    /// Whether anybody, with room for it or not, may have a request that has `tried` some.
    pub(super) fn is_anybody_left(&self, tried: &Tried) -> bool {
        let mut members = self.members.iter();
        members.any(|one| one.share > 0 && one.takes_requests() && !tried.has(one))
    }
}

/// Index and share of each.
pub(super) fn shares<'a>(
    members: impl Iterator<Item = &'a Arc<Member>> + Clone,
) -> impl Iterator<Item = (usize, u32)> + Clone {
    members.map(|member| (member.index, member.share))
}

/// Each with its load as it is now.
pub(super) fn loads<'a>(
    members: impl Iterator<Item = &'a Arc<Member>> + Clone,
) -> impl Iterator<Item = Candidate> + Clone {
    members.map(|member| Candidate {
        index: member.index,
        weight: member.share,
        in_flight: member.life.in_flight(),
    })
}

/// Each with its load as it is now, and how fast it answered lately.
pub(super) fn paces<'a>(
    members: impl Iterator<Item = &'a Arc<Member>> + Clone,
    now: Duration,
) -> impl Iterator<Item = (Candidate, Option<f32>)> + Clone {
    let latencies = members.clone().map(move |one| one.life.latency().at(now));
    loads(members).zip(latencies)
}
