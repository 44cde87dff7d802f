//! Why a check failed, in words.

use std::time::Duration;

/// How a refused connection is called in a check's detail.
pub(super) const REFUSED: &str = "connection refused";

/// Why no answer came. The innermost cause is the one that says something.
pub(super) fn why(error: &reqwest::Error, limit: Duration) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", limit.as_secs_f64());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return of_io(io);
        }
        cause = inner;
    }
    match cause.downcast_ref::<std::io::Error>() {
        Some(io) => of_io(io),
        None => cause.to_string(),
    }
}

/// Why no body came whole.
pub(super) fn why_cut(error: &reqwest::Error, limit: Duration) -> String {
    match error.is_timeout() {
        true => format!("its body did not end within {} s", limit.as_secs_f64()),
        false => format!("its body was cut: {}", why(error, limit)),
    }
}

pub(super) fn of_io(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => REFUSED.to_owned(),
        std::io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        _ => error.to_string(),
    }
}
