//! What backends write, through the real binary: kinds of lines, very many of them, files that are begun anew, disks that
//! are full.

use std::path::PathBuf;

use crate::harness::{LBDEV, Lbdev, Running};
use crate::small_disk::SmallDisk;
use crate::wait::{drill, holds_within, s, until};
use crate::{http, load, need};

/// Backends that run `before` in a shell, and then serve.
fn after(lbdev: &Lbdev, before: &str) {
    lbdev.script(
        "serve.sh",
        &format!("#!/bin/sh\nport=$1\n{before}\nexec {LBDEV} __demo --port \"$port\"\n"),
    );
    lbdev.service_file("./serve.sh {port}", "", "");
}

fn logs_dir(lbdev: &Lbdev) -> PathBuf {
    let mut folders = std::fs::read_dir(lbdev.root().join("state/lbdev")).unwrap();
    folders.next().unwrap().unwrap().path().join("logs")
}

#[test]
fn every_kind_of_line() {
    let lbdev = Lbdev::new();
    after(
        &lbdev,
        "printf 'half '; printf 'a line\\n'\nprintf '10%%\\r55%%\\r100%%\\n'\nprintf 'bin\\377ary\\001\\n'\n\
         printf '\\033[31mred\\033[0m\\n'\nhead -c 1000000 /dev/zero | tr '\\0' x; echo\necho to-stderr >&2\n\
         printf 'no newline at the end' >&2",
    );
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let port = lbdev.ports.first.to_string();
    let lines: Vec<serde_json::Value> = lbdev
        .run(&["logs", &port, "--json"])
        .ok()
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |stream: &str| -> Vec<String> {
        let of_it = lines.iter().filter(|line| line["stream"] == stream);
        of_it
            .map(|line| line["text"].as_str().unwrap().to_owned())
            .collect()
    };
    let out = of("stdout");
    assert_eq!(
        out[..4],
        [
            "half a line",
            "100%",
            "bin\u{fffd}ary\u{1}",
            "\u{1b}[31mred\u{1b}[0m"
        ]
    );
    assert!(
        out[4].len() < 70_000
            && out[4].ends_with("a line longer than 64 KiB, the rest is left out]"),
        "{}",
        out[4].len()
    );
    // For eyes that read a file there are no escapes.
    let plain = lbdev.run(&["logs", &port, "--grep", "red"]).ok().stdout;
    assert!(
        plain.contains("red") && !plain.contains('\u{1b}'),
        "{plain:?}"
    );
    assert_eq!(of("stderr"), ["to-stderr"]);
    // What has no newline yet is a line when the process ends.
    lbdev.run(&["kill", &port]).ok();
    let said = lbdev.run(&["logs", &port]).ok().stdout;
    assert!(
        said.contains("no newline at the end\n"),
        "{}",
        &said[said.len() - 200..]
    );
}

/// 100,000 lines a second from each of four: nobody waits, nothing is torn, what is missing is counted, memory stays.
#[test]
fn very_many_lines() {
    let Some(python) = need::python() else { return };
    let lbdev = Lbdev::new();
    let seconds = drill(s(3)).as_secs();
    // Each writes 2,000 lines 50 times a second, and counts how late it was: a pipe that is not emptied holds it up.
    lbdev.write(
        "chatter.py",
        &format!(
            "import sys, time\n\
             out = sys.stdout.buffer\nbegin = time.monotonic()\nlate = 0.0\n\
             for turn in range({seconds} * 50):\n\
             \x20   block = b''.join(b'line %07d ' % n + b'x' * 40 + b' %07d\\n' % n for n in range(turn * 2000, turn * 2000 + 2000))\n\
             \x20   due = begin + turn / 50\n    time.sleep(max(0, due - time.monotonic()))\n\
             \x20   before = time.monotonic()\n    out.write(block)\n    out.flush()\n\
             \x20   late = max(late, time.monotonic() - before)\n\
             print('longest write %.3f' % late, flush=True)\n"
        ),
    );
    after(
        &lbdev,
        &format!(
            "(while [ ! -e go ]; do sleep 0.05; done; exec {} chatter.py) &",
            python.display()
        ),
    );
    let mut command = lbdev.command(&["up"]);
    command.env("PYTHONUNBUFFERED", "");
    let up = Running::spawn(command);
    up.wait_line("lbdev: ready http://", s(60));
    let load = load::Load::start(lbdev.ports.listen(), "/", 50, 4);
    lbdev.write("go", "");
    let longest = |port: u16| -> Option<f64> {
        let said = lbdev
            .run(&["logs", &port.to_string(), "-n", "1"])
            .ok()
            .stdout;
        said.split("longest write ").nth(1)?.trim().parse().ok()
    };
    let mut most = 0;
    until(drill(s(60)), "all were through", || {
        most = most.max(resident(up.pid));
        lbdev
            .ports
            .four()
            .iter()
            .all(|port| longest(*port).is_some())
    });
    load.finish().none_lost();
    for port in lbdev.ports.four() {
        let text = whole_log(&lbdev, port);
        let mut next = 0;
        let mut missing = 0;
        for line in text.lines() {
            let (_, said) = line
                .split_once(" out ")
                .or_else(|| line.split_once(" err "))
                .unwrap();
            if let Some(rest) = said.strip_prefix("lbdev: ") {
                let count = rest
                    .split(' ')
                    .next()
                    .and_then(|count| count.parse::<u64>().ok());
                missing += count.unwrap_or(0);
            } else if let Some(rest) = said.strip_prefix("line ") {
                let (number, end) = rest
                    .split_once(&format!(" {} ", "x".repeat(40)))
                    .expect(said);
                assert_eq!(number, end, "torn: {said}");
                let number: u64 = number.parse().unwrap();
                assert!(number >= next, "{number} after {next}");
                next = number + 1;
            }
        }
        let kept = text
            .lines()
            .filter(|line| line.contains(" out line "))
            .count() as u64;
        assert_eq!(
            kept + missing,
            seconds * 100_000,
            "{port}: {kept} kept, {missing} said to be missing"
        );
        let longest = longest(port).unwrap();
        assert!(longest < 2.0, "{port} was held up for {longest} s");
    }
    // Eight thousand lines that nobody has read, four times fifty kept, some megabytes on the way to the disk.
    let grown = most / 1024;
    assert!(grown < 60 * 1024, "{grown} KiB");
    // The test reads all of it; where it had not, it would have been told how many lines it has missed.
}

/// In bytes; 0 where the system does not say.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| {
        rest.trim()
            .trim_end_matches(" kB")
            .trim()
            .parse::<u64>()
            .ok()
    });
    kib.unwrap_or(0) * 1024
}

/// All pieces of one backend's log, the oldest first.
fn whole_log(lbdev: &Lbdev, port: u16) -> String {
    let dir = logs_dir(lbdev);
    let newest = dir.join(format!("web-{port}.log"));
    let older = (1..).map(|n| dir.join(format!("web-{port}.log.{n}")));
    let mut pieces: Vec<PathBuf> = older.take_while(|piece| piece.exists()).collect();
    pieces.insert(0, newest);
    pieces.reverse();
    let read = |piece: &PathBuf| std::fs::read_to_string(piece).unwrap();
    pieces.iter().map(read).collect()
}

/// Files are begun anew, and who follows them misses nothing and reads nothing twice.
#[test]
fn files_are_begun_anew_and_followed() {
    let lbdev = Lbdev::new();
    // 40 MB, in lines of 100 bytes, when somebody says so.
    after(
        &lbdev,
        "(while [ ! -e go ]; do sleep 0.05; done; seq -f 'number %092.0f' 1 400000; echo through) &",
    );
    let first = lbdev.ports.first.to_string();
    lbdev
        .run(&["up", "-d", "--wait", "-n", "1", "--ports", &first])
        .ok();
    let file = lbdev.root().join("followed");
    let mut follower = lbdev
        .command(&["logs", &first, "-f"])
        .stdout(std::fs::File::create(&file).unwrap())
        .spawn()
        .unwrap();
    let last = |text: &str| {
        let bytes = std::fs::read(&file).unwrap();
        let end = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(200)..]);
        end.contains(text)
    };
    until(s(30), "it follows", || last("demo server on"));
    lbdev.write("go", "");
    until(s(60), "it has heard all", || last("through"));
    follower.kill().unwrap();
    follower.wait().unwrap();
    let heard = std::fs::read_to_string(&file).unwrap();
    let numbers = |text: &str| -> Vec<u64> {
        let lines = text.lines().filter_map(|line| line.split_once("number "));
        lines
            .map(|(_, number)| number.trim().parse().unwrap())
            .collect()
    };
    let expected: Vec<u64> = (1..=400_000).collect();
    assert!(
        numbers(&heard) == expected,
        "{} lines",
        numbers(&heard).len()
    );
    let dir = logs_dir(&lbdev);
    let piece = |n: u32| dir.join(format!("web-{first}.log.{n}"));
    assert!(piece(1).exists() && piece(2).exists() && !piece(4).exists());
    // Who looks later sees all of it, over all pieces; and the last lines over two of them.
    let all = lbdev.run(&["logs", &first]).ok().stdout;
    assert!(numbers(&all) == expected, "{} lines", numbers(&all).len());
    let last = lbdev.run(&["logs", &first, "-n", "150000"]).ok().stdout;
    assert_eq!(last.lines().count(), 150_000);
    assert_eq!(numbers(&last).last(), Some(&400_000));
    // An earlier instance's lines are not this one's.
    lbdev.run(&["down"]).ok();
    std::fs::remove_file(lbdev.dir.join("go")).unwrap();
    lbdev
        .run(&["up", "-d", "--wait", "-n", "1", "--ports", &first])
        .ok();
    let now = lbdev.run(&["logs", &first]).ok().stdout;
    assert_eq!(numbers(&now), [0u64; 0]);
    assert!(!piece(1).exists());
    assert!(dir.join(format!("web-{first}.log.earlier")).exists());
}

#[test]
fn only_the_lines_that_are_wanted() {
    let lbdev = Lbdev::new();
    after(
        &lbdev,
        "for n in 1 2 3; do echo \"$port error $n\"; echo \"$port fine $n\"; done; printf '\\033[1mTrace\\033[0mback\\n'",
    );
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let [first, second, ..] = lbdev.ports.four();
    let (first, second) = (first.to_string(), second.to_string());
    let count = |words: &[&str], of: &str| {
        let args: Vec<&str> = ["logs"].iter().chain(words).copied().collect();
        let out = lbdev.run(&args).ok();
        out.stdout.lines().filter(|line| line.contains(of)).count()
    };
    assert_eq!(count(&[], "error"), 12);
    assert_eq!(count(&[&first, "--grep", "error"], ""), 3);
    assert_eq!(count(&["--grep", "error [12]$"], ""), 8);
    // Over the escapes, too, and of those that match the last ones.
    assert_eq!(count(&[&second, "--grep", "^Traceback$"], ""), 1);
    assert_eq!(count(&[&first, "--grep", "error", "-n", "2"], "error 3"), 1);
    assert_eq!(count(&[&first, "--grep", "error", "-n", "2"], ""), 2);
    assert_eq!(count(&[&first, "-n", "2", "--since", "1h"], ""), 2);
    assert_eq!(count(&["--since", "1h"], "error"), 12);
    assert_eq!(count(&["--since", "2030-01-01T00:00"], ""), 0);
    lbdev
        .run(&["logs", "--grep", "nowhere"])
        .ok()
        .says("no line is like that");
    let json = lbdev
        .run(&["logs", &first, "--grep", "fine 2", "--json"])
        .ok();
    let line: serde_json::Value = serde_json::from_str(json.stdout.trim()).unwrap();
    assert_eq!(line["version"], 1);
    assert_eq!(line["text"], format!("{first} fine 2"));
    assert_eq!(line["backend"], format!("web:{first}"));
    // What comes is chosen as what is there.
    let follower = lbdev.start(&["logs", "-f", "-n", "0", "--grep", "demo server"]);
    assert!(!holds_within(s(1), || !follower
        .lines
        .of("stdout")
        .is_empty()));
    lbdev.run(&["restart", &second]).ok();
    follower.wait_line("demo server on", s(10));
    assert_eq!(follower.lines.of("stdout").lines().count(), 1);
    drop(follower);
    for (words, says) in [
        (["--grep", "a(b"], "`a(b` is no regular expression"),
        (["--grep", "a(b"], "unclosed group"),
        (["--since", "yesterday-ish"], "want a time like `5m`"),
        (["-n", "many"], "many"),
    ] {
        let out = lbdev.run(&["logs", words[0], words[1]]);
        assert_eq!(out.code, Some(2), "{out}");
        out.says(says);
    }
}

/// The disk is full: serving goes on, what is missing is counted, and when there is room again all is as before.
#[test]
fn a_full_disk_costs_only_lines() {
    let lbdev = Lbdev::new();
    after(&lbdev, "(while :; do echo tick-tock; sleep 0.01; done) &");
    let mut up = lbdev.start(&["up"]);
    up.wait_line("lbdev: ready http://", s(60));
    // Over the folder of the logs, while they are written.
    let dir = logs_dir(&lbdev);
    let Some(disk) = SmallDisk::over(&dir) else {
        return;
    };
    let port = lbdev.ports.first;
    up.wait_line("cannot be written (No space left on device", s(60));
    for _ in 0..40 {
        assert_eq!(lbdev.get("/").status, 200);
    }
    lbdev.run(&["kill", &port.to_string()]).ok();
    lbdev.run(&["start", &port.to_string()]).ok();
    // On the screen nothing is missing.
    let shown = up.lines.of("stdout").matches("tick-tock").count();
    until(s(10), "lines are shown", || {
        up.lines.of("stdout").matches("tick-tock").count() > shown + 20
    });
    // Room is made by whoever sees it.
    for entry in std::fs::read_dir(&dir).unwrap().flatten() {
        std::fs::File::options()
            .write(true)
            .truncate(true)
            .open(entry.path())
            .unwrap();
    }
    up.wait_line("is written again", s(60));
    let line = up.wait_line("lines before this are missing from it", s(10));
    let words: Vec<&str> = line.split(' ').collect();
    let place = words.iter().position(|word| *word == "lines").unwrap();
    assert!(words[place - 1].parse::<u64>().unwrap() > 0, "{line}");
    for text in [whole_log(&lbdev, port), whole_log(&lbdev, port + 1)] {
        for line in text.lines() {
            assert!(
                line.contains(" out ") || line.contains(" err "),
                "torn: {line:?}"
            );
        }
    }
    up.signal(rustix::process::Signal::INT);
    assert_eq!(up.wait_exit(s(20)).code(), Some(0));
    drop(disk);
    lbdev.assert_all_gone();
}

/// Whoever shows the lines is stopped, as a terminal is by Ctrl-S: the backends go on, and it is told what it has missed.
#[test]
fn a_screen_that_stands_still_holds_nobody_up() {
    let lbdev = Lbdev::new();
    after(
        &lbdev,
        "(while [ ! -e go ]; do sleep 0.05; done; seq -f 'number %010.0f' 1 60000; echo through) &",
    );
    let mut command = lbdev.command(&["up"]);
    let (reader, writer) = std::io::pipe().unwrap();
    command.stdout(writer).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(command);
    until(s(60), "it served", || {
        http::get(lbdev.ports.listen(), "/").is_ok_and(|answer| answer.status == 200)
    });
    lbdev.write("go", "");
    // Nobody reads: all is in the files all the same.
    for port in lbdev.ports.four() {
        until(s(60), "it was through", || {
            whole_log(&lbdev, port).contains(" out through")
        });
    }
    assert_eq!(lbdev.get("/").status, 200);
    let lines = crate::output::Lines::default();
    lines.read("stdout", reader);
    lbdev.run(&["down"]).ok();
    assert!(child.wait().unwrap().success());
    assert!(lines.ended_within(s(20)));
    let shown = lines.of("stdout").matches("number ").count();
    assert!(shown < 240_000, "{shown}: it was read all the time");
}
