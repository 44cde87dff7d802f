//! `attach` and `debug`: this terminal becomes a backend's.

use std::io::Read;
use std::thread;
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::sync::mpsc;

use super::connect;
use crate::cli::Place;
use crate::control::frames::Frame;
use crate::error::Report;
use crate::process::terminal::Size;
use crate::shutdown::{Level, Reason, Shutdown};
use crate::ui::Ui;
use crate::ui::terminal::RawTerminal;

/// Ctrl-P and Ctrl-Q, which let go, as with `docker attach`.
const FIRST: u8 = 0x10;
const SECOND: u8 = 0x11;

/// How the two ways begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// As it is.
    Attach,
    /// Started anew with a terminal, and sent every request, until this ends.
    Debug,
}

/// Until somebody lets go, or lbdev ends.
pub(super) async fn attach(place: &Place, target: &str, how: How, ui: &Ui) -> Result<u8, Report> {
    let verb = match how {
        How::Attach => "attach",
        How::Debug => "debug",
    };
    if !RawTerminal::is_there() {
        let message = format!("`lbdev {verb}` gives a backend this terminal, and there is none");
        return Err(Report::usage("LB033", message)
            .hint("run it in a terminal; `lbdev logs -f` shows what backends write anywhere"));
    }
    let (_, client) = connect(place, ui)?;
    let connection = client.terminal(target, verb).await?;
    ui.progress(&match how {
        How::Attach => format!("attached to {target}; Ctrl-P Ctrl-Q lets go"),
        How::Debug => format!(
            "{target} is started anew with this terminal and gets every request, which may take as long as it takes; \
             Ctrl-P Ctrl-Q ends that"
        ),
    });
    let (mut from, mut to) = tokio::io::split(connection);
    let unable = |error: std::io::Error| {
        Report::failed("LB033", format!("this terminal cannot be used: {error}"))
    };
    let shutdown = Shutdown::default();
    shutdown.listen().map_err(unable)?;
    let keys = keys();
    let raw = RawTerminal::enter().map_err(unable)?;
    let ending = tokio::select! {
        ending = show(&mut from, &raw) => ending,
        ending = type_in(keys, &mut to) => ending,
        state = shutdown.reached(Level::Drain) => Ending::Asked(code(state.reason)),
    };
    drop(raw);
    match ending {
        Ending::LetGo => {
            ui.progress(&format!("let go of {target}"));
            Ok(0)
        }
        Ending::Asked(code) => Ok(code),
        Ending::Gone => Err(Report::failed(
            "LB006",
            "lbdev has ended, and its terminals with it",
        )),
    }
}

/// 128 + the number of the signal that ended it.
fn code(reason: Option<Reason>) -> u8 {
    match reason {
        Some(Reason::HangUp) => 129,
        Some(Reason::Interrupt) | None => 130,
        Some(Reason::Terminate | Reason::Asked) => 143,
    }
}

enum Ending {
    /// By the keys for it, or since no key can come any more.
    LetGo,
    /// By a signal: the exit code.
    Asked(u8),
    /// The other end is not there any more.
    Gone,
}

async fn show(from: &mut (impl tokio::io::AsyncRead + Unpin), raw: &RawTerminal) -> Ending {
    while let Some(frame) = Frame::read(from).await {
        let shown = match frame {
            Frame::Data(bytes) => raw.show(&bytes),
            Frame::Note(text) => raw.say(&text),
            Frame::Size(_) => Ok(()),
        };
        if shown.is_err() {
            return Ending::LetGo;
        }
    }
    Ending::Gone
}

async fn type_in(mut keys: mpsc::Receiver<Vec<u8>>, to: &mut (impl AsyncWrite + Unpin)) -> Ending {
    let mut escape = Escape::default();
    let mut size = None;
    // Where windows change their size without a signal to be had, a look now and then is as good.
    let mut looks = tokio::time::interval(Duration::from_millis(250));
    loop {
        let frame = tokio::select! {
            typed = keys.recv() => {
                let Some(typed) = typed else {
                    return Ending::LetGo;
                };
                let (passed, let_go) = escape.pass(&typed);
                if !passed.is_empty() && Frame::Data(passed).write(to).await.is_err() {
                    return Ending::Gone;
                }
                if let_go {
                    return Ending::LetGo;
                }
                continue;
            }
            _ = looks.tick() => match Size::of_own() {
                Some(now) if Some(now) != size => Frame::Size(*size.insert(now)),
                Some(_) | None => continue,
            },
        };
        if frame.write(to).await.is_err() {
            return Ending::Gone;
        }
    }
}

/// What is typed, read by a thread of its own: it is not waited for at the end.
fn keys() -> mpsc::Receiver<Vec<u8>> {
    let (to, keys) = mpsc::channel(64);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        let mut stdin = std::io::stdin().lock();
        while let Ok(length @ 1..) = stdin.read(&mut buffer) {
            if to.blocking_send(buffer[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    keys
}

/// Finds the two keys that let go; the first of them is kept until the next is known.
#[derive(Debug, Default)]
struct Escape {
    first: bool,
}

impl Escape {
    /// What of `typed` goes on, and whether to let go after it.
    fn pass(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(typed.len() + 1);
        for &byte in typed {
            match (std::mem::take(&mut self.first), byte) {
                (true, SECOND) => return (passed, true),
                (before, FIRST) => {
                    if before {
                        passed.push(FIRST);
                    }
                    self.first = true;
                }
                (before, byte) => {
                    if before {
                        passed.push(FIRST);
                    }
                    passed.push(byte);
                }
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_let_go_and_all_others_pass() {
        for (pieces, passed, let_go) in [
            (&[&b"abc"[..]][..], &b"abc"[..], false),
            (&[b"a\x10\x11b"], b"a", true),
            (&[b"a\x10", b"\x11"], b"a", true),
            (&[b"\x10", b"b"], b"\x10b", false),
            (&[b"\x10\x10\x10x"], b"\x10\x10\x10x", false),
            (&[b"\x10\x10\x11"], b"\x10", true),
            (&[b"\x11\x03"], b"\x11\x03", false),
        ] {
            let mut escape = Escape::default();
            let mut all = Vec::new();
            let mut end = false;
            for piece in pieces {
                let (some, now) = escape.pass(piece);
                all.extend(some);
                end |= now;
            }
            assert_eq!((all.as_slice(), end), (passed, let_go), "{pieces:?}");
        }
    }
}
