//! Requests that wait because no backend can have them: bounded, in order.
//!
//! Whoever makes room (a lease that ends at a backend with a limit, a publication) hands leases to those that wait, first come
//! first: nobody is woken in vain, and who wakes has its backend. A lease for somebody who has left goes to the next.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Lease, Pool, Tried, Turn};

/// Why a request did not get a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// As many wait already as may.
    QueueFull(Lack),
    /// It waited as long as it may.
    TimedOut(Lack),
}

/// What a pool lacks that has no backend to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// Nobody is eligible.
    Eligible,
    /// All who are eligible have a weight of 0.
    Weight,
    /// All who are eligible have as many requests as they may.
    Room,
}

#[derive(Debug)]
struct Waiter {
    turn: Turn,
    tried: Tried,
    reply: oneshot::Sender<Lease>,
}

/// The queue of one pool.
#[derive(Debug)]
pub(super) struct Queue {
    max: usize,
    waiters: Mutex<VecDeque<Waiter>>,
    /// How many are in it. Stored before the waiter looks at the backends a last time, read after a lease has ended: one of
    /// the two sees the other.
    count: AtomicUsize,
    /// Calls of [`Pool::serve`] that are not done. Whoever makes it 1 does the work for all: a lease that ends while leases are
    /// handed out must neither be missed nor wait for a lock of its own thread.
    calls: AtomicUsize,
}

impl Queue {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            waiters: Mutex::default(),
            count: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiter>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody waits; some may have left.
    pub(super) fn anybody(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }

    /// Takes a place at the end. `None` when there is none left.
    fn join(&self, turn: Turn, tried: Tried) -> Option<oneshot::Receiver<Lease>> {
        let mut waiters = self.lock();
        if waiters.len() >= self.max {
            waiters.retain(|waiter| !waiter.reply.is_closed());
        }
        if waiters.len() >= self.max {
            return None;
        }
        let (reply, granted) = oneshot::channel();
        waiters.push_back(Waiter { turn, tried, reply });
        self.count.store(waiters.len(), Ordering::SeqCst);
        Some(granted)
    }
}

impl Pool {
    /// Waits, in order of arrival, for a lease on a backend. A request that has `tried` some gets another one, as long as
    /// there is another that could have it in the end. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// When the queue is full, or `limit` has passed.
    pub async fn wait(
        &self,
        turn: Turn,
        tried: &Tried,
        limit: Duration,
    ) -> Result<Lease, Unavailable> {
        let Some(granted) = self.queue.join(turn, tried.clone()) else {
            return Err(Unavailable::QueueFull(self.lack()));
        };
        self.serve();
        match tokio::time::timeout(limit, granted).await {
            Ok(Ok(lease)) => Ok(lease),
            // Its end is kept until it has sent, but where the pool itself is gone.
            Ok(Err(_)) | Err(_) => Err(Unavailable::TimedOut(self.lack())),
        }
    }

    /// Why nobody can have a request now.
    pub fn lack(&self) -> Lack {
        let snapshot = self.snapshot.load();
        let eligible = || snapshot.members.iter().filter(|one| one.takes_requests());
        match eligible().any(|one| one.share > 0) {
            true if snapshot.has_limits => Lack::Room,
            // Somebody became eligible this instant, or nobody is.
            true => Lack::Eligible,
            false if eligible().next().is_some() => Lack::Weight,
            false => Lack::Eligible,
        }
    }

    /// Requests that wait now: who has left is not counted.
    pub fn waiting(&self) -> usize {
        let waiters = self.queue.lock();
        let here = waiters.iter().filter(|one| !one.reply.is_closed());
        here.count()
    }

    /// There may be room: hands out what there is.
    pub(super) fn room(&self) {
        if self.queue.anybody() {
            self.serve();
        }
    }

    /// Hands leases to those that wait, as long as there are backends for them.
    pub(super) fn serve(&self) {
        one_for_all(&self.queue.calls, || self.serve_once());
    }

    fn serve_once(&self) {
        let none = Tried::default();
        let now = Instant::now();
        // What somebody else cannot have either who only wants the next one.
        let mut nothing_is_left = false;
        let mut waiters = self.queue.lock();
        let mut place = 0;
        while let Some(waiter) = waiters.get(place) {
            if waiter.reply.is_closed() {
                waiters.remove(place);
                continue;
            }
            let tried = match self.snapshot.load().is_anybody_left(&waiter.tried) {
                true => &waiter.tried,
                false => &none,
            };
            // Others may want less than everybody: who sticks to a drained backend, or comes from a failure of the only one
            // with room.
            let is_plain = tried.is_empty() && !matches!(waiter.turn, Turn::Stuck(_));
            let lease = match is_plain && nothing_is_left {
                true => None,
                false => self.choose(waiter.turn, tried, now),
            };
            match lease {
                Some(lease) => {
                    // A lease that comes back, since who waited left this instant, ends here, and that is a call more.
                    if let Some(waiter) = waiters.remove(place) {
                        let _ = waiter.reply.send(lease);
                    }
                }
                None => {
                    nothing_is_left |= is_plain;
                    place += 1;
                }
            }
        }
        self.queue.count.store(waiters.len(), Ordering::SeqCst);
    }
}

/// Does `work`, or leaves it to the caller that is doing it: it is begun at least once after each call. `calls` are those that
/// are not done.
fn one_for_all(calls: &AtomicUsize, mut work: impl FnMut()) {
    if calls.fetch_add(1, Ordering::SeqCst) > 0 {
        return;
    }
    let mut seen = 1;
    loop {
        work();
        match calls.compare_exchange(seen, 0, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => return,
            Err(more) => seen = more,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_while_the_work_is_done_has_it_done_again() {
        let calls = AtomicUsize::new(0);
        // How often the work finds that there is more, and how often it is done.
        for (more, wanted) in [(0, 1), (1, 2), (5, 6)] {
            let mut done = 0;
            one_for_all(&calls, || {
                done += 1;
                if done <= more {
                    one_for_all(&calls, || panic!("two at once"));
                    one_for_all(&calls, || panic!("two at once"));
                }
            });
            assert_eq!(done, wanted);
            assert_eq!(calls.load(Ordering::SeqCst), 0);
        }
    }
}
