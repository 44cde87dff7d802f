//! Which backend is next: pure algorithms over indices. No I/O, no clock, no randomness of their own.

mod budget;
mod hash_key;
mod least_conn;
mod peak_ewma;
mod random_two;
mod ring;
mod round_robin;
mod ties;

pub use budget::Budget;
pub use hash_key::HashKey;
pub use least_conn::LeastConn;
pub use peak_ewma::{Latency, PeakEwma};
pub use random_two::random_two;
pub use ring::{Ring, place};
pub use round_robin::RoundRobin;

/// A backend that may be picked, as the algorithms that look at its load see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its place in the pool.
    pub index: usize,
    /// Its share. One of 0 is never picked.
    pub weight: u32,
    /// Requests it has in flight.
    pub in_flight: u32,
}

impl Candidate {
    /// How its load, in flight per weight, compares with another's. Both weights must be above 0.
    fn load_cmp(&self, other: &Candidate) -> std::cmp::Ordering {
        let cross = |a: &Candidate, b: &Candidate| u64::from(a.in_flight) * u64::from(b.weight);
        cross(self, other).cmp(&cross(other, self))
    }
}

/// What a person chose. The object that then chooses backends is the picker of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// Smooth weighted round robin, as nginx does it.
    #[default]
    RoundRobin,
    /// The one with the fewest requests in flight per weight; among equals, round robin.
    LeastConn,
    /// Two by chance, and of these the one with fewer requests in flight per weight.
    RandomTwo,
    /// The one whose requests in flight are expected to be done first, by how fast it answered lately.
    PeakEwma,
    /// The client's address decides: the same client gets the same backend.
    IpHash,
    /// The request's [`HashKey`] decides.
    Hash,
}

impl Algorithm {
    /// Every name there is, as `lbdev.toml` spells it.
    pub const NAMES: &[(&str, Algorithm)] = &[
        ("round_robin", Algorithm::RoundRobin),
        ("least_conn", Algorithm::LeastConn),
        ("random_two", Algorithm::RandomTwo),
        ("peak_ewma", Algorithm::PeakEwma),
        ("ip_hash", Algorithm::IpHash),
        ("hash", Algorithm::Hash),
    ];

    /// The name in `lbdev.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::RoundRobin => "round_robin",
            Algorithm::LeastConn => "least_conn",
            Algorithm::RandomTwo => "random_two",
            Algorithm::PeakEwma => "peak_ewma",
            Algorithm::IpHash => "ip_hash",
            Algorithm::Hash => "hash",
        }
    }
}

/// What moves the round robin on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sequence {
    /// A page does; what the page loads (images, styles, its icon) goes where the page went.
    #[default]
    Pages,
    /// Each request does.
    Requests,
}

impl Sequence {
    /// Every name there is, as `lbdev.toml` spells it.
    pub const NAMES: &[(&str, Sequence)] =
        &[("pages", Sequence::Pages), ("requests", Sequence::Requests)];

    /// The name in `lbdev.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Sequence::Pages => "pages",
            Sequence::Requests => "requests",
        }
    }
}

/// Whether a client stays with the backend it had first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sticky {
    /// No: each request is chosen for anew.
    #[default]
    Off,
    /// By a cookie that lbdev sets.
    Cookie,
}

impl Sticky {
    /// Every name there is, as `lbdev.toml` spells it.
    pub const NAMES: &[(&str, Sticky)] = &[("off", Sticky::Off), ("cookie", Sticky::Cookie)];

    /// The name in `lbdev.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Sticky::Off => "off",
            Sticky::Cookie => "cookie",
        }
    }
}

#[cfg(test)]
mod tests;
