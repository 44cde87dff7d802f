//! Short responses are held until they are whole, so that a backend that dies in the middle of one can still be replaced
//! by another, or its failure told as such.

use std::time::Duration;

use super::fields::{Fields, Name};
use super::upstream::Call;
use crate::pool::AttemptFailure;

/// A response is held so long at most: about as long as nobody notices.
const PATIENCE: Duration = Duration::from_millis(100);

/// Whether this response is to be held: its length is known and at most `limit`, and it did not come whole.
pub(super) fn wants(call: &Call, fields: &Fields, limit: u64) -> bool {
    match call.length() {
        None | Some(0) => false,
        Some(length) if length > limit => false,
        Some(_) => !call.is_whole() && !is_event_stream(fields),
    }
}

/// Waits until it is whole or the patience is over; then the rest follows as it comes.
///
/// # Errors
/// When its connection ends before it is whole.
pub(super) async fn complete(call: &mut Call) -> Result<(), AttemptFailure> {
    tokio::time::timeout(PATIENCE, call.whole())
        .await
        .unwrap_or(Ok(()))
}

/// A media type in any case (RFC 9110 §8.3.1), whatever parameters follow it.
pub(super) fn is_event_stream(fields: &Fields) -> bool {
    let name = b"text/event-stream";
    fields.get(Name::ContentType).is_some_and(|kind| {
        let kind = kind.get(..name.len());
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case(name))
    })
}
