//! One request: checked, routed, tried until a backend answers, and its answer handed on.

use std::convert::Infallible;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::{Body as _, Incoming};
use hyper::header::{ACCEPT, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, Uri, Version};

use super::answer;
use super::attempt::{self, Failed, Outbound};
use super::body::Body;
use super::client::{Client, Host};
use super::flight::Flight;
use super::h1::ResponseHead;
use super::headers::{self, Found, IDEMPOTENCY_KEY, SEC_FETCH_DEST, X_LBDEV_TIMING};
use super::hold;
use super::page::Page;
use super::retry::{self, Facts, Limits, Verdict, Why};
use super::sticky::Sticks;
use super::upstream::Call;
use super::{key, turn};
use crate::balance::{Algorithm, Sequence, Sticky};
use crate::pool::{AttemptFailure, Lease, Pool, Tried, Turn, Unavailable};

/// A request that is fit to be forwarded.
struct Fit {
    /// The place of its pool among all.
    place: usize,
    turn: Turn,
    sticks: Sticks,
    out: Outbound,
    /// The client's end of the switch of protocols that it asks for.
    upgrade: Option<OnUpgrade>,
    version: Version,
}

/// Answers one request. Dropping the future ends what it has under way at a backend.
///
/// All that needs no waiting is done before the future is made, and what it holds is boxed: hyper moves it.
pub(super) fn handle(
    client: Rc<Client>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> {
    let mut flight = Flight::new(client.clone(), request.method(), request.uri());
    let found = headers::find(request.headers());
    flight.timed = found.timing;
    let accept = match found.accept {
        true => request.headers().get(ACCEPT).cloned(),
        false => None,
    };
    let fit = fit(&client, request, found);
    async move {
        Ok(match fit {
            Ok(mut fit) => forward(&client, flight, &mut fit, accept.as_ref()).await,
            Err(page) => page.response(accept.as_ref(), flight),
        })
    }
}

/// Checks a request, finds its pool, and makes its head what the backend is to get.
fn fit(
    client: &Client,
    mut request: Request<Incoming>,
    found: Found,
) -> Result<Box<Fit>, Box<Page>> {
    if request.method() == Method::CONNECT {
        return Err(Page::no_connect());
    }
    if request.uri().path() == "*" {
        return Err(match *request.method() {
            Method::OPTIONS => Page::options(),
            _ => Page::bad_request("only `OPTIONS` may ask for `*`"),
        });
    }
    let token = match request.version() {
        Version::HTTP_11 => headers::upgrade(request.headers(), found),
        _ => None,
    };
    let upgrade = token.is_some().then(|| hyper::upgrade::on(&mut request));
    let (mut head, body) = request.into_parts();
    let host = settle_host(client, &mut head)?;

    let pools = &client.worker.pools;
    let place = pools
        .route(&host.name, head.uri.path())
        .and_then(|pool| pools.all().iter().position(|p| Arc::ptr_eq(p, pool)));
    let Some(place) = place else {
        return Err(Page::no_route(&host.name, head.uri.path(), pools));
    };
    let path = head.uri.path();
    let live = pools.live();
    let sticks = match live.sticky {
        Sticky::Off => Sticks::Off,
        Sticky::Cookie => client
            .worker
            .cookies
            .find(place, &pools.all()[place], &head.headers),
    };
    let turn = match (sticks, live.algorithm, live.sequence) {
        (Sticks::To(index), ..) => Turn::Stuck(index),
        (_, Algorithm::IpHash, _) => key::by_address(client.peer),
        (_, Algorithm::Hash, _) => key::by(&live.hash_key, path, &head.headers),
        (_, _, Sequence::Pages) => turn_of(client, &head.headers, found, path),
        (_, _, Sequence::Requests) => Turn::Next,
    };

    let body = (!body.is_end_stream()).then_some(body);
    let last = body.is_none() && token.is_none() && headers::is_last(&head.headers, found);
    client.signs.set_last(last);
    headers::strip_hop_by_hop(&mut head.headers, found);
    if found.length {
        // It is said anew, once, with the body that came.
        head.headers.remove(CONTENT_LENGTH);
    }
    if let Some(token) = token {
        headers::ask_upgrade(&mut head.headers, token);
    }
    let retry = &client.worker.settings.retry;
    let has_key = found.key
        && head
            .headers
            .get(&IDEMPOTENCY_KEY)
            .is_some_and(|key| !key.is_empty());
    let repeatable = retry.non_idempotent || has_key || retry::is_idempotent(&head.method);
    if found.timing {
        head.headers.remove(&X_LBDEV_TIMING);
    }
    Ok(Box::new(Fit {
        place,
        turn,
        sticks,
        upgrade,
        version: head.version,
        out: Outbound::new(head, body, repeatable, retry.body, (client, &host)),
    }))
}

/// The one host that the request is for (RFC 9112 §3.2). An absolute target's authority replaces the field and leaves
/// the target.
fn settle_host(
    client: &Client,
    head: &mut hyper::http::request::Parts,
) -> Result<Rc<Host>, Box<Page>> {
    let mut fields = head.headers.get_all(HOST).iter();
    let (host, named) = match (fields.next(), fields.next()) {
        (Some(_), Some(_)) => return Err(Page::bad_request("it has more than one `Host`")),
        (Some(host), None) => (client.host(host), true),
        (None, _) if head.version == Version::HTTP_10 => (client.host(&client.own_host()), false),
        (None, _) => return Err(Page::bad_request("it has no `Host`")),
    };
    let host = host.ok_or_else(|| {
        Page::bad_request("its `Host` is not one host name with an optional port")
    })?;
    if !named {
        head.headers.insert(HOST, host.field.clone());
    }
    let Some(authority) = head.uri.authority() else {
        return Ok(host);
    };
    let host = HeaderValue::from_str(authority.as_str())
        .ok()
        .and_then(|host| client.host(&host))
        .ok_or_else(|| Page::bad_request("its target is not a host with an optional port"))?;
    head.headers.insert(HOST, host.field.clone());
    let target = head.uri.path_and_query().cloned();
    head.uri = target.map_or_else(|| Uri::from_static("/"), Uri::from);
    Ok(host)
}

fn turn_of(client: &Client, headers: &HeaderMap, found: Found, path: &str) -> Turn {
    let dest = match found.dest {
        true => headers.get(&SEC_FETCH_DEST),
        false => None,
    };
    let agent = || headers.get(USER_AGENT).map(|agent| agent.as_bytes());
    turn::of(dest.map(|dest| dest.as_bytes()), path, client.peer, agent)
}

/// Tries backends until one answers, waits where none takes requests, gives up where the rules say so.
async fn forward(
    client: &Rc<Client>,
    mut flight: Box<Flight>,
    fit: &mut Fit,
    accept: Option<&HeaderValue>,
) -> Response<Body> {
    let place = fit.place;
    let worker = &client.worker;
    let pool = &worker.pools.all()[place];
    let settings = &worker.settings;
    let limits = Limits {
        retries: worker.pools.live().retries,
        deadline: settings.retry.deadline,
    };
    pool.came(flight.started);
    let mut tried = Tried::default();
    // The attempt that failed last, until it is known what follows.
    let mut setback: Option<Setback> = None;
    let mut spent = false;
    let mut sends = 0;
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
            if let Some(last) = &setback {
                if last.answer.is_some() {
                    break;
                }
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
                        .response(accept, flight);
                }
            }
            if let Some(last) = setback.take() {
                last.lease.retried_elsewhere();
                pool.count_retry();
            }
            if !busy {
                tried.clear();
                spent = false;
            }
            // (Boxed, as all that is rare: the future is copied for every request.)
            let limit = settings.queue_timeout;
            match Box::pin(wait(pool, fit.turn, &tried, limit, &mut flight)).await {
                Ok(lease) => granted = Some(lease),
                Err(page) => return page.response(accept, flight),
            }
            continue;
        };
        if let Some(last) = setback.take() {
            last.lease.retried_elsewhere();
            pool.count_retry();
        }
        let member = lease.member();
        let tried_once = attempt::run(worker, place, member, &fit.out, fit.upgrade.is_some()).await;
        let (failure, sent, answer) = match tried_once {
            Ok((head, mut call)) => {
                lease.answered(Instant::now());
                let held = match hold::wants(&call, &head.headers, settings.hold) {
                    true => Box::pin(hold::complete(&mut call)).await,
                    false => Ok(()),
                };
                match held {
                    Ok(()) if !settings.retry.statuses.contains(&head.status.as_u16()) => {
                        return hand_on(client, flight, fit, lease, (head, call));
                    }
                    Ok(()) => {
                        let failure = AttemptFailure::Status(head.status.as_u16());
                        (failure, true, Some((head, call)))
                    }
                    Err(failure) => (failure, true, None),
                }
            }
            Err(Failed::Client) => {
                return Page::bad_request("its body ended before it was whole")
                    .response(accept, flight);
            }
            Err(Failed::ClientTimedOut) => {
                return Page::client_too_slow().response(accept, flight);
            }
            Err(Failed::Backend { failure, sent }) => (failure, sent, None),
        };
        pool.failed(&lease, failure);
        tried.add(member);
        sends += usize::from(sent);
        let facts = Facts {
            failure,
            sent,
            replayable: fit.out.replayable(),
            tries: tried.len(),
            sends,
            elapsed: flight.started.elapsed(),
        };
        let verdict = retry::verdict(facts, limits, || pool.may_repeat(Instant::now()));
        match (verdict, answer) {
            (Verdict::Again, answer) => {
                flight.note(&lease, failure);
                setback = Some(Setback { lease, answer });
            }
            (Verdict::Spent | Verdict::GiveUp(_), Some(answer)) => {
                return hand_on(client, flight, fit, lease, answer);
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
                    .response(accept, flight);
            }
        }
    }
    let Some(Setback {
        lease,
        answer: Some(answer),
    }) = setback
    else {
        unreachable!("the loop is left only with an answer")
    };
    // Nobody else is left to ask: what the last one said is the answer, and its attempt was not in vain.
    flight.attempts.pop();
    hand_on(client, flight, fit, lease, answer)
}

/// An attempt that failed.
struct Setback {
    lease: Lease,
    /// It did answer, with a status that counts as a failure: the client gets that if nobody says better.
    answer: Option<(ResponseHead, Call)>,
}

fn hand_on(
    client: &Rc<Client>,
    flight: Box<Flight>,
    fit: &mut Fit,
    lease: Lease,
    answer: (ResponseHead, Call),
) -> Response<Body> {
    let switch = answer::Switch {
        upgrade: fit.upgrade.take(),
        version: fit.version,
        sticks: fit.sticks,
    };
    answer::hand_on(client, flight, fit.place, lease, answer, switch)
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
