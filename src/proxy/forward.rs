//! One request: tried until a backend answers, and its answer handed on.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::{self, Answer};
use super::attempt::{self, Failed, Outbound};
use super::client::Client;
use super::fault::{self, Met};
use super::fields::Name;
use super::fit::{Fit, fit};
use super::flight::Flight;
use super::h1::ResponseHead;
use super::hold;
use super::page::Page;
use super::request::Request;
use super::retry::{self, Facts, Limits, Verdict, Why};
use super::upstream::Call;
use crate::config::Fault;
use crate::pool::{AttemptFailure, Lease, Life, Pool, Tried, Turn, Unavailable};

/// Answers one request. Dropping the future ends what it has under way at a backend.
pub(super) async fn handle(client: &Rc<Client>, mut request: Request) -> Answer {
    let mut flight = Flight::new(client.clone(), &request.method, &request.target);
    flight.timed = request.fields.has(Name::XLbdevTiming);
    match fit(client, &mut request) {
        Ok(fit) => {
            let out = Outbound::new(client, request, &fit);
            forward(client, flight, &fit, &out).await
        }
        Err(page) => page.answer(request.fields.get(Name::Accept), flight),
    }
}

/// Tries backends until one answers, waits where none takes requests, gives up where the rules say so.
async fn forward(
    client: &Rc<Client>,
    mut flight: Box<Flight>,
    fit: &Fit,
    out: &Outbound,
) -> Answer {
    let place = fit.place;
    let accept = out.accept();
    let worker = &client.worker;
    let pool = &worker.pools.at(place);
    let settings = worker.settings();
    let live = worker.pools.live();
    let limits = Limits {
        // A breakpoint must not be met by the next one, too.
        retries: match live.debugged {
            None => live.retries,
            Some(_) => 0,
        },
        deadline: settings.retry.deadline,
    };
    drop(live);
    pool.came(flight.started);
    let mut tried = Tried::default();
    // The attempt that failed last, until it is known what follows.
    let mut setback: Option<Setback> = None;
    let mut spent = false;
    // The runs that may have seen it, and failed.
    let mut seen_by: Vec<Arc<Life>> = Vec::new();
    // What the queue gave.
    let mut granted: Option<Lease> = None;
    loop {
        let lease = match granted.take() {
            Some(lease) => Some(lease),
            None if spent => None,
            None if flight.attempts.is_empty() => pool.pick_first(fit.turn, flight.started),
            None => pool.pick(fit.turn, &tried),
        };
        let Some(lease) = lease else {
            // Others are there, and have as many requests as they may: this one stands in line for them.
            let busy = !spent && pool.is_anybody_busy(&tried);
            if let Some(Setback {
                lease,
                answer: Some(answer),
            }) = setback.take_if(|last| last.answer.is_some())
            {
                // What the last one said is the answer, and its attempt was not in vain.
                flight.attempts.pop();
                return hand_on(client, flight, fit, lease, answer, accept);
            }
            if let Some(last) = &setback {
                let full = flight
                    .attempts
                    .last()
                    .is_some_and(|last| last.failure == AttemptFailure::ConnectTimeout);
                if full && pool.any_eligible() {
                    // It lives and listens; the queue of its socket is full (runserver's holds 10). Nothing was sent, so it
                    // is asked again, until the retry deadline.
                    setback = None;
                    pool.count_retry();
                    tried.clear();
                    spent = false;
                    continue;
                }
                // Every candidate failed. With a whole pool killed at once, that is seen here before the news of it.
                if !busy && Box::pin(attempt::anybody_left(worker, pool)).await {
                    return Page::gave_up(pool, &flight.attempts, Why::NobodyLeft)
                        .after(last.lease.member(), worker, place)
                        .answer(accept, flight);
                }
            }
            // While it waits, it holds no place at the backend that failed it.
            let failed = setback.take().map(|last| last.lease.member().clone());
            if !busy {
                tried.clear();
                spent = false;
            }
            // (Boxed, as all that is rare: the future is copied for every request.)
            let limit = settings.queue_timeout;
            match Box::pin(wait(pool, fit.turn, &tried, limit, &mut flight)).await {
                Ok(lease) => {
                    if let Some(member) = failed {
                        member.tally.count_retried_elsewhere();
                        pool.count_retry();
                    }
                    granted = Some(lease);
                }
                Err(page) => {
                    let (method, target) = out.line();
                    flight.trouble(method, target);
                    return page.answer(accept, flight);
                }
            }
            continue;
        };
        if let Some(last) = setback.take() {
            last.lease.member().tally.count_retried_elsewhere();
            pool.count_retry();
        }
        let member = lease.member();
        let met = match member.tally.is_faulty() {
            false => Met::Backend(None),
            // (Boxed, as all that is rare.)
            true => Box::pin(fault::meet(worker, member, out)).await,
        };
        let (tried_once, fault) = match met {
            Met::Backend(fault) => {
                let tried_once = attempt::run(worker, place, member, out, fit.upgrades).await;
                (tried_once, fault)
            }
            Met::Status(status, fault) => {
                lease.answered(status, Instant::now());
                (Err(Failed::Instead(status)), Some(fault))
            }
            Met::Failed(failure) => {
                flight.struck();
                let sent = true;
                (Err(Failed::Backend { failure, sent }), None)
            }
        };
        let (failure, sent, answer) = match tried_once {
            Ok((head, mut call)) => {
                lease.answered(head.status.as_u16(), Instant::now());
                let cut =
                    |fault: &Arc<Fault>| fault::cuts_held(fault, call.length(), settings.hold);
                let held = match hold::wants(&call, &head.fields, settings.hold) {
                    _ if fault.as_ref().is_some_and(cut) => {
                        flight.struck();
                        Err(AttemptFailure::CutBody)
                    }
                    true => Box::pin(hold::complete(&mut call)).await,
                    false => Ok(()),
                };
                match held {
                    Ok(()) if !settings.retry.statuses.contains(&head.status.as_u16()) => {
                        let reply = Reply::Backends(head, call, fault);
                        return hand_on(client, flight, fit, lease, reply, accept);
                    }
                    Ok(()) => {
                        let failure = AttemptFailure::Status(head.status.as_u16());
                        (failure, true, Some(Reply::Backends(head, call, fault)))
                    }
                    Err(failure) => (failure, true, None),
                }
            }
            Err(Failed::Instead(status)) => {
                let Some(fault) = fault else { continue };
                let reply = Reply::Faults(status, fault);
                if !settings.retry.statuses.contains(&status) {
                    return hand_on(client, flight, fit, lease, reply, accept);
                }
                (AttemptFailure::Status(status), true, Some(reply))
            }
            Err(Failed::Client) => {
                return Page::bad_request("its body ended before it was whole")
                    .answer(accept, flight);
            }
            Err(Failed::ClientTimedOut) => {
                return Page::client_too_slow().answer(accept, flight);
            }
            Err(Failed::Backend { failure, sent }) => (failure, sent, None),
        };
        pool.failed(&lease, failure);
        let (method, target) = out.line();
        flight.trouble(method, target);
        tried.add(member);
        if sent {
            seen_by.push(member.life.clone());
        }
        let facts = |sends| Facts {
            failure,
            sent,
            hindrance: out.hindrance(),
            tries: tried.len(),
            sends,
            elapsed: flight.started.elapsed(),
        };
        let verdict = |sends| {
            let may_repeat = || pool.may_repeat(Instant::now());
            retry::verdict(facts(sends), limits, may_repeat)
        };
        let mut verdict_now = verdict(attempt::blamed(&seen_by));
        if verdict_now == Verdict::GiveUp(Why::Deadly) {
            let blamed = Box::pin(attempt::blamed_after_the_news(&seen_by, limits.retries)).await;
            verdict_now = verdict(blamed);
        }
        match (verdict_now, answer) {
            (Verdict::Again, answer) => {
                flight.note(&lease, failure);
                setback = Some(Setback { lease, answer });
            }
            (Verdict::Spent | Verdict::GiveUp(_), Some(answer)) => {
                return hand_on(client, flight, fit, lease, answer, accept);
            }
            (Verdict::Spent, None) => {
                flight.note(&lease, failure);
                spent = true;
                setback = Some(Setback {
                    lease,
                    answer: None,
                });
            }
            (Verdict::GiveUp(why), None) => {
                flight.note(&lease, failure);
                return Page::gave_up(pool, &flight.attempts, why)
                    .after(lease.member(), worker, place)
                    .answer(accept, flight);
            }
        }
    }
}

/// An attempt that failed.
struct Setback {
    lease: Lease,
    /// It did answer, with a status that counts as a failure: the client gets that if nobody says better.
    answer: Option<Reply>,
}

/// What answers a request.
// A box would cost an allocation for each answer; it moves once.
#[allow(clippy::large_enum_variant)]
enum Reply {
    /// A backend, perhaps with a fault in its way.
    Backends(ResponseHead, Call, Option<Arc<Fault>>),
    /// A fault in its place.
    Faults(u16, Arc<Fault>),
}

fn hand_on(
    client: &Rc<Client>,
    flight: Box<Flight>,
    fit: &Fit,
    lease: Lease,
    answer: Reply,
    accept: Option<&[u8]>,
) -> Answer {
    let asked = (fit.sticks, fit.upgrades);
    match answer {
        Reply::Backends(head, call, fault) => {
            let (answer, fault) = ((head, call), fault.as_deref());
            answer::hand_on(client, flight, fit.place, lease, answer, asked, fault)
        }
        Reply::Faults(status, fault) => {
            let said = (status, &*fault);
            fault::answer(&client.worker, fit.place, &lease, said, accept, flight)
        }
    }
}

/// Waits for a backend. All waits of one request together are bounded by `limit`.
async fn wait(
    pool: &Arc<Pool>,
    turn: Turn,
    tried: &Tried,
    limit: Duration,
    flight: &mut Flight,
) -> Result<Lease, Box<Page>> {
    let left = limit.saturating_sub(flight.waited);
    let began = Instant::now();
    let waited = match left.is_zero() {
        true => Err(Unavailable::TimedOut(pool.lack())),
        false => pool.wait(turn, tried, left).await,
    };
    flight.waited += began.elapsed();
    waited.map_err(|why| Page::unavailable(pool, &flight.attempts, why, limit))
}
