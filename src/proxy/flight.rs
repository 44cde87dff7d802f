//! One request from its head to the end of its response, whatever ends it: what it holds, and what is told of it.

use std::fmt::Write;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use hyper::Method;

use super::client::Client;
use super::h1::Target;
use super::upstream::Call;
use super::worker::Worker;
use crate::backend::BackendId;
use crate::pool::{Access, Attempt, AttemptFailure, Chosen, Detail, Lease};

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// As it should.
    Whole,
    /// The backend's connection ended in the middle of it.
    Cut,
    /// The client went away.
    ClientLeft,
}

/// A request in flight. Its lease, its client's claim and its line in the access log end when it is dropped. It is boxed
/// because it moves through every future and body of the request.
#[derive(Debug)]
pub(super) struct Flight {
    client: Rc<Client>,
    /// When its head came.
    pub(super) started: Instant,
    /// What came to nothing.
    pub(super) attempts: Vec<Attempt>,
    /// How long it waited for a backend.
    pub(super) waited: Duration,
    /// A fault was put into one of its attempts.
    fault: bool,
    /// The client wants to know how long what took.
    pub(super) timed: bool,
    /// The place of the pool of its lease.
    place: usize,
    lease: Option<Lease>,
    /// The status that the client got.
    status: Option<u16>,
    told: Told,
    /// For the last requests that anybody may look at.
    recent: Option<Box<Record>>,
    /// What is needed to tell of it, since not all is well with it.
    incident: Option<Box<Record>>,
}

/// What the access log gets.
#[derive(Debug)]
enum Told {
    Nothing,
    /// One more answer of this backend: the place of its pool, and its index there.
    Count(Option<(usize, usize)>),
    Each(Box<Record>),
}

/// What is only needed when somebody reads of it.
#[derive(Debug, Clone)]
struct Record {
    at: SystemTime,
    method: Method,
    target: String,
    backend: Option<BackendId>,
    chosen: Option<Chosen>,
}

impl Record {
    fn new(at: SystemTime, method: &Method, target: &str) -> Box<Self> {
        Box::new(Self {
            at,
            method: method.clone(),
            target: cut(target),
            backend: None,
            chosen: None,
        })
    }

    fn answered_by(&mut self, lease: &Lease) {
        self.backend = Some(lease.member().id.clone());
        self.chosen = Some(lease.chosen());
    }
}

impl Flight {
    pub(super) fn new(client: Rc<Client>, method: &Method, target: &Target) -> Box<Self> {
        let started = Instant::now();
        let access = &client.worker.access;
        let record = || Record::new(SystemTime::now(), method, target.as_str());
        let recent = access.wants_recent(started).then(record);
        let told = match access.detail() {
            Detail::Nothing => Told::Nothing,
            Detail::Counts => Told::Count(None),
            Detail::Each => Told::Each(recent.clone().unwrap_or_else(record)),
        };
        client.begin_request();
        Box::new(Self {
            client,
            started,
            attempts: Vec::new(),
            waited: Duration::ZERO,
            timed: false,
            fault: false,
            place: 0,
            lease: None,
            status: None,
            told,
            recent,
            incident: None,
        })
    }

    /// Of what came in the place of a request, and was none.
    pub(super) fn refused(client: Rc<Client>) -> Box<Self> {
        let nothing = || Method::from_bytes(b"-").unwrap_or_default();
        let nowhere = Target::new(bytes::Bytes::from_static(b"-"), None);
        Self::new(client, &nothing(), &nowhere)
    }

    /// The thread that it is on.
    pub(super) fn worker(&self) -> &Worker {
        &self.client.worker
    }

    /// Notes the status that the client gets.
    pub(super) fn status(&mut self, status: u16) {
        self.status = Some(status);
    }

    /// Notes which backend answers; `place` is that of its pool.
    pub(super) fn answered_by(&mut self, place: usize, lease: &Lease) {
        self.place = place;
        for record in [&mut self.incident, &mut self.recent].into_iter().flatten() {
            record.answered_by(lease);
        }
        match &mut self.told {
            Told::Nothing => {}
            Told::Count(backend) => *backend = Some((place, lease.member().index)),
            Told::Each(record) => record.answered_by(lease),
        }
    }

    /// A fault that somebody put in is a part of its story.
    pub(super) fn struck(&mut self) {
        self.fault = true;
    }

    /// Holds the lease until the body has ended.
    pub(super) fn hold(&mut self, lease: Lease) {
        self.lease = Some(lease);
    }

    /// The connection is free for another request.
    pub(super) fn put_back(&self, call: Call) {
        self.client.worker.upstreams.put_back(call);
    }

    /// How long what took, in milliseconds, where the client asked (W3C Server Timing): the wait for a backend, attempts in
    /// vain, and the attempt that `answered`.
    pub(super) fn server_timing(&self, answered: Option<&Lease>) -> Option<String> {
        if !self.timed {
            return None;
        }
        let ms = |took: Duration| took.as_secs_f64() * 1e3;
        let last = answered.map_or(Duration::ZERO, |lease| lease.since().elapsed());
        let retries = self.started.elapsed().saturating_sub(last + self.waited);
        let mut text = format!(
            "lbdev-wait;dur={:.1}, lbdev-retries;dur={:.1}",
            ms(self.waited),
            ms(retries)
        );
        if let Some(lease) = answered {
            let _ = write!(
                text,
                ", backend;dur={:.1};desc=\"{}\"",
                ms(last),
                lease.member().id
            );
        }
        Some(text)
    }

    /// Notes an attempt that came to nothing.
    pub(super) fn note(&mut self, lease: &Lease, failure: AttemptFailure) {
        self.attempts.push(Attempt {
            backend: lease.member().id.clone(),
            failure,
            after: lease.since().elapsed(),
        });
    }

    /// Not all is well with it: it is told of in the end, whoever reads of others.
    pub(super) fn trouble(&mut self, method: &Method, target: &str) {
        self.incident.get_or_insert_with(|| {
            let at = SystemTime::now().checked_sub(self.started.elapsed());
            Record::new(at.unwrap_or(SystemTime::UNIX_EPOCH), method, target)
        });
    }

    fn access(&self, record: Record, status: u16) -> Access {
        Access {
            at: record.at,
            method: record.method.as_str().to_owned(),
            target: record.target,
            status,
            took: self.started.elapsed(),
            waited: self.waited,
            fault: self.fault,
            backend: record.backend,
            chosen: record.chosen,
            attempts: self.attempts.clone(),
        }
    }

    /// The response has ended.
    pub(super) fn end(mut self, end: End) {
        match end {
            End::Whole | End::ClientLeft => {}
            End::Cut => {
                if let Some(lease) = self.lease.take() {
                    let pools = &self.client.worker.pools;
                    (pools.at(self.place)).failed(&lease, AttemptFailure::CutBody);
                    self.note(&lease, AttemptFailure::CutBody);
                    self.lease = Some(lease);
                }
            }
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.client.end_request();
        // Without a status nobody answered: the client left before.
        let Some(status) = self.status else { return };
        let worker = &self.client.worker;
        if let Some(record) = self.incident.take() {
            // One that waited for a backend, and then had one, is well.
            if !self.attempts.is_empty() || record.backend.is_none() {
                let access = self.access(*record, status);
                if self.recent.is_none() {
                    worker.access.keep_recent(access.clone());
                }
                worker.access.push_incident(access);
            }
        }
        if let Some(record) = self.recent.take() {
            let access = self.access(*record, status);
            worker.access.keep_recent(access);
        }
        match std::mem::replace(&mut self.told, Told::Nothing) {
            Told::Nothing => {}
            Told::Count(backend) => {
                let retried = !self.attempts.is_empty();
                worker
                    .counter
                    .add(backend, status, retried, |(place, index)| {
                        let snapshot = worker.pools.all().get(place)?.snapshot();
                        Some(snapshot.members.get(index)?.id.clone())
                    });
            }
            Told::Each(record) => worker.access.push(self.access(*record, status)),
        }
    }
}

/// A target, at most as long as the access log keeps it.
fn cut(target: &str) -> String {
    let mut end = target.len().min(Access::TARGET_MAX);
    while !target.is_char_boundary(end) {
        end -= 1;
    }
    target[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_target_is_cut() {
        let long = format!("/{}", "x".repeat(400));
        assert_eq!(cut(&long).len(), Access::TARGET_MAX);
        assert_eq!(cut("/a?b=1"), "/a?b=1");
    }
}
