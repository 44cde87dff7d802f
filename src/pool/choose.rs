//! Which backend a request gets.

use std::sync::Arc;
use std::time::Instant;

use super::{Chosen, Lease, Member, Pool, Snapshot, Tried, Turn};

impl Pool {
    /// The next eligible backend that was not tried yet and has room, with a lease on it. One order for all threads.
    ///
    /// In a pool with limits, a request that has tried none gets none while others wait: they came first.
    pub fn pick(&self, turn: Turn, tried: &Tried) -> Option<Lease> {
        let now = Instant::now();
        if self.has_to_queue(&self.snapshot.load(), tried) {
            return None;
        }
        self.choose(turn, tried, now)
    }

    /// [`Pool::pick`] for a request that comes `now`: it also counts whether a balancer that is not told of deaths would have
    /// sent it to a backend that is gone.
    pub fn pick_first(&self, turn: Turn, now: Instant) -> Option<Lease> {
        let snapshot = self.snapshot.load();
        if snapshot.has_ghosts {
            self.count_spared(&snapshot, turn, now);
        }
        let none = Tried::default();
        if self.has_to_queue(&snapshot, &none) {
            return None;
        }
        self.choose(turn, &none, now)
    }

    fn has_to_queue(&self, snapshot: &Snapshot, tried: &Tried) -> bool {
        snapshot.has_limits && tried.is_empty() && self.queue.anybody()
    }

    /// A lease for one request, whoever else waits.
    pub(super) fn choose(&self, turn: Turn, tried: &Tried, now: Instant) -> Option<Lease> {
        loop {
            let snapshot = self.snapshot.load();
            let (index, chosen) = self.choose_from(&snapshot, turn, tried, now)?;
            let member = snapshot.members.get(index)?;
            // Somebody else may have had its last place, or a drain that began since the view was read may not have counted
            // this lease: ask again.
            if let Some(lease) = Lease::take(member, now, chosen)
                && !member.life.is_draining()
            {
                if let Turn::Page(client) = turn {
                    self.pages.note(client, index);
                }
                return Some(lease);
            }
        }
    }

    fn choose_from(
        &self,
        snapshot: &Snapshot,
        turn: Turn,
        tried: &Tried,
        now: Instant,
    ) -> Option<(usize, Chosen)> {
        let backups = snapshot.is_for_backups(tried);
        if let Turn::Asset(client) = turn
            && let Some(index) = self.pages.of(client)
            && let Some(member) = snapshot.members.get(index)
            && member.backup == backups
            && member.takes_requests()
            && member.is_open(tried)
        {
            return Some((index, Chosen::LikeItsPage));
        }
        if let Turn::Stuck(index) = turn
            && let Some(member) = snapshot.members.get(index)
            && member.takes_stuck_requests()
            && member.is_open(tried)
        {
            return Some((index, Chosen::Stuck));
        }
        let pickers = &snapshot.pickers;
        let index = pickers.next(snapshot, backups, (turn, tried, now))?;
        let by = match backups {
            true => Chosen::Backup,
            false => Chosen::By,
        };
        Some((index, by(pickers.algorithm)))
    }

    /// Asks the shadow of the pickers, which does not know who is gone.
    fn count_spared(&self, snapshot: &Snapshot, turn: Turn, now: Instant) {
        let listed = |index: Option<usize>| {
            let member: &Arc<Member> = snapshot.members.get(index?)?;
            member.listed.then_some(member)
        };
        let before = match turn {
            Turn::Asset(client) => listed(self.pages.of(client)),
            Turn::Stuck(index) => listed(Some(index)),
            Turn::Next | Turn::Page(_) | Turn::Key(_) => None,
        };
        let next = || listed(snapshot.pickers.next_of_listed(snapshot, turn, now));
        if let Some(member) = before.or_else(next)
            && member.is_ghost()
        {
            member.tally.count_spared();
        }
    }
}
