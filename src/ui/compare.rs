//! `lbdev compare`, for eyes.

use std::time::Duration;

use super::table::{Column, KEEP, render};
use super::units::{count, took};
use crate::wire::{Compare, CompareCount};

/// A row an engine, and what its columns are.
pub fn table_of(compared: &Compare, width: Option<usize>) -> String {
    let columns = [
        Column::left("BALANCER", KEEP),
        Column::right("LOST GET", KEEP),
        Column::right("LOST POST", KEEP),
        Column::right("ALL RESTARTED", 80),
        Column::right("ONE HANGS", 70),
        Column::right("NOTICED AFTER", 60),
        Column::right("P50", 40),
        Column::right("P99", 50),
        Column::right("CPU/REQUEST", 45),
    ];
    let lost = |of: &CompareCount| format!("{} of {}", count(of.lost), count(of.sent));
    let dash = || "-".to_owned();
    let span = |ms: Option<f64>| {
        let span = ms.and_then(|ms| Duration::try_from_secs_f64(ms / 1e3).ok());
        span.map_or_else(dash, took)
    };
    let ms = |ms: Option<f64>| ms.map_or_else(dash, |ms| format!("{ms:.2} ms"));
    let rows: Vec<Vec<String>> = (compared.engines.iter())
        .map(|one| {
            vec![
                name(&one.engine).to_owned(),
                lost(&one.gets),
                lost(&one.posts),
                lost(&one.restarted),
                lost(&one.hung),
                span(one.noticed_ms),
                ms(one.p50_ms),
                ms(one.p99_ms),
                one.cpu_us.map_or_else(dash, |us| format!("{us:.0} µs")),
            ]
        })
        .collect();
    let mut text = render(&columns, &rows, width);
    text.push_str(EXPLAINED);
    text
}

const EXPLAINED: &str = "\n\
LOST GET, LOST POST  requests without a good answer while a server is killed and started again, 40 ms each. A POST that a
                     server may have begun is lost with it: nobody can know whether it was done.
ALL RESTARTED        the same while all four are restarted at once, which takes half a second: who has a queue loses none.
ONE HANGS            the same while one server takes connections and answers nothing; each has 1 s for an answer.
NOTICED AFTER        from then to the last request that was sent to it.
P50, P99             1,000 requests a second, undisturbed, from the moment each was due.
CPU/REQUEST          of the balancer's own processes. lbdev's is all that lbdev does: watching its servers is in it.
";

/// What people call it.
fn name(engine: &str) -> &str {
    match engine {
        "builtin" => "lbdev",
        "haproxy" => "HAProxy",
        "apache" => "Apache",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{CompareEngine, VERSION};

    #[test]
    fn a_row_an_engine() {
        let one = |engine: &str, lost| CompareEngine {
            engine: engine.to_owned(),
            gets: CompareCount { sent: 1200, lost },
            posts: CompareCount {
                sent: 1200,
                lost: 2,
            },
            restarted: CompareCount { sent: 1200, lost },
            hung: CompareCount { sent: 1200, lost },
            noticed_ms: (lost > 0).then_some(1234.0),
            undisturbed: CompareCount {
                sent: 5000,
                lost: 0,
            },
            p50_ms: Some(0.31),
            p99_ms: Some(1.5),
            cpu_us: (lost > 0).then_some(21.4),
        };
        let compared = Compare {
            version: VERSION,
            engines: vec![one("builtin", 0), one("nginx", 400)],
            missing: Vec::new(),
        };
        let text = table_of(&compared, None);
        let rows: Vec<&str> = text.lines().take(3).collect();
        insta::assert_snapshot!(rows.join("\n"), @r"
        BALANCER      LOST GET   LOST POST  ALL RESTARTED     ONE HANGS  NOTICED AFTER      P50      P99  CPU/REQUEST
        lbdev       0 of 1,200  2 of 1,200     0 of 1,200    0 of 1,200              -  0.31 ms  1.50 ms            -
        nginx     400 of 1,200  2 of 1,200   400 of 1,200  400 of 1,200          1.2 s  0.31 ms  1.50 ms        21 µs
        ");
    }
}
