//! A load while it runs, and what it came to.

pub mod html;

use std::fmt::Write;
use std::time::Duration;

use console::measure_text_width;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::units::{count, plural};
use super::{Paint, Ui};
use crate::load::{Acted, Beat, Live, Plan, Seen};
use crate::wire::{LoadFailover, LoadLatency, LoadReport};

/// Heights of a bar.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// A plot of fewer parts shows nothing.
const FEW: usize = 6;
/// Columns of a plot where there is room.
const COLUMNS: usize = 60;
/// Nothing.
const NONE: char = '·';

/// What is about to be sent, for how long.
fn plan_words(plan: &Plan) -> String {
    let rate = match plan.beat {
        Beat::Open(rps) => format!("{} requests a second", number(rps)),
        Beat::Closed => format!(
            "{} in a closed loop",
            plural(plan.connections, "connection", "connections")
        ),
    };
    match plan.requests {
        Some(requests) => format!("{} requests, {rate}", count(requests)),
        None => format!("{rate} for {} s", number(plan.lasts.as_secs_f64())),
    }
}

/// The line that shows how far a load is. Only on a terminal; verbs in the middle are told anywhere.
#[derive(Debug)]
pub struct Meter {
    ui: Ui,
    bar: Option<ProgressBar>,
    lasts: Duration,
}

impl Meter {
    /// Of a load that begins.
    pub fn new(ui: Ui, plan: &Plan) -> Self {
        ui.progress(&format!(
            "{} → http://{}",
            plan_words(plan),
            plan.target.authority
        ));
        let bar = (ui.err_terminal && !ui.json).then(|| {
            let lasts = u64::try_from(plan.lasts.as_millis()).unwrap_or(u64::MAX);
            let bar = ProgressBar::with_draw_target(Some(lasts), ProgressDrawTarget::stderr());
            // It is right, so that the fallback is never seen.
            let style = ProgressStyle::with_template("{bar:12} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self {
            ui,
            bar,
            lasts: plan.lasts,
        }
    }

    /// Shows what is seen now.
    pub fn show(&self, seen: &Seen<'_>) {
        match seen {
            Seen::Live(live) => self.live(live),
            Seen::Acted(acted) => self.acted(acted),
        }
    }

    fn live(&self, live: &Live) {
        let Some(bar) = &self.bar else { return };
        let position = u64::try_from(live.elapsed.min(self.lasts).as_millis());
        bar.set_position(position.unwrap_or(u64::MAX));
        bar.set_message(now(live, self.ui.err));
    }

    /// A verb in the middle has ended.
    fn acted(&self, acted: &Acted) {
        let line = acted_line(acted, self.ui.err);
        match &self.bar {
            Some(bar) => bar.suspend(|| self.ui.progress(&line)),
            None => self.ui.progress(&line),
        }
    }

    /// The line goes.
    pub fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `3.2 s · 640 answered · 0 failed · p50 11 ms · p99 48 ms · 8000 50 8001 50`
fn now(live: &Live, paint: Paint) -> String {
    let failed = format!("{} failed", count(live.failed));
    let failed = match live.failed {
        0 => failed,
        _ => paint.bad(&failed),
    };
    let mut line = format!(
        "{:.1} s · {} done · {failed}",
        live.elapsed.as_secs_f64(),
        count(live.done)
    );
    if live.done > 0 {
        let _ = write!(line, " · p50 {} · p99 {}", span(live.p50), span(live.p99));
    }
    if !live.recent.is_empty() && live.recent.len() <= 8 {
        line.push_str(" · a second:");
        for (id, n) in &live.recent {
            let _ = write!(line, " {} {n}", short(id));
        }
    }
    line
}

fn acted_line(acted: &Acted, paint: Paint) -> String {
    let at = format!("{:.1} s", acted.at.as_secs_f64());
    let said = acted.output.first().map_or("", String::as_str);
    match acted.exit {
        Some(0) => format!("▼ {at} {}: {said}", paint.strong(&acted.command)),
        _ => format!("{} {at} {}: {said}", paint.bad("✗"), acted.command),
    }
}

/// The whole report, in so many columns (`None`: as many as it likes).
pub fn text(report: &LoadReport, width: Option<usize>, paint: Paint) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(paint.strong(&headline(report)));
    line(format!("  {}", outcome(report, paint)));
    for (reason, n) in &report.failures {
        line(format!("    {} × {}", count(*n), reason_words(reason)));
    }
    if let Some(latency) = &report.latency_ms {
        line(format!("  {}", latency_line(latency)));
    }
    if let Some(note) = lateness(report) {
        line(format!("  {} {note}", paint.attention("!")));
    }
    for row in plot(report, width, paint) {
        line(row);
    }
    for action in &report.actions {
        let said = action.output.first().map_or("", String::as_str);
        let mark = match action.exit {
            Some(0) => "▼".to_owned(),
            _ => paint.bad("✗"),
        };
        line(format!(
            "  {mark} {:.1} s  {}  {said}",
            action.at_s,
            paint.strong(&action.command)
        ));
    }
    for failover in &report.failovers {
        line(format!("failover  {}", failover_line(failover)));
    }
    if let Some(even) = &report.evenness {
        let until = match report.failovers.is_empty() && report.actions.is_empty() {
            true => String::new(),
            false => format!(", until {:.1} s", even.until_s),
        };
        let (least, most) = (
            format!("{:.1}", even.least_pct),
            format!("{:.1}", even.most_pct),
        );
        let share = match least == most {
            true => most,
            false => format!("{least} to {most}"),
        };
        line(format!(
            "evenness  each backend had {share} % of the requests{until}"
        ));
    }
    for limit in &report.limits {
        let (mark, word) = match limit.held {
            true => (paint.good("✓"), "holds"),
            false => (paint.bad("✗"), "is broken"),
        };
        line(format!(
            "{mark} {} {} {word}: {}",
            limit.name.replace('_', " "),
            limit.limit,
            limit.measured
        ));
    }
    text
}

fn headline(report: &LoadReport) -> String {
    let mut text = format!(
        "{} requests in {:.1} s",
        count(report.requests),
        report.lasted_s
    );
    match report.rps {
        Some(_) => text.push_str(" · open loop (latency from the scheduled send)"),
        None => {
            let rate = format!(" · closed loop, {} a second", number(report.rate));
            text.push_str(&rate);
        }
    }
    if report.stopped {
        let _ = write!(
            text,
            " · stopped before its {} s were over",
            report.planned_s
        );
    }
    text
}

fn outcome(report: &LoadReport, paint: Paint) -> String {
    let failed = format!("failed {}", count(report.failed));
    let failed = match report.failed {
        0 => failed,
        _ => paint.bad(&format!("{failed} ({:.2} %)", report.failed_pct)),
    };
    let mut text = format!("ok {}   {failed}", count(report.ok));
    if report.elsewhere > 0 {
        let _ = write!(
            text,
            "   answered by another backend {}",
            count(report.elsewhere)
        );
    }
    text
}

/// What a reason of the report means.
pub fn reason_words(reason: &str) -> String {
    match reason {
        "refused" => "connection refused".to_owned(),
        "connect_failed" => "no connection could be made".to_owned(),
        "closed" => "connection closed without an answer".to_owned(),
        "reset" => "connection reset".to_owned(),
        "cut_body" => "answer cut".to_owned(),
        "timeout" => "no answer in time".to_owned(),
        "bad_response" => "an answer that is no HTTP".to_owned(),
        "unsent" => "never sent: all connections were busy".to_owned(),
        other => match other.strip_prefix("status_") {
            Some(status) => format!("status {status}"),
            None => other.to_owned(),
        },
    }
}

fn latency_line(of: &LoadLatency) -> String {
    let ms = |ms: f64| span(Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default());
    format!(
        "p50 {}   p90 {}   p99 {}   p99.9 {}   max {}",
        ms(of.p50),
        ms(of.p90),
        ms(of.p99),
        ms(of.p999),
        ms(of.max)
    )
}

/// Where the load itself was too slow for its plan, its latencies say that, and not what the server did.
fn lateness(report: &LoadReport) -> Option<String> {
    let behind = report.behind_ms.filter(|behind| behind.p99 > 10.0)?;
    Some(format!(
        "this machine was too busy to send in time: one of a hundred requests was {:.0} ms late before it was sent; ask for less",
        behind.p99
    ))
}

/// Requests of each backend, failures and the 99th percentile over time.
fn plot(report: &LoadReport, width: Option<usize>, paint: Paint) -> Vec<String> {
    let time = &report.timeline;
    let parts = time.requests.len();
    if parts < FEW {
        return shares(report, width);
    }
    let names: Vec<&str> = report.backends.iter().map(|one| short(&one.id)).collect();
    let label = names
        .iter()
        .map(|name| measure_text_width(name))
        .chain([6])
        .max()
        .unwrap_or(6);
    let room = width.map_or(COLUMNS, |width| width.saturating_sub(label + 14).max(10));
    let columns = parts.min(COLUMNS).min(room);
    let row = |name: &str, bars: &str, total: &str| {
        let fill = " ".repeat(label.saturating_sub(measure_text_width(name)));
        format!("  {name}{fill}  {bars}  {total:>8}")
    };
    let of = |values: &[u64]| means(values, columns);
    let most = |rows: &[Vec<f64>]| rows.iter().flatten().copied().fold(0.0, f64::max);
    let mut lines = vec![row("", &axis(report, columns), "")];
    if let Some(marks) = marks(report, columns) {
        lines.push(row("", &marks, ""));
    }
    let rows: Vec<Vec<f64>> = time.backends.iter().map(|values| of(values)).collect();
    let highest = most(&rows);
    for ((name, values), backend) in names.iter().zip(&rows).zip(&report.backends) {
        lines.push(row(name, &bars(values, highest), &count(backend.requests)));
    }
    if report.backends.is_empty() {
        let all = of(&time.requests);
        let highest = all.iter().copied().fold(0.0, f64::max);
        lines.push(row("all", &bars(&all, highest), &count(report.requests)));
    }
    let failed = of(&time.failed);
    let highest = failed.iter().copied().fold(0.0, f64::max);
    let line = row("failed", &bars(&failed, highest), &count(report.failed));
    lines.push(match report.failed {
        0 => line,
        _ => paint.bad(&line),
    });
    // The worst of its parts stands for a column.
    let p99: Vec<f64> = chunks(parts, columns)
        .map(|(from, to)| {
            let of = time.p99_ms.get(from..to).unwrap_or_default();
            of.iter().flatten().copied().fold(0.0, f64::max)
        })
        .collect();
    let highest = p99.iter().copied().fold(0.0, f64::max);
    let top = span(Duration::try_from_secs_f64(highest / 1e3).unwrap_or_default());
    lines.push(row("p99", &bars(&p99, highest), &format!("≤ {top}")));
    lines
}

/// Of a load that was over in a moment: who answered how much.
fn shares(report: &LoadReport, width: Option<usize>) -> Vec<String> {
    let most = report.backends.iter().map(|one| one.requests).max();
    let most = most.unwrap_or(0).max(1);
    let columns = width
        .map_or(COLUMNS, |width| width.saturating_sub(20).max(10))
        .min(COLUMNS);
    let row = |one: &crate::wire::LoadBackend| {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let length = (one.requests as f64 / most as f64 * columns as f64).round() as usize;
        format!(
            "  {:6}  {} {}",
            short(&one.id),
            "█".repeat(length),
            count(one.requests)
        )
    };
    report.backends.iter().map(row).collect()
}

/// The ends of `columns` groups of `parts`.
fn chunks(parts: usize, columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..columns).map(move |column| {
        let from = column * parts / columns;
        (from, ((column + 1) * parts / columns).max(from + 1))
    })
}

fn means(values: &[u64], columns: usize) -> Vec<f64> {
    chunks(values.len(), columns)
        .map(|(from, to)| {
            let of = values.get(from..to).unwrap_or_default();
            #[allow(clippy::cast_precision_loss)] // of a bar's height
            let mean = of.iter().sum::<u64>() as f64 / of.len().max(1) as f64;
            mean
        })
        .collect()
}

fn bars(values: &[f64], highest: f64) -> String {
    let bar = |value: &f64| match *value > 0.0 && highest > 0.0 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // it is from 0 to 7
        true => BARS[((value / highest * 8.0).ceil() as usize).clamp(1, 8) - 1],
        false => NONE,
    };
    values.iter().map(bar).collect()
}

/// How long the plot is, in seconds.
fn length(report: &LoadReport) -> f64 {
    #[allow(clippy::cast_precision_loss)] // of a few hundred
    let parts = report.timeline.requests.len() as f64;
    parts * report.timeline.width_s
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss
)] // of a column
fn column(at_s: f64, report: &LoadReport, columns: usize) -> usize {
    let place = at_s / length(report).max(f64::MIN_POSITIVE) * columns as f64;
    (place as usize).min(columns.saturating_sub(1))
}

fn axis(report: &LoadReport, columns: usize) -> String {
    let mut line = vec![' '; columns];
    let end = length(report);
    let steps = (columns / 12).clamp(1, 4);
    for step in 0..=steps {
        #[allow(clippy::cast_precision_loss)] // of at most 4
        let at = end * step as f64 / steps as f64;
        let label: Vec<char> = format!("{} s", number(at)).chars().collect();
        let place = column(at, report, columns);
        // The last one ends where the plot does.
        let place = place.min(columns.saturating_sub(label.len()));
        for (offset, letter) in label.iter().enumerate() {
            if let Some(cell) = line.get_mut(place + offset) {
                *cell = *letter;
            }
        }
    }
    line.into_iter().collect()
}

fn marks(report: &LoadReport, columns: usize) -> Option<String> {
    if report.actions.is_empty() {
        return None;
    }
    let mut line = vec![' '; columns];
    for action in &report.actions {
        line[column(action.at_s, report, columns)] = '▼';
    }
    Some(line.into_iter().collect())
}

fn failover_line(one: &LoadFailover) -> String {
    let ms = |ms: f64| span(Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default());
    let mut text = format!("{} at {:.1} s", short(&one.backend), one.at_s);
    match one.noticed_ms {
        Some(noticed) => {
            let _ = write!(text, " · noticed after {}", ms(noticed));
        }
        None => text.push_str(" · nobody noticed"),
    }
    if let (Some(restarted), Some(ready)) = (one.restarted_ms, one.ready_ms) {
        let start = (ready - restarted).max(0.0);
        let _ = write!(
            text,
            " · started after {} · ready {} later",
            ms(restarted),
            ms(start)
        );
    }
    if let Some(back) = one.back_ms {
        let _ = write!(text, " · back in the rotation after {}", ms(back));
    }
    if let Some(first) = one.first_request_ms {
        let _ = write!(text, " · first answer {} later", ms(first));
    }
    if let Some(n) = one.answered_while_out.filter(|n| *n > 0) {
        let _ = write!(text, " · {n} answers while it was out");
    }
    text
}

/// `web:8000` is `8000` to a person.
fn short(id: &str) -> &str {
    id.rsplit(':').next().unwrap_or(id)
}

/// A latency with two digits or three: `0.4 ms`, `61 ms`, `212 ms`, `1.51 s`, `12.5 s`.
fn span(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    match ms {
        ms if ms < 9.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 9_995.0 => format!("{:.2} s", ms / 1e3),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

/// Whole where it is, else with one or two digits.
pub(super) fn number(value: f64) -> String {
    let text = match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
pub(in crate::ui) mod tests;
