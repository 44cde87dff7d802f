//! The guardian: a second process of this binary that outlives lbdev for a second.
//!
//! It holds the reading end of a pipe whose writing end only lbdev has. When lbdev ends, whatever the cause, the kernel
//! closes that end; the guardian then ends every process of the instance.

use std::io::{self, PipeWriter, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::find::{self, Scope};
use super::{exec, os, own, sessions, signals};
use crate::backend::ExitStatus;

/// A guardian that lived shorter than this was ended on purpose, or cannot live here: the next one waits a little, and
/// longer each time.
const SHORT_LIFE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Keeps one guardian alive for as long as this lbdev lives: where one is ended, another takes its place.
///
/// Dropping it without [`Guardians::dismiss`] changes nothing; the end of this process does what guardians are for.
#[derive(Debug)]
pub struct Guardians {
    shared: Arc<Shared>,
    keeper: JoinHandle<()>,
}

/// What is told of a guardian that ended before its time.
#[derive(Debug)]
pub struct Lost {
    /// Its process id.
    pub pid: u32,
    /// How it ended, where that is known.
    pub status: Option<ExitStatus>,
    /// The process id of the next one, or why there is none; it is tried again.
    pub next: io::Result<u32>,
}

#[derive(Debug)]
struct Shared {
    post: Mutex<Post>,
    dismissed: Condvar,
    program: PathBuf,
    instance: String,
    sessions: PathBuf,
}

/// Who is on guard.
#[derive(Debug)]
enum Post {
    /// This one. It ends what the instance runs when the pipe is closed.
    Held { _pipe: PipeWriter, pid: u32 },
    /// Nobody: the last one has ended.
    Empty,
    /// Nobody, and nobody is wanted any more.
    Dismissed,
}

/// A guardian's process.
#[derive(Debug)]
struct Guardian {
    handle: duct::Handle,
    pid: u32,
    since: Instant,
}

/// Starts the guardian of `instance`, in a session of its own, with none of lbdev's streams; `sessions` is the file of
/// [`sessions`], which it reads at the end. `lost` is called, on a thread of its own, when one has ended
/// before its time and another was started.
///
/// # Errors
/// When the system cannot start one more process or thread.
pub fn keep(
    instance: &str,
    sessions: &Path,
    lost: impl Fn(Lost) + Send + 'static,
) -> io::Result<Guardians> {
    keep_program(&std::env::current_exe()?, instance, sessions, lost)
}

/// [`keep`] with another binary than this one, for tests.
///
/// # Errors
/// When the system cannot start one more process or thread.
#[doc(hidden)]
pub fn keep_program(
    program: &Path,
    instance: &str,
    sessions: &Path,
    lost: impl Fn(Lost) + Send + 'static,
) -> io::Result<Guardians> {
    let shared = Arc::new(Shared {
        post: Mutex::new(Post::Empty),
        dismissed: Condvar::new(),
        program: program.to_owned(),
        instance: instance.to_owned(),
        sessions: sessions.to_owned(),
    });
    let first = shared.start(&mut shared.post())?;
    let keeping = Arc::clone(&shared);
    let keeper = thread::Builder::new()
        .name("guardian".into())
        .stack_size(128 * 1024)
        .spawn(move || keeping.keep(first, &lost))?;
    Ok(Guardians { shared, keeper })
}

impl Guardians {
    /// The process id of the one that is there now; `None` between two.
    pub fn pid(&self) -> Option<u32> {
        match &*self.shared.post() {
            Post::Held { pid, .. } => Some(*pid),
            Post::Empty | Post::Dismissed => None,
        }
    }

    /// Lets it go, at an orderly end: with nothing left to end, it is gone in a few milliseconds, and this waits for it.
    /// If something is left after all, it is ended now.
    pub fn dismiss(self) {
        *self.shared.post() = Post::Dismissed;
        self.shared.dismissed.notify_all();
        // It could only have panicked, and then there is no guardian to wait for.
        let _ = self.keeper.join();
    }
}

impl Shared {
    /// Nothing panics while it holds this lock; if something did, the post would still be right.
    fn post(&self) -> MutexGuard<'_, Post> {
        self.post.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, post: &mut Post) -> io::Result<Guardian> {
        let (reader, pipe) = io::pipe()?;
        let words = [
            exec::GUARDIAN.as_ref(),
            self.instance.as_ref(),
            self.sessions.as_os_str(),
        ];
        let expression = duct::cmd(&self.program, words)
            .dir("/")
            .stdin_file(reader)
            .stdout_null()
            .stderr_null()
            .unchecked();
        let (handle, pid) = own::start(&expression)?;
        *post = Post::Held { _pipe: pipe, pid };
        Ok(Guardian {
            handle,
            pid,
            since: Instant::now(),
        })
    }

    fn keep(&self, mut guardian: Guardian, lost: &impl Fn(Lost)) {
        let mut pause = Duration::ZERO;
        loop {
            os::wait_unreaped(&guardian.handle, guardian.pid);
            let status = own::reap_ended(&guardian.handle, guardian.pid).ok();
            let status = status.map(os::exit_status);
            let mut told = false;
            let mut post = self.post();
            if matches!(*post, Post::Dismissed) {
                return;
            }
            *post = Post::Empty;
            pause = match guardian.since.elapsed() < SHORT_LIFE {
                true => (pause * 2).clamp(Duration::from_millis(100), LONGEST_PAUSE),
                false => Duration::ZERO,
            };
            let ended = guardian.pid;
            guardian = loop {
                post = self.pause(post, pause);
                if matches!(*post, Post::Dismissed) {
                    return;
                }
                let next = self.start(&mut post);
                drop(post);
                // Each failure in a row is the same one: the first is told.
                if next.is_ok() || !std::mem::replace(&mut told, true) {
                    let next = match &next {
                        Ok(next) => Ok(next.pid),
                        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
                    };
                    lost(Lost {
                        pid: ended,
                        status,
                        next,
                    });
                }
                match next {
                    Ok(next) => break next,
                    Err(_) => pause = LONGEST_PAUSE,
                }
                post = self.post();
            };
        }
    }

    /// Lets time pass, or the dismissal come.
    fn pause<'a>(&'a self, post: MutexGuard<'a, Post>, time: Duration) -> MutexGuard<'a, Post> {
        let still = |post: &mut Post| !matches!(*post, Post::Dismissed);
        let waited = self.dismissed.wait_timeout_while(post, time, still);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// What the hidden subcommand does.
pub(super) fn guard(instance: &str, sessions: &Path) -> ExitCode {
    exec::lead_session();
    exec::close_inherited();
    let mut stdin = io::stdin().lock();
    let mut bytes = [0; 64];
    loop {
        match stdin.read(&mut bytes) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    end_instance(instance, sessions);
    ExitCode::SUCCESS
}

/// Ends every process that the instance `instance` of lbdev launched and that still runs: TERM, 1 s, KILL. Returns the
/// pids it found. A process is the instance's by the unique `LBDEV_INSTANCE` in its environment, by what the file
/// `sessions` says (see [`sessions`]), or because it descends from such a one; a pid that was given to
/// somebody else since is never hit.
pub fn end_instance(instance: &str, sessions: &Path) -> Vec<u32> {
    if instance.is_empty() {
        return Vec::new();
    }
    let scope = Scope::Instance {
        instance: instance.to_owned(),
        known: sessions::read(sessions, instance),
    };
    let first = find::everywhere(&scope);
    signals::end(&scope, first, false)
        .iter()
        .map(|proc| proc.pid)
        .collect()
}
