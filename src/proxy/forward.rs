//! One request: checked, routed, tried until a backend answers, and its answer handed on.

use std::convert::Infallible;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::{Body as _, Incoming};
use hyper::header::{ACCEPT, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, Uri, Version};

use super::answer;
use super::attempt::{self, Failed, Outbound};
use super::body::Body;
use super::client::{Client, Host};
use super::flight::Flight;
use super::headers::{self, Found, SEC_FETCH_DEST};
use super::page::Page;
use super::retry::{self, Facts, Limits, Verdict, Why};
use super::sticky::Sticks;
use super::{key, turn};
use crate::balance::{Algorithm, Sequence, Sticky};
use crate::pool::{AttemptFailure, Lease, Pool, Tried, Turn};

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
    let flight = Flight::new(client.clone(), request.method(), request.uri());
    let found = headers::find(request.headers());
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
    if let Some(token) = token {
        headers::ask_upgrade(&mut head.headers, token);
    }
    let replayable = body.is_none() && retry::is_idempotent(&head.method);
    Ok(Box::new(Fit {
        place,
        turn,
        sticks,
        upgrade,
        version: head.version,
        out: Outbound::new(head, body, replayable, host),
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

/// Between two looks at a pool that has an eligible backend and gives none.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

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
    let mut tried = Tried::default();
    // The attempt that failed last, until it is known what follows.
    let mut setback: Option<Lease> = None;
    let mut spent = false;
    let mut sends = 0;
    loop {
        let lease = match spent {
            true => None,
            false if tried.is_empty() && flight.waited.is_zero() => {
                pool.pick_at(fit.turn, &tried, flight.started)
            }
            false => pool.pick(fit.turn, &tried),
        };
        let Some(lease) = lease else {
            let full = flight
                .attempts
                .last()
                .is_some_and(|last| last.failure == AttemptFailure::ConnectTimeout);
            if setback.is_some() && full && pool.any_eligible() {
                // It lives and listens; the queue of its socket is full (runserver's holds 10). Nothing was sent, so it is
                // asked again, until the retry deadline.
                setback = None;
                pool.count_retry();
                tried.clear();
                spent = false;
                continue;
            }
            if let Some(last) = &setback {
                // Every candidate failed. With a whole pool killed at once, that is seen here before the news of it.
                if Box::pin(attempt::anybody_left(worker, pool)).await {
                    return Page::gave_up(pool, &flight.attempts, Why::NobodyLeft)
                        .after(last.member(), worker, place)
                        .response(accept, flight);
                }
            }
            if let Some(last) = setback.take() {
                last.retried_elsewhere();
                pool.count_retry();
            } else if pool.any_eligible() {
                // Published this instant, or of weight 0: the next round must not come before anything else has its turn.
                // (Boxed, as all that is rare: the future is copied for every request.)
                Box::pin(tokio::time::sleep(LOOK_AGAIN)).await;
                flight.waited += LOOK_AGAIN;
            }
            if let Err(page) = Box::pin(wait(pool, settings.queue_timeout, &mut flight)).await {
                return page.response(accept, flight);
            }
            tried.clear();
            spent = false;
            continue;
        };
        if let Some(last) = setback.take() {
            last.retried_elsewhere();
            pool.count_retry();
        }
        let member = lease.member();
        match attempt::run(client, place, member, &mut fit.out, fit.upgrade.is_some()).await {
            Ok((response, conn)) => {
                lease.answered(Instant::now());
                let switch = answer::Switch {
                    upgrade: fit.upgrade.take(),
                    version: fit.version,
                    sticks: fit.sticks,
                };
                return answer::hand_on(client, flight, place, lease, conn, response, switch);
            }
            Err(Failed::Client) => {
                return Page::bad_request("its body ended before it was whole")
                    .response(accept, flight);
            }
            Err(Failed::Backend { failure, sent }) => {
                pool.failed(&lease, failure);
                tried.add(member);
                flight.note(&lease, failure);
                sends += usize::from(sent);
                let facts = Facts {
                    failure,
                    sent,
                    replayable: fit.out.replayable(),
                    tries: tried.len(),
                    sends,
                    elapsed: flight.started.elapsed(),
                };
                match retry::verdict(facts, limits) {
                    Verdict::Again => {}
                    Verdict::Spent => spent = true,
                    Verdict::GiveUp(why) => {
                        return Page::gave_up(pool, &flight.attempts, why)
                            .after(lease.member(), worker, place)
                            .response(accept, flight);
                    }
                }
                setback = Some(lease);
            }
        }
    }
}

/// Waits for a backend. All waits of one request together are bounded by `limit`.
async fn wait(pool: &Arc<Pool>, limit: Duration, flight: &mut Flight) -> Result<(), Box<Page>> {
    let left = limit.saturating_sub(flight.waited);
    let began = Instant::now();
    let waited = match left.is_zero() {
        true => Err(crate::pool::Unavailable::TimedOut),
        false => pool.wait(left).await,
    };
    flight.waited += began.elapsed();
    waited.map_err(|why| Page::unavailable(pool, &flight.attempts, why, limit))
}
