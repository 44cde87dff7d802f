//! `/crash`: the process ends in the middle of a request.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use hyper::{Request, Response, StatusCode};

use super::body::{self, Body};
use super::form::Fields;
use super::page::{self, Refusal};
use super::site::Site;

/// The status that the process ends with.
pub(super) const STATUS: u8 = 3;

/// What the head of `/crash?after=head` promises. It is well above what a balancer may hold back before it commits to
/// an answer, so that the client sees the cut.
const PROMISED: usize = 64 * 1024;

/// From half of the body to the end, so that a person sees half a page first.
const PAUSE: Duration = Duration::from_millis(50);

/// Ends the process: without an answer, or with `after=head` once half of one has gone out.
pub(super) async fn answer<B>(
    site: &Arc<Site>,
    request: &Request<B>,
) -> Result<Response<Body>, Refusal> {
    let query = Fields::query(request.uri());
    match query.get("after") {
        None => {
            (site.log)(&format!("{} /crash: ending", request.method()));
            (site.die)();
            // Only tests come here.
            std::future::pending().await
        }
        Some("head") => {
            (site.log)(&format!("{} /crash: ending after half", request.method()));
            let (sender, body) = body::pushed();
            let site = Arc::clone(site);
            tokio::spawn(async move {
                // The line is 32 bytes long: half of what was promised.
                let half = "half of an answer, then no more\n".repeat(PROMISED / 64);
                let _ = sender.send(Bytes::from(half)).await;
                tokio::time::sleep(PAUSE).await;
                (site.die)();
            });
            let mut response = page::with_type(StatusCode::OK, "text/plain; charset=utf-8", body);
            response
                .headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from(PROMISED));
            Ok(response)
        }
        Some(other) => Err(Refusal::bad(format!("`after` is `head`, not `{other}`"))),
    }
}
