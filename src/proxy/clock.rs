//! A clock that costs nothing to read: it stands still between a worker's sweeps.

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

/// Time since the worker began, and what time it is, as of its last sweep.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    began: Instant,
    now: Rc<Cell<Duration>>,
    /// As `Date` has it (RFC 9110 §5.6.7).
    date: Rc<RefCell<String>>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            now: Rc::default(),
            date: Rc::new(RefCell::new(httpdate::fmt_http_date(SystemTime::now()))),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.now.get()
    }

    /// The time of day for a `Date`.
    pub(super) fn date(&self) -> Ref<'_, [u8]> {
        Ref::map(self.date.borrow(), |date| date.as_bytes())
    }

    /// Winds it to the present.
    pub(super) fn wind(&self) {
        self.now.set(self.began.elapsed());
        *self.date.borrow_mut() = httpdate::fmt_http_date(SystemTime::now());
    }
}
