//! Durations, counts and times as a person reads them. All pure.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// How long something took: `0.4 ms`, `61 ms`, `0.6 s`, `12 s`, `12 m`, `2 h`, `3 d`.
pub fn took(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    let seconds = duration.as_secs();
    if ms < 9.95 {
        format!("{ms:.1} ms")
    } else if ms < 99.5 {
        format!("{ms:.0} ms")
    } else if ms < 9_950.0 {
        format!("{:.1} s", ms / 1e3)
    } else if seconds < 100 {
        format!("{:.0} s", ms / 1e3)
    } else if seconds < 100 * 60 {
        format!("{} m", seconds / 60)
    } else if seconds < 48 * 3600 {
        format!("{} h", seconds / 3600)
    } else {
        format!("{} d", seconds / 86_400)
    }
}

/// The duration of a request, in one word: `0ms`, `12ms`, `1.2s`, `75s`.
pub fn latency(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    if ms < 999.5 {
        format!("{ms:.0}ms")
    } else if ms < 99_950.0 {
        format!("{:.1}s", ms / 1e3)
    } else {
        format!("{:.0}s", ms / 1e3)
    }
}

/// For how long something runs, in one word: `3s`, `12m04s`, `2h05m`, `4d02h`. Negative or absurd seconds are `0s`.
pub fn uptime(seconds: f64) -> String {
    let seconds = Duration::try_from_secs_f64(seconds).map_or(0, |d| d.as_secs());
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    if days > 0 {
        format!("{days}d{hours:02}h")
    } else if hours > 0 {
        format!("{hours}h{minutes:02}m")
    } else if minutes > 0 {
        format!("{minutes}m{:02}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

/// `1,204`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// An amount of memory: `0.4 MB`, `48 MB`, `1.2 GB`; a MB is 1,024 · 1,024 bytes, as in the configuration.
pub fn memory(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // two digits are shown
    let mb = bytes as f64 / f64::from(1 << 20);
    if mb < 9.95 {
        format!("{mb:.1} MB")
    } else if mb < 999.5 {
        format!("{mb:.0} MB")
    } else {
        format!("{:.1} GB", mb / 1024.0)
    }
}

/// `1 backend`, `4 backends`.
pub fn plural(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Ports in few words: `8000-8003, 8080`.
pub fn ranges(ports: &[u16]) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for &port in ports {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(port) => *last = port,
            _ => ranges.push((port, port)),
        }
    }
    let texts = ranges.into_iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// The time of day: `14:02:11`.
pub fn clock(at: Timestamp, zone: &TimeZone) -> String {
    zone.to_datetime(at).strftime("%H:%M:%S").to_string()
}

/// The wall clock's moment; one outside jiff's ten thousand years is its beginning.
pub fn timestamp(at: SystemTime) -> Timestamp {
    Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (micros, expected) in [
            (0, "0.0 ms"),
            (400, "0.4 ms"),
            (9_940, "9.9 ms"),
            (9_960, "10 ms"),
            (61_000, "61 ms"),
            (99_600, "0.1 s"),
            (600_000, "0.6 s"),
            (12_000_000, "12 s"),
            (99_600_000, "100 s"),
            (130_000_000, "2 m"),
            (7_200_000_000, "2 h"),
            (259_200_000_000, "3 d"),
        ] {
            assert_eq!(took(Duration::from_micros(micros)), expected, "{micros} µs");
        }
    }

    #[test]
    fn latencies() {
        for (micros, expected) in [
            (0, "0ms"),
            (12_400, "12ms"),
            (999_600, "1.0s"),
            (1_240_000, "1.2s"),
            (120_000_000, "120s"),
        ] {
            assert_eq!(latency(Duration::from_micros(micros)), expected);
        }
    }

    #[test]
    fn uptimes() {
        for (seconds, expected) in [
            (-1.0, "0s"),
            (f64::NAN, "0s"),
            (3.9, "3s"),
            (724.2, "12m04s"),
            (7_500.0, "2h05m"),
            (4.0 * 86_400.0 + 7_300.0, "4d02h"),
        ] {
            assert_eq!(uptime(seconds), expected);
        }
    }

    #[test]
    fn memories() {
        for (bytes, expected) in [
            (0, "0.0 MB"),
            (400_000, "0.4 MB"),
            (48 << 20, "48 MB"),
            (10_440_000, "10 MB"),
            (999 << 20, "999 MB"),
            (1000 << 20, "1.0 GB"),
            (123 << 30, "123.0 GB"),
        ] {
            assert_eq!(memory(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn counts() {
        for (n, expected) in [
            (0, "0"),
            (412, "412"),
            (1_204, "1,204"),
            (1_000_000, "1,000,000"),
        ] {
            assert_eq!(count(n), expected);
        }
        assert_eq!(plural(1, "backend", "backends"), "1 backend");
    }
}
