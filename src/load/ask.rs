//! One request, with its whole answer.

use std::time::Duration;

use tokio::task::LocalSet;

use super::answer::Failure;
use super::client::Connection;
use super::plan::{Sample, Target};

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Its status.
    pub status: u16,
    /// Its fields, with names in small letters.
    pub fields: Vec<(String, String)>,
    /// Its body, or the beginning of it, as text.
    pub text: String,
}

/// Sends a request on a connection of its own; keeps so many bytes of the answer's body.
///
/// # Errors
/// When there is no whole answer in time.
pub async fn ask(
    target: &Target,
    sample: &Sample,
    timeout: Duration,
    keep: usize,
) -> Result<Whole, Failure> {
    let asking = async {
        let parts = sample.parts(target, 0).map_err(|_| Failure::Unsent)?;
        let mut connection = Connection::open(target).await?;
        connection.keep = keep;
        let said = connection.ask(&parts, None).await;
        let said = said.map_err(|lost| lost.failure)?;
        let field = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str().to_owned(), value.into_owned())
        };
        Ok(Whole {
            status: said.status,
            fields: said.head.iter().map(field).collect(),
            text: String::from_utf8_lossy(&said.body).into_owned(),
        })
    };
    // Its connection lives in a task of this thread's, and ends with the set.
    let tasks = LocalSet::new();
    let asked = tasks.run_until(tokio::time::timeout(timeout, asking)).await;
    asked.unwrap_or(Err(Failure::Timeout))
}
