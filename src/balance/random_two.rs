//! The power of two random choices (Mitzenmacher, 2001): nearly as even as looking at everybody, at the price of two looks.

use super::Candidate;

/// Draws two different ones of `candidates` that `skip` does not name, each by its weight, and takes the one with fewer
/// requests in flight per weight; of equals the first, so that an idle pool is shared by weight. Weights of 0 are never
/// picked. `dice(n)` is a number from 0 to n - 1 by chance, and anything above counts as n - 1. `None` when nobody is left.
pub fn random_two(
    candidates: impl Iterator<Item = Candidate> + Clone,
    skip: impl Fn(usize) -> bool,
    mut dice: impl FnMut(u64) -> u64,
) -> Option<usize> {
    let open = candidates.filter(|one| one.weight > 0 && !skip(one.index));
    let first = draw(open.clone(), &mut dice)?;
    let others = open.filter(|one| one.index != first.index);
    let Some(second) = draw(others, &mut dice) else {
        return Some(first.index);
    };
    match second.load_cmp(&first).is_lt() {
        true => Some(second.index),
        false => Some(first.index),
    }
}

/// One by weight; the last one where some have gone while it looked.
fn draw(
    candidates: impl Iterator<Item = Candidate> + Clone,
    dice: &mut impl FnMut(u64) -> u64,
) -> Option<Candidate> {
    let total: u64 = candidates.clone().map(|one| u64::from(one.weight)).sum();
    if total == 0 {
        return None;
    }
    let mut left = dice(total).min(total - 1);
    let mut last = None;
    for one in candidates {
        match left.checked_sub(u64::from(one.weight)) {
            Some(less) => left = less,
            None => return Some(one),
        }
        last = Some(one);
    }
    last
}
