//! Who asks, and what the head of a request tells of that.

use hyper::body::Incoming;
use hyper::{Request, header};

/// Who asks: each comes through a door of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Our own command line, over the socket.
    CommandLine,
    /// A browser, or a program that has the token.
    Browser,
}

/// What only the command line may ask for: a terminal, an end, another set-up (it could hold a command), another key.
pub(super) fn is_for_the_socket(segments: &[&str]) -> bool {
    matches!(
        segments,
        ["v1", "shutdown" | "reload"]
            | ["v1", "dashboard", ..]
            | ["v1", "backends", _, "attach" | "debug"]
    )
}

/// Which methods a path has (RFC 9110 §15.5.6 wants them told), if it is one.
pub(super) fn methods(segments: &[&str]) -> Option<&'static str> {
    match segments {
        ["metrics"]
        | [
            "v1",
            "status" | "events" | "history" | "timeline" | "requests" | "logs" | "openapi.json",
        ] => Some("GET"),
        ["v1", "settings"] => Some("PATCH"),
        ["v1", "backends", _] => Some("GET, PATCH"),
        ["v1", "shutdown" | "reload"]
        | ["v1", "dashboard", "token"]
        | ["v1", "backends", _, _]
        | ["v1", "services", _, "scale"] => Some("POST"),
        _ => None,
    }
}

/// Whether its body is said to be JSON, once.
pub(super) fn is_json(request: &Request<Incoming>) -> bool {
    let mut kinds = request.headers().get_all(header::CONTENT_TYPE).iter();
    let (kind, second) = (kinds.next(), kinds.next());
    let kind = kind.and_then(|kind| kind.to_str().ok()?.split(';').next());
    second.is_none()
        && kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Whether it asks for a stream of events.
pub(super) fn wants_stream(request: &Request<Incoming>) -> bool {
    let accepts = request.headers().get_all(header::ACCEPT).iter();
    let mut accepts = accepts.filter_map(|accept| accept.to_str().ok());
    accepts.any(|accept| accept.contains("text/event-stream"))
}
