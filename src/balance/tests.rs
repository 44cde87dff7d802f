use proptest::prelude::*;

use super::*;

fn candidates(each: &[(u32, u32)]) -> Vec<Candidate> {
    let each = each.iter().enumerate();
    each.map(|(index, &(weight, in_flight))| Candidate {
        index,
        weight,
        in_flight,
    })
    .collect()
}

/// Dice that fall as a plain generator says: the same in every run.
fn dice(mut seed: u64) -> impl FnMut(u64) -> u64 {
    move |n| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % n
    }
}

#[test]
fn least_conn() {
    // Weight and requests in flight of each; who gets the next requests, none of which ends.
    let check = |each: &[(u32, u32)], tried: &[usize], picks: &str| {
        let mut each = candidates(each);
        let mut picker = LeastConn::default();
        let mut order = String::new();
        for _ in 0..picks.len() {
            match picker.next(each.iter().copied(), |index| tried.contains(&index)) {
                Some(index) => {
                    each[index].in_flight += 1;
                    order.push(char::from(b'a' + u8::try_from(index).unwrap()));
                }
                None => order.push('-'),
            }
        }
        assert_eq!(order, picks, "{each:?} without {tried:?}");
    };
    // Each has one before anybody has two; who came last of those that had none begins.
    check(&[(1, 0), (1, 0), (1, 0)], &[], "abccba");
    check(&[(1, 3), (1, 0), (1, 1)], &[], "bbccbab");
    check(&[(2, 2), (1, 0)], &[], "b");
    check(&[(3, 2), (1, 1)], &[], "aa");
    check(&[(1, 0), (1, 0), (1, 0)], &[0], "bccb");
    check(&[(0, 0), (1, 9)], &[], "bb");
    check(&[(0, 0), (1, 0)], &[1], "-");
    check(&[], &[], "-");
    check(&[(256, u32::MAX - 9), (1, u32::MAX - 9)], &[], "aa");
}

#[test]
fn an_idle_pool_goes_round_by_weight() {
    let each = candidates(&[(5, 0), (1, 0), (1, 0)]);
    let mut picker = LeastConn::default();
    let order: Vec<usize> = (0..7)
        .map(|_| picker.next(each.iter().copied(), |_| false).unwrap())
        .collect();
    assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
}

#[test]
fn random_two_takes_the_less_loaded() {
    let check = |each: &[(u32, u32)], tried: &[usize], rolls: [u64; 2], pick: Option<usize>| {
        let mut rolls = rolls.into_iter();
        let picked = random_two(
            candidates(each).into_iter(),
            |index| tried.contains(&index),
            |_| rolls.next().unwrap(),
        );
        assert_eq!(picked, pick, "{each:?} without {tried:?}");
    };
    // The second roll is among those that are left.
    check(&[(1, 0), (1, 0), (1, 0)], &[], [1, 0], Some(1));
    check(&[(1, 0), (1, 5), (1, 0)], &[], [1, 0], Some(0));
    check(&[(1, 0), (1, 5), (1, 9)], &[], [1, 1], Some(1));
    check(&[(9, 8), (1, 1)], &[], [9, 0], Some(0));
    check(&[(1, 7), (1, 0)], &[1], [0, 0], Some(0));
    check(&[(0, 0), (1, 4)], &[], [0, 0], Some(1));
    check(&[(1, 0), (1, 1)], &[], [u64::MAX, 0], Some(0));
    check(&[(0, 0)], &[], [0, 0], None);
    check(&[(1, 0)], &[0], [0, 0], None);
}

proptest! {
    /// Whatever the loads: only who may be picked is, and somebody is while anybody may be.
    #[test]
    fn only_who_may_be_picked_is(
        each in prop::collection::vec((0u32..4, 0u32..50, any::<bool>()), 0..9),
        seed in any::<u64>(),
    ) {
        let loads: Vec<(u32, u32)> = each.iter().map(|&(weight, load, _)| (weight, load)).collect();
        let all = candidates(&loads);
        let skip = |index: usize| each[index].2;
        let open: Vec<Candidate> = all.iter().copied().filter(|one| one.weight > 0 && !skip(one.index)).collect();
        let mut least = LeastConn::default();
        for _ in 0..20 {
            match least.next(all.iter().copied(), skip) {
                Some(index) => {
                    let picked = open.iter().find(|one| one.index == index);
                    prop_assert!(picked.is_some(), "least_conn took {index} of {open:?}");
                    prop_assert!(open.iter().all(|one| one.load_cmp(picked.unwrap()).is_ge()), "{index} of {open:?}");
                }
                None => prop_assert!(open.is_empty(), "{open:?}"),
            }
            match random_two(all.iter().copied(), skip, dice(seed)) {
                Some(index) => {
                    prop_assert!(open.iter().any(|one| one.index == index), "random_two took {index} of {open:?}");
                }
                None => prop_assert!(open.is_empty(), "{open:?}"),
            }
        }
    }

    /// In any window of whole cycles each has its weight of each, to within one; also when the window begins in mid-cycle.
    #[test]
    fn round_robin_is_fair(weights in prop::collection::vec(0u32..7, 1..7), from in 0usize..60, cycles in 1u32..4) {
        let total: u32 = weights.iter().sum();
        prop_assume!(total > 0);
        let mut picker = RoundRobin::default();
        let mut next = || picker.next(weights.iter().copied().enumerate(), |_| false).unwrap();
        for _ in 0..from {
            next();
        }
        let mut got = vec![0u32; weights.len()];
        for _ in 0..total * cycles {
            got[next()] += 1;
        }
        for (got, weight) in got.iter().zip(&weights) {
            prop_assert!(got.abs_diff(weight * cycles) <= 1, "{got} instead of {weight} × {cycles}");
            prop_assert!(*weight > 0 || *got == 0);
        }
    }

    /// Candidates that come, go and change their weights, and tried ones: only who may be picked is, and somebody is while
    /// anybody may be.
    #[test]
    fn round_robin_takes_only_who_may_be_picked(
        rounds in prop::collection::vec(prop::collection::vec((any::<bool>(), 0u32..4, any::<bool>()), 0..6), 1..12),
    ) {
        let mut picker = RoundRobin::default();
        for round in rounds {
            let there = round.iter().enumerate().filter(|(_, one)| one.0);
            let candidates: Vec<(usize, u32)> = there.map(|(index, one)| (index, one.1)).collect();
            let open = |index: usize| round[index].0 && round[index].1 > 0 && !round[index].2;
            for _ in 0..5 {
                match picker.next(candidates.iter().copied(), |index| round[index].2) {
                    Some(index) => prop_assert!(open(index), "{index} of {round:?}"),
                    None => prop_assert!(!(0..round.len()).any(open), "nobody of {round:?}"),
                }
            }
        }
    }

    /// The most loaded of several is never the pick of two.
    #[test]
    fn the_most_loaded_is_never_one_of_two(loads in prop::collection::vec(0u32..20, 1..8), seed in any::<u64>()) {
        let mut each: Vec<(u32, u32)> = loads.iter().map(|&load| (1, load)).collect();
        each.push((1, 20));
        prop_assert_ne!(random_two(candidates(&each).into_iter(), |_| false, dice(seed)), Some(loads.len()));
    }

    /// Requests that never end are spread by weight: least_conn to less than one request per weight.
    #[test]
    fn shares_follow_weights(weights in prop::collection::vec(1u32..6, 2..6), seed in any::<u64>()) {
        let total: u32 = weights.iter().sum();
        let idle: Vec<(u32, u32)> = weights.iter().map(|&weight| (weight, 0)).collect();
        let (mut held, mut thrown) = (candidates(&idle), candidates(&idle));
        let mut picker = LeastConn::default();
        let mut dice = dice(seed);
        for _ in 0..total * 200 {
            let index = picker.next(held.iter().copied(), |_| false).unwrap();
            held[index].in_flight += 1;
            let index = random_two(thrown.iter().copied(), |_| false, &mut dice).unwrap();
            thrown[index].in_flight += 1;
        }
        for (held, thrown) in held.iter().zip(&thrown) {
            prop_assert!(held.in_flight.abs_diff(held.weight * 200) <= held.weight, "{held:?} of {total}");
            prop_assert!(thrown.in_flight.abs_diff(thrown.weight * 200) <= total * 20, "{thrown:?} of {total}");
        }
    }
}
