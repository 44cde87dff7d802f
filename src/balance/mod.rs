//! Which backend is next: pure algorithms over indices. No I/O, no clock, no randomness of their own.

mod round_robin;

pub use round_robin::RoundRobin;

/// What a person chose. The object that then chooses backends is the picker of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// Smooth weighted round robin, as nginx does it.
    #[default]
    RoundRobin,
}

impl Algorithm {
    /// Every name there is, as `lbdev.toml` spells it.
    pub const NAMES: &[(&str, Algorithm)] = &[("round_robin", Algorithm::RoundRobin)];

    /// The name in `lbdev.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::RoundRobin => "round_robin",
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
