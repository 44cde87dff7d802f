//! `/login`: sessions kept in one process's memory, so that everybody sees why that does not survive a balancer.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use uuid::Uuid;

use super::body::{self, Body};
use super::form::Fields;
use super::orders::shared_folder;
use super::page::{self, Refusal};
use super::site::Site;

/// The cookie that carries a session's id.
const COOKIE: &str = "demo_session";
/// Sessions that one process remembers; the oldest goes first.
const SESSIONS_LIMIT: usize = 10_000;
/// Letters of a name.
const NAME_LIMIT: usize = 60;

/// The variable that has sessions kept where all processes read them, in the folder of [`SHARED`](super::orders::SHARED).
const STORE: &str = "DEMO_SESSIONS";

/// Who is logged in to this process.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    memory: Mutex<Memory>,
    /// Where they are instead, if all processes share them.
    store: Option<PathBuf>,
}

#[derive(Debug, Default)]
struct Memory {
    names: HashMap<String, String>,
    order: VecDeque<String>,
}

impl Sessions {
    /// In memory, unless the environment says otherwise.
    pub(super) fn from_environment() -> Self {
        let shared = std::env::var(STORE).is_ok_and(|store| store == "shared");
        Self {
            memory: Mutex::default(),
            store: shared_folder().filter(|_| shared),
        }
    }

    /// The file of a session. A name that is none of ours has none.
    fn file(&self, id: &str) -> Option<PathBuf> {
        let plain = id
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let store = self.store.as_ref().filter(|_| plain && !id.is_empty())?;
        Some(store.join(format!("session-{id}")))
    }

    fn open(&self, name: String) -> String {
        let id = Uuid::new_v4().to_string();
        if let Some(file) = self.file(&id) {
            // One that cannot be written is not known to anybody, which is what everybody then sees.
            let _ = std::fs::write(file, name);
            return id;
        }
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.order.len() >= SESSIONS_LIMIT
            && let Some(oldest) = memory.order.pop_front()
        {
            memory.names.remove(&oldest);
        }
        memory.order.push_back(id.clone());
        memory.names.insert(id.clone(), name);
        id
    }

    fn name(&self, id: &str) -> Option<String> {
        if self.store.is_some() {
            return std::fs::read_to_string(self.file(id)?).ok();
        }
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.names.get(id).cloned()
    }

    fn close(&self, id: &str) {
        if let Some(file) = self.file(id) {
            // One that is gone is closed.
            let _ = std::fs::remove_file(file);
        }
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.names.remove(id);
        memory.order.retain(|other| other != id);
    }
}

/// The session id that a browser sent.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// The form, and who this process thinks you are.
pub(super) fn show(site: &Site, headers: &HeaderMap) -> Response<Body> {
    let port = site.port;
    let id = cookie(headers);
    let name = id.and_then(|id| site.sessions.name(id));
    let (title, explained) = match (id, name) {
        (_, Some(name)) => (
            format!("You are {name}"),
            format!(
                "Port {port} knows your session: it lives in the memory of this process. Reload, and another process \
                 may answer; it has never heard of you."
            ),
        ),
        (Some(_), None) => (
            format!("Port {port} does not know you"),
            "Your browser sent a session cookie, but the session is in the memory of another process, or of one that \
             has died. Sessions have to live where every copy can read them: in a database, or signed in the cookie."
                .to_owned(),
        ),
        (None, None) => (
            "Nobody is logged in".to_owned(),
            "Any name will do. The session will live in the memory of the process that answers the form.".to_owned(),
        ),
    };
    let values = [("title", title.as_str()), ("explained", explained.as_str())];
    page::page(site, StatusCode::OK, &title, page::LOGIN, &values)
}

/// 200 for whoever this process knows, 401 for everybody else: for programs.
pub(super) fn who(site: &Site, headers: &HeaderMap) -> Response<Body> {
    let name = cookie(headers).and_then(|id| site.sessions.name(id));
    match name {
        Some(name) => page::text(
            StatusCode::OK,
            format!("port {} knows you: {name}", site.port),
        ),
        None => page::text(
            StatusCode::UNAUTHORIZED,
            format!("port {} does not know you", site.port),
        ),
    }
}

/// The form came back: opens a session in this process.
pub(super) async fn enter(
    site: &Site,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let fields = Fields::read(request.into_body()).await?;
    let name: String = fields
        .get("name")
        .unwrap_or_default()
        .trim()
        .chars()
        .take(NAME_LIMIT)
        .collect();
    if name.is_empty() {
        return Err(Refusal::bad("a name is needed"));
    }
    let id = site.sessions.open(name);
    Ok(back(&format!(
        "{COOKIE}={id}; Path=/; HttpOnly; SameSite=Lax"
    )))
}

/// Forgets the session, here and in the browser.
pub(super) fn leave(site: &Site, headers: &HeaderMap) -> Response<Body> {
    if let Some(id) = cookie(headers) {
        site.sessions.close(id);
    }
    back(&format!(
        "{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
    ))
}

/// Back to the page with a GET (RFC 9110 §15.4.4), which may well be another process's.
fn back(cookie: &str) -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::from_static("/login"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Our own letters and a uuid.
    if let Ok(value) = HeaderValue::from_str(cookie) {
        headers.insert(header::SET_COOKIE, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies() {
        fn check(field: &'static str, expected: Option<&str>) {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_static(field));
            assert_eq!(cookie(&headers), expected, "{field}");
        }
        check("demo_session=abc", Some("abc"));
        check("a=1; demo_session=abc; b=2", Some("abc"));
        check("demo_sessions=abc", None);
        check("xdemo_session=abc", None);
        check("", None);
    }

    #[test]
    fn sessions_are_bounded() {
        let sessions = Sessions::default();
        let first = sessions.open("first".to_owned());
        let second = sessions.open("second".to_owned());
        for _ in 2..=SESSIONS_LIMIT {
            sessions.open("more".to_owned());
        }
        assert_eq!(sessions.name(&first), None);
        assert_eq!(sessions.name(&second).as_deref(), Some("second"));
        sessions.close(&second);
        assert_eq!(sessions.name(&second), None);
    }
}
