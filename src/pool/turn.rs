//! What a request asks of its pool: which backend it should have, and which it had already.

use super::{ClientKey, Member};
use crate::backend::RunId;

/// Which backend a request should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The next one.
    Next,
    /// The next one; remember it as where this client's page came from.
    Page(ClientKey),
    /// Where this client's page came from, without moving the sequence on.
    Asset(ClientKey),
    /// The one that this client sticks to, drained, a backup or of weight 0 as it may be; if it cannot have that (it is gone,
    /// at its limit, or tried), the next one.
    Stuck(usize),
    /// The one that this place on the ring belongs to, else the next on the ring. Without a ring: the next one.
    Key(u64),
}

/// The runs one request has already tried. Empty, it holds no memory.
#[derive(Debug, Default, Clone)]
pub struct Tried(Vec<(usize, RunId)>);

impl Tried {
    /// Notes that this backend was tried in its present run.
    pub fn add(&mut self, member: &Member) {
        if let Some(run) = member.run {
            self.0.push((member.index, run));
        }
    }

    pub(super) fn has(&self, member: &Member) -> bool {
        self.0
            .iter()
            .any(|&(index, run)| index == member.index && Some(run) == member.run)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// None yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets them all: after waiting, every backend may be asked again.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
