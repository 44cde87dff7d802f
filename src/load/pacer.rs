//! The bell: a thread that sleeps until requests are due, and rings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Rings at every interval until it is dropped.
#[derive(Debug)]
pub(super) struct Pacer {
    bell: Arc<Notify>,
    over: Arc<AtomicBool>,
    thread: Option<Thread>,
}

impl Pacer {
    /// Rings at `began`, and every `interval` after it.
    ///
    /// # Errors
    /// When the machine refuses a thread.
    pub(super) fn start(began: Instant, interval: Duration) -> std::io::Result<Self> {
        let (bell, over) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let (rings, ends) = (bell.clone(), over.clone());
        let thread = thread::Builder::new()
            .name("lbdev-load-bell".to_owned())
            .spawn(move || ring(began, interval, &rings, &ends))?;
        Ok(Self {
            bell,
            over,
            thread: Some(thread.thread().clone()),
        })
    }

    /// Resolves when it has rung since the last time.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}

fn ring(began: Instant, interval: Duration, bell: &Notify, over: &AtomicBool) {
    sleep_exactly();
    let mut next = began;
    loop {
        let left = next.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            // It may return early, which the next turn makes good.
            thread::park_timeout(left);
            if over.load(Ordering::Relaxed) {
                return;
            }
            continue;
        }
        if over.load(Ordering::Relaxed) {
            return;
        }
        bell.notify_one();
        // Rings that were missed would only be heard as one.
        let now = Instant::now();
        while next <= now {
            next += interval;
        }
    }
}

/// Linux lets a thread sleep up to 50 µs longer than it asked for, to save power (`prctl(2)`, `PR_SET_TIMERSLACK`). Here that
/// would be a part of every latency.
fn sleep_exactly() {
    #[cfg(target_os = "linux")]
    {
        // If it is refused, latencies are so much longer.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    }
}
