//! Which sockets have news.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// Events taken at once.
const BATCH: usize = 512;

/// An event queue; each socket in it has a number of ours.
pub(crate) struct Epoll {
    queue: OwnedFd,
    events: Vec<Event>,
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            queue: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(BATCH),
        })
    }

    pub(crate) fn add(
        &self,
        socket: impl AsFd,
        number: u64,
        interest: EventFlags,
    ) -> io::Result<()> {
        Ok(epoll::add(
            &self.queue,
            socket,
            EventData::new_u64(number),
            interest,
        )?)
    }

    pub(crate) fn modify(
        &self,
        socket: impl AsFd,
        number: u64,
        interest: EventFlags,
    ) -> io::Result<()> {
        Ok(epoll::modify(
            &self.queue,
            socket,
            EventData::new_u64(number),
            interest,
        )?)
    }

    /// Waits for news, until `limit` has passed: pairs of a number and what is new. Empty after the limit.
    pub(crate) fn wait(&mut self, limit: Option<Duration>) -> io::Result<Vec<(u64, EventFlags)>> {
        let limit = limit.map(|limit| Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        });
        self.events.clear();
        match epoll::wait(
            &self.queue,
            spare_capacity(&mut self.events),
            limit.as_ref(),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // The kernel's layout is packed: its parts are copied, never borrowed.
        let news = self
            .events
            .iter()
            .map(|event| ({ event.data }.u64(), { event.flags }));
        Ok(news.collect())
    }
}
