//! A retry storm: an overload that further tries would make worse.

use std::sync::atomic::AtomicU64;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::taking::Taker;
use super::*;

const BACKENDS: usize = 5;
const WORKERS: usize = 2;
/// Requests that may be at a backend at once; it answers further ones 503.
const ROOM: usize = 6;
/// So that all backends together can answer 200 requests a second.
const SERVICE: Duration = Duration::from_millis(50);
/// A second: 70 % of that.
const RATE: u32 = 140;
/// The service takes so many times longer during the overload.
const SLOWER: u64 = 3;
const FULL: &str = "HTTP/1.1 503 Full\r\nContent-Length: 4\r\n\r\nfull";
/// Further tries that the budget always allows, a second.
const RESERVE: usize = 10;
/// The seconds that the budget looks back.
const WINDOW: usize = 10;

/// Backends of limited capacity.
struct Site {
    stubs: Vec<Stub>,
    /// The service time, in milliseconds.
    service: Arc<AtomicU64>,
    /// Requests that came to any of them.
    received: Arc<AtomicUsize>,
}

impl Site {
    async fn new() -> Self {
        let mut site = Self {
            stubs: Vec::new(),
            service: Arc::default(),
            received: Arc::default(),
        };
        site.slower(1);
        for _ in 0..BACKENDS {
            site.stubs.push(site.backend().await);
        }
        site
    }

    async fn backend(&self) -> Stub {
        let (service, received) = (self.service.clone(), self.received.clone());
        let room = Arc::new(Semaphore::new(ROOM));
        let workers = Arc::new(Semaphore::new(WORKERS));
        stub(move |stream, _, _| {
            let (service, received) = (service.clone(), received.clone());
            let (room, workers) = (room.clone(), workers.clone());
            async move {
                let mut taker = Taker::new(stream);
                while taker.head().await.is_some() {
                    received.fetch_add(1, Ordering::SeqCst);
                    let Ok(_place) = room.try_acquire() else {
                        taker.answer(FULL).await;
                        continue;
                    };
                    let _worker = workers.acquire().await.unwrap();
                    tokio::time::sleep(Duration::from_millis(service.load(Ordering::SeqCst))).await;
                    taker.answer(OK).await;
                }
            }
        })
        .await
    }

    fn slower(&self, times: u64) {
        let service = u64::try_from(SERVICE.as_millis()).unwrap();
        self.service.store(service * times, Ordering::SeqCst);
    }

    fn received(&self) -> usize {
        self.received.load(Ordering::SeqCst)
    }
}

/// Users who come when they come, whether the last ones were answered or not.
struct Load {
    front: SocketAddr,
    next: tokio::time::Instant,
    sent: usize,
}

impl Load {
    /// The requests of one second, as they are under way when it is over.
    async fn second(&mut self) -> JoinSet<bool> {
        let mut asking = JoinSet::new();
        for _ in 0..RATE {
            tokio::time::sleep_until(self.next).await;
            self.next += Duration::from_secs(1) / RATE;
            self.sent += 1;
            asking.spawn(ask(self.front));
        }
        asking
    }
}

/// Whether it got a good answer.
async fn ask(front: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(front).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    status(&read_all(&mut stream).await) == 200
}

async fn good(asking: JoinSet<bool>) -> f64 {
    let answers = within(asking.join_all()).await;
    let good = answers.iter().filter(|good| **good).count();
    good as f64 / answers.len() as f64
}

/// A storm from a calm second to the end of its cause.
struct Storm {
    front: Front,
    site: Site,
    load: Load,
    began: Instant,
    /// Second by second.
    asked: Vec<JoinSet<bool>>,
}

impl Storm {
    async fn begin(budget: Option<u32>) -> Self {
        let site = Site::new().await;
        let addresses: Vec<_> = site.stubs.iter().map(|stub| stub.address).collect();
        let front = front_with(&addresses, |settings| {
            settings.retry.budget = budget;
            settings.retry.statuses = vec![503];
            settings.live.retries = 3;
            // All stay: nobody puts back here whom the pool takes out.
            settings.passive.failures = 0;
        });
        let mut storm = Self {
            load: Load {
                front: front.address,
                next: tokio::time::Instant::now(),
                sent: 0,
            },
            front,
            site,
            began: Instant::now(),
            asked: Vec::new(),
        };
        for times in [1, SLOWER, SLOWER, SLOWER] {
            storm.site.slower(times);
            let second = storm.load.second().await;
            storm.asked.push(second);
        }
        storm.site.slower(1);
        storm
    }

    /// What backends got since the start, and the most that a budget of 20 % allows.
    fn received_and_allowed(&self) -> (usize, usize) {
        let seconds = usize::try_from(self.began.elapsed().as_secs()).unwrap() + 1;
        // Past the first window, each one has the reserve anew, and a share of what came in the one before it too.
        let windows = seconds.div_ceil(WINDOW);
        let sent = self.load.sent;
        let tries = windows.min(2) * sent / 5 + windows * WINDOW * RESERVE;
        (self.site.received(), sent + tries)
    }
}

#[tokio::test]
async fn with_a_budget_a_storm_is_over_when_its_cause_is() {
    let mut storm = Storm::begin(Some(20)).await;
    let (received, allowed) = storm.received_and_allowed();
    assert!(received <= allowed, "{received}, not {allowed}");
    let over = Instant::now();
    let mut shares = Vec::new();
    // What came of a second is looked at when the next one has been sent: the load goes on.
    let mut last = storm.load.second().await;
    loop {
        let next = storm.load.second().await;
        shares.push(good(std::mem::replace(&mut last, next)).await);
        if shares.last().is_some_and(|share| *share > 0.95) {
            break;
        }
        assert!(over.elapsed() < Duration::from_secs(10), "{shares:?}");
    }
    good(last).await;
    let mut worst = 1.0_f64;
    for second in std::mem::take(&mut storm.asked) {
        worst = worst.min(good(second).await);
    }
    assert!(worst < 0.9, "there was no storm: {worst}");
    let (received, allowed) = storm.received_and_allowed();
    assert!(received <= allowed, "{received}, not {allowed}");
    // They got what users sent and what was tried again, and nothing else.
    let retries = usize::try_from(storm.front.pool().retries()).unwrap();
    assert!(retries > 0, "there were no further tries");
    assert_eq!(received, storm.load.sent + retries);
}

#[tokio::test]
async fn without_a_budget_the_same_storm_is_repeated_far_more() {
    // What makes a test of the other one: the same load passes the bound when nothing holds it back.
    let storm = Storm::begin(None).await;
    let (received, allowed) = storm.received_and_allowed();
    assert!(received > allowed, "{received}, {allowed} would be allowed");
}
