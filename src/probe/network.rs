//! Checks over the network.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::words::{REFUSED, of_io, why, why_cut};
use super::{Course, Probe, Report, Target, Watch};

/// How often a starting backend is asked: first often, since most are ready soon, then at leisure.
const STARTING: Duration = Duration::from_millis(5);
const STARTING_LATER: Duration = Duration::from_millis(25);
const STARTING_OFTEN_FOR: Duration = Duration::from_secs(2);
/// All that start at the same time are asked once in this time together: a hundred would else be asked twenty thousand times
/// a second, by the processor that they need to start.
const STARTING_EACH: Duration = Duration::from_millis(1);
/// How often a backend is asked that was ready and is not well.
const DOWN: Duration = Duration::from_millis(100);
/// How long a readiness probe may take at least: the first request to a server often loads half the program.
const READINESS_TIMEOUT: Duration = Duration::from_secs(10);
/// So much of an answer's body is read.
const BODY: usize = 64 << 10;
/// A check that ends so much later than it may, and five intervals, was overtaken by something else: the machine slept, or
/// lbdev was stopped.
const OVERTAKEN: Duration = Duration::from_secs(5);

/// Checks over the network.
#[derive(Debug, Clone)]
pub struct Network {
    client: reqwest::Client,
    /// How many are starting.
    starting: Arc<AtomicU32>,
}

/// One that is starting, for as long as it lives.
struct Starting<'a>(&'a AtomicU32);

impl<'a> Starting<'a> {
    fn one_more(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }

    /// How long to wait until it is asked again.
    fn pause(&self, waited: Duration) -> Duration {
        let often = waited < STARTING_OFTEN_FOR;
        let alone = if often { STARTING } else { STARTING_LATER };
        alone.max(STARTING_EACH * self.0.load(Ordering::Relaxed))
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One way to ask, and how long it may take.
#[derive(Debug, Clone, Copy)]
struct Ask {
    http: bool,
    limit: Duration,
}

impl Network {
    /// A client that keeps no connection, follows nothing and ignores the machine's proxy settings.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .user_agent(concat!("lbdev/", env!("CARGO_PKG_VERSION"), " (check)"))
            .build()?;
        let starting = Arc::default();
        Ok(Self { client, starting })
    }

    async fn http(
        &self,
        target: &Target,
        address: SocketAddr,
        limit: Duration,
    ) -> Result<String, String> {
        let path = target.health.path.as_deref().unwrap_or("/");
        let request = self
            .client
            .get(format!("http://{address}{path}"))
            .header("host", &target.host)
            .timeout(limit)
            .send();
        let mut response = request
            .await
            .map_err(|error| format!("GET {path} → {}", why(&error, limit)))?;
        let status = response.status().as_u16();
        let said = format!("GET {path} → {status}");
        match (target.health.status, &target.health.path) {
            (Some((first, last)), _) if (first..=last).contains(&status) => {}
            (Some((first, last)), _) if first == last => {
                return Err(format!("{said}, not {first}"));
            }
            (Some((first, last)), _) => return Err(format!("{said}, not {first}-{last}")),
            (None, Some(_)) if (200..400).contains(&status) => {}
            (None, Some(_)) => return Err(said),
            // Without a path of its own, any answer says that the server runs.
            (None, None) => {}
        }
        let Some(text) = &target.health.body else {
            return Ok(said);
        };
        let mut body = Vec::new();
        while body.len() < BODY {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Err(format!("{said}, {}", why_cut(&error, limit))),
            }
        }
        body.truncate(BODY);
        match holds(&body, text.as_bytes()) {
            true => Ok(said),
            false => Err(format!("{said}, without `{text}` in its body")),
        }
    }

    async fn tcp(address: SocketAddr, limit: Duration) -> Result<String, String> {
        match tokio::time::timeout(limit, TcpStream::connect(address)).await {
            // On loopback, one that nobody listens on can meet itself.
            Ok(Ok(stream)) if stream.local_addr().ok() == stream.peer_addr().ok() => {
                Err(REFUSED.to_owned())
            }
            Ok(Ok(_)) => Ok("port open".to_owned()),
            Ok(Err(error)) => Err(of_io(&error)),
            Err(_) => Err(format!("no connection within {limit:?}")),
        }
    }

    /// Asks each address in turn until one passes.
    async fn ask(&self, target: &Target, addresses: &[SocketAddr], ask: Ask) -> Report {
        let began = Instant::now().into_std();
        // The first address's reason is the one that people expect.
        let mut failed = None;
        let mut passed = None;
        for &address in addresses {
            let result = match ask.http {
                true => self.http(target, address, ask.limit).await,
                false => Self::tcp(address, ask.limit).await,
            };
            match result {
                Ok(detail) => {
                    passed = Some((address, detail));
                    break;
                }
                Err(detail) => {
                    failed.get_or_insert(detail);
                }
            }
        }
        let (address, detail) = match passed {
            Some((address, detail)) => (Some(address), detail),
            None => (None, failed.unwrap_or_else(|| "no address".to_owned())),
        };
        Report {
            id: target.id.clone(),
            run: target.run,
            address,
            refused: address.is_none() && detail.ends_with(REFUSED),
            http: ask.http,
            detail,
            began,
            at: SystemTime::now(),
        }
    }

    /// Asks until it answers; where that was. `None`: nobody wants to know any more.
    async fn until_ready(
        &self,
        target: &Target,
        out: &mpsc::UnboundedSender<Report>,
    ) -> Option<SocketAddr> {
        let began = Instant::now();
        let starting = Starting::one_more(&self.starting);
        let ask = Ask {
            http: !target.port_is_enough,
            limit: target.health.timeout.max(READINESS_TIMEOUT),
        };
        loop {
            let report = self.ask(target, &target.addresses, ask).await;
            let answered = report.address;
            out.send(report).ok()?;
            if answered.is_some() {
                return answered;
            }
            tokio::time::sleep(starting.pause(began.elapsed())).await;
        }
    }

    async fn watch(
        self,
        target: Target,
        out: mpsc::UnboundedSender<Report>,
        mut course: watch::Receiver<Course>,
    ) {
        let addresses = match target.was_ready {
            true => target.addresses.clone(),
            false => match self.until_ready(&target, &out).await {
                Some(address) => vec![address],
                None => return,
            },
        };
        let health = &target.health;
        loop {
            let now = *course.borrow_and_update();
            let wait = match now {
                Course::Up | Course::Steady => health.interval,
                Course::Down | Course::Proof => DOWN,
            };
            let ask = Ask {
                http: health.path.is_some() || matches!(now, Course::Proof | Course::Steady),
                limit: health.timeout,
            };
            let due = Instant::now() + wait;
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                changed = course.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            }
            let report = self.ask(&target, &addresses, ask).await;
            let overtaken = due.elapsed() > ask.limit + health.interval * 5 + OVERTAKEN;
            if overtaken && report.address.is_none() {
                continue;
            }
            if out.send(report).is_err() {
                return;
            }
        }
    }
}

/// Whether `text` is somewhere in `body`.
fn holds(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|part| part == text)
}

impl Probe for Network {
    fn begin(&self, target: Target, out: mpsc::UnboundedSender<Report>) -> Watch {
        let (course, now) = watch::channel(Course::Up);
        let task = tokio::spawn(self.clone().watch(target, out, now)).abort_handle();
        Watch { course, task }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_that_start_at_once_are_each_asked_more_rarely() {
        let count = AtomicU32::new(0);
        let ms = Duration::from_millis;
        let check = |others: u32, waited: u64, pause: u64| {
            let starting: Vec<_> = (0..others).map(|_| Starting::one_more(&count)).collect();
            let one = Starting::one_more(&count);
            assert_eq!(one.pause(ms(waited)), ms(pause), "{others} others");
            drop(starting);
        };
        check(0, 0, 5);
        check(3, 1_999, 5);
        check(3, 2_000, 25);
        check(99, 0, 100);
        check(99, 2_000, 100);
        // They are counted out again.
        check(0, 0, 5);
    }
}
