//! Sizes, time limits, shares of the requests, statuses and texts of checks.

use std::time::Duration;

use super::{ValueError, duration, duration_text};
use crate::config::defaults::EXPECTED_BODY_MAX;

/// Reads `0`, `512`, `512b`, `16kb`, `1mb`; a kb is 1024 bytes.
pub(in crate::config) fn size(text: &str) -> Result<u64, ValueError> {
    let plain = text.trim().to_ascii_lowercase();
    let end = plain.find(|c: char| !c.is_ascii_digit());
    let (digits, unit) = plain.split_at(end.unwrap_or(plain.len()));
    let unit = match unit.trim_start() {
        "" | "b" => Some(1),
        "kb" => Some(1 << 10),
        "mb" => Some(1 << 20),
        "gb" => Some(1 << 30),
        _ => None,
    };
    // What no number of bytes could be is as wrong as what is no number.
    let bytes = unit.and_then(|unit: u64| digits.parse::<u64>().ok()?.checked_mul(unit));
    bytes.ok_or_else(|| ValueError::Size {
        text: text.to_owned(),
    })
}

/// Writes a size so that [`size`] reads the same.
pub(in crate::config) fn size_text(bytes: u64) -> String {
    for (unit, name) in [(1 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")] {
        if bytes > 0 && bytes.is_multiple_of(unit) {
            return format!("{}{name}", bytes / unit);
        }
    }
    match bytes {
        0 => "0".to_owned(),
        bytes => format!("{bytes}b"),
    }
}

/// A size within its limit.
pub(in crate::config) fn at_most(bytes: u64, most: u64) -> Result<u64, ValueError> {
    match bytes <= most {
        true => Ok(bytes),
        false => Err(ValueError::TooLarge {
            most: size_text(most),
            found: size_text(bytes),
        }),
    }
}

/// Reads a duration, or `off` for no limit.
pub(in crate::config) fn limit(text: &str) -> Result<Option<Duration>, ValueError> {
    match text.trim().eq_ignore_ascii_case("off") {
        true => Ok(None),
        false => duration(text).map(Some),
    }
}

/// Writes what [`limit`] reads.
pub(in crate::config) fn limit_text(limit: Option<Duration>) -> String {
    limit.map_or_else(|| "off".to_owned(), duration_text)
}

/// Reads `20%`, or `off` for no limit.
pub(in crate::config) fn budget(text: &str) -> Result<Option<u32>, ValueError> {
    let plain = text.trim();
    if plain.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let digits = plain.strip_suffix('%').map(str::trim_end);
    let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let percent = digits.and_then(|digits| digits.parse().ok());
    match percent.filter(|&percent| percent <= 100) {
        Some(percent) => Ok(Some(percent)),
        None => Err(ValueError::Budget {
            text: text.to_owned(),
        }),
    }
}

/// Writes what [`budget`] reads.
pub(in crate::config) fn budget_text(budget: Option<u32>) -> String {
    budget.map_or("off".to_owned(), |percent| format!("{percent}%"))
}

/// Reads a status that may count as a failure: what gateways say (RFC 9110 §15.6), and 503.
pub(in crate::config) fn retry_status(text: &str) -> Result<u16, ValueError> {
    match text {
        "502" => Ok(502),
        "503" => Ok(503),
        "504" => Ok(504),
        _ => Err(ValueError::RetryStatus {
            text: text.to_owned(),
        }),
    }
}

/// Reads `200` or `200-399`, first and last of the statuses that pass a check. An interim one (1xx) ends none.
pub(in crate::config) fn expected_status(text: &str) -> Result<(u16, u16), ValueError> {
    let wrong = || ValueError::Status {
        text: text.to_owned(),
    };
    let one = |digits: &str| {
        let digits = digits.trim();
        let plain = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let status = plain.then(|| digits.parse().ok()).flatten();
        status
            .filter(|status| (200..=599).contains(status))
            .ok_or_else(wrong)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (one(first)?, one(last)?);
    match first <= last {
        true => Ok((first, last)),
        false => Err(ValueError::Backwards {
            text: text.to_owned(),
        }),
    }
}

/// Writes what [`expected_status`] reads.
pub(in crate::config) fn expected_status_text((first, last): (u16, u16)) -> String {
    match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    }
}

/// A text to look for in the body of a check's answer.
pub(in crate::config) fn expected_body(text: &str) -> Result<String, ValueError> {
    match text.len() {
        0 => Err(ValueError::EmptyText),
        1..=EXPECTED_BODY_MAX => Ok(text.to_owned()),
        _ => Err(ValueError::LongText {
            most: EXPECTED_BODY_MAX,
        }),
    }
}
