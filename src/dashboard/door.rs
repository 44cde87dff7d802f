//! The door for browsers: TCP, a guard before it, and limits for whoever comes.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::assets::asset;
use super::guard::Guard;
use super::listen::Bound;
use super::patient::Patient;
use crate::config::Dashboard;
use crate::control::{Body, Caller, Control, Key, Refusal};

/// A client that sends nothing is let go after this.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// One that takes nothing, after this.
const PATIENCE: Duration = Duration::from_secs(30);
/// Connections at once; those beyond wait in the kernel.
const CONNECTIONS: usize = 256;

/// An open door; dropping it closes it.
#[derive(Debug)]
pub struct Door {
    tasks: Vec<AbortHandle>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// What every connection has in common.
struct Shared {
    control: Arc<Control>,
    guard: Guard,
    key: Arc<Key>,
    places: Arc<Semaphore>,
}

/// Answers what comes over these sockets.
///
/// # Errors
/// When the runtime does not take them.
pub fn open(
    bound: Bound,
    wanted: &Dashboard,
    control: Arc<Control>,
    key: Arc<Key>,
) -> io::Result<Door> {
    let shared = Arc::new(Shared {
        control,
        guard: Guard::new(wanted, bound.listen.port),
        key,
        places: Arc::new(Semaphore::new(CONNECTIONS)),
    });
    let mut door = Door { tasks: Vec::new() };
    for listener in bound.listeners {
        let listener = TcpListener::from_std(listener)?;
        let task = tokio::spawn(serve(listener, shared.clone()));
        door.tasks.push(task.abort_handle());
    }
    Ok(door)
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let place = shared.places.clone().acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: try again when some have been closed.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let shared = shared.clone();
        tokio::spawn(async move {
            connection(stream, &shared).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, shared: &Shared) {
    // What is written is a whole event: it need not wait for more.
    let _ = stream.set_nodelay(true);
    let mut key = shared.key.changes();
    let service =
        service_fn(|request| async { Ok::<_, Infallible>(answer(shared, request).await) });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    let stream = TokioIo::new(Patient::new(stream, PATIENCE));
    tokio::select! {
        // A client that breaks off or speaks nonsense is its own affair.
        _ = http.serve_connection(stream, service) => {}
        // It came with the key that opens nothing any more.
        _ = key.changed() => {}
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<Body> {
    let mut response = let_in(shared, request)
        .await
        .unwrap_or_else(Refusal::into_response);
    let headers = response.headers_mut();
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn let_in(shared: &Shared, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let (head, body) = request.into_parts();
    shared.guard.site(&head)?;
    if matches!(head.method, Method::GET | Method::HEAD)
        && let Some(asset) = asset(head.uri.path())
    {
        let mut response = Response::new(Full::from(asset.bytes).boxed_unsync());
        *response.status_mut() = StatusCode::OK;
        let kind = HeaderValue::from_static(asset.kind);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        return Ok(response);
    }
    shared.guard.api(&head, &shared.key)?;
    let request = Request::from_parts(head, body);
    Ok(shared.control.answer(request, Caller::Browser).await)
}
