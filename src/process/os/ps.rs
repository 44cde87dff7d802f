//! What `ps` writes, read.

use std::time::Duration;

use super::Cost;

/// A line of `ps -o pid=,time=,rss=`: `  42   0:01.50  1024`.
pub(super) fn parse_cost(line: &str) -> Option<(u32, Cost)> {
    let mut fields = line.split_ascii_whitespace();
    let pid = fields.next()?.parse().ok()?;
    let cpu = parse_time(fields.next()?)?;
    let kib: u64 = fields.next()?.parse().ok()?;
    let resident = kib.saturating_mul(1024);
    Some((
        pid,
        Cost {
            cpu,
            resident,
            threads: 0,
        },
    ))
}

/// `[[days-]hours:]minutes:seconds[.hundredths]`, as POSIX and macOS have it.
fn parse_time(text: &str) -> Option<Duration> {
    let (days, clock) = text.split_once('-').unwrap_or(("0", text));
    let mut total: f64 = f64::from(days.parse::<u32>().ok()?) * 24.0;
    let mut parts = clock.split(':').rev();
    let seconds: f64 = parts.next()?.parse().ok()?;
    let minutes: u32 = parts.next()?.parse().ok()?;
    let hours: u32 = parts.next().map_or(Some(0), |hours| hours.parse().ok())?;
    total = (total + f64::from(hours)) * 3600.0 + f64::from(minutes) * 60.0 + seconds;
    match parts.next() {
        None => Duration::try_from_secs_f64(total).ok(),
        Some(_) => None,
    }
}

/// A line of `ps -E -ww -o pid=,command=`: the words of a command line and of the environment behind it. They end with a
/// zero byte as on Linux; a value with a space in it is cut there, which none of ours has.
#[cfg_attr(any(target_os = "linux", windows), allow(dead_code))]
pub(super) fn parse_environ(line: &str) -> Option<(u32, Vec<u8>)> {
    let (pid, words) = line.trim_start().split_once(' ')?;
    Some((pid.parse().ok()?, words.replace(' ', "\0").into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_read() {
        for (line, expected) in [
            ("  42   0:01.50  1024", Some((42, 1_500, 1024 * 1024))),
            ("42 0:00.00 0", Some((42, 0, 0))),
            ("7 12:34.05 8", Some((7, 754_050, 8192))),
            ("7 01:02:03 8", Some((7, 3_723_000, 8192))),
            ("7 2-00:00:01 8", Some((7, 172_801_000, 8192))),
            ("7 130:00.00 8", Some((7, 7_800_000, 8192))),
            ("", None),
            ("7", None),
            ("7 1 8", None),
            ("7 1:2:3:4 8", None),
            ("7 0:0x 8", None),
            ("7 0:-5 8", None),
            ("7 0:01", None),
            ("-7 0:01 8", None),
            ("7 0:01 -8", None),
        ] {
            let read = parse_cost(line);
            let read = read.map(|(pid, cost)| (pid, cost.cpu.as_millis(), cost.resident));
            assert_eq!(read, expected, "{line:?}");
        }
    }

    #[test]
    fn environments_are_read() {
        let (pid, environ) = parse_environ("  42 node app.js LBDEV_RUN=7 A=b").unwrap();
        assert_eq!(
            (pid, environ),
            (42, b"node\0app.js\0LBDEV_RUN=7\0A=b".to_vec())
        );
        assert_eq!(parse_environ("  42"), None);
        assert_eq!(parse_environ("x y"), None);
    }
}
