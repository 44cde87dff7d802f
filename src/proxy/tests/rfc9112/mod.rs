//! How a message is framed on the wire, section by section of RFC 9112: what is refused, and what is not.
//!
//! Who forwards a message must not guess where it ends: another reader may guess otherwise, and one client's bytes become
//! another's request (RFC 9112 §11.2). A refusal is therefore an answer, the end of the connection, and silence towards the
//! backend; each table here asks for all three, with a good request right behind the bad one as the bait.

mod bodies;
mod chunks;
mod connection;
mod fields;
mod hosts;
mod interim;
mod limits;
mod lines;

use tokio::task::JoinSet;

use super::taking::{Taken, Taking, taking};
use super::*;

/// Sent behind every request that is refused: whoever takes it for one has lost his place.
const BAIT: &[u8] = b"GET /bait HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A good request of these head lines.
fn get(lines: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n").into_bytes()
}

/// A POST with these head lines and this body, as they stand.
fn post(lines: &str, body: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n{body}").into_bytes()
}

/// The proxy before one backend that takes only whole requests.
async fn set_up() -> (Front, Taking) {
    let backend = taking().await;
    (front(&[backend.stub.address]), backend)
}

/// When a request was refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// By its head: no backend was connected to.
    Head,
    /// Maybe in the middle of its body: no backend has it whole.
    Body,
}

/// Each of these is answered by one of `statuses`, and by nothing else; the connection ends, no backend takes anything, and
/// none is blamed. All that are not are told at once.
async fn refused(by: By, statuses: &'static [u16], requests: impl IntoIterator<Item = Vec<u8>>) {
    let mut asking = JoinSet::new();
    for request in requests {
        asking.spawn(async move {
            let wrong = not_refused(by, statuses, &request).await;
            wrong.map(|wrong| format!("{:?}\n   {wrong}", shown(&request)))
        });
    }
    let wrong: Vec<_> = asking.join_all().await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "not refused:\n{}", wrong.join("\n"));
}

async fn not_refused(by: By, statuses: &[u16], request: &[u8]) -> Option<String> {
    let (front, backend) = set_up().await;
    let mut stream = front.connect().await;
    // It may be refused, and the connection gone, before all of it is written.
    let _ = within(stream.write_all(&[request, BAIT].concat())).await;
    let mut bytes = Vec::new();
    let reading = tokio::time::timeout(LIMIT, stream.read_to_end(&mut bytes)).await;
    let answer = String::from_utf8_lossy(&bytes);
    if reading.is_err() {
        return Some(format!("the connection stays open after {answer:?}"));
    }
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return Some(format!("no answer but {answer:?}"));
    };
    let length = field(head, "content-length").and_then(|length| length.parse().ok());
    let taken = backend.taken();
    if !statuses.contains(&status(head)) || length != Some(body.len()) {
        Some(format!("answered: {answer:?}"))
    } else if field(head, "connection") != Some("close") {
        Some(format!("its end is not announced: {head:?}"))
    } else if !taken.is_empty() {
        Some(format!("reached the backend: {taken:?}"))
    } else if by == By::Head && backend.stub.connections() > 0 {
        Some("a backend was connected to".to_owned())
    } else if front.failures() != [0] {
        Some("the backend was blamed".to_owned())
    } else {
        None
    }
}

/// The beginning of a request, for people.
fn shown(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    text.chars().take(200).collect()
}

/// Each of these is answered by 200, and the connection serves the next request: what the backend took of them, in order.
async fn served(requests: impl IntoIterator<Item = Vec<u8>>) -> Vec<Taken> {
    let mut all = Vec::new();
    for request in requests {
        let (front, backend) = set_up().await;
        let mut stream = front.connect().await;
        for bytes in [
            &request[..],
            b"GET /next HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ] {
            within(stream.write_all(bytes)).await.unwrap();
            let head = read_head(&mut stream).await;
            let head = head.unwrap_or_else(|| panic!("no answer to {:?}", shown(&request)));
            assert_eq!(status(&head), 200, "{:?}", shown(&request));
            assert!(read_until(&mut stream, "ok").await.is_some());
        }
        let [taken, next] = <[Taken; 2]>::try_from(backend.taken()).unwrap();
        assert!(next.head.starts_with("GET /next "), "{}", next.head);
        all.push(taken);
    }
    all
}
