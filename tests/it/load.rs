//! Requests at a steady rate, whatever the answers do, each with what became of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::http::Connection;
use crate::wait;

/// What became of one request.
#[derive(Debug, Clone)]
pub struct Record {
    /// When it was sent.
    pub sent: Instant,
    /// From the moment it was due to the end of its response.
    pub latency: Duration,
    /// Its response's status, or why there is none.
    pub result: Result<u16, String>,
    /// The port that `X-Lbdev-Backend` names.
    pub backend: Option<u16>,
    /// `X-Lbdev-Attempts`.
    pub attempts: Option<u32>,
    /// How the page of anything but a 200 begins: lbdev's own say why.
    pub page: Option<String>,
}

/// A generator that runs.
pub struct Load {
    stop: Arc<AtomicBool>,
    records: Arc<Mutex<Vec<Record>>>,
    clients: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    /// GETs of `path`: `rate` a second, by `clients` kept connections.
    pub fn start(port: u16, path: &str, rate: u32, clients: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let records = Arc::new(Mutex::new(Vec::new()));
        let next = Arc::new(AtomicU64::new(0));
        let begin = Instant::now();
        let client = |_| {
            let (stop, records, next) = (stop.clone(), records.clone(), next.clone());
            let path = path.to_owned();
            std::thread::spawn(move || {
                let mut connection = None;
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let due = begin + Duration::from_secs_f64(number as f64 / f64::from(rate));
                    wait::at(due);
                    let record = one(&mut connection, port, &path, due);
                    records.lock().unwrap().push(record);
                }
            })
        };
        let clients = (0..clients).map(client).collect();
        Load {
            stop,
            records,
            clients,
        }
    }

    /// How many have been answered so far, or have failed.
    pub fn done(&self) -> usize {
        self.records.lock().unwrap().len()
    }

    /// Waits until `more` further requests are through.
    #[track_caller]
    pub fn run_for(&self, more: usize, limit: Duration) {
        let goal = self.done() + more;
        wait::until(limit, "the load went on", || self.done() >= goal);
    }

    /// Ends it, when the requests in flight are through.
    pub fn finish(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a client does not panic");
        }
        let mut records = std::mem::take(&mut *self.records.lock().unwrap());
        records.sort_by_key(|record| record.sent);
        Report { records }
    }
}

fn one(connection: &mut Option<Connection>, port: u16, path: &str, due: Instant) -> Record {
    let sent = Instant::now();
    let mut kept = match connection.take() {
        Some(kept) => Ok(kept),
        None => Connection::open(port),
    };
    let response = match &mut kept {
        Ok(kept) => kept.request("GET", path, &[("Accept", "text/plain, */*;q=0.1")], b""),
        Err(error) => Err(std::io::Error::new(error.kind(), error.to_string())),
    };
    let latency = due.elapsed();
    *connection = kept.ok().filter(Connection::is_usable);
    let attempts = |response: &crate::http::Response| {
        response
            .header("x-lbdev-attempts")
            .and_then(|text| text.parse().ok())
    };
    Record {
        sent,
        latency,
        backend: response
            .as_ref()
            .ok()
            .and_then(|response| response.backend_port()),
        attempts: response.as_ref().ok().and_then(attempts),
        page: (response.as_ref().ok())
            .filter(|response| response.status != 200)
            .map(|response| response.text().chars().take(600).collect()),
        result: response
            .map(|response| response.status)
            .map_err(|error| error.to_string()),
    }
}

/// All requests of one load, in the order in which they were sent.
#[derive(Debug)]
pub struct Report {
    pub records: Vec<Record>,
}

impl Report {
    /// Asserts that each was answered with 200, and that there were some.
    #[track_caller]
    pub fn none_lost(&self) {
        assert!(!self.records.is_empty(), "no request was sent");
        let lost: Vec<_> = self
            .records
            .iter()
            .filter(|record| record.result != Ok(200))
            .collect();
        assert!(
            lost.is_empty(),
            "{} of {} requests were lost, the first: {:#?}",
            lost.len(),
            self.records.len(),
            &lost[..lost.len().min(5)]
        );
    }

    /// Asserts that no request sent after `moment` was answered by this backend.
    #[track_caller]
    pub fn none_by_after(&self, port: u16, moment: Instant) {
        let wrong: Vec<_> = self
            .records
            .iter()
            .filter(|record| record.sent > moment && record.backend == Some(port))
            .collect();
        assert!(
            wrong.is_empty(),
            "{} were answered by {port}: {:#?}",
            wrong.len(),
            &wrong[..1]
        );
    }

    /// How many this backend answered.
    pub fn by(&self, port: u16) -> usize {
        let records = self.records.iter();
        records
            .filter(|record| record.backend == Some(port))
            .count()
    }

    /// The latency that this share (0 to 1) of the requests did not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        let mut all: Vec<_> = self.records.iter().map(|record| record.latency).collect();
        all.sort();
        let last = all.len().saturating_sub(1);
        all.get((last as f64 * share).round() as usize)
            .copied()
            .unwrap_or_default()
    }
}
