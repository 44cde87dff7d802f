//! One thread writes every log file, so that a disk that hangs holds up nobody who reads a backend's pipe.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use super::output::Sink;

/// Pieces that may wait to be written. Each holds what one read of a pipe gave, at most 64 KiB and a line: altogether some
/// megabytes.
const WAITING: usize = 64;
/// So long a pipe waits for the disk before its lines are left out, which the pipe's own 64 KiB bridge; after that they
/// are left out at once until there is room.
const PATIENCE: Duration = Duration::from_millis(100);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(2);

/// The writing thread, as those see it who read pipes. When the last of them has gone, it ends after what it has.
#[derive(Debug, Clone)]
pub(super) struct LogWriter {
    queue: SyncSender<Job>,
}

#[derive(Debug)]
enum Job {
    /// Whole lines for the file of this sink.
    Lines(Arc<Sink>, String),
    /// Tells that everything before it has been written.
    Flush(SyncSender<()>),
}

impl LogWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start() -> io::Result<LogWriter> {
        let (queue, jobs) = mpsc::sync_channel(WAITING);
        thread::Builder::new()
            .name("logs".into())
            .stack_size(128 * 1024)
            .spawn(move || write_all(&jobs))?;
        Ok(LogWriter { queue })
    }

    /// Has whole lines written to the file of `sink`. False when the disk is so slow that they have to be left out; with
    /// `patient` that takes a moment.
    pub(super) fn write(&self, sink: &Arc<Sink>, lines: String, patient: bool) -> bool {
        let until = Instant::now() + PATIENCE;
        let mut job = Job::Lines(sink.clone(), lines);
        loop {
            match self.queue.try_send(job) {
                Ok(()) => return true,
                Err(TrySendError::Full(back)) if patient && Instant::now() < until => {
                    job = back;
                    thread::sleep(AGAIN);
                }
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return false,
            }
        }
    }

    /// Waits until everything so far has been written, at most `limit`.
    pub(super) fn flush(&self, limit: Duration) {
        let (tell, told) = mpsc::sync_channel(1);
        if self.queue.try_send(Job::Flush(tell)).is_ok() {
            // A slow disk is not waited for.
            let _ = told.recv_timeout(limit);
        }
    }
}

fn write_all(jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Lines(sink, lines) => sink.write(&lines),
            // Whoever asked may have stopped waiting.
            Job::Flush(tell) => drop(tell.try_send(())),
        }
    }
}
