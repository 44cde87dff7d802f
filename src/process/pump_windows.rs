//! Two threads a run that empty its pipes, always, whatever becomes of the lines: there is no waiting for two at once here.

use std::io::{self, PipeReader, Read};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::lines::Lines;
use super::output::Sink;

/// A process that is not the run's may hold the pipe for ever; what it writes is taken for so long after the run has ended.
const DRAIN: Duration = Duration::from_secs(1);
const PIECE: usize = 64 * 1024;

/// The threads that read a run's output, as its launcher sees them.
#[derive(Debug)]
pub(super) struct Pump {
    ended: Arc<OnceLock<Instant>>,
    done: Receiver<()>,
}

impl Pump {
    /// Starts reading.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(sink: Arc<Sink>, out: PipeReader, err: PipeReader) -> io::Result<Pump> {
        let ended = Arc::new(OnceLock::new());
        let (tell, done) = mpsc::channel();
        for (err, pipe) in [(false, out), (true, err)] {
            let stream = Stream {
                err,
                sink: Arc::clone(&sink),
                ended: Arc::clone(&ended),
                done: tell.clone(),
            };
            thread::Builder::new()
                .name("output".into())
                .stack_size(256 * 1024)
                .spawn(move || stream.read_all(pipe))?;
        }
        Ok(Pump { ended, done })
    }

    /// Tells them that the run has ended, and waits until the last line is stored, but not longer than `patience`.
    pub(super) fn finish(self, patience: Duration) {
        let now = Instant::now();
        // Only here is it set.
        let _ = self.ended.set(now);
        for _ in 0..2 {
            let left = (now + patience).saturating_duration_since(Instant::now());
            // Whichever way this ends, there is nothing more to do: the threads go by themselves.
            let _ = self.done.recv_timeout(left);
        }
    }
}

struct Stream {
    err: bool,
    sink: Arc<Sink>,
    ended: Arc<OnceLock<Instant>>,
    done: Sender<()>,
}

impl Stream {
    fn read_all(self, mut pipe: PipeReader) {
        let mut buffer = vec![0; PIECE];
        let mut lines = Lines::default();
        loop {
            let length = match pipe.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            if self.ended.get().is_some_and(|at| at.elapsed() > DRAIN) {
                break;
            }
            let mut texts = Vec::new();
            lines.push(&buffer[..length], &mut |text| texts.push(text));
            self.sink.take(self.err, texts);
        }
        let mut texts = Vec::new();
        lines.finish(&mut |text| texts.push(text));
        self.sink.take(self.err, texts);
        self.sink.flush();
        // The launcher may have stopped waiting.
        let _ = self.done.send(());
    }
}
