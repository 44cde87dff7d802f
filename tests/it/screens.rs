//! What a person sees and presses: `up` with its keys, `top`, in real terminals; and how the terminal is afterwards.

use regex::Regex;

use crate::harness::Lbdev;
use crate::tmux::Window;
use crate::wait::{holds_within, s};

/// What differs from one run to the next, made the same: ports, pids, times, the version. Lines keep their width where
/// columns matter.
fn plain(lbdev: &Lbdev, screen: &str) -> String {
    let mut text = screen.to_owned();
    for (index, port) in lbdev.ports.four().into_iter().enumerate() {
        text = text.replace(&port.to_string(), &format!("P{index:0>4}"));
    }
    text = text.replace(&lbdev.ports.listen().to_string(), "P8080");
    for (pattern, with) in [
        (r"\d\d:\d\d:\d\d", "00:00:00"),
        // The next free port.
        (r"(dashboard  http://127.0.0.1:)\d+", "${1}P8090"),
        (r"pid +\d+", "pid N"),
        (r"\d+(\.\d+)? (ms|s)\b", "T"),
        (r" +\d+(\.\d)?m?s\b", " T"),
        (r"lbdev \d+\.\d+\.\d+", "lbdev V"),
        // One of four speaks for all: the first that said something.
        (
            r"P\d+ │ demo server on http://127.0.0.1:P\d+/",
            "P0000 │ demo server on http://127.0.0.1:P0000/",
        ),
    ] {
        let pattern = Regex::new(pattern).unwrap();
        text = pattern.replace_all(&text, with).into_owned();
    }
    let lines = text.lines().map(|line| line.trim_end().to_owned() + "\n");
    let text: String = lines.collect();
    text.trim_end().to_owned() + "\n"
}

fn demo(lbdev: &Lbdev) -> String {
    format!("lbdev {}", lbdev.with_ports("demo", &[]).join(" "))
}

/// Waits for the end of a foreground program: the prompt is the last line.
#[track_caller]
fn until_prompt(window: &Window) {
    window.wait_for("the prompt", |screen| {
        screen
            .trim_end()
            .lines()
            .last()
            .is_some_and(|line| line.trim_end() == "$")
    });
}

#[test]
fn up_and_its_keys_at_80_by_24() {
    let lbdev = Lbdev::new();
    let Some(window) = Window::open(&lbdev, 80, 24) else {
        return;
    };
    let before = window.output("stty -g");
    window.runs(&format!("clear; {}", demo(&lbdev)));
    window.wait("q quit");
    window.wait("of the others");
    let shown = plain(&lbdev, &window.screen());
    insta::assert_snapshot!(shown, @r"
      lbdev V   demo · the built-in demo backend · 4 backends (copies of your se
    rver) · round robin

      ✓ ports P0000-P0003, P8080 are free
      ✓ P0000 ready  T  pid N
      ✓ P0001 ready  T  pid N
      ✓ P0002 ready  T  pid N
      ✓ P0003 ready  T  pid N

      ➜ app        http://demo.localhost:P8080/
      ➜ dashboard  http://127.0.0.1:P8090/   o opens it
      ➜ try        lbdev kill P0000   ·   lbdev top   ·   lbdev lab failover

    lbdev: ready http://localhost:P8080 (4/4)

      k kill  s start  r restart  d drain  f fault  t top  o page  h help  q quit

    P0000 │ demo server on http://127.0.0.1:P0000/
    … and 3 lines of the others: `lbdev logs`
    ");
    let [a, b, ..] = lbdev.ports.four();

    // `k` asks for a port, and Enter takes the first.
    window.types("k");
    window.wait(&format!("kill which? {a}"));
    window.types(&b.to_string());
    window.presses("BSpace");
    window.presses("Escape");
    window.wait_for("the question is gone", |screen| {
        !screen.contains("kill which?")
    });
    window.types("k");
    window.wait("kill which?");
    window.presses("Enter");
    window.wait(&format!("✗ {a} killed by you (SIGKILL"));
    lbdev.until_state(a, "stopped", s(10));
    window.types("s");
    window.wait(&format!("[{a}]"));
    window.presses("Enter");
    window.wait(&format!("● {a} up again"));
    window.types("d");
    window.wait("drain which?");
    window.runs(&b.to_string());
    window.wait(&format!("{b} drained by you"));
    window.types("d");
    window.wait("drain which?");
    window.runs(&b.to_string());
    window.wait(&format!("{b} undrained by you"));
    window.types("f");
    window.wait("fault, of which and what?");
    window.runs(&format!("{b} status=503 path=/x"));
    window.wait("has a fault from now on");
    assert_eq!(lbdev.backend(b)["fault"], "status=503 path=/x");
    // What cannot be is said, in the same words as by the verb.
    window.types("f");
    window.wait("fault, of which and what?");
    window.runs(&format!("{b} latancy=1s"));
    window.wait("did you mean `latency`?");
    window.types("a");
    window.wait("own lines about requests are shown");
    window.types("h");
    window.wait("the live screen");
    // A question stays below what comes meanwhile.
    window.types("r");
    window.wait("restart which?");
    assert_eq!(lbdev.get("/below").status, 404);
    window.wait("GET /below 404");
    let screen = window.screen();
    let last = screen.trim_end().lines().last().unwrap();
    assert!(last.starts_with("restart which?"), "{screen}");
    window.presses("Escape");

    // `q` ends it all, and the terminal is as before.
    window.types("q");
    until_prompt(&window);
    assert_eq!(window.output("stty -g"), before);
    lbdev.assert_all_backends_gone();
    drop(window);
}

#[test]
fn up_and_top_at_200_by_50() {
    let lbdev = Lbdev::new();
    let Some(window) = Window::open(&lbdev, 200, 50) else {
        return;
    };
    let before = window.output("stty -g");
    window.runs(&format!("clear; {}", demo(&lbdev)));
    window.wait("q quit");
    lbdev.next_ports(8);
    window.types("t");
    window.wait("what happened");
    let [_, b, ..] = lbdev.ports.four();
    window.presses("Down");
    window.types("k");
    window.wait(&format!("lbdev kill {b}"));
    window.wait(&format!("{b} ✗ stopped"));
    let screen = window.screen();
    assert!(
        screen.contains("lbdev top · demo · round robin"),
        "{screen}"
    );
    assert!(screen.contains("── the last 60 s ──"), "{screen}");
    window.wait("killed by you (SIGKILL");
    window.types("q");
    // Back in `up`: what came meanwhile is shown, and keys work.
    window.wait(&format!("✗ {b} killed by you"));
    window.types("s");
    window.wait("start which?");
    window.presses("Enter");
    window.wait(&format!("● {b} up again"));
    window.presses("C-c");
    window.wait("Ctrl-C again kills them");
    until_prompt(&window);
    assert_eq!(window.output("stty -g"), before);
    drop(window);
}

#[test]
fn top_shows_kills_freezes_and_lets_go() {
    let lbdev = Lbdev::new();
    let Some(window) = Window::open(&lbdev, 80, 24) else {
        return;
    };
    lbdev.demo();
    let [a, b, ..] = lbdev.ports.four();
    lbdev.next_ports(4);
    let before = window.output("stty -g");
    window.runs("lbdev top");
    window.wait("what happened");
    // All of its bars have to be there: one request each.
    window.wait_for("the requests", |screen| screen.matches('█').count() >= 4);
    let shown = plain(&lbdev, &window.screen());
    // What depends on the second that it began in is left out: bars and states.
    let fixed: Vec<&str> = shown
        .lines()
        .filter(|line| !line.contains(['·', '━', '█', '◌']))
        .collect();
    // In which order they were ready.
    let ready = Regex::new(r"P000\d up after").unwrap();
    let fixed = ready
        .replace_all(&fixed.join("\n"), "P up after")
        .into_owned();
    insta::assert_snapshot!(fixed, @"
      PORT  STATE        REQ/S            NOW    P50    P99  5XX ELSEWHERE
    ── the last T ─────────────────────────────────────────────────────────────
    ── what happened ─────────────────────────────────────────────────────────────
    00:00:00 ● P up after T (pid N)
    00:00:00 ● P up after T (pid N)
    00:00:00 ● P up after T (pid N)
    00:00:00 ● P up after T (pid N)
    ↑↓ select  k kill  s start  r restart  d drain  z freeze  ? help  q quit
    ");
    window.types("z");
    window.wait(&format!("{a} ‖ frozen"));
    window.types("z");
    window.wait(&format!("{a} ● up"));
    window.presses("Down");
    window.types("f");
    window.wait(&format!("fault of {b}: latency=250ms"));
    window.presses("Enter");
    window.wait("! late");
    window.types("a");
    window.wait("2 least_conn");
    window.types("2");
    window.wait("demo · least conn");
    window.types("p");
    window.wait("PAUSED");
    window.types("p");
    window.types("?");
    window.wait("any key leads back");
    window.types("x");
    window.wait("what happened");
    // Any window will do.
    window.resize(20, 5);
    window.wait_for("a small picture", |screen| {
        screen.contains('▸') && screen.contains("q quit")
    });
    window.resize(200, 50);
    window.wait("what happened");

    // A signal, a key, and the end of lbdev: the terminal is as before.
    window.types("q");
    until_prompt(&window);
    assert_eq!(window.output("stty -g"), before);
    window.resize(80, 24);
    for signal in ["TERM", "HUP"] {
        window.runs("clear; lbdev top");
        window.wait("what happened");
        let pid = lbdev.top_pid();
        crate::harness::kill(
            pid,
            match signal {
                "TERM" => rustix::process::Signal::TERM,
                _ => rustix::process::Signal::HUP,
            },
        );
        until_prompt(&window);
        assert_eq!(window.output("stty -g"), before, "{signal}");
    }
    window.runs("clear; lbdev top");
    window.wait("what happened");
    lbdev.run(&["down"]).ok();
    window.wait("lbdev has ended");
    until_prompt(&window);
    assert_eq!(window.output("stty -g"), before);
    window.runs("clear; lbdev top");
    window.wait("error[LB005]");
    drop(window);
}

#[test]
fn a_job_in_the_background_leaves_the_keys_alone() {
    let lbdev = Lbdev::new();
    let Some(window) = Window::open(&lbdev, 100, 30) else {
        return;
    };
    let before = window.output("stty -g");
    window.runs(&format!("clear; {} > out 2>&1 &", demo(&lbdev)));
    lbdev.until_serving();
    window.runs("clear; echo the keys are 'mine'");
    window.wait("the keys are mine");
    assert_eq!(window.output("stty -g"), before);
    // Also one that writes to the terminal.
    window.runs("kill %1; wait");
    window.runs(&format!("clear; {} &", demo(&lbdev)));
    window.wait("lbdev: ready");
    lbdev.until_serving();
    window.presses("Enter");
    window.runs("echo still 'mine'");
    window.wait("still mine");
    // In front it has keys; stopped with Ctrl-Z it gives them back.
    window.runs("fg");
    let [a, ..] = lbdev.ports.four();
    let asked = holds_within(s(10), || {
        window.types("k");
        holds_within(s(1), || window.screen().contains("kill which?"))
    });
    assert!(asked, "{}", window.screen());
    window.presses("Escape");
    // An escape that is followed at once would be the beginning of another key.
    window.wait_for("the question is gone", |screen| {
        !screen.contains("kill which?")
    });
    window.presses("C-z");
    window.wait("Stopped");
    assert_eq!(window.output("stty -g"), before);
    window.runs("fg");
    let asked = holds_within(s(10), || {
        window.types("k");
        holds_within(s(1), || window.screen().trim_end().ends_with("›"))
    });
    assert!(asked, "{}", window.screen());
    window.presses("C-u");
    window.runs(&format!("k{a}"));
    window.wait(&format!("{a} killed by you"));
    window.types("q");
    until_prompt(&window);
    assert_eq!(window.output("stty -g"), before);
    drop(window);
}

#[test]
fn a_terminal_that_goes_away_takes_everything_with_it() {
    let lbdev = Lbdev::new();
    let Some(window) = Window::open(&lbdev, 80, 24) else {
        return;
    };
    window.runs(&demo(&lbdev));
    window.wait("q quit");
    window.types("k");
    window.wait("kill which?");
    window.close();
    drop(window);
    // Whoever holds the balancer's port ends last.
    let gone = holds_within(s(20), || lbdev.processes().is_empty());
    assert!(gone, "{:#?}", lbdev.processes());
    lbdev.assert_all_gone();
}

#[test]
fn a_dumb_terminal_gets_plain_lines() {
    let lbdev = Lbdev::new();
    let Some(window) = Window::open(&lbdev, 100, 30) else {
        return;
    };
    window.runs(&format!("export TERM=dumb; clear; {}", demo(&lbdev)));
    window.wait("lbdev: ready");
    assert!(!window.all().contains("q quit"), "{}", window.all());
    window.presses("C-c");
    until_prompt(&window);
    lbdev.demo();
    window.runs("lbdev top");
    window.wait("error[LB033]: this terminal cannot move its cursor");
    window.runs("lbdev status");
    window.wait("SERVING");
    drop(window);
}

/// Clone, one command, kill a backend, see the failover: each command but the first stands on the screen before it is typed.
#[test]
fn a_newcomer_types_only_what_the_screen_names() {
    let lbdev = Lbdev::new();
    let Some(window) = Window::open(&lbdev, 120, 40) else {
        return;
    };
    let [a, b, ..] = lbdev.ports.four();
    // The first command is in the README, the first of its first minute.
    window.runs(&format!("clear; {} -d", demo(&lbdev)));
    let kill = format!("lbdev kill {a}");
    window.wait(&kill);
    until_prompt(&window);
    window.runs(&format!("clear; {kill}"));
    let start = format!("lbdev start {a}");
    window.wait(&start);
    let seen = lbdev.next_ports(3);
    assert_eq!(seen[0], b, "the page goes on");
    let help = lbdev.run(&["--help"]).ok();
    assert!(help.stdout.contains("status "), "{help}");
    window.runs("clear; lbdev status");
    window.wait("✗ stopped");
    window.wait(&format!("next  {start}"));
    window.runs(&format!("clear; {start}"));
    window.wait("back in the rotation");
    let keys = [kill.len(), "lbdev status".len(), start.len()];
    let keys: usize = keys.iter().map(|length| length + 1).sum();
    crate::numbers::tell(&format!(
        "a newcomer's path after `lbdev demo`: 3 commands, {keys} keys"
    ));
    lbdev.run(&["down"]).ok();
    drop(window);
}
