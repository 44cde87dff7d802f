//! Least connections: whoever has the fewest requests in flight for its weight.

use super::Candidate;
use super::ties::Ties;

/// Among those with the same load it goes round by weight, as nginx's `least_conn` does. While nothing is in flight, that
/// is plain weighted round robin.
#[derive(Debug, Default, Clone)]
pub struct LeastConn {
    ties: Ties,
}

impl LeastConn {
    /// The least loaded of `candidates` that `skip` does not name; of equals, the one whose turn it is. Weights of 0 are
    /// never picked. `None` when nobody is left. Loads may change while it looks.
    pub fn next(
        &mut self,
        candidates: impl Iterator<Item = Candidate> + Clone,
        skip: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let open = candidates.filter(|one| one.weight > 0 && !skip(one.index));
        let least = open.clone().min_by(Candidate::load_cmp)?;
        let equals = open.filter(|one| one.load_cmp(&least).is_eq());
        let picked = self.ties.pick(equals.map(|one| (one.index, one.weight)));
        // At the second look all may have more to do than the least loaded had at the first: it is the pick all the same.
        Some(picked.unwrap_or(least.index))
    }
}
