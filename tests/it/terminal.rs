//! Backends with a terminal: `pty = true`, `attach`, `debug`.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::harness::{LBDEV, Lbdev, kill};
use crate::pty::Pty;
use crate::wait::{holds_within, s, until};
use crate::{http, need, up_django};

/// A terminal with a command in it, as a person would have one.
struct Window {
    keys: File,
    screen: Arc<Mutex<Vec<u8>>>,
    /// The other end stays open, so that its settings can be looked at.
    inside: File,
    child: Child,
}

impl Window {
    fn open(lbdev: &Lbdev, args: &[&str]) -> Window {
        let pty = Pty::open();
        let resized = Winsize {
            ws_row: 33,
            ws_col: 111,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&pty.ours, resized).unwrap();
        let mut command = lbdev.command(args);
        command
            .stdin(Stdio::from(pty.inside()))
            .stdout(Stdio::from(pty.inside()))
            .stderr(Stdio::from(pty.inside()));
        let inside = pty.inside();
        let child = command.spawn().unwrap();
        let keys = File::from(pty.ours);
        let screen: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (mut from, to) = (keys.try_clone().unwrap(), screen.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                to.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
        });
        Window {
            keys,
            screen,
            inside,
            child,
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    #[track_caller]
    fn wait(&self, text: &str) {
        let found = holds_within(s(30), || self.text().contains(text));
        assert!(found, "{text:?} is not in:\n{}", self.text());
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn settings(&self) -> String {
        let Termios {
            input_modes,
            output_modes,
            local_modes,
            ..
        } = tcgetattr(&self.inside).unwrap();
        format!("{input_modes:?} {output_modes:?} {local_modes:?}")
    }

    #[track_caller]
    fn ends(&mut self) -> Option<i32> {
        let mut status = None;
        until(s(20), "it ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            kill(self.child.id(), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// A program that says what its terminal is like, tells each line that it reads, and each Ctrl-C and each change of size.
const TALKER: &str = "#!/bin/sh\nport=$1\n[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo \"a terminal of $(stty size)\" || echo 'no terminal'\n\
    trap 'echo got an interrupt' INT\ntrap 'echo the size is $(stty size) now' WINCH\n";

fn talkers(lbdev: &Lbdev, pty: bool) {
    lbdev.script(
        "talk.sh",
        &format!(
            "{TALKER}setsid {LBDEV} __demo --port \"$port\" </dev/null >/dev/null 2>&1 &\n\
             while :; do read line && echo \"heard <$line>\"; done\n"
        ),
    );
    lbdev.service_file("./talk.sh {port}", "", &format!("pty = {pty}"));
}

#[test]
fn a_program_has_a_terminal_if_it_wants_one() {
    for pty in [true, false] {
        let lbdev = Lbdev::new();
        talkers(&lbdev, pty);
        lbdev.run(&["up", "-d", "--wait"]).ok();
        let port = lbdev.ports.first.to_string();
        let said = if pty {
            "a terminal of 24 80"
        } else {
            "no terminal"
        };
        until(s(10), "it said so", || {
            lbdev.run(&["logs", &port]).ok().stdout.contains(said)
        });
        // It ends as any other does.
        for verb in ["stop", "start", "kill", "start", "restart"] {
            lbdev.run(&[verb, &port]).ok();
        }
        let down = lbdev.run(&["down"]).ok();
        assert!(down.took < s(10), "{down}");
        lbdev.assert_all_gone();
    }
}

#[test]
fn attach_types_resizes_and_lets_go() {
    let lbdev = Lbdev::new();
    talkers(&lbdev, true);
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let port = lbdev.ports.first.to_string();
    let pid = lbdev.backend(lbdev.ports.first)["pid"].clone();
    let mut window = Window::open(&lbdev, &["attach", &port]);
    let before = {
        // As it was before anything was done to it.
        let pty = Pty::open();
        let fresh = pty.inside();
        let Termios {
            input_modes,
            output_modes,
            local_modes,
            ..
        } = tcgetattr(&fresh).unwrap();
        format!("{input_modes:?} {output_modes:?} {local_modes:?}")
    };
    window.wait("Ctrl-P Ctrl-Q lets go");
    // What it wrote before is shown, and it is told how large its window is now.
    window.wait("a terminal of 24 80");
    window.wait("the size is 33 111 now");
    assert_ne!(window.settings(), before, "it is raw");
    window.types("hello there\r");
    window.wait("heard <hello there>");
    window.types("\x03");
    window.wait("got an interrupt");
    let size = Winsize {
        ws_row: 50,
        ws_col: 90,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&window.keys, size).unwrap();
    window.wait("the size is 50 90 now");
    // A second one looks on.
    let mut second = Window::open(&lbdev, &["attach", &port]);
    second.wait("heard <hello there>");
    window.types("again\r");
    second.wait("heard <again>");
    second.types("\x10\x11");
    assert_eq!(second.ends(), Some(0), "{}", second.text());
    assert_eq!(second.settings(), before);
    // It stays where it is when the program is started anew.
    lbdev.run(&["restart", &port]).ok();
    window.wait("the program has ended");
    window.wait("the program is started");
    window.types("anew\r");
    window.wait("heard <anew>");
    assert_ne!(lbdev.backend(lbdev.ports.first)["pid"], pid);
    window.types("\x10");
    window.types("\x11");
    assert_eq!(window.ends(), Some(0), "{}", window.text());
    assert_eq!(window.settings(), before);
    assert_eq!(lbdev.backend(lbdev.ports.first)["state"], "up");

    // By a signal, and when lbdev ends: the terminal is as before.
    let mut window = Window::open(&lbdev, &["attach", &port]);
    window.wait("heard <anew>");
    kill(window.child.id(), Signal::TERM);
    assert_eq!(window.ends(), Some(143), "{}", window.text());
    assert_eq!(window.settings(), before);
    let mut window = Window::open(&lbdev, &["attach", &port]);
    window.wait("heard <anew>");
    lbdev.run(&["down"]).ok();
    assert_eq!(window.ends(), Some(1), "{}", window.text());
    window.wait("lbdev has ended");
    assert_eq!(window.settings(), before);
    lbdev.assert_all_gone();
}

#[test]
fn what_cannot_be_attached_is_said() {
    let lbdev = Lbdev::new();
    talkers(&lbdev, false);
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let port = lbdev.ports.first.to_string();
    for verb in ["attach", "debug"] {
        lbdev
            .run(&[verb, &port])
            .fails(2, "LB033")
            .says("and there is none");
    }
    for (args, says) in [
        (["attach", &port], "has no terminal"),
        (["attach", &port], "pty = true"),
        (["attach", "all"], "one terminal shows one backend, not 4"),
        (["debug", "web"], "one terminal shows one backend, not 4"),
        (["attach", "9"], "LB030"),
    ] {
        let mut window = Window::open(&lbdev, &args);
        window.wait(says);
        assert!(matches!(window.ends(), Some(1 | 2)), "{}", window.text());
    }
}

/// Somebody who looks on and stands still holds up nobody.
#[test]
fn a_window_that_stands_still_holds_nobody_up() {
    let lbdev = Lbdev::new();
    lbdev.script(
        "chatter.sh",
        &format!(
            "#!/bin/sh\nsetsid {LBDEV} __demo --port \"$1\" </dev/null >/dev/null 2>&1 &\n\
             while [ ! -e go ]; do sleep 0.05; done\nseq -f 'number %0100.0f' 1 50000\necho through\nwhile :; do sleep 1; done\n"
        ),
    );
    lbdev.service_file("./chatter.sh {port}", "", "pty = true");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let port = lbdev.ports.first.to_string();
    let window = Window::open(&lbdev, &["attach", &port]);
    window.wait("lets go");
    kill(window.child.id(), Signal::STOP);
    lbdev.write("go", "");
    until(s(60), "the program was through", || {
        lbdev
            .run(&["logs", &port, "-n", "1"])
            .ok()
            .stdout
            .contains("through")
    });
    assert_eq!(lbdev.get("/").status, 200);
    kill(window.child.id(), Signal::CONT);
    window.wait("too much at once");
    window.wait("through");
}

/// A real `breakpoint()` in a real view, answered from a terminal.
#[test]
fn a_breakpoint_in_a_django_view() {
    let Some(mut lbdev) = up_django::django_site().unwrap() else {
        return;
    };
    let Some(python) = need::django() else { return };
    up_django::migrate(&python, &lbdev.dir).unwrap();
    let views = lbdev.dir.join("site_with_breakpoint.py");
    std::fs::write(
        &views,
        "from django.http import HttpResponse\n\ndef stop_here(request):\n    answer = 'port ' + request.META['SERVER_PORT']\n    breakpoint()\n    return HttpResponse(answer)\n",
    )
    .unwrap();
    let urls = urls_file(&lbdev.dir);
    let text = std::fs::read_to_string(&urls).unwrap();
    std::fs::write(
        &urls,
        format!("{text}\n\nfrom site_with_breakpoint import stop_here\nurlpatterns.append(__import__('django.urls').urls.path('stop-here', stop_here))\n"),
    )
    .unwrap();
    lbdev.set("PYTHONDONTWRITEBYTECODE", "1");
    lbdev.run(&lbdev.with_ports("up", &["-d", "--wait"])).ok();
    let [first, second, ..] = lbdev.ports.four();
    let before = lbdev.status();
    let listen = lbdev.ports.listen();
    let mut window = Window::open(&lbdev, &["debug", &second.to_string()]);
    window.wait("Starting development server");
    lbdev.until_state(second, "up", s(30));
    // Every request goes there.
    for _ in 0..4 {
        let backend = lbdev
            .get("/")
            .header("x-lbdev-backend")
            .unwrap_or_default()
            .to_owned();
        assert_eq!(backend, format!("web:{second}"));
    }
    lbdev
        .run(&["status"])
        .says(&format!("web:{second} is being debugged"));
    let answer = std::thread::spawn(move || http::get(listen, "/stop-here"));
    window.wait("(Pdb)");
    window.types("p 'the answer is ' + answer\r");
    window.wait(&format!("the answer is port {second}"));
    // Another one cannot be debugged meanwhile.
    let mut other = Window::open(&lbdev, &["debug", &first.to_string()]);
    assert_eq!(other.ends(), Some(1));
    other.wait(&format!("`web:{second}` is being debugged"));
    assert!(!answer.is_finished());
    window.types("answer = 'mended in the debugger'\r");
    window.types("c\r");
    let answer = answer.join().unwrap().unwrap();
    assert_eq!(
        (answer.status, answer.text().as_ref()),
        (200, "mended in the debugger")
    );
    window.types("\x10\x11");
    assert_eq!(window.ends(), Some(0), "{}", window.text());
    // All is as it was.
    until(s(30), "it was restarted without the terminal", || {
        let now = lbdev.status();
        now["state"] == "serving" && now["balancer"]["debugged"].is_null()
    });
    let after = lbdev.status();
    for key in ["algorithm", "retry_limit", "sticky", "detect", "debugged"] {
        assert_eq!(after["balancer"][key], before["balancer"][key], "{key}");
    }
    crate::rotation::goes_round(&lbdev.next_ports(8), &lbdev.ports.four());
    lbdev
        .run(&["attach", &second.to_string()])
        .fails(2, "LB033");
    // Whoever is killed in the middle of it leaves it as well.
    let window = Window::open(&lbdev, &["debug", &first.to_string()]);
    window.wait("Starting development server");
    kill(window.child.id(), Signal::KILL);
    until(s(30), "it was undone", || {
        let now = lbdev.status();
        now["state"] == "serving" && now["balancer"]["debugged"].is_null()
    });
    crate::rotation::goes_round(&lbdev.next_ports(8), &lbdev.ports.four());
    lbdev.run(&["down"]).ok();
    lbdev.assert_all_gone();
}

fn urls_file(site: &std::path::Path) -> std::path::PathBuf {
    let folders = std::fs::read_dir(site).unwrap().flatten();
    let mut files = folders.map(|folder| folder.path().join("urls.py"));
    files
        .find(|file| file.is_file())
        .expect("the example has a urls.py")
}
