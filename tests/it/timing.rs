//! How long the everyday commands take, printed for a look (`tests/run timing -- --nocapture` shows a debug build's), and
//! held only to bounds that a busy machine keeps too.

use std::time::{Duration, Instant};

use crate::harness::Lbdev;
use crate::http;
use crate::wait::{s, until};

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn from_command_to_first_answer() {
    let lbdev = Lbdev::new();
    let mut times = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        let mut up = lbdev.start(&lbdev.with_ports("demo", &[]));
        until(s(30), "it answered", || {
            http::get(lbdev.ports.listen(), "/").is_ok_and(|response| response.status == 200)
        });
        times.push(begun.elapsed());
        up.signal_group(rustix::process::Signal::INT);
        up.wait_exit(s(15));
    }
    let median = median(times);
    println!("command to first answer (demo, debug build): {median:?}");
    assert!(median < s(5));
}

#[test]
fn round_trips() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let first = lbdev.ports.first.to_string();
    let time = |args: &[&str]| lbdev.run(args).ok().took;
    let status = median((0..5).map(|_| time(&["status", "--json"])).collect());
    let mut kills = Vec::new();
    for _ in 0..3 {
        kills.push(time(&["kill", &first]));
        time(&["start", &first]);
    }
    let kill = median(kills);
    let down = time(&["down"]);
    println!("round trips (debug build): status {status:?}, kill {kill:?}, down {down:?}");
    assert!(status < s(5) && kill < s(5) && down < s(8));
}
