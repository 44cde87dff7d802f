//! How it looks: lines of spans, as many as the window has room for.

mod minute;

use std::time::Duration;

use console::measure_text_width;
use jiff::tz::TimeZone;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::model::{Mode, Model, algorithms};
use crate::ui::state::Look;
use crate::ui::units::{clock, count, latency};
use crate::ui::{Paint, events, status};
use crate::wire::{BackendHistory, BackendStatus, Event, History, Status};
use minute::minute;

/// Columns before a bar.
const MARGIN: usize = 3;
/// Lines that events have at least, where the window has room for anything but the table.
const EVENTS_MIN: usize = 3;

/// Whether and how to paint.
#[derive(Debug, Clone, Copy)]
struct Colors(bool);

impl Colors {
    fn of(self, color: Color) -> Style {
        match self.0 {
            true => Style::new().fg(color),
            false => Style::new(),
        }
    }

    fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    fn state(self, word: &str) -> Style {
        self.of(match word {
            "up" => Color::Green,
            "stopped" | "failed" | "unhealthy" => Color::Red,
            _ => Color::Yellow,
        })
    }
}

/// Draws all of it.
pub fn draw(frame: &mut Frame<'_>, model: &Model, paint: Paint, zone: &TimeZone) {
    let area = frame.area();
    let colors = Colors(paint.on());
    let lines = match (&model.status, &model.mode) {
        (_, Mode::Help) => help(),
        (None, _) => vec![Line::raw(" asking lbdev …")],
        (Some(status), _) => screen(model, status, area, colors, zone),
    };
    frame.render_widget(Paragraph::new(lines), area);
}

fn help() -> Vec<Line<'static>> {
    [
        " ↑ ↓   select a backend",
        " k     kill it, as a crash would; it stays down until it is started",
        " s     stop it when its requests have ended, or start it",
        " r     restart it",
        " d     drain it: no new requests; again: undrain",
        " z     freeze it: it hangs, its port accepts; again: thaw",
        " f     put a fault into its requests: latency=250ms, status=503, …",
        " a     another algorithm",
        " p     pause the picture",
        " q     leave; the servers go on",
        "",
        " REQ/S      answers in the last second     NOW  requests in flight",
        " P50 P99    of the last 10 s               5XX  errors it answered",
        " ELSEWHERE  requests it lost and another backend answered",
        " ━ up  ╌ draining  ◌ starting  ! unhealthy  ‖ frozen  ┄ down",
        " × answered an error in that second  → some of its requests went elsewhere",
        "",
        " any key leads back",
    ]
    .map(Line::raw)
    .to_vec()
}

fn screen(
    model: &Model,
    status: &Status,
    area: Rect,
    colors: Colors,
    zone: &TimeZone,
) -> Vec<Line<'static>> {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let names = status::names(&status.backends);
    let wide = names
        .iter()
        .map(|name| measure_text_width(name))
        .max()
        .unwrap_or(4)
        .max(4);
    let mut lines = vec![headline(model, status, width, colors)];
    let foot = foot(model, width, colors);
    // The footer always is there; of the rest what has room, the table first.
    let room = height.saturating_sub(lines.len() + 1);
    let mut body = Vec::new();
    if room > 1 {
        body.push(heads(wide, width, colors));
        let rows = room - 1;
        let first = first_shown(model.selected, status.backends.len(), rows);
        let shown = status
            .backends
            .iter()
            .zip(&names)
            .enumerate()
            .skip(first)
            .take(rows);
        let most = most_now(model.history.as_ref());
        for (place, (backend, name)) in shown {
            let history = of(model, backend);
            let selected = place == model.selected;
            body.push(row(
                backend,
                name,
                history,
                (wide, width, most),
                selected,
                colors,
            ));
        }
    } else if let Some((backend, name)) = status
        .backends
        .get(model.selected)
        .zip(names.get(model.selected))
    {
        body.push(row(
            backend,
            name,
            of(model, backend),
            (wide, width, 0),
            true,
            colors,
        ));
    }
    let left = room.saturating_sub(body.len());
    if left >= EVENTS_MIN + 3 {
        body.extend(minute(
            model,
            status,
            &names,
            (wide, width),
            left - EVENTS_MIN,
            colors,
        ));
    }
    let left = room.saturating_sub(body.len());
    if left > 1 {
        body.push(rule("what happened", width, colors));
        let last = model.events.iter().rev().take(left - 1);
        let last: Vec<&Event> = last.collect();
        body.extend(
            last.into_iter()
                .rev()
                .map(|event| happened(event, zone, width, colors)),
        );
    }
    body.truncate(room);
    body.resize(room, Line::default());
    lines.extend(body);
    lines.push(foot);
    lines.truncate(height);
    lines
}

/// The first of so many rows, so that the selected one is among them.
fn first_shown(selected: usize, count: usize, rows: usize) -> usize {
    let last_first = count.saturating_sub(rows);
    selected
        .saturating_sub(rows.saturating_sub(1))
        .min(last_first)
}

fn of<'a>(model: &'a Model, backend: &BackendStatus) -> Option<&'a BackendHistory> {
    let history = model.history.as_ref()?;
    history.backends.iter().find(|one| one.id == backend.id)
}

fn last(counts: &[u64]) -> u64 {
    counts.last().copied().unwrap_or_default()
}

fn most_now(history: Option<&History>) -> u64 {
    let all = history.iter().flat_map(|history| &history.backends);
    all.map(|one| last(&one.requests)).max().unwrap_or_default()
}

fn headline(model: &Model, status: &Status, width: usize, colors: Colors) -> Line<'static> {
    let history = model.history.as_ref();
    let algorithm = status.balancer.algorithm.replace('_', " ");
    let mut left = format!(" lbdev top · {} · {algorithm}", status.project);
    if model.paused {
        left.push_str(" · PAUSED");
    }
    let now: u64 = history.map_or(0, |history| {
        history.backends.iter().map(|one| last(&one.requests)).sum()
    });
    let ms = |ms: Option<f64>| span(ms).unwrap_or_else(|| "-".to_owned());
    let right = format!(
        "{} req/s   lost {}   p50 {}   p99 {} ",
        count(now),
        count(status.balancer.failures.unwrap_or(0)),
        ms(history.and_then(|history| history.p50_ms)),
        ms(history.and_then(|history| history.p99_ms)),
    );
    let gap = width.saturating_sub(measure_text_width(&left) + measure_text_width(&right));
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let lost = if status.balancer.failures > Some(0) {
        colors.of(Color::Red)
    } else {
        Style::new()
    };
    match gap {
        // What moves is worth more than what is known.
        0 => Line::from(vec![Span::styled(right.trim_end().to_owned(), lost)]),
        gap => Line::from(vec![
            Span::styled(left, bold),
            Span::raw(" ".repeat(gap)),
            Span::styled(right, lost),
        ]),
    }
}

fn span(ms: Option<f64>) -> Option<String> {
    let duration = Duration::try_from_secs_f64(ms? / 1e3).ok()?;
    Some(latency(duration))
}

/// Columns of the table behind the name and the state, with their widths; what has no room goes from the right.
const COLUMNS: [(&str, usize); 7] = [
    ("REQ/S", 6),
    ("", 11),
    ("NOW", 4),
    ("P50", 7),
    ("P99", 7),
    ("5XX", 5),
    ("ELSEWHERE", 10),
];
/// Of the state.
const STATE: usize = 12;

fn columns(wide: usize, width: usize) -> usize {
    let mut used = MARGIN + wide + 1 + STATE;
    let fitting = COLUMNS.iter().take_while(|(_, wide)| {
        used += wide;
        used <= width
    });
    fitting.count()
}

fn heads(wide: usize, width: usize, colors: Colors) -> Line<'static> {
    let mut text = format!("   {:<wide$} {:<STATE$}", "PORT", "STATE");
    for (head, wide) in &COLUMNS[..columns(wide, width)] {
        text.push_str(&format!("{head:>wide$}"));
    }
    Line::styled(text, colors.dim())
}

fn row(
    backend: &BackendStatus,
    name: &str,
    history: Option<&BackendHistory>,
    (wide, width, most): (usize, usize, u64),
    selected: bool,
    colors: Colors,
) -> Line<'static> {
    let look = match backend.done {
        true => Look::DONE,
        false => Look::of_word(&backend.state),
    };
    let mark = if selected { " ▸ " } else { "   " };
    let now = history.map_or(0, |history| last(&history.requests));
    let dash = || "-".to_owned();
    let p = |read: fn(&BackendHistory) -> Option<f64>| {
        history
            .and_then(read)
            .and_then(|ms| span(Some(ms)))
            .unwrap_or_else(dash)
    };
    let cells = [
        count(now),
        match most {
            0 => String::new(),
            // The longest is ten wide.
            most => format!(
                " {:<10}",
                "█".repeat(usize::try_from(now * 10 / most).unwrap_or(10).min(10))
            ),
        },
        count(backend.in_flight.unwrap_or(0)),
        p(|history| history.p50_ms),
        p(|history| history.p99_ms),
        count(backend.errors.unwrap_or(0)),
        count(backend.retried_elsewhere.unwrap_or(0)),
    ];
    let fill = " ".repeat(wide.saturating_sub(measure_text_width(name)));
    let style = match selected {
        true => Style::new().add_modifier(Modifier::BOLD),
        false => Style::new(),
    };
    let state = format!("{:<STATE$}", format!("{} {}", look.glyph, look.word));
    let mut rest = String::new();
    for ((_, wide), cell) in COLUMNS[..columns(wide, width)].iter().zip(cells) {
        rest.push_str(&format!("{cell:>wide$}"));
    }
    let mut spans = vec![
        Span::styled(format!("{mark}{name}{fill} "), style),
        Span::styled(state, colors.state(look.word)),
        Span::styled(rest, style),
    ];
    if let Some(fault) = &backend.fault {
        let used: usize = spans.iter().map(Span::width).sum();
        let text = cut(&format!("  ! {fault}"), width.saturating_sub(used));
        spans.push(Span::styled(text, colors.of(Color::Yellow)));
    }
    Line::from(spans)
}

/// At most so wide; what is cut ends with a sign of that.
fn cut(text: &str, width: usize) -> String {
    console::truncate_str(text, width, "…").into_owned()
}

fn rule(title: &str, width: usize, colors: Colors) -> Line<'static> {
    let text = format!(" ── {title} ");
    let fill = "─".repeat(width.saturating_sub(measure_text_width(&text) + 1));
    Line::styled(format!("{text}{fill}"), colors.dim())
}

fn happened(event: &Event, zone: &TimeZone, width: usize, colors: Colors) -> Line<'static> {
    let text = events::body(event, Paint::new(false));
    let style = match event.kind.as_str() {
        "lost" | "trouble" => colors.of(Color::Red),
        "failover" | "fault" => colors.of(Color::Yellow),
        _ => Style::new(),
    };
    Line::from(vec![
        Span::styled(format!(" {} ", clock(event.at, zone)), colors.dim()),
        Span::styled(cut(&text, width.saturating_sub(10)), style),
    ])
}

/// Keys, or what is asked, or what was said.
fn foot(model: &Model, width: usize, colors: Colors) -> Line<'static> {
    match (&model.mode, &model.said) {
        (Mode::Fault(text), _) => {
            let name = model.status.as_ref().and_then(|status| {
                let name = status::names(&status.backends);
                name.get(model.selected).cloned()
            });
            let name = name.unwrap_or_default();
            Line::raw(format!(
                " fault of {name}: {text}▏  Enter does it, Esc leaves"
            ))
        }
        (Mode::Algorithm, _) => {
            let all = algorithms().enumerate();
            let all: Vec<String> = all
                .map(|(place, name)| format!("{} {name}", place + 1))
                .collect();
            Line::raw(format!(" {}", all.join("  ")))
        }
        (_, Some((text, bad))) => {
            let color = if *bad { Color::Red } else { Color::Green };
            Line::styled(format!(" {text}"), colors.of(color))
        }
        _ => keys(width, colors),
    }
}

/// As many as have room, the last two in any case.
fn keys(width: usize, colors: Colors) -> Line<'static> {
    const KEYS: [&str; 9] = [
        "↑↓ select",
        "k kill",
        "s start",
        "r restart",
        "d drain",
        "z freeze",
        "f fault",
        "a algorithm",
        "p pause",
    ];
    let ends = "? help  q quit";
    let mut text = String::new();
    for key in KEYS {
        let needs = measure_text_width(&text) + 1 + measure_text_width(key) + 2 + ends.len();
        if needs > width {
            break;
        }
        text.push_str(key);
        text.push_str("  ");
    }
    Line::styled(format!(" {text}{ends}"), colors.dim())
}

#[cfg(test)]
mod tests;
