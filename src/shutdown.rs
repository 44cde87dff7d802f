//! What asks lbdev to end: Ctrl-C (counted), TERM, HUP, or a verb. Only this module knows `ctrlc`.
//!
//! Only Ctrl-C is counted, because a person presses it. A terminal that closes sends HUP, and the shell in it sends one
//! more; whoever sends TERM may do so twice, to a process and to its group. Neither is in more of a hurry for it.

use std::sync::Arc;

use tokio::sync::watch;

/// How urgently lbdev is to end. It only ever rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Not at all.
    Run,
    /// Drain, then stop.
    Drain,
    /// KILL.
    Force,
    /// At once; the guardian finishes.
    Exit,
}

/// Why lbdev ends; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Ctrl-C.
    Interrupt,
    /// TERM.
    Terminate,
    /// HUP: the terminal is gone.
    HangUp,
    /// `lbdev down`, `q`, or the end of the work.
    Asked,
}

/// The level now, and what first raised it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// How urgently.
    pub level: Level,
    /// Why.
    pub reason: Option<Reason>,
}

/// Raises and watches the level. Clones share it.
#[derive(Debug, Clone)]
pub struct Shutdown {
    state: Arc<watch::Sender<State>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            state: Arc::new(
                watch::channel(State {
                    level: Level::Run,
                    reason: None,
                })
                .0,
            ),
        }
    }
}

impl Shutdown {
    /// Ctrl-C: asks for an end; a second one forces it, a third one exits at once.
    pub fn interrupt(&self) {
        self.state.send_modify(|state| {
            state.level = match state.level {
                Level::Run => Level::Drain,
                Level::Drain => Level::Force,
                Level::Force | Level::Exit => Level::Exit,
            };
            state.reason.get_or_insert(Reason::Interrupt);
        });
    }

    /// Asks for an orderly end, once: asking again changes nothing.
    pub fn ask(&self, reason: Reason) {
        self.state.send_if_modified(|state| {
            let first = state.level == Level::Run;
            if first {
                *state = State {
                    level: Level::Drain,
                    reason: Some(reason),
                };
            }
            first
        });
    }

    /// The level now.
    pub fn now(&self) -> State {
        *self.state.borrow()
    }

    /// Resolves when the level is at least `level`.
    pub async fn reached(&self, level: Level) -> State {
        let mut state = self.state.subscribe();
        // The sender lives in `self`, so the channel cannot be closed here.
        let reached = state.wait_for(|state| state.level >= level).await;
        let reached = reached.map(|state| *state);
        match reached {
            Ok(state) => state,
            Err(_) => std::future::pending().await,
        }
    }

    /// Begins to listen to signals: INT by `ctrlc`; TERM and HUP by tokio, which says which of them came. A signal that
    /// was ignored when lbdev started (by `nohup`) stays ignored. Call it once, within a runtime.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn listen(&self) -> std::io::Result<()> {
        if !ignored_at_start(2) {
            let mine = self.clone();
            ctrlc::set_handler(move || mine.interrupt()).map_err(std::io::Error::other)?;
        }
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            for (kind, number, reason) in [
                (SignalKind::terminate(), 15, Reason::Terminate),
                (SignalKind::hangup(), 1, Reason::HangUp),
            ] {
                if ignored_at_start(number) {
                    continue;
                }
                let (mine, mut stream) = (self.clone(), signal(kind)?);
                tokio::spawn(async move {
                    while stream.recv().await.is_some() {
                        mine.ask(reason);
                    }
                });
            }
        }
        #[cfg(windows)]
        self.listen_to_console()?;
        Ok(())
    }
}

#[cfg(windows)]
impl Shutdown {
    /// The console's window is closed, or its user or the machine goes: Windows ends a process some seconds after it has
    /// said so, whatever becomes of it. Ctrl-Break is like Ctrl-C, and comes with it.
    fn listen_to_console(&self) -> std::io::Result<()> {
        use tokio::signal::windows::{ctrl_close, ctrl_logoff, ctrl_shutdown};
        let (mut closed, mut logged_off, mut shut_down) =
            (ctrl_close()?, ctrl_logoff()?, ctrl_shutdown()?);
        let mine = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = closed.recv() => mine.ask(Reason::HangUp),
                    _ = logged_off.recv() => mine.ask(Reason::Terminate),
                    _ = shut_down.recv() => mine.ask(Reason::Terminate),
                }
            }
        });
        Ok(())
    }
}

/// From now on Ctrl-C ends this process at once, with 0: it only looks on, and there is nothing to end.
///
/// # Errors
/// When the system refuses a handler.
pub fn let_go_on_interrupt() -> std::io::Result<()> {
    if ignored_at_start(2) {
        return Ok(());
    }
    ctrlc::set_handler(|| std::process::exit(0)).map_err(std::io::Error::other)
}

/// From now on Ctrl-C and Ctrl-Break do nothing to this process: they are meant for the others on its console.
///
/// # Errors
/// When the system refuses a handler.
#[cfg(windows)]
pub(crate) fn let_pass() -> std::io::Result<()> {
    ctrlc::set_handler(|| {}).map_err(std::io::Error::other)
}

/// Whether the process was started with this signal ignored. Linux says so in `/proc/self/status`; elsewhere nobody asks.
fn ignored_at_start(signal: u32) -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, signal))
}

fn ignores(status: &str, signal: u32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_ctrl_c_is_more_urgent_and_the_first_reason_stays() {
        let shutdown = Shutdown::default();
        shutdown.ask(Reason::Asked);
        shutdown.ask(Reason::Asked);
        assert_eq!(shutdown.now().level, Level::Drain);
        shutdown.interrupt();
        shutdown.interrupt();
        shutdown.interrupt();
        let state = shutdown.reached(Level::Drain).await;
        assert_eq!(
            state,
            State {
                level: Level::Exit,
                reason: Some(Reason::Asked)
            }
        );
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_ctrl_c_is_counted() {
        use rustix::process::{Signal, getpid, kill_process};
        let shutdown = Shutdown::default();
        shutdown.listen().unwrap();
        // Under `nohup` a hang-up is nothing, and stays nothing.
        let (signal, reason) = match ignored_at_start(1) {
            false => (Signal::HUP, Reason::HangUp),
            true => (Signal::TERM, Reason::Terminate),
        };
        kill_process(getpid(), signal).unwrap();
        let first = shutdown.reached(Level::Drain).await;
        assert_eq!(first.reason, Some(reason));
        for signal in [Signal::HUP, Signal::TERM, Signal::TERM] {
            kill_process(getpid(), signal).unwrap();
        }
        let forced = shutdown.reached(Level::Force);
        let waited = tokio::time::timeout(std::time::Duration::from_millis(200), forced).await;
        assert!(waited.is_err(), "{waited:?}");
        shutdown.interrupt();
        assert_eq!(shutdown.now().level, Level::Force);
    }

    #[test]
    fn a_signal_ignored_from_the_start_is_seen() {
        let status = "Name:\tlbdev\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000000\n";
        assert!(ignores(status, 1) && ignores(status, 13));
        assert!(!ignores(status, 15) && !ignores("", 1));
    }
}
