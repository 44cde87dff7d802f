//! What a process writes, line by line, while it runs.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// The lines of one or more streams, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Lines(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    lines: Vec<(&'static str, String)>,
    open: usize,
}

impl Lines {
    /// Reads `stream` to its end on a thread of its own. `name` is `stdout` or `stderr`.
    pub fn read(&self, name: &'static str, stream: impl Read + Send + 'static) {
        self.lock().open += 1;
        let lines = self.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader
                .read_until(b'\n', &mut line)
                .is_ok_and(|read| read > 0)
            {
                let text = String::from_utf8_lossy(&line)
                    .trim_end_matches('\n')
                    .to_owned();
                line.clear();
                lines.lock().lines.push((name, text));
                lines.0.1.notify_all();
            }
            lines.lock().open -= 1;
            lines.0.1.notify_all();
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(|broken| broken.into_inner())
    }

    /// Waits until `look` finds something in the lines there are (each with its stream's name), until all streams have
    /// ended, or until `limit` has passed.
    pub fn wait<T>(
        &self,
        limit: Duration,
        mut look: impl FnMut(&[(&'static str, String)]) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        loop {
            if let Some(found) = look(&state.lines) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.open == 0 || left.is_zero() {
                return None;
            }
            state = self
                .0
                .1
                .wait_timeout(state, left)
                .unwrap_or_else(|broken| broken.into_inner())
                .0;
        }
    }

    /// Waits for the end of all streams; false where one is still open after `limit`.
    pub fn ended_within(&self, limit: Duration) -> bool {
        self.wait(limit, |_| None::<()>);
        self.lock().open == 0
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.lock().lines.len()
    }

    /// Everything a stream said.
    pub fn of(&self, name: &str) -> String {
        let state = self.lock();
        let mine = state.lines.iter().filter(|(stream, _)| *stream == name);
        mine.map(|(_, line)| format!("{line}\n")).collect()
    }

    /// Everything, for a failure's text.
    pub fn transcript(&self) -> String {
        let state = self.lock();
        let lines = state.lines.iter();
        lines
            .map(|(name, line)| format!("  {name} | {line}\n"))
            .collect()
    }
}
