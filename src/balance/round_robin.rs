//! Smooth weighted round robin, the algorithm of nginx's `ngx_http_upstream_round_robin.c`.

/// Each eligible candidate gains its weight, the largest total is picked and pays the sum of all gains. With equal
/// weights that is 0, 1, 2, 3, 0 …; with 5, 1, 1 it is a a b a c a a.
///
/// nginx keeps the totals when a peer leaves, which makes the order stumble (0, 1, then 2, 3, 2 without 0). Here a change
/// among the candidates starts the totals anew and winds them forward to the last pick, so that the order goes on where
/// it was: 2, 3, 1, 2.
#[derive(Debug, Default, Clone)]
pub struct RoundRobin {
    candidates: Vec<(usize, u32)>,
    current: Vec<i64>,
    last: Option<usize>,
}

impl RoundRobin {
    /// The next of `candidates`: pairs of an index and a weight, by rising index, which breaks ties. Weights of 0 are
    /// never picked, and those that `skip` names have their turn passed over: a failover is simply the next one.
    /// `None` when nobody is left. Whom `skip` names may change while it looks.
    pub fn next(
        &mut self,
        candidates: impl Iterator<Item = (usize, u32)> + Clone,
        skip: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let candidates = candidates.filter(|&(_, weight)| weight > 0);
        if !candidates.clone().eq(self.candidates.iter().copied()) {
            self.candidates = candidates.collect();
            self.wind_to_last();
        }
        if self.candidates.iter().all(|&(index, _)| skip(index)) {
            return None;
        }
        // In one cycle everybody has its turn.
        for _ in 0..self.cycle() {
            let index = self.turn()?;
            self.last = Some(index);
            if !skip(index) {
                return Some(index);
            }
        }
        None
    }

    /// After so many turns the order repeats.
    fn cycle(&self) -> u64 {
        let weights = self.candidates.iter().map(|&(_, weight)| u64::from(weight));
        weights.sum()
    }

    /// Puts the totals where they are just after the last pick, or after the one before it in line if that is gone.
    fn wind_to_last(&mut self) {
        self.current = vec![0; self.candidates.len()];
        let Some(last) = self.last else { return };
        let before = |&&(index, _): &&(usize, u32)| index <= last;
        let Some(&(stop, _)) = self
            .candidates
            .iter()
            .rfind(before)
            .or(self.candidates.last())
        else {
            return;
        };
        for _ in 0..self.cycle() {
            if self.turn() == Some(stop) {
                break;
            }
        }
    }

    /// One turn of the algorithm.
    fn turn(&mut self) -> Option<usize> {
        let mut best: Option<usize> = None;
        let mut total = 0;
        for (place, &(_, weight)) in self.candidates.iter().enumerate() {
            total += i64::from(weight);
            self.current[place] += i64::from(weight);
            if best.is_none_or(|most| self.current[place] > self.current[most]) {
                best = Some(place);
            }
        }
        let place = best?;
        self.current[place] -= total;
        Some(self.candidates[place].0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(weights: &[u32], picks: &str) {
        let mut picker = RoundRobin::default();
        let order: String = (0..picks.len())
            .map(|_| {
                picker
                    .next(weights.iter().copied().enumerate(), |_| false)
                    .unwrap()
            })
            .map(|index| char::from(b'a' + u8::try_from(index).unwrap()))
            .collect();
        assert_eq!(order, picks, "weights {weights:?}");
    }

    #[test]
    fn the_order_is_the_one_nginx_has() {
        check(&[1, 1, 1, 1], "abcdabcdabcd");
        check(&[5, 1, 1], "aabacaaaabacaa");
        check(&[1], "aaa");
        check(&[0, 1], "bbb");
        check(&[2, 1], "abaaba");
    }

    #[test]
    fn who_leaves_is_skipped_and_who_returns_is_back_in_the_order() {
        let mut picker = RoundRobin::default();
        let mut next = |out: &[usize], times: usize| -> Vec<usize> {
            let four = (0..4)
                .filter(|index| !out.contains(index))
                .map(|index| (index, 1))
                .collect::<Vec<_>>();
            (0..times)
                .map(|_| picker.next(four.iter().copied(), |_| false).unwrap())
                .collect()
        };
        assert_eq!(next(&[], 2), [0, 1]);
        assert_eq!(next(&[0], 4), [2, 3, 1, 2], "the order goes on");
        assert_eq!(next(&[], 3), [3, 0, 1], "and 0 is back in it");
        assert_eq!(
            next(&[1], 4),
            [2, 3, 0, 2],
            "also when the last one picked leaves"
        );
        assert_eq!(next(&[0, 1, 2], 2), [3, 3]);
        assert_eq!(next(&[3], 3), [0, 1, 2], "and when it was the last in line");
    }

    #[test]
    fn a_skipped_one_has_its_turn_passed_over() {
        let mut picker = RoundRobin::default();
        let three = [(0, 1), (1, 1), (2, 1)];
        assert_eq!(picker.next(three.into_iter(), |_| false), Some(0));
        assert_eq!(
            picker.next(three.into_iter(), |index| index == 0),
            Some(1),
            "a failover takes the next"
        );
        assert_eq!(picker.next(three.into_iter(), |_| false), Some(2));
        assert_eq!(picker.next(three.into_iter(), |index| index < 2), Some(2));
        assert_eq!(picker.next(three.into_iter(), |_| true), None);
    }

    #[test]
    fn nobody_to_pick() {
        assert_eq!(
            RoundRobin::default().next(std::iter::empty(), |_| false),
            None
        );
        assert_eq!(
            RoundRobin::default().next([(3, 0)].into_iter(), |_| false),
            None
        );
    }
}
