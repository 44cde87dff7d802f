//! A clock that costs nothing to read: it stands still between a worker's sweeps.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Time since the worker began, as of its last sweep.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    began: Instant,
    now: Rc<Cell<Duration>>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            now: Rc::default(),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.now.get()
    }

    /// Winds it to the present.
    pub(super) fn wind(&self) {
        self.now.set(self.began.elapsed());
    }
}
