//! Requests at a steady rate, whatever the answers do, each with what became of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::http::Connection;
use crate::wait;

/// One request that is to be sent.
#[derive(Debug, Clone)]
pub struct Ask {
    pub method: &'static str,
    pub target: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// On a connection of its own, whatever is kept.
    pub afresh: bool,
}

impl Ask {
    /// A GET on a kept connection.
    pub fn get(target: &str) -> Ask {
        Ask {
            method: "GET",
            target: target.to_owned(),
            headers: vec![("Accept", "text/plain, */*;q=0.1".to_owned())],
            body: Vec::new(),
            afresh: false,
        }
    }
}

/// What became of one request.
#[derive(Debug, Clone)]
pub struct Record {
    /// Which of the load's requests it was, from 0.
    pub number: u64,
    /// When it was sent.
    pub sent: Instant,
    /// From the moment it was due to the end of its response.
    pub latency: Duration,
    /// From the moment it was sent to the end of its response.
    pub took: Duration,
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
        let ask = Ask::get(path);
        Load::of(port, rate, clients, move |_| ask.clone())
    }

    /// What `ask` says for each number: `rate` a second, by as many as `clients` at once.
    pub fn of<F>(port: u16, rate: u32, clients: usize, ask: F) -> Load
    where
        F: Fn(u64) -> Ask + Clone + Send + 'static,
    {
        let stop = Arc::new(AtomicBool::new(false));
        let records = Arc::new(Mutex::new(Vec::new()));
        let next = Arc::new(AtomicU64::new(0));
        let begin = Instant::now();
        let client = |_| {
            let (stop, records, next) = (stop.clone(), records.clone(), next.clone());
            let ask = ask.clone();
            std::thread::spawn(move || {
                let mut connection = None;
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let due = begin + Duration::from_secs_f64(number as f64 / f64::from(rate));
                    wait::at(due);
                    let record = one(&mut connection, port, number, &ask(number), due);
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

    /// Whether one of those that are through is of this kind.
    pub fn any(&self, kind: impl Fn(&Record) -> bool) -> bool {
        self.records.lock().unwrap().iter().any(kind)
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

fn one(
    connection: &mut Option<Connection>,
    port: u16,
    number: u64,
    ask: &Ask,
    due: Instant,
) -> Record {
    let sent = Instant::now();
    let mut kept = match connection.take().filter(|_| !ask.afresh) {
        Some(kept) => Ok(kept),
        None => Connection::open(port),
    };
    let headers = ask.headers.iter();
    let headers: Vec<_> = headers.map(|(name, value)| (*name, &**value)).collect();
    let response = match &mut kept {
        Ok(kept) => kept.request(ask.method, &ask.target, &headers, &ask.body),
        Err(error) => Err(std::io::Error::new(error.kind(), error.to_string())),
    };
    let (latency, took) = (due.elapsed(), sent.elapsed());
    *connection = kept.ok().filter(Connection::is_usable);
    let attempts = |response: &crate::http::Response| {
        response
            .header("x-lbdev-attempts")
            .and_then(|text| text.parse().ok())
    };
    Record {
        number,
        sent,
        latency,
        took,
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

    /// Those of this kind.
    pub fn only(&self, kind: impl Fn(&Record) -> bool) -> Report {
        let records = self.records.iter().filter(|record| kind(record));
        Report {
            records: records.cloned().collect(),
        }
    }

    /// The longest time from its begin to its end in which nothing was answered.
    pub fn pause(&self) -> Duration {
        let first = self.records.iter().map(|record| record.sent).min();
        let mut ends: Vec<_> = self.records.iter().map(|r| r.sent + r.took).collect();
        ends.extend(first);
        ends.sort();
        let gaps = ends.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap_or_default()
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
