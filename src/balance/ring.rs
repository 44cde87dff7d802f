//! A consistent ring of hashes (Karger and others, 1997; libketama): the same key goes to the same backend, and who leaves
//! takes only its own keys along.

/// Points of a backend on the ring, for each of its weight. More make shares evener: with 160 they differ by some 8 %.
const POINTS: u64 = 160;
/// About so many points are on a ring at most, so that large weights do not make it slow to build.
const MOST: u64 = 1 << 16;

/// Where keys belong. It holds everybody with a weight, eligible or not: a key whose backend is away goes to the next one
/// on the ring, and comes home when it is back.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Ring {
    shares: Vec<(usize, u32)>,
    /// By rising hash: the index that owns what lies before it.
    points: Vec<(u64, usize)>,
}

impl Ring {
    /// A ring of pairs of an index and a weight.
    pub fn new(shares: impl Iterator<Item = (usize, u32)>) -> Self {
        let shares: Vec<(usize, u32)> = shares.collect();
        let total: u64 = shares.iter().map(|&(_, weight)| u64::from(weight)).sum();
        let each = (MOST / total.max(1)).clamp(1, POINTS);
        let mut points: Vec<(u64, usize)> = shares
            .iter()
            .flat_map(|&(index, weight)| {
                let seed = mix(index as u64);
                (0..each * u64::from(weight)).map(move |number| (mix(seed ^ number), index))
            })
            .collect();
        points.sort_unstable();
        Self { shares, points }
    }

    /// Whether it is the ring of these pairs.
    pub fn is_of(&self, shares: impl Iterator<Item = (usize, u32)>) -> bool {
        shares.eq(self.shares.iter().copied())
    }

    /// The first at or after `key` that `open` lets have it. `None` when it lets nobody.
    pub fn next(&self, key: u64, open: impl Fn(usize) -> bool) -> Option<usize> {
        let has_points = |&&(_, weight): &&(usize, u32)| weight > 0;
        // Without this, nobody to be found would be found out by a walk around the whole ring.
        let mut shares = self.shares.iter().filter(has_points);
        if !shares.any(|&(index, _)| open(index)) {
            return None;
        }
        let (before, after) = self
            .points
            .split_at(self.points.partition_point(|&(hash, _)| hash < key));
        let mut around = after.iter().chain(before).map(|&(_, index)| index);
        around.find(|&index| open(index))
    }
}

/// The place of a key on the ring: FNV-1a, the same in every run, and then mixed, as it is uneven for short keys.
pub fn place(key: &[u8]) -> u64 {
    mix(key.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    }))
}

/// The last step of SplitMix64: every bit of the input moves about half of the output's.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEYS: u32 = 2000;

    fn keys() -> impl Iterator<Item = u64> {
        (0..KEYS).map(|number| place(format!("/page/{number}").as_bytes()))
    }

    fn ring(weights: &[u32]) -> Ring {
        Ring::new(weights.iter().copied().enumerate())
    }

    #[test]
    fn nobody_to_pick() {
        assert_eq!(ring(&[]).next(7, |_| true), None);
        assert_eq!(ring(&[0]).next(7, |_| true), None);
        assert_eq!(ring(&[1, 1]).next(7, |_| false), None);
        assert_eq!(ring(&[0, 1]).next(7, |index| index == 0), None);
        assert_eq!(ring(&[1]).next(u64::MAX, |_| true), Some(0));
        assert_eq!(ring(&[1]).next(0, |_| true), Some(0));
    }

    #[test]
    fn the_largest_set_up_is_still_a_ring() {
        let ring = ring(&[256; 256]);
        assert!(ring.points.len() <= 1 << 17, "{}", ring.points.len());
        assert!(keys().all(|key| ring.next(key, |_| true).is_some()));
    }

    #[test]
    fn a_ring_knows_whose_it_is() {
        let ring = ring(&[1, 2]);
        assert!(ring.is_of([(0, 1), (1, 2)].into_iter()));
        assert!(!ring.is_of([(0, 1), (1, 3)].into_iter()));
        assert!(!ring.is_of([(0, 1)].into_iter()));
    }

    proptest! {
        /// Who leaves takes at most its share and 10 % of all keys along, whether it is taken from the ring or only not
        /// eligible; all others stay where they were, and where the keys go is the same both ways.
        #[test]
        fn few_keys_move(weights in prop::collection::vec(1u32..4, 2..10), away in any::<prop::sample::Index>()) {
            let away = away.index(weights.len());
            let whole = ring(&weights);
            let smaller = Ring::new(weights.iter().copied().enumerate().filter(|&(index, _)| index != away));
            let mut moved = 0;
            for key in keys() {
                let home = whole.next(key, |_| true).unwrap();
                let now = whole.next(key, |index| index != away).unwrap();
                prop_assert_eq!(smaller.next(key, |_| true), Some(now));
                prop_assert_ne!(now, away);
                match home == away {
                    true => moved += 1,
                    false => prop_assert_eq!(now, home),
                }
            }
            let share = f64::from(weights[away]) / f64::from(weights.iter().sum::<u32>());
            prop_assert!(f64::from(moved) <= (share + 0.1) * f64::from(KEYS), "{moved} of {KEYS} moved, {weights:?} without {away}");
        }

        /// Everybody has about its share.
        #[test]
        fn shares_follow_weights(weights in prop::collection::vec(0u32..4, 1..10)) {
            let total: u32 = weights.iter().sum();
            prop_assume!(total > 0);
            let ring = ring(&weights);
            let mut got = vec![0u32; weights.len()];
            for key in keys() {
                got[ring.next(key, |_| true).unwrap()] += 1;
            }
            for (got, weight) in got.iter().zip(&weights) {
                let (got, due) = (f64::from(*got) / f64::from(KEYS), f64::from(*weight) / f64::from(total));
                prop_assert!((got - due).abs() <= 0.1, "{got} instead of {due}");
            }
        }

        /// Only who is open is picked, whatever the key.
        #[test]
        fn only_who_may_be_picked_is(each in prop::collection::vec((0u32..3, any::<bool>()), 0..6), key in any::<u64>()) {
            let ring = Ring::new(each.iter().enumerate().map(|(index, &(weight, _))| (index, weight)));
            match ring.next(key, |index| each[index].1) {
                Some(index) => prop_assert!(each[index].0 > 0 && each[index].1),
                None => prop_assert!(each.iter().all(|&(weight, open)| weight == 0 || !open)),
            }
        }
    }
}
