//! What became of each request, for whoever shows it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use crate::backend::BackendId;

/// Why one attempt at one backend came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptFailure {
    /// Nobody listens there.
    Refused,
    /// No connection within `timeouts.connect`.
    ConnectTimeout,
    /// The connection could not be made for another reason.
    ConnectFailed,
    /// The connection ended before a response head: the process died, or closed it.
    Closed,
    /// It was reset before a response head.
    Reset,
    /// What came back is not HTTP.
    BadResponse,
    /// No response head within `timeouts.backend_head`.
    HeadTimeout,
    /// The connection ended in the middle of the response's body.
    CutBody,
}

impl AttemptFailure {
    /// In words, after "8000": `8000 refused the connection`.
    pub fn words(self) -> &'static str {
        match self {
            AttemptFailure::Refused => "refused the connection",
            AttemptFailure::ConnectTimeout => "did not accept the connection in time",
            AttemptFailure::ConnectFailed => "could not be reached",
            AttemptFailure::Closed => "closed the connection before it answered",
            AttemptFailure::Reset => "reset the connection before it answered",
            AttemptFailure::BadResponse => "sent something that is not HTTP",
            AttemptFailure::HeadTimeout => "did not answer in time",
            AttemptFailure::CutBody => "ended in the middle of its answer",
        }
    }
}

/// One attempt that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// At which backend.
    pub backend: BackendId,
    /// Why.
    pub failure: AttemptFailure,
    /// After how long.
    pub after: Duration,
}

/// One request, when its response has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// When it came.
    pub at: SystemTime,
    /// Its method.
    pub method: String,
    /// Its path and query, cut at [`Access::TARGET_MAX`] bytes.
    pub target: String,
    /// The status the client got.
    pub status: u16,
    /// From its head to the end of the response.
    pub took: Duration,
    /// How long of that it waited because nobody was eligible.
    pub waited: Duration,
    /// Who answered; `None` when lbdev itself did.
    pub backend: Option<BackendId>,
    /// What was tried in vain, in order.
    pub attempts: Vec<Attempt>,
}

impl Access {
    /// A longer target is cut.
    pub const TARGET_MAX: usize = 256;
}

/// Requests on their way to whoever shows them: bounded, and free of cost while nobody does.
#[derive(Debug, Default)]
pub struct AccessLog {
    wanted: AtomicBool,
    pending: Mutex<VecDeque<Access>>,
    dropped: AtomicU64,
    arrived: Notify,
}

impl AccessLog {
    /// Kept until they are taken; more are counted and dropped.
    const MAX: usize = 8192;

    /// Whether anybody reads: an [`Access`] need not be made otherwise.
    pub fn wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// From now on somebody reads.
    pub fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Adds one.
    pub fn push(&self, access: Access) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.len() >= Self::MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        pending.push_back(access);
        // The reader takes all at once: only the first of a batch has to wake it.
        if pending.len() == 1 {
            drop(pending);
            self.arrived.notify_one();
        }
    }

    /// Waits for at least one and takes all, with the number of those dropped since the last call.
    pub async fn take(&self) -> (VecDeque<Access>, u64) {
        loop {
            let batch =
                std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
            if !batch.is_empty() {
                return (batch, self.dropped.swap(0, Ordering::Relaxed));
            }
            self.arrived.notified().await;
        }
    }
}
