//! Least connections: whoever has the fewest requests in flight for its weight.

use super::Candidate;

/// Among those with the same load it goes round by weight, as nginx's `least_conn` does: each of them gains its weight,
/// the largest total is picked and pays the sum of the gains. While nothing is in flight, that is plain weighted round
/// robin.
#[derive(Debug, Default, Clone)]
pub struct LeastConn {
    /// By index: what each has gained and not yet paid.
    current: Vec<i64>,
}

impl LeastConn {
    /// The least loaded of `candidates` that `skip` does not name; of equals, the one whose turn it is. Weights of 0 are
    /// never picked. `None` when nobody is left.
    pub fn next(
        &mut self,
        candidates: impl Iterator<Item = Candidate> + Clone,
        skip: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let open = candidates.filter(|one| one.weight > 0 && !skip(one.index));
        let least = open.clone().min_by(Candidate::load_cmp)?;
        let mut total = 0;
        let mut best: Option<usize> = None;
        for one in open.filter(|one| one.load_cmp(&least).is_eq()) {
            if self.current.len() <= one.index {
                self.current.resize(one.index + 1, 0);
            }
            total += i64::from(one.weight);
            self.current[one.index] += i64::from(one.weight);
            if best.is_none_or(|most| self.current[one.index] > self.current[most]) {
                best = Some(one.index);
            }
        }
        // The least loaded one is always as loaded as itself.
        let best = best?;
        self.current[best] -= total;
        Some(best)
    }
}
