use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::ui::events::tests::event;
use crate::ui::status::tests::{backend, status};
use crate::ui::top::Key;

fn model(count: u16) -> Model {
    let mut backends: Vec<BackendStatus> = (0..count).map(|n| backend(8000 + n, "up")).collect();
    backends[0].state = "stopped".into();
    backends[0].pid = None;
    backends[0].retried_elsewhere = Some(7);
    if let Some(second) = backends.get_mut(1) {
        second.fault = Some("latency=250ms".into());
        second.errors = Some(3);
    }
    let mut one_lost = vec![0; 60];
    one_lost[44] = 2;
    let of = |n: u16| {
        let down = |second: usize| n == 0 && second >= 44;
        BackendHistory {
            id: format!("web:{}", 8000 + n),
            p50_ms: (n > 0).then_some(11.0),
            p99_ms: (n > 0).then_some(48.5),
            requests: (0..60)
                .map(|s| {
                    if down(s) {
                        0
                    } else if s < 44 {
                        78
                    } else {
                        104
                    }
                })
                .collect(),
            errors: (0..60).map(|s| u64::from(n == 1 && s == 50)).collect(),
            failed: vec![0; 60],
            elsewhere: (0..60)
                .map(|s| if n == 0 && s == 43 { 7 } else { 0 })
                .collect(),
            p99s_ms: vec![None; 60],
            states: (0..60)
                .map(|s| match s {
                    0 => "",
                    1 | 2 => "starting",
                    s if down(s) => "stopped",
                    _ => "up",
                })
                .map(str::to_owned)
                .collect(),
        }
    };
    let history = History {
        version: 1,
        seconds: 60,
        window_s: 10,
        p50_ms: Some(11.0),
        p99_ms: Some(48.0),
        lost: one_lost,
        backends: (0..count).map(of).collect(),
    };
    let killed = Event {
        to: Some("stopping".into()),
        ..event(
            "state",
            Some("web:8000"),
            "killed by you (SIGKILL, pid 4301)",
        )
    };
    let mut model = Model::default();
    let events = vec![
        killed,
        event(
            "failover",
            Some("web:8001"),
            "GET / 200 8000 closed the connection before it answered → 8001 answered",
        ),
    ];
    let mut told = status(backends);
    told.balancer.failures = Some(2);
    model.update(told, history, events);
    model
}

fn drawn(model: &Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let paint = Paint::new(false);
    terminal
        .draw(|frame| draw(frame, model, paint, &TimeZone::UTC))
        .unwrap();
    let buffer = terminal.backend().buffer().clone();
    let lines = (0..height).map(|y| {
        let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

#[test]
fn at_80_by_24() {
    insta::assert_snapshot!(drawn(&model(4), 80, 24), @"
    lbdev top · mysite · round robin      312 req/s   lost 2   p50 11ms   p99 48ms
      PORT STATE        REQ/S            NOW    P50    P99  5XX ELSEWHERE
    ▸ 8000 ✗ stopped        0              0      -      -    0         7
      8001 ● up           104 ██████████   0   11ms   48ms    3         0  ! laten…
      8002 ● up           104 ██████████   0   11ms   48ms    0         0
      8003 ● up           104 ██████████   0   11ms   48ms    0         0
    ── the last 60 s ─────────────────────────────────────────────────────────────
      8000 ▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆················
            ◌◌━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━→✗┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄
      8001 ▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆████████████████
            ◌◌━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━×━━━━━━━━━
      8002 ▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆████████████████
            ◌◌━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
      8003 ▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆████████████████
            ◌◌━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
      lost ············································█···············
    ── what happened ─────────────────────────────────────────────────────────────
    14:02:15 ✗ 8000 killed by you (SIGKILL, pid 4301)
    14:02:15 → GET / 200 8000 closed the connection before it answered → 8001 answ…




    ↑↓ select  k kill  s start  r restart  d drain  z freeze  ? help  q quit
    ");
}

#[test]
fn small_windows_show_what_is_worth_most() {
    let mut model = model(4);
    insta::assert_snapshot!(drawn(&model, 40, 8), @"
    312 req/s   lost 2   p50 11ms   p99 48ms
       PORT STATE        REQ/S
     ▸ 8000 ✗ stopped        0
       8001 ● up           104 ██████████  …
       8002 ● up           104 ██████████
       8003 ● up           104 ██████████

     ↑↓ select  k kill  ? help  q quit
    ");
    model.press(Key::Down);
    insta::assert_snapshot!(drawn(&model, 20, 5), @"
    312 req/s   lost 2
       PORT STATE
       8000 ✗ stopped
     ▸ 8001 ● up
     ? help  q quit
    ");
    insta::assert_snapshot!(drawn(&model, 20, 2), @"
    312 req/s   lost 2
     ? help  q quit
    ");
}

#[test]
fn what_is_asked_and_said_stands_below() {
    let mut model = model(2);
    let foot = |model: &Model| drawn(model, 100, 12).lines().last().unwrap().to_owned();
    assert_eq!(
        foot(&model),
        " ↑↓ select  k kill  s start  r restart  d drain  z freeze  f fault  a algorithm  ? help  q quit"
    );
    model.press(Key::Char('f'));
    assert_eq!(
        foot(&model),
        " fault of 8000: latency=250ms▏  Enter does it, Esc leaves"
    );
    model.press(Key::Escape);
    model.press(Key::Char('a'));
    assert_eq!(
        foot(&model),
        " 1 round_robin  2 least_conn  3 random_two  4 peak_ewma  5 ip_hash  6 hash"
    );
    model.press(Key::Escape);
    model.say("8000 is killed", false);
    assert_eq!(foot(&model), " 8000 is killed");
    model.press(Key::Char('?'));
    assert!(drawn(&model, 80, 24).contains("any key leads back"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    /// No window is too small, and the selected backend is on the screen wherever there is room for a row.
    #[test]
    fn no_window_is_too_small(width in 1u16..120, height in 1u16..50, count in 1u16..40, down in 0usize..45) {
        let mut model = model(count);
        for _ in 0..down {
            model.press(Key::Down);
        }
        let text = drawn(&model, width, height);
        if width > 20 && height > 3 {
            prop_assert!(text.contains('▸'), "{}", text);
        }
    }
}
