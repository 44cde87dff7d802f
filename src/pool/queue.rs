//! Requests that wait because no backend is eligible: bounded, in order.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// Why a request did not get a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// As many wait already as may.
    QueueFull,
    /// It waited as long as it may.
    TimedOut,
}

/// The queue of one pool.
#[derive(Debug)]
pub(super) struct Queue {
    max: usize,
    waiters: Mutex<VecDeque<oneshot::Sender<()>>>,
}

impl Queue {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            waiters: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<oneshot::Sender<()>>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those still there: who left has dropped its end.
    pub(super) fn len(&self) -> usize {
        self.lock()
            .iter()
            .filter(|waiter| !waiter.is_closed())
            .count()
    }

    /// Waits for [`Queue::release`]. `now` is asked once more with the queue locked, so that no release is missed.
    pub(super) async fn wait(
        &self,
        limit: Duration,
        now: impl Fn() -> bool,
    ) -> Result<(), Unavailable> {
        let released = {
            let mut waiters = self.lock();
            if now() {
                return Ok(());
            }
            if waiters.len() >= self.max {
                waiters.retain(|waiter| !waiter.is_closed());
            }
            if waiters.len() >= self.max {
                return Err(Unavailable::QueueFull);
            }
            let (release, released) = oneshot::channel();
            waiters.push_back(release);
            released
        };
        match tokio::time::timeout(limit, released).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Unavailable::TimedOut),
        }
    }

    /// Lets all of them go, first come first.
    pub(super) fn release(&self) {
        let waiters = std::mem::take(&mut *self.lock());
        for waiter in waiters {
            let _ = waiter.send(());
        }
    }
}
