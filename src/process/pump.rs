//! One thread a run that empties its pipes, always, whatever becomes of the lines.

use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::lines::Lines;
use super::output::Sink;
use super::terminal::{Ends, Pair, Terminal};

/// A process that is not the run's may hold the pipe for ever; it is listened to this long after the run has ended.
const DRAIN: Duration = Duration::from_secs(1);
const PIECE: usize = 64 * 1024;

/// The thread that reads a run's output, as its launcher sees it.
#[derive(Debug)]
pub(super) struct Pump {
    /// Dropping it tells the thread that the run has ended.
    ended: PipeWriter,
    done: Receiver<()>,
}

impl Pump {
    /// Starts reading.
    ///
    /// # Errors
    /// When the system has no pipe or thread left.
    pub(super) fn start(sink: Arc<Sink>, out: PipeReader, err: PipeReader) -> io::Result<Pump> {
        Self::read(sink, out, Some(err), None)
    }

    /// Starts reading what is written to a terminal. Gives back the program's end of it.
    ///
    /// # Errors
    /// When the system has no pipe or thread left.
    pub(super) fn start_terminal(
        sink: Arc<Sink>,
        ends: Ends,
        terminal: Arc<Terminal>,
    ) -> io::Result<(Pump, OwnedFd)> {
        let tap = Tap {
            terminal,
            pair: ends.pair,
        };
        let pump = Self::read(sink, PipeReader::from(ends.ours), None, Some(tap))?;
        Ok((pump, ends.theirs))
    }

    fn read(
        sink: Arc<Sink>,
        out: PipeReader,
        err: Option<PipeReader>,
        tap: Option<Tap>,
    ) -> io::Result<Pump> {
        let (told, ended) = io::pipe()?;
        let (tell, done) = mpsc::channel();
        thread::Builder::new()
            .name("output".into())
            .stack_size(256 * 1024)
            .spawn(move || {
                let streams = [(false, Some(out), tap), (true, err, None)];
                let mut streams = streams.map(|(err, pipe, tap)| Stream {
                    err,
                    pipe,
                    lines: Lines::default(),
                    tap,
                });
                // The pipes cannot be waited for only if the kernel is out of memory: what was read is kept.
                let _ = read_all(&mut streams, told, &sink);
                for stream in &mut streams {
                    stream.finish(&sink);
                }
                sink.flush();
                // The launcher may have stopped waiting.
                let _ = tell.send(());
            })?;
        Ok(Pump { ended, done })
    }

    /// Tells it that the run has ended, and waits until the last line is stored, but not longer than `patience`.
    pub(super) fn finish(self, patience: Duration) {
        drop(self.ended);
        // Whichever way this ends, there is nothing more to do: the thread goes by itself.
        let _ = self.done.recv_timeout(patience);
    }
}

struct Stream {
    err: bool,
    pipe: Option<PipeReader>,
    lines: Lines,
    tap: Option<Tap>,
}

/// A run's terminal, whose output is shown as it comes, too.
struct Tap {
    terminal: Arc<Terminal>,
    pair: Pair,
}

impl Stream {
    fn read(&mut self, buffer: &mut [u8], sink: &Arc<Sink>) {
        let Some(pipe) = &mut self.pipe else {
            return;
        };
        match pipe.read(buffer) {
            Ok(0) => self.pipe = None,
            Ok(length) => {
                if let Some(tap) = &self.tap {
                    tap.terminal.wrote(&buffer[..length]);
                }
                let mut texts = Vec::new();
                self.lines
                    .push(&buffer[..length], &mut |text| texts.push(text));
                sink.take(self.err, texts);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A terminal does not wait.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Of a terminal that nobody has any more, too (EIO).
            Err(_) => self.pipe = None,
        }
    }

    fn finish(&mut self, sink: &Arc<Sink>) {
        let mut texts = Vec::new();
        self.lines.finish(&mut |text| texts.push(text));
        sink.take(self.err, texts);
        if let Some(tap) = &self.tap {
            tap.terminal.close(&tap.pair);
        }
    }
}

fn read_all(streams: &mut [Stream; 2], told: PipeReader, sink: &Arc<Sink>) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    let mut told = Some(told);
    let mut until: Option<Instant> = None;
    while streams.iter().any(|stream| stream.pipe.is_some()) {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            break;
        }
        let timeout = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        // The pipe that tells of the end comes last; the others keep their place whether they are open or not.
        let (ready, ended) = {
            let pipes = streams.iter().map(|stream| &stream.pipe).chain([&told]);
            let (places, mut fds): (Vec<usize>, Vec<PollFd<'_>>) = pipes
                .enumerate()
                .filter_map(|(place, pipe)| {
                    Some((place, PollFd::new(pipe.as_ref()?, PollFlags::IN)))
                })
                .unzip();
            match poll(&mut fds, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let ready = |wanted: usize| {
                places
                    .iter()
                    .zip(&fds)
                    .any(|(place, fd)| *place == wanted && !fd.revents().is_empty())
            };
            ([ready(0), ready(1)], ready(2))
        };
        for (stream, ready) in streams.iter_mut().zip(ready) {
            if ready {
                stream.read(&mut buffer, sink);
            }
        }
        if ended {
            told = None;
            until = Some(Instant::now() + DRAIN);
        }
    }
    Ok(())
}
