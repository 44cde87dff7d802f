//! `sequence = "pages"`: which backend a client's page came from, so that what the page loads comes from there too.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// A client as far as it can be told apart: its address and its User-Agent, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientKey(u64);

impl ClientKey {
    /// The key of a client.
    pub fn new(address: IpAddr, user_agent: &[u8]) -> Self {
        use std::sync::LazyLock;
        static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(STATE.hash_one((address, user_agent)))
    }
}

/// Clients remembered at most twice this many; the older half is forgotten at once.
const HALF: usize = 2048;

#[derive(Debug, Default)]
pub(super) struct Pages {
    halves: Mutex<(HashMap<ClientKey, usize>, HashMap<ClientKey, usize>)>,
}

impl Pages {
    /// The backend of this client's last page.
    pub(super) fn of(&self, client: ClientKey) -> Option<usize> {
        let halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        halves
            .0
            .get(&client)
            .or_else(|| halves.1.get(&client))
            .copied()
    }

    /// This client's page comes from `index`.
    pub(super) fn note(&self, client: ClientKey, index: usize) {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if halves.0.len() >= HALF && !halves.0.contains_key(&client) {
            halves.1 = std::mem::take(&mut halves.0);
        }
        halves.0.insert(client, index);
    }
}
