//! What the processes of each run cost: processor time, memory, threads, children. They are those that would be ended with
//! the run: its session, what descends from it, and what carries its environment ([`find`]).
//!
//! One thread looks, when somebody asks and every few seconds by itself, so that the share of the processor that is told
//! first is one of the last seconds and not of a whole life. Nobody waits for it who answers requests or tends backends.

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::launcher::Shared;
use super::{find, os};
use crate::backend::RunId;

/// How often it looks while nobody asks. A look at four backends costs some tenths of a millisecond.
const TICK: Duration = Duration::from_secs(5);
/// What was found so recently is told again.
const FRESH: Duration = Duration::from_millis(100);
/// The share of the processor is one of at least so long, while the run is that old: the kernel counts in hundredths of a
/// second.
const SPAN: Duration = Duration::from_secs(1);

/// What the processes of one run use.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    /// Processor time over real time, in percent of one core: two busy threads are 200. It is the average of the last 1 to
    /// 6 s, or of the run's whole life where that is shorter. Children that have ended count once they were waited for.
    pub cpu_pct: f64,
    /// Resident memory in bytes: all of the largest process, and of each other what it shares with none (Linux; elsewhere
    /// all of each). A plain sum would count the pages that forked workers share once for each of them.
    pub rss_bytes: u64,
    /// Threads of all its processes; 0 where the system does not say (macOS).
    pub threads: u32,
    /// Its processes besides the first.
    pub children: u32,
}

/// What was found of each run. One that is not there has no process, or has only just been launched.
pub type Usages = Arc<HashMap<RunId, Usage>>;

/// Asks the thread that looks. Dropping it ends that thread.
#[derive(Debug)]
pub struct Meter {
    asks: mpsc::Sender<oneshot::Sender<Usages>>,
    last: Arc<Mutex<Usages>>,
}

impl Meter {
    /// A meter of the runs of a launcher.
    pub(super) fn start(runs: Weak<Shared>) -> Meter {
        let (asks, asked) = mpsc::channel();
        let last = Arc::default();
        let mut watch = MeterThread {
            runs,
            last: Arc::clone(&last),
            looked: None,
            tracks: HashMap::new(),
        };
        // Where the system refuses a thread, nothing is known.
        let _ = thread::Builder::new()
            .name("usage".into())
            .stack_size(256 * 1024)
            .spawn(move || watch.serve(&asked));
        Meter { asks, last }
    }

    /// What all runs use now, to a tenth of a second. After `limit` it is what was last known.
    pub async fn now(&self, limit: Duration) -> Usages {
        let (reply, answer) = oneshot::channel();
        if self.asks.send(reply).is_ok()
            && let Ok(Ok(usages)) = tokio::time::timeout(limit, answer).await
        {
            return usages;
        }
        self.last()
    }

    /// What was found last, some seconds ago at most.
    pub fn last(&self) -> Usages {
        Arc::clone(&lock(&self.last))
    }
}

/// Nothing panics while it holds this lock; if something did, what it holds would still be whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct MeterThread {
    runs: Weak<Shared>,
    last: Arc<Mutex<Usages>>,
    looked: Option<Instant>,
    tracks: HashMap<RunId, Track>,
}

impl MeterThread {
    fn serve(&mut self, asked: &Receiver<oneshot::Sender<Usages>>) {
        loop {
            match asked.recv_timeout(TICK) {
                Ok(reply) => {
                    if self.looked.is_none_or(|at| at.elapsed() >= FRESH) {
                        self.look();
                    }
                    let usages = Arc::clone(&lock(&self.last));
                    // Whoever asked may have stopped waiting.
                    let _ = reply.send(usages);
                }
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn look(&mut self) {
        let usages = Arc::new(self.measure());
        *lock(&self.last) = usages;
        self.looked = Some(Instant::now());
    }

    fn measure(&mut self) -> HashMap<RunId, Usage> {
        let runs = self.runs.upgrade().map(|shared| shared.running());
        let runs = runs.unwrap_or_default();
        self.tracks
            .retain(|run, _| runs.iter().any(|running| running.run == *run));
        if runs.is_empty() {
            return HashMap::new();
        }
        let table = find::ours();
        let at = Instant::now();
        let mut all = HashMap::with_capacity(runs.len());
        for running in runs {
            let members = find::members(&running.scope, &table);
            let pids: Vec<u32> = members.iter().map(|proc| proc.pid).collect();
            let costs = os::costs(&pids);
            let cpu = costs.values().map(|cost| cost.cpu).sum();
            let track = self
                .tracks
                .entry(running.run)
                .or_insert_with(|| Track::begin(running.since));
            let resident: Vec<(u32, u64)> = (costs.iter())
                .map(|(pid, cost)| (*pid, cost.resident))
                .collect();
            let usage = Usage {
                cpu_pct: track.note(at, cpu),
                rss_bytes: together(&resident, os::private),
                threads: costs.values().map(|cost| cost.threads).sum(),
                children: u32::try_from(costs.len().saturating_sub(1)).unwrap_or(u32::MAX),
            };
            all.insert(running.run, usage);
        }
        all
    }
}

/// The memory of processes that share some: all of the largest, and what each of the others has for itself.
fn together(resident: &[(u32, u64)], private: impl Fn(u32) -> Option<u64>) -> u64 {
    let Some(largest) = resident.iter().max_by_key(|(_, bytes)| *bytes) else {
        return 0;
    };
    let others = resident.iter().filter(|(pid, _)| *pid != largest.0);
    // Another user's process does not tell: better too much than nothing.
    let others = others.map(|(pid, all)| private(*pid).map_or(*all, |own| own.min(*all)));
    others.fold(largest.1, u64::saturating_add)
}

/// The processor time of one run at some moments: the newest of those that are [`SPAN`] old, and all after it.
struct Track(VecDeque<(Instant, Duration)>);

impl Track {
    fn begin(launched: Instant) -> Track {
        Track(VecDeque::from([(launched, Duration::ZERO)]))
    }

    /// Notes how much it has used in all, and says what share of the processor that is, in percent of one core.
    fn note(&mut self, at: Instant, cpu: Duration) -> f64 {
        while (self.0.get(1)).is_some_and(|(then, _)| at.saturating_duration_since(*then) >= SPAN) {
            self.0.pop_front();
        }
        let (then, had) = self.0.front().copied().unwrap_or((at, cpu));
        self.0.push_back((at, cpu));
        let span = at.saturating_duration_since(then).as_secs_f64();
        if span == 0.0 {
            return 0.0;
        }
        // What a child had used is gone with it if nobody waits for it: then the sum falls.
        let used = cpu.saturating_sub(had).as_secs_f64();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        #[allow(clippy::cast_precision_loss)] // a number of cores
        let most = cores as f64 * 100.0;
        (used / span * 100.0).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Moments in ms since the launch, with the processor time in ms by then, and the percentage that is told.
    fn check(notes: &[(u64, u64, f64)]) {
        let launched = Instant::now();
        let mut track = Track::begin(launched);
        for &(at, cpu, expected) in notes {
            let told = track.note(launched + ms(at), ms(cpu));
            assert!(
                (told - expected).abs() < 0.01,
                "{told} at {at} of {notes:?}"
            );
            assert!(track.0.len() < 20, "{notes:?}");
        }
    }

    #[test]
    fn the_share_of_the_processor_is_of_the_last_seconds() {
        // The first time: since its launch.
        check(&[(200, 100, 50.0)]);
        check(&[(60_000, 30_000, 50.0)]);
        // The moment of its launch says nothing.
        check(&[(0, 10, 0.0)]);
        // Busy until 5 s, idle since.
        check(&[(5_000, 5_000, 100.0), (10_000, 5_000, 0.0)]);
        // The last note that is a second old is what counts, not the launch, and not one of a moment ago.
        check(&[
            (5_000, 0, 0.0),
            (5_900, 450, 450.0 * 100.0 / 5_900.0),
            (6_000, 500, 50.0),
            (6_900, 950, 50.0),
            (7_000, 1_000, 50.0 * 1_100.0 / 1_100.0),
        ]);
        // The sum falls when a child is gone unwaited for.
        check(&[
            (5_000, 5_000, 100.0),
            (7_000, 1_000, 0.0),
            (9_000, 2_000, 50.0),
        ]);
    }

    #[test]
    fn no_more_is_told_than_there_are_cores() {
        let launched = Instant::now();
        let mut track = Track::begin(launched);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let told = track.note(launched + ms(1), Duration::from_secs(1000));
        assert!((told - cores as f64 * 100.0).abs() < 0.01, "{told}");
    }

    #[test]
    fn often_asked_it_keeps_few_notes() {
        let notes: Vec<(u64, u64, f64)> = (1..1000).map(|n| (n * 100, n * 25, 25.0)).collect();
        check(&notes);
    }

    #[test]
    fn shared_memory_counts_once() {
        let private = |pid| match pid {
            1 => Some(5),
            2 => Some(7),
            3 => Some(900),
            _ => None,
        };
        for (resident, expected) in [
            (&[][..], 0),
            (&[(1, 50)], 50),
            // Two forked workers: what they share is counted with the first.
            (&[(1, 50), (2, 48)], 57),
            (&[(2, 48), (1, 50)], 57),
            // One that grew between the two looks, and one that does not tell.
            (&[(1, 50), (3, 40)], 90),
            (&[(1, 50), (4, 40)], 90),
            (&[(4, u64::MAX), (5, 40)], u64::MAX),
        ] {
            assert_eq!(together(resident, private), expected, "{resident:?}");
        }
    }
}
