//! The last minute: a bar a second, and below it a line of states.

use console::measure_text_width;
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};

use super::{Colors, MARGIN, first_shown, rule};
use crate::ui::top::Model;
use crate::wire::{BackendHistory, Status};

/// One bar a second.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar a second and a line of states, for as many backends as there is room for; the selected one is always among them.
pub(super) fn minute(
    model: &Model,
    status: &Status,
    names: &[String],
    (wide, width): (usize, usize),
    room: usize,
    colors: Colors,
) -> Vec<Line<'static>> {
    let Some(history) = &model.history else {
        return Vec::new();
    };
    let seconds = history.seconds.min(width.saturating_sub(MARGIN + wide + 2));
    if seconds < 5 {
        return Vec::new();
    }
    let mut lines = vec![rule(&format!("the last {seconds} s"), width, colors)];
    // A rule, and the line of lost requests.
    let fitting = room.saturating_sub(2) / 2;
    let first = first_shown(model.selected, status.backends.len(), fitting);
    let most = history
        .backends
        .iter()
        .flat_map(|one| tail(&one.requests, seconds))
        .copied()
        .max();
    let most = most.unwrap_or_default();
    let shown = status.backends.iter().zip(names).skip(first).take(fitting);
    for (backend, name) in shown {
        let Some(one) = history.backends.iter().find(|one| one.id == backend.id) else {
            continue;
        };
        let fill = " ".repeat(wide.saturating_sub(measure_text_width(name)));
        let bars: String = tail(&one.requests, seconds)
            .iter()
            .map(|n| bar(*n, most))
            .collect();
        lines.push(Line::from(vec![
            Span::raw(format!("   {name}{fill} ")),
            Span::styled(bars, colors.of(Color::Cyan)),
        ]));
        let mut spans = vec![Span::raw(" ".repeat(MARGIN + wide + 1))];
        spans.extend(states(one, seconds, colors));
        lines.push(Line::from(spans));
    }
    let lost: String = tail(&history.lost, seconds)
        .iter()
        .map(|n| bar(*n, (*n).max(1)))
        .collect();
    let any = tail(&history.lost, seconds).iter().any(|n| *n > 0);
    let style = if any {
        colors.of(Color::Red)
    } else {
        Style::new()
    };
    lines.push(Line::from(vec![
        Span::raw(format!("   {:<wide$} ", "lost")),
        Span::styled(lost, style),
    ]));
    lines
}

fn tail<T>(all: &[T], count: usize) -> &[T] {
    &all[all.len().saturating_sub(count)..]
}

/// Of eight heights; nothing is a dot.
fn bar(n: u64, most: u64) -> char {
    match (n, most) {
        (0, _) | (_, 0) => '·',
        (n, most) => {
            let place = (n * 8).div_ceil(most).saturating_sub(1);
            BARS[usize::try_from(place).unwrap_or(7).min(7)]
        }
    }
}

/// One sign a second, neighbours of a kind in one span.
fn states(one: &BackendHistory, seconds: usize, colors: Colors) -> Vec<Span<'static>> {
    let states = tail(&one.states, seconds);
    let (errors, elsewhere) = (tail(&one.errors, seconds), tail(&one.elsewhere, seconds));
    let mut spans: Vec<(String, Style)> = Vec::new();
    let mut before = "";
    for (place, state) in states.iter().enumerate() {
        let has = |counts: &[u64]| counts.get(place).is_some_and(|n| *n > 0);
        let down = matches!(state.as_str(), "stopped" | "failed" | "backoff");
        let (sign, style) = match state.as_str() {
            "" => (' ', Style::new()),
            _ if down && before != "down" => ('✗', colors.of(Color::Red)),
            _ if down => ('┄', colors.of(Color::Red)),
            _ if has(errors) => ('×', colors.of(Color::Red)),
            _ if has(elsewhere) => ('→', colors.of(Color::Yellow)),
            "up" => ('━', colors.of(Color::Green)),
            "draining" | "stopping" => ('╌', colors.of(Color::Yellow)),
            "starting" => ('◌', colors.of(Color::Yellow)),
            "unhealthy" => ('!', colors.of(Color::Red)),
            "frozen" => ('‖', colors.of(Color::Yellow)),
            _ => ('?', Style::new()),
        };
        before = if down { "down" } else { state };
        match spans.last_mut() {
            Some((text, last)) if *last == style => text.push(sign),
            _ => spans.push((sign.to_string(), style)),
        }
    }
    spans
        .into_iter()
        .map(|(text, style)| Span::styled(text, style))
        .collect()
}
