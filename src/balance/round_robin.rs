//! Smooth weighted round robin, the algorithm of nginx's `ngx_http_upstream_round_robin.c`.

/// Each eligible candidate gains its weight, the largest total is picked and pays the sum of all gains. With equal
/// weights that is 0, 1, 2, 3, 0 …; with 5, 1, 1 it is a a b a c a a.
#[derive(Debug, Default, Clone)]
pub struct RoundRobin {
    current: Vec<i64>,
}

impl RoundRobin {
    /// The next of `candidates`: pairs of an index and a weight, in the order that breaks ties. Weights of 0 are
    /// never picked. `None` when there is nobody to pick.
    pub fn next(&mut self, candidates: impl Iterator<Item = (usize, u32)>) -> Option<usize> {
        let mut best: Option<(usize, i64)> = None;
        let mut total = 0;
        for (index, weight) in candidates {
            if weight == 0 {
                continue;
            }
            if self.current.len() <= index {
                self.current.resize(index + 1, 0);
            }
            total += i64::from(weight);
            self.current[index] += i64::from(weight);
            if best.is_none_or(|(_, most)| self.current[index] > most) {
                best = Some((index, self.current[index]));
            }
        }
        let (index, _) = best?;
        self.current[index] -= total;
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(weights: &[u32], picks: &str) {
        let mut picker = RoundRobin::default();
        let order: String = (0..picks.len())
            .map(|_| picker.next(weights.iter().copied().enumerate()).unwrap())
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
    fn who_leaves_is_skipped_and_who_returns_takes_turns_again() {
        let mut picker = RoundRobin::default();
        let mut next = |out: &[usize]| {
            picker
                .next(
                    (0..4)
                        .filter(|index| !out.contains(index))
                        .map(|index| (index, 1)),
                )
                .unwrap()
        };
        assert_eq!([next(&[]), next(&[])], [0, 1]);
        assert_eq!(
            [next(&[0]), next(&[0]), next(&[0]), next(&[0])],
            [2, 3, 1, 2],
            "the order goes on"
        );
        let after: Vec<usize> = (0..8).map(|_| next(&[])).collect();
        for index in 0..4 {
            assert_eq!(
                after.iter().filter(|&&picked| picked == index).count(),
                2,
                "{after:?}"
            );
        }
    }

    #[test]
    fn nobody_to_pick() {
        assert_eq!(RoundRobin::default().next(std::iter::empty()), None);
        assert_eq!(RoundRobin::default().next([(3, 0)].into_iter()), None);
    }
}
