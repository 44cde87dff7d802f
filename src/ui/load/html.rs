//! The report as one page that needs nothing else: its plots are SVG, and no script runs in it.

use std::fmt::Write;

use minijinja::value::Serde;
use minijinja::{Environment, Value, context};

use super::{count, reason_words, short};
use crate::wire::LoadReport;

const PAGE: &str = include_str!("../../../templates/reports/load.html");
/// Of a plot, in its own units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 160.0;
/// Told apart also by people who see few colours (Okabe and Ito's eight).
const COLOURS: [&str; 8] = [
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7d00", "#555555",
];

/// The page.
///
/// # Errors
/// When the template cannot be filled, which a test excludes.
pub fn page(report: &LoadReport) -> Result<String, minijinja::Error> {
    let mut templates = Environment::new();
    templates.add_template("load.html", PAGE)?;
    templates.add_filter("count", count);
    templates.add_filter("number", super::number);
    let reasons: Vec<_> = report
        .failures
        .iter()
        .map(|(reason, n)| context! { n, words => reason_words(reason) })
        .collect();
    let backends: Vec<_> = report
        .backends
        .iter()
        .enumerate()
        .map(|(place, one)| {
            context! { name => short(&one.id), colour => COLOURS[place % 8], ..Value::from(Serde(one)) }
        })
        .collect();
    let length = super::length(report);
    let x = |at_s: f64| round(at_s / length.max(f64::MIN_POSITIVE) * WIDTH);
    let marks: Vec<_> = report
        .actions
        .iter()
        .map(|action| context! { x => x(action.at_s), command => action.command.as_str() })
        .collect();
    let ticks: Vec<_> = (0..=6)
        .map(|n| {
            let at = length * f64::from(n) / 6.0;
            context! { x => x(at), label => format!("{} s", super::number(at)) }
        })
        .collect();
    let failovers: Vec<String> = report.failovers.iter().map(super::failover_line).collect();
    let page = templates.get_template("load.html")?;
    page.render(context! {
        report => Value::from(Serde(report)),
        reasons,
        backends,
        marks,
        ticks,
        failovers,
        width => WIDTH,
        height => HEIGHT,
        areas => areas(report),
        most => super::number(most(report)),
        failed_bars => failed_bars(report),
        p50 => line(&report.timeline.p50_ms, slowest(report)),
        p99 => line(&report.timeline.p99_ms, slowest(report)),
        slowest => super::number(slowest(report)),
        version => env!("CARGO_PKG_VERSION"),
        headline => super::headline(report),
    })
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[allow(clippy::cast_precision_loss)] // of a place on the screen
fn step(parts: usize) -> f64 {
    WIDTH / parts.max(1) as f64
}

/// Requests of the busiest part, a second.
#[allow(clippy::cast_precision_loss)] // of a height
fn most(report: &LoadReport) -> f64 {
    let time = &report.timeline;
    let most = time.requests.iter().max().copied().unwrap_or(0) as f64;
    round(most / time.width_s.max(f64::MIN_POSITIVE))
}

/// Requests of each backend, one on top of the other: a path each.
#[allow(clippy::cast_precision_loss)] // of a height
fn areas(report: &LoadReport) -> Vec<Value> {
    let time = &report.timeline;
    let parts = time.requests.len();
    let most = time.requests.iter().max().copied().unwrap_or(0).max(1) as f64;
    let mut floor = vec![0_u64; parts];
    let rows = time.backends.iter().enumerate();
    rows.map(|(place, row)| {
        let mut path = String::new();
        let y = |n: u64| round(HEIGHT - n as f64 / most * HEIGHT);
        let mut roof = floor.clone();
        for (sum, n) in roof.iter_mut().zip(row) {
            *sum += n;
        }
        let step = step(parts);
        for (part, n) in roof.iter().enumerate() {
            let (from, to) = (round(part as f64 * step), round((part + 1) as f64 * step));
            let letter = if part == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{letter}{from} {}H{to}", y(*n));
        }
        for (part, n) in floor.iter().enumerate().rev() {
            let (from, to) = (round(part as f64 * step), round((part + 1) as f64 * step));
            let _ = write!(path, "L{to} {}H{from}", y(*n));
        }
        path.push('Z');
        floor = roof;
        let id = report.backends.get(place).map_or("", |one| short(&one.id));
        context! { path, colour => COLOURS[place % 8], name => id }
    })
    .collect()
}

#[allow(clippy::cast_precision_loss)] // of a height
fn failed_bars(report: &LoadReport) -> Vec<Value> {
    let failed = &report.timeline.failed;
    let most = report
        .timeline
        .requests
        .iter()
        .max()
        .copied()
        .unwrap_or(0)
        .max(1) as f64;
    let step = step(failed.len());
    let bars = failed.iter().enumerate().filter(|(_, n)| **n > 0);
    bars.map(|(part, n)| {
        // One of thousands is still to be seen.
        let height = (*n as f64 / most * HEIGHT).max(3.0);
        context! { x => round(part as f64 * step), y => round(HEIGHT - height), width => round(step.max(2.0)), height => round(height), n }
    })
    .collect()
}

fn slowest(report: &LoadReport) -> f64 {
    let all = report.timeline.p99_ms.iter().flatten().copied();
    all.fold(0.0, f64::max)
}

/// A line with gaps where nothing was answered.
#[allow(clippy::cast_precision_loss)] // of a place on the screen
fn line(values: &[Option<f64>], most: f64) -> String {
    let step = step(values.len());
    let mut path = String::new();
    let mut open = false;
    for (part, value) in values.iter().enumerate() {
        let Some(value) = value else {
            open = false;
            continue;
        };
        let x = round((part as f64 + 0.5) * step);
        let y = round(HEIGHT - value / most.max(f64::MIN_POSITIVE) * HEIGHT);
        let letter = if open { 'L' } else { 'M' };
        let _ = write!(path, "{letter}{x} {y}");
        open = true;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::super::tests::some;
    use super::*;

    #[test]
    fn a_page_that_needs_nothing_else() {
        let mut report = some();
        report.url = "http://localhost:8080/<script>alert(1)</script>".to_owned();
        let page = page(&report).unwrap();
        for wanted in [
            "kill 8000",
            "6,000",
            "noticed after 0.4 ms",
            "<svg",
            "status 503",
        ] {
            assert!(page.contains(wanted), "{wanted} is missing: {page}");
        }
        for unwanted in ["<script", "src=", "href=\"http", "{{", "NaN", "inf"] {
            assert!(!page.contains(unwanted), "{unwanted}: {page}");
        }
    }

    #[test]
    fn nothing_is_a_page_too() {
        let mut report = some();
        report.timeline.requests.clear();
        report.timeline.failed.clear();
        report.timeline.p50_ms.clear();
        report.timeline.p99_ms.clear();
        report.timeline.backends.iter_mut().for_each(Vec::clear);
        report.latency_ms = None;
        let page = page(&report).unwrap();
        assert!(!page.contains("NaN"), "{page}");
    }

    #[test]
    fn lines_have_gaps() {
        assert_eq!(
            line(&[Some(1.0), None, Some(2.0), Some(0.0)], 2.0),
            "M120 80M600 0L840 160"
        );
    }
}
