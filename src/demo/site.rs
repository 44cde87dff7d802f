//! The demo backend: what one process knows, and which page a path is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;

use super::body::{self, Body};
use super::counter::{self, Counter};
use super::form::{self, Fields, Format};
use super::login::{self, Sessions};
use super::page::{self, Refusal};
use super::work::{self, Slots};
use super::{crash, echo, orders, stream, websocket};

/// The longest body of `/bytes/N`: 10 GiB.
const BYTES_LIMIT: u64 = 10 << 30;

/// One process of the demo. All of it dies with the process: that is the lesson.
pub(super) struct Site {
    /// Its port.
    pub(super) port: u16,
    /// Its place among the demo's backends, from 0.
    pub(super) index: usize,
    /// Its process.
    pub(super) pid: u32,
    /// Who is logged in here.
    pub(super) sessions: Sessions,
    /// What was committed here.
    pub(super) counter: Counter,
    /// Writes a line of this process's log.
    pub(super) log: fn(&str),
    /// Ends the process at once. Tests put something gentler here.
    pub(super) die: Box<dyn Fn() + Send + Sync>,
    /// Places for work.
    pub(super) slots: Slots,
    /// Since when it runs.
    pub(super) since: Instant,
    answered: AtomicU64,
}

impl Site {
    /// A process that has just begun.
    pub(super) fn new(
        port: u16,
        index: usize,
        log: fn(&str),
        die: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        Self {
            port,
            index,
            pid: std::process::id(),
            sessions: Sessions::from_environment(),
            counter: Counter::default(),
            log,
            die,
            slots: Slots::from_environment(),
            since: Instant::now(),
            answered: AtomicU64::new(0),
        }
    }
}

/// The place of this process among its service's backends, from 0: as lbdev says, else by its port.
pub(super) fn index(port: u16) -> usize {
    std::env::var("LBDEV_INDEX")
        .ok()
        .and_then(|index| index.parse::<usize>().ok())
        .map_or(usize::from(port), |index| index.saturating_sub(1))
}

/// What a path stands for.
enum Route<'a> {
    Home,
    Slow,
    Status(&'a str),
    Echo,
    Stream,
    WebSocket,
    Chat,
    Crash,
    Bytes(&'a str),
    Login,
    Logout,
    Counter,
    Me,
    Orders,
    Work,
    Cold,
    Env,
    Health,
    Icon,
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        Some(match path {
            "/" => Route::Home,
            "/slow" => Route::Slow,
            "/echo" => Route::Echo,
            "/stream" => Route::Stream,
            "/ws" => Route::WebSocket,
            "/chat" => Route::Chat,
            "/crash" => Route::Crash,
            "/login" => Route::Login,
            "/logout" => Route::Logout,
            "/counter" => Route::Counter,
            "/me" => Route::Me,
            "/orders" => Route::Orders,
            "/work" => Route::Work,
            "/cold" => Route::Cold,
            "/env" => Route::Env,
            "/health" => Route::Health,
            "/favicon.ico" => Route::Icon,
            _ => {
                if let Some(code) = path.strip_prefix("/status/") {
                    Route::Status(code)
                } else {
                    Route::Bytes(path.strip_prefix("/bytes/")?)
                }
            }
        })
    }

    /// What it answers to, as the value of `Allow`; `None` is anything.
    fn methods(&self) -> Option<&'static str> {
        match self {
            Route::Slow
            | Route::Status(_)
            | Route::Echo
            | Route::Crash
            | Route::Work
            | Route::Cold => None,
            Route::Login | Route::Logout | Route::Counter | Route::Orders => {
                Some("GET, HEAD, POST")
            }
            Route::Home
            | Route::Stream
            | Route::WebSocket
            | Route::Chat
            | Route::Bytes(_)
            | Route::Me
            | Route::Env
            | Route::Health
            | Route::Icon => Some("GET, HEAD"),
        }
    }
}

/// Answers one request.
pub(super) async fn answer(site: Arc<Site>, request: Request<Incoming>) -> Response<Body> {
    let headers = request.headers().clone();
    // The balancer's own checks are no visitors.
    let check = headers
        .get(header::USER_AGENT)
        .is_some_and(|agent| agent.as_bytes().starts_with(b"lbdev/"));
    site.answered
        .fetch_add(u64::from(!check), Ordering::Relaxed);
    match dispatch(&site, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.answer(&site, &headers),
    }
}

async fn dispatch(
    site: &Arc<Site>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let path = request.uri().path().to_owned();
    let Some(route) = Route::of(&path) else {
        body::drain(request.into_body()).await;
        return Err(Refusal::new(StatusCode::NOT_FOUND, "there is no such page"));
    };
    if let Some(allowed) = route.methods()
        && !allowed.split(", ").any(|m| m == request.method().as_str())
    {
        body::drain(request.into_body()).await;
        return Err(
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("send {allowed}"))
                .with(header::ALLOW, allowed),
        );
    }
    let posted = request.method() == Method::POST;
    match route {
        // The first few read the request's body themselves, or never get so far.
        Route::Echo => Ok(echo::answer(site, request).await),
        Route::Crash => crash::answer(site, &request).await,
        Route::Login if posted => login::enter(site, request).await,
        Route::Counter if posted => counter::commit(site, request).await,
        Route::Orders if posted => orders::add(site, request).await,
        Route::WebSocket if websocket::asked(&request) => websocket::accept(site, &mut request),
        Route::WebSocket | Route::Chat => {
            head(request).await;
            Ok(page::page(
                site,
                StatusCode::OK,
                "WebSocket",
                page::CHAT,
                &[],
            ))
        }
        Route::Home => Ok(home(site, &head(request).await.headers)),
        Route::Slow => slow(site, &head(request).await).await,
        Route::Status(code) => status(site, &head(request).await.headers, code),
        Route::Stream => stream::answer(site, &head(request).await),
        Route::Bytes(length) => {
            head(request).await;
            bytes(length)
        }
        Route::Login => Ok(login::show(site, &head(request).await.headers)),
        Route::Logout => Ok(login::leave(site, &head(request).await.headers)),
        Route::Me => Ok(login::who(site, &head(request).await.headers)),
        Route::Orders => orders::show(&head(request).await),
        Route::Work => work::work(site, &head(request).await).await,
        Route::Cold => work::cold(site, &head(request).await).await,
        Route::Counter => Ok(counter::show(site, &head(request).await)),
        Route::Env => Ok(env(form::accepts(&head(request).await.headers))),
        Route::Health => {
            head(request).await;
            Ok(page::text(StatusCode::OK, "ok".to_owned()))
        }
        Route::Icon => {
            head(request).await;
            Ok(icon(site))
        }
    }
}

/// The head of a request whose body nobody asks for, once that body has passed: the connection can be used again.
async fn head(request: Request<Incoming>) -> Parts {
    let (parts, sent) = request.into_parts();
    body::drain(sent).await;
    parts
}

fn home(site: &Site, headers: &HeaderMap) -> Response<Body> {
    let answered = site.answered.load(Ordering::Relaxed);
    let uptime = site.since.elapsed();
    match form::accepts(headers) {
        Format::Html => {
            let own = format!(":{}", site.port);
            let asked = headers
                .get(header::HOST)
                .map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned())
                .filter(|host| !host.ends_with(&own));
            let via = match asked {
                Some(host) => format!("You asked {host}. The balancer chose port {}.", site.port),
                None => format!("You asked port {} itself, past the balancer.", site.port),
            };
            let answered = match answered {
                1 => "1 request".to_owned(),
                n => format!("{n} requests"),
            };
            page::page(
                site,
                StatusCode::OK,
                &format!("Using port {}", site.port),
                page::HOME,
                &[
                    ("via", via.as_str()),
                    ("answered", answered.as_str()),
                    ("uptime", words(uptime).as_str()),
                    // The number is set as wide as the window, whatever its length.
                    ("letters", site.port.to_string().len().to_string().as_str()),
                ],
            )
        }
        Format::Json => page::json(
            StatusCode::OK,
            &json!({ "port": site.port, "pid": site.pid, "answered": answered, "uptime_s": uptime.as_secs_f64() }),
        ),
        Format::Text | Format::Events => {
            page::text(StatusCode::OK, format!("Using port {}", site.port))
        }
    }
}

/// A duration as a person says it.
fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

async fn slow(site: &Site, parts: &Parts) -> Result<Response<Body>, Refusal> {
    let wait = Fields::query(&parts.uri).millis("ms", 500)?;
    tokio::time::sleep(wait).await;
    let sentence = format!("answered after {} ms", wait.as_millis());
    Ok(page::message(
        site,
        &parts.headers,
        StatusCode::OK,
        &sentence,
    ))
}

fn status(site: &Site, headers: &HeaderMap, code: &str) -> Result<Response<Body>, Refusal> {
    let status = code
        .parse::<u16>()
        .ok()
        .filter(|code| (200..600).contains(code))
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(|| Refusal::bad(format!("a status is 200 to 599, not `{code}`")))?;
    let reason = status.canonical_reason().unwrap_or("no registered status");
    let mut response = page::message(site, headers, status, &reason.to_lowercase());
    // RFC 9110 §15.3.5, §15.3.6, §15.4.5: these have no content.
    if matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    ) {
        *response.body_mut() = body::empty();
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    Ok(response)
}

fn bytes(length: &str) -> Result<Response<Body>, Refusal> {
    let length = length
        .parse::<u64>()
        .ok()
        .filter(|&n| n <= BYTES_LIMIT)
        .ok_or_else(|| {
            Refusal::bad(format!(
                "a length is 0 to {BYTES_LIMIT} bytes, not `{length}`"
            ))
        })?;
    Ok(page::with_type(
        StatusCode::OK,
        "application/octet-stream",
        body::pattern(length),
    ))
}

/// What lbdev told this process. Nothing else of the environment is shown: it may hold secrets.
fn env(format: Format) -> Response<Body> {
    let mut variables: Vec<_> = std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            (name == "PORT" || name.starts_with("LBDEV_"))
                .then(|| (name, json!(value.to_string_lossy())))
        })
        .collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    let facts: Vec<_> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    page::facts(format, &facts)
}

fn icon(site: &Site) -> Response<Body> {
    let svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="{}"/></svg>"#,
        page::colour(site.index)
    );
    page::with_type(StatusCode::OK, "image/svg+xml", body::full(svg))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        fn check(seconds: u64, expected: &str) {
            assert_eq!(words(Duration::from_secs(seconds)), expected);
        }
        check(0, "0 s");
        check(59, "59 s");
        check(61, "1 min 1 s");
        check(3_725, "1 h 2 min");
    }
}
