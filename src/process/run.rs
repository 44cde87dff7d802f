//! The end of one run: noticed at once, and told only when nothing of it is left.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, SystemTime};

use super::launcher::Shared;
use super::pump::Pump;
use super::{News, find, os, own, ports, signals, strays};
use crate::backend::{BackendId, ExitStatus, RunId, Signal};

/// The end of a run waits this long for its last lines; they are read at once unless a stranger holds the pipe.
const LAST_LINES: Duration = Duration::from_millis(50);

/// One life of a backend, from its launch.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: BackendId,
    pub(super) run: RunId,
    pub(super) leader: u32,
    pub(super) handle: duct::Handle,
    pub(super) pump: Pump,
    pub(super) shared: Arc<Shared>,
}

/// A thread that will wait for the end of one run.
#[derive(Debug)]
pub(super) struct Waiter(Sender<Run>);

impl Waiter {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start() -> io::Result<Waiter> {
        let (give, take) = mpsc::channel::<Run>();
        thread::Builder::new()
            .name("wait".into())
            .stack_size(256 * 1024)
            .spawn(move || {
                // Without a run the launch came to nothing.
                if let Ok(run) = take.recv() {
                    run.wait();
                }
            })?;
        Ok(Waiter(give))
    }

    /// Hands it the run.
    pub(super) fn watch(self, run: Run) {
        // The thread does nothing but receive until then, so it is there.
        let _ = self.0.send(run);
    }
}

impl Run {
    fn wait(self) {
        os::wait_unreaped(&self.handle, self.leader);
        let at = SystemTime::now();
        // As long as the leader is not reaped its number stays its own, and so does its session's.
        let scope = self.shared.scope(self.run, self.leader);
        let table = find::ours();
        if !table.lists(self.leader) {
            // Clients have taken every file. Its group can be ended without one.
            os::to_group(self.leader, Signal::Kill);
        }
        let rest = find::members(&scope, &table);
        let asked = self.shared.asked(self.run);
        let left_some = !signals::end(&scope, rest, asked).is_empty();
        if let Some(port) = self.id.port()
            && !ports::can_be_bound(port)
        {
            strays::end_listening_on(port);
        }
        self.pump.finish(LAST_LINES);
        self.shared.forget(self.run);
        let status = match own::reap_ended(&self.handle, self.leader) {
            Ok(status) => os::exit_status(status),
            // Somebody else has reaped it, which nothing in lbdev does: how it ended is lost.
            Err(_) => ExitStatus::Code(-1),
        };
        self.shared.tell(News::Exited {
            id: self.id,
            run: self.run,
            status,
            at,
        });
        if left_some {
            own::tidy();
        }
    }
}
