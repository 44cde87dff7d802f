//! Writing to stdout and stderr, whose reader may be gone.

use std::io::{self, Write};

/// One of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// Data.
    Out,
    /// Progress, notes, errors.
    Err,
}

/// Why nothing can be written any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// Whoever read it is gone: `lbdev logs | head`. That is no failure.
    #[error("the reader is gone")]
    Gone,
    /// Another reason: a full disk.
    #[error("cannot write the output")]
    Other(#[source] io::Error),
}

/// Writes `text` as it is, at once.
pub(super) fn write(stream: Stream, text: &str) -> Result<(), WriteError> {
    let written = match stream {
        Stream::Out => {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        }
        Stream::Err => io::stderr().lock().write_all(text.as_bytes()),
    };
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => WriteError::Gone,
        _ => WriteError::Other(error),
    })
}

/// Writes for a verb that has nothing to undo: if nobody reads, it ends here.
pub(super) fn write_or_end(stream: Stream, text: &str) {
    match write(stream, text) {
        Ok(()) => {}
        // stderr going away does not keep a verb from its work.
        Err(_) if stream == Stream::Err => {}
        Err(WriteError::Gone) => std::process::exit(0),
        Err(WriteError::Other(error)) => {
            let _ = write(
                Stream::Err,
                &format!("error[LB007]: cannot write the output: {error}\n"),
            );
            std::process::exit(1)
        }
    }
}
