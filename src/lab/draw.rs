//! What differs between students: drawn from their names, so that everybody can draw it again.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::config::lab::{Lab, Varied};

/// The value of each name that the lab varies, for this student. Without one: the first of each.
pub fn draw(lab: &Lab, student: Option<&str>) -> BTreeMap<String, Varied> {
    let one = |(name, values): &(String, Vec<Varied>)| {
        let place = match student {
            None => 0,
            Some(student) => place(&lab.name, student, name, values.len()),
        };
        Some((name.clone(), values.get(place)?.clone()))
    };
    lab.vary.iter().filter_map(one).collect()
}

fn place(lab: &str, student: &str, name: &str, count: usize) -> usize {
    let digest = Sha256::digest(format!("{lab}\n{student}\n{name}").as_bytes());
    let head = digest
        .iter()
        .take(8)
        .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    usize::try_from(head % count.max(1) as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn students_differ_and_each_is_always_the_same() {
        let places = |student: &str| -> Vec<usize> {
            let of = |name: &str| place("failover", student, name, 5);
            ["a", "b", "c", "d"].map(of).to_vec()
        };
        assert_eq!(places("s1"), places("s1"));
        assert_ne!(places("s1"), places("s2"));
        let all: std::collections::BTreeSet<usize> = (0..100)
            .map(|n| place("fair", &format!("s{n}"), "rate", 4))
            .collect();
        assert_eq!(all.len(), 4, "each value is somebody's");
    }
}
