//! Sends what is planned, and counts what becomes of it. All of it on the thread that calls [`run`].

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use hyper::HeaderMap;
use hyper::header::SET_COOKIE;
use tokio::sync::{Notify, watch};
use tokio::task::LocalSet;

use super::answer::{Answer, Failure};
use super::client::{Connection, Lost, Said};
use super::jar::{Jar, Jars};
use super::pacer::Pacer;
use super::plan::{Beat, EARLY, EARLY_UP_TO, FINEST, Parts, Plan, PlanError};
use super::tally::{Tally, micros, note};

/// Whoever looks on is told so often how far it is.
const LOOK: Duration = Duration::from_millis(250);
/// Requests in flight have so long to end after a stop.
const GRACE: Duration = Duration::from_secs(1);

/// How a load is stopped, and seen while it runs.
#[derive(Debug)]
pub struct Control {
    stop: watch::Sender<bool>,
    live: Mutex<Live>,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            stop: watch::channel(false).0,
            live: Mutex::default(),
        }
    }
}

impl Control {
    /// Sends nothing more, and lets what is in flight end, for a second.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// As it is.
    pub fn live(&self) -> Live {
        self.live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// How far a load is.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// Since when.
    pub elapsed: Duration,
    /// Requests that have ended.
    pub done: u64,
    /// Of those, how many failed.
    pub failed: u64,
    /// Sent, and not answered yet, or due, and not sent yet.
    pub open: u64,
    /// Median and 99th percentile of all so far.
    pub p50: Duration,
    /// The same.
    pub p99: Duration,
    /// Answers of each backend in about the last second.
    pub recent: Vec<(String, u64)>,
}

/// What a load has measured.
#[derive(Debug)]
pub struct Measured {
    /// When it began.
    pub began: SystemTime,
    /// How long requests were sent.
    pub lasted: Duration,
    /// It was stopped before its end.
    pub stopped: bool,
    /// What was counted.
    pub tally: Tally,
    /// Connections that were made.
    pub connections: u64,
    /// The cookies that virtual users have by now.
    pub jars: Jars,
}

/// A request that is due.
#[derive(Debug, Clone, Copy)]
struct Job {
    number: u64,
    due: Duration,
}

/// Where a connection that has nothing to do waits for something.
#[derive(Debug, Default)]
struct Desk {
    job: Cell<Option<Job>>,
    waker: RefCell<Option<Waker>>,
}

struct Run {
    plan: Plan,
    /// Of each sample, unless its requests differ.
    parts: Vec<Option<Parts>>,
    began: Instant,
    tally: RefCell<Tally>,
    jars: RefCell<Vec<Jar>>,
    /// Which users have sent what they send first.
    opened: RefCell<Vec<bool>>,
    /// Who has nothing to do; the one that had something last comes first, so that no more are used than are needed.
    idle: RefCell<Vec<Rc<Desk>>>,
    /// What is due, and has no connection.
    waiting: RefCell<VecDeque<Job>>,
    /// Due, and not ended.
    open: Cell<u64>,
    /// Connections that were made.
    connections: Cell<u64>,
    /// Tasks that have, or had, a connection.
    workers: Cell<usize>,
    /// Nothing is sent any more.
    over: Cell<bool>,
    /// One has ended, and nothing more is to be sent.
    ended: Notify,
    /// In a closed loop: as many as were wanted have been sent.
    all_sent: Notify,
}

/// Does what is planned, to its end or until it is stopped.
///
/// # Errors
/// When the machine refuses an event loop or a thread; when a sample makes no request.
pub fn run(plan: &Plan, control: &Control) -> Result<Measured, RunError> {
    let parts = plan
        .samples
        .iter()
        .map(|one| one.parts_of_all(&plan.target));
    let parts = parts.collect::<Result<_, _>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let began = SystemTime::now();
    let run = Rc::new(Run {
        parts,
        began: Instant::now(),
        tally: RefCell::new(Tally::new(plan.lasts, plan.rps())),
        jars: RefCell::new({
            let mut jars = plan.jars.0.clone();
            jars.resize(plan.users, Jar::default());
            jars
        }),
        opened: RefCell::new(vec![plan.opening.is_none(); plan.users]),
        idle: RefCell::default(),
        waiting: RefCell::default(),
        open: Cell::default(),
        connections: Cell::default(),
        workers: Cell::default(),
        over: Cell::default(),
        ended: Notify::new(),
        all_sent: Notify::new(),
        plan: plan.clone(),
    });
    let tasks = LocalSet::new();
    let (lasted, stopped) = tasks.block_on(&runtime, lead(&run, control))?;
    drop(tasks);
    let connections = run.connections.get();
    let tally = run.tally.replace(Tally::new(Duration::ZERO, None));
    Ok(Measured {
        began,
        lasted,
        stopped,
        tally,
        connections,
        jars: Jars(run.jars.take()),
    })
}

/// Why a load could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The machine refuses what it needs.
    #[error("the machine refuses an event loop or a thread")]
    Machine(#[from] std::io::Error),
    /// A sample makes no request.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// Sends until the end; gives how long that was, and whether somebody stopped it.
async fn lead(run: &Rc<Run>, control: &Control) -> Result<(Duration, bool), RunError> {
    let mut stop = control.stop.subscribe();
    let mut stopped = std::pin::pin!(async move {
        // The sender lives as long as the control.
        let _ = stop.wait_for(|stop| *stop).await;
    });
    let mut look = tokio::time::interval(LOOK);
    let mut recent = Recent::default();
    let mut show = || {
        let live = run.look(&mut recent);
        *control.live.lock().unwrap_or_else(PoisonError::into_inner) = live;
    };
    let mut was_stopped = false;
    let (pacer, end) = match run.plan.beat {
        Beat::Open(rps) => {
            let interval = Duration::from_secs_f64(1.0 / rps).max(FINEST);
            let early = match rps <= EARLY_UP_TO {
                true => EARLY,
                false => Duration::ZERO,
            };
            let first = (run.began + interval).checked_sub(early);
            (
                Some(Pacer::start(first.unwrap_or(run.began), interval)?),
                None,
            )
        }
        Beat::Closed => {
            (0..run.plan.connections).for_each(|_| run.hire(None));
            (None, Some(run.began + run.plan.lasts))
        }
    };
    let mut next = 0;
    // The first one is due now.
    if pacer.is_some() {
        run.send_what_is_due(&mut next);
    }
    loop {
        let rung = async {
            match (&pacer, end) {
                (Some(pacer), _) => pacer.rung().await,
                (None, Some(end)) => {
                    let all_sent = run.all_sent.notified();
                    // Both are the end.
                    let _ = tokio::time::timeout_at(end.into(), all_sent).await;
                }
                (None, None) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = &mut stopped => {
                was_stopped = true;
                break;
            }
            () = rung => {
                run.until_due(next).await;
                if pacer.is_none() || run.send_what_is_due(&mut next) {
                    break;
                }
            }
            _ = look.tick() => show(),
        }
    }
    drop(pacer);
    run.over.set(true);
    let whole = run.plan.requests.is_none() && !was_stopped;
    let lasted = match whole {
        true => run.plan.lasts,
        false => run.began.elapsed().min(run.plan.lasts),
    };
    if was_stopped {
        let dropped = run.waiting.take().len() as u64;
        run.open.set(run.open.get() - dropped);
    }
    let mut grace = std::pin::pin!(tokio::time::sleep(GRACE));
    while run.open.get() > 0 {
        tokio::select! {
            () = run.ended.notified() => {}
            () = &mut grace, if was_stopped => break,
            () = &mut stopped, if !was_stopped => {
                was_stopped = true;
                grace.as_mut().reset(tokio::time::Instant::now() + GRACE);
            }
            _ = look.tick() => show(),
        }
    }
    show();
    Ok((lasted, was_stopped))
}

/// What was there at the last looks.
#[derive(Debug, Default)]
struct Recent {
    looks: VecDeque<Vec<u64>>,
}

impl Run {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits awake for what is due in a moment.
    async fn until_due(&self, next: u64) {
        let due = self.plan.due(next);
        while let left = due.saturating_sub(self.now())
            && !left.is_zero()
            && left <= EARLY
        {
            tokio::task::yield_now().await;
        }
    }

    /// True when all was due that will be.
    fn send_what_is_due(self: &Rc<Self>, next: &mut u64) -> bool {
        let total = self.plan.total().unwrap_or(0);
        let now = self.now();
        while *next < total {
            let due = self.plan.due(*next);
            if due > now {
                return false;
            }
            let job = Job { number: *next, due };
            *next += 1;
            self.open.set(self.open.get() + 1);
            let behind = micros(now.saturating_sub(due));
            note(&mut self.tally.borrow_mut().behind, behind);
            let desk = self.idle.borrow_mut().pop();
            match desk {
                Some(desk) => desk.give(job),
                None if self.workers.get() < self.plan.connections => self.hire(Some(job)),
                None => self.waiting.borrow_mut().push_back(job),
            }
        }
        true
    }

    /// One more task with a connection of its own, and what it is to do first.
    fn hire(self: &Rc<Self>, first: Option<Job>) {
        self.workers.set(self.workers.get() + 1);
        tokio::task::spawn_local(work(self.clone(), first));
    }

    /// What a task is to do next; `None` when there is nothing more.
    async fn next(&self, desk: &Rc<Desk>) -> Option<Job> {
        if self.plan.beat == Beat::Closed {
            let now = self.now();
            let number = self.tally.borrow().requests + self.open.get();
            let all = self.plan.total().is_some_and(|total| number >= total);
            if all {
                // Whoever waits for the end of the time need not any more.
                self.all_sent.notify_one();
            }
            if all || self.over.get() || now >= self.plan.lasts {
                return None;
            }
            self.open.set(self.open.get() + 1);
            return Some(Job { number, due: now });
        }
        let waiting = self.waiting.borrow_mut().pop_front();
        if waiting.is_some() {
            return waiting;
        }
        self.idle.borrow_mut().push(desk.clone());
        let job = poll_fn(|cx| match desk.job.take() {
            Some(job) => Poll::Ready(job),
            None => {
                desk.waker.replace(Some(cx.waker().clone()));
                Poll::Pending
            }
        });
        Some(job.await)
    }

    /// Sends one request and counts what became of it. The connection is kept where it can be used again.
    async fn perform(&self, job: Job, connection: &mut Option<Connection>) {
        let samples = self.plan.samples.len() as u64;
        let place = usize::try_from(job.number % samples).unwrap_or_default();
        let user = match self.plan.users as u64 {
            0 => None,
            users => usize::try_from(job.number % users).ok(),
        };
        let mut sent = self.now();
        let left = (job.due + self.plan.timeout).saturating_sub(sent);
        let mut asked = Err(Lost::from(Failure::Unsent));
        if !left.is_zero() {
            let attempt = self.attempt(job, place, user, connection, &mut sent);
            asked = match tokio::time::timeout(left, attempt).await {
                Ok(asked) => asked,
                Err(_) => {
                    // Its answer may still come.
                    *connection = None;
                    Err(Failure::Timeout.into())
                }
            };
        }
        if asked.is_err() {
            *connection = None;
        }
        self.count(job, place, user, sent, asked);
        self.open.set(self.open.get() - 1);
        if self.over.get() {
            self.ended.notify_one();
        }
    }

    async fn attempt(
        &self,
        job: Job,
        place: usize,
        user: Option<usize>,
        connection: &mut Option<Connection>,
        sent: &mut Duration,
    ) -> Result<Said, Lost> {
        let own;
        let parts = match &self.parts[place] {
            Some(parts) => parts,
            None => {
                let parts = self.plan.samples[place].parts(&self.plan.target, job.number);
                own = parts.map_err(|_| Failure::Unsent)?;
                &own
            }
        };
        let cookies = || user.and_then(|user| self.jars.borrow()[user].header());
        loop {
            let open = connection.take().filter(Connection::is_open);
            let mut one = match open {
                Some(open) => open,
                None => {
                    let new = Connection::open(&self.plan.target).await?;
                    self.connections.set(self.connections.get() + 1);
                    new
                }
            };
            if let Some(user) = user {
                let lost = self.open_for(user, &mut one).await;
                if let Some(lost) = lost {
                    return Err(lost);
                }
            }
            *sent = self.now();
            match one.ask(parts, cookies()).await {
                Err(lost) if lost.unsent => {}
                asked => {
                    *connection = Some(one);
                    return asked;
                }
            }
        }
    }

    /// Sends what this user sends first, if it has not yet.
    async fn open_for(&self, user: usize, connection: &mut Connection) -> Option<Lost> {
        let opening = self.plan.opening.as_ref()?;
        if std::mem::replace(&mut self.opened.borrow_mut()[user], true) {
            return None;
        }
        let parts = match opening.parts(&self.plan.target, user as u64) {
            Ok(parts) => parts,
            Err(_) => return Some(Failure::Unsent.into()),
        };
        let cookies = self.jars.borrow()[user].header();
        match connection.ask(&parts, cookies).await {
            Ok(said) => {
                self.keep_cookies(user, &said.head);
                None
            }
            Err(lost) => {
                self.opened.borrow_mut()[user] = false;
                Some(lost)
            }
        }
    }

    fn keep_cookies(&self, user: usize, head: &HeaderMap) {
        let mut jars = self.jars.borrow_mut();
        let lines = head.get_all(SET_COOKIE).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .for_each(|line| jars[user].set(line));
    }

    fn count(
        &self,
        job: Job,
        place: usize,
        user: Option<usize>,
        sent: Duration,
        asked: Result<Said, Lost>,
    ) {
        let (status, head, bytes, failure) = match asked {
            Ok(said) if said.status < 400 => (said.status, Some(said.head), said.length, None),
            Ok(said) => {
                let failure = Some(Failure::Status(said.status));
                (said.status, Some(said.head), said.length, failure)
            }
            Err(lost) => {
                let (status, head) = lost.head.unzip();
                (status.unwrap_or(0), head, 0, Some(lost.failure))
            }
        };
        let text = |name: &str| head.as_ref()?.get(name)?.to_str().ok();
        let mut tally = self.tally.borrow_mut();
        let attempts = text("x-lbdev-attempts").and_then(|text| text.parse().ok());
        // A page of the balancer's own carries no answer of the backend's that it names.
        let answered = |status: u16| status < 500 || text("x-lbdev-error").is_none();
        let backend = text("x-lbdev-backend").filter(|_| answered(status));
        let answer = Answer {
            due: job.due,
            sent,
            done: self.now(),
            sample: u16::try_from(place).unwrap_or(u16::MAX),
            backend: backend.map(|id| tally.backend(id)),
            attempts: attempts.unwrap_or(1),
            status,
            failure,
        };
        tally.add(answer, bytes);
        drop(tally);
        if let (Some(user), Some(head)) = (user, &head) {
            self.keep_cookies(user, head);
        }
    }

    fn look(&self, recent: &mut Recent) -> Live {
        let tally = self.tally.borrow();
        let counts: Vec<u64> = tally.by_backend.iter().map(|of| of.len()).collect();
        let before = match recent.looks.len() {
            // About a second ago.
            4.. => recent.looks.pop_front(),
            _ => recent.looks.front().cloned(),
        };
        let before = before.unwrap_or_default();
        recent.looks.push_back(counts.clone());
        let of = |place: usize| before.get(place).copied().unwrap_or(0);
        let new = counts.iter().enumerate().map(|(place, n)| n - of(place));
        let at = |quantile| Duration::from_micros(tally.latency.value_at_quantile(quantile));
        Live {
            elapsed: self.now(),
            done: tally.requests,
            failed: tally.failed,
            open: self.open.get(),
            p50: at(0.5),
            p99: at(0.99),
            recent: {
                let mut recent: Vec<_> = tally.backends.iter().cloned().zip(new).collect();
                recent.sort();
                recent
            },
        }
    }
}

impl Desk {
    fn give(&self, job: Job) {
        self.job.set(Some(job));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// A connection's life: one request after the other.
async fn work(run: Rc<Run>, first: Option<Job>) {
    let desk = Rc::new(Desk::default());
    let mut connection = None;
    let mut job = match first {
        Some(job) => Some(job),
        None => run.next(&desk).await,
    };
    while let Some(one) = job {
        run.perform(one, &mut connection).await;
        job = run.next(&desk).await;
    }
}
