//! Requests that wait because no backend can have them: bounded, in order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    line: Mutex<Line>,
    /// Those who were called and have not said yet what became of it.
    called: AtomicUsize,
}

#[derive(Debug, Default)]
struct Line {
    next: u64,
    /// By ticket: who comes back keeps the place.
    waiters: BTreeMap<u64, oneshot::Sender<Call>>,
}

impl Queue {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            line: Mutex::default(),
            called: AtomicUsize::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those still there: who left has dropped its end.
    pub(super) fn len(&self) -> usize {
        self.lock().present(u64::MAX).count()
    }

    /// Somebody waits, or was called and has not said yet what became of it: whoever comes now stands behind.
    pub(super) fn is_ahead(&self) -> bool {
        self.called.load(Ordering::Acquire) > 0 || self.len() > 0
    }

    /// Waits until it is called, at the place of `again` if it was called before. There is no need to where there is
    /// `room`, and nobody ahead if the `order` matters; `room` is asked with the queue locked, so that no call is missed.
    pub(super) async fn wait(
        &self,
        again: Option<Ticket>,
        limit: Duration,
        order: bool,
        room: impl Fn() -> bool,
    ) -> Result<Ticket, Unavailable> {
        let called = {
            let mut line = self.lock();
            let number = again.map_or(line.next, |ticket| ticket.number);
            let ahead = order
                && (self.called.load(Ordering::Acquire) > 0
                    || line.present(number).next().is_some());
            if !ahead && room() {
                return Ok(Ticket {
                    number,
                    called: false,
                });
            }
            if line.waiters.len() >= self.max {
                line.waiters.retain(|_, waiter| !waiter.is_closed());
            }
            if line.waiters.len() >= self.max {
                return Err(Unavailable::QueueFull);
            }
            line.next = line.next.max(number + 1);
            let (call, called) = oneshot::channel();
            line.waiters.insert(number, call);
            called
        };
        match tokio::time::timeout(limit, called).await {
            Ok(Ok(call)) => Ok(call.heard()),
            // The queue outlives those who wait in it.
            Ok(Err(_)) | Err(_) => Err(Unavailable::TimedOut),
        }
    }

    /// Calls the first `count`.
    pub(super) fn call(self: &Arc<Self>, count: usize) {
        let mut left = count;
        while left > 0 {
            let Some((number, waiter)) = self.lock().waiters.pop_first() else {
                return;
            };
            if waiter.is_closed() {
                continue;
            }
            self.called.fetch_add(1, Ordering::AcqRel);
            // Whoever leaves at this moment drops the call, which goes on to the next.
            let _ = waiter.send(Call {
                queue: self.clone(),
                number,
                heard: false,
            });
            left -= 1;
        }
    }

    /// Somebody has got what there was, or found that there is nothing.
    pub(super) fn settle(&self, ticket: &mut Ticket) {
        if std::mem::take(&mut ticket.called) {
            self.called.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Line {
    /// Those before `number` who are still there.
    fn present(&self, number: u64) -> impl Iterator<Item = &oneshot::Sender<Call>> {
        let before = self.waiters.range(..number).map(|(_, waiter)| waiter);
        before.filter(|waiter| !waiter.is_closed())
    }
}

/// A place in the line of those who wait.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket {
    number: u64,
    /// It was called, and its holder has not settled yet.
    called: bool,
}

/// On its way to the one who is called; if that one has left, it calls the next.
#[derive(Debug)]
struct Call {
    queue: Arc<Queue>,
    number: u64,
    heard: bool,
}

impl Call {
    fn heard(mut self) -> Ticket {
        self.heard = true;
        Ticket {
            number: self.number,
            called: true,
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.heard {
            self.queue.called.fetch_sub(1, Ordering::AcqRel);
            self.queue.call(1);
        }
    }
}
