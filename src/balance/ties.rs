//! Whose turn it is among those that are equally good.

/// Smooth weighted round robin whose members change from pick to pick: each of them gains its share, the largest total is
/// picked and pays the sum of the gains. nginx's `least_conn` breaks its ties like this.
#[derive(Debug, Default, Clone)]
pub(super) struct Ties {
    /// By index: what each has gained and not yet paid.
    current: Vec<i64>,
}

impl Ties {
    /// One of these pairs of an index and a share. `None` when there are none.
    pub(super) fn pick(&mut self, equals: impl Iterator<Item = (usize, u32)>) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<usize> = None;
        for (index, share) in equals {
            if self.current.len() <= index {
                self.current.resize(index + 1, 0);
            }
            total += i64::from(share);
            self.current[index] += i64::from(share);
            if best.is_none_or(|most| self.current[index] > self.current[most]) {
                best = Some(index);
            }
        }
        let best = best?;
        self.current[best] -= total;
        Some(best)
    }
}
