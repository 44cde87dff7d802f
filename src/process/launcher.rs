//! The one path on which every backend is launched and signalled.
//!
//! Three threads: `launch` starts processes, all of them, as the kernel's parent-death signal follows the thread that
//! started one; `sweep` signals what is not in a leader's own group; and each run has one that waits for its end.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedSender;

use super::find::Scope;
use super::output::Store;
use super::program::{self, Unstartable};
use super::pump::Pump;
use super::run::{self, Run};
use super::terminal::Terminals;
use super::{Launch, Meter, News, exec, files, os, own, signals};
use crate::backend::{BackendId, RunId, Signal};
use crate::config::Command;

/// Launches backends of one instance of lbdev. Dropping it ends the launching thread, and with it (Linux) every run gets
/// TERM: it has to live as long as they do.
#[derive(Debug)]
pub struct Launcher {
    shared: Arc<Shared>,
    jobs: Sender<Job>,
    sweeps: Sender<(RunId, Signal)>,
}

/// What the threads have in common.
#[derive(Debug)]
pub(super) struct Shared {
    instance: String,
    news: UnboundedSender<News>,
    output: Arc<Store>,
    color: bool,
    program: Option<PathBuf>,
    runs: Mutex<HashMap<RunId, Stage>>,
    terminals: Arc<Terminals>,
}

/// A run that has not ended.
#[derive(Debug)]
enum Stage {
    /// In the queue of the launching thread, with the signals it is to get at once.
    Queued(Vec<Signal>),
    /// Its leader has not been reaped, so the number is its own.
    Running {
        leader: u32,
        /// It was asked to end.
        asked: bool,
        /// When it was launched.
        since: Instant,
    },
}

/// A run whose leader has not been reaped.
pub(super) struct Running {
    pub(super) run: RunId,
    pub(super) scope: Scope,
    /// When it was launched.
    pub(super) since: Instant,
}

#[derive(Debug)]
struct Job {
    id: BackendId,
    run: RunId,
    command: Command,
}

/// Why a run could not be launched.
#[derive(Debug, thiserror::Error)]
enum Unlaunched {
    #[error(transparent)]
    Command(#[from] Unstartable),
    #[error("the system refuses to start it: {0}")]
    System(#[from] io::Error),
}

impl Launcher {
    /// A launcher whose runs carry `instance`, whose news go to `news` and whose output goes to `output`. `color`: our own
    /// output is a terminal with colours, so theirs may have some.
    pub fn new(
        instance: String,
        news: UnboundedSender<News>,
        output: Arc<Store>,
        color: bool,
    ) -> Launcher {
        Self::with_program(instance, news, output, color, None)
    }

    /// [`Launcher::new`] with another binary than this one for the hidden subcommands, for tests.
    #[doc(hidden)]
    pub fn with_program(
        instance: String,
        news: UnboundedSender<News>,
        output: Arc<Store>,
        color: bool,
        program: Option<PathBuf>,
    ) -> Launcher {
        let shared = Arc::new(Shared {
            instance,
            news,
            output,
            color,
            program,
            runs: Mutex::default(),
            terminals: Arc::default(),
        });
        let (jobs, queue) = mpsc::channel();
        let (sweeps, requests) = mpsc::channel();
        let (launching, sweeping) = (Arc::clone(&shared), Arc::clone(&shared));
        // A thread that the system refuses drops its end of the channel, which is then dealt with where it is used.
        let _ = spawn("launch", move || launching.launch_all(&queue));
        let _ = spawn("sweep", move || sweeping.sweep_all(&requests));
        Launcher {
            shared,
            jobs,
            sweeps,
        }
    }

    /// A meter of what its runs use. It has a thread of its own, so one is enough.
    pub fn meter(&self) -> Meter {
        Meter::start(Arc::downgrade(&self.shared))
    }
}

impl Launcher {
    /// The terminals of its backends.
    pub fn terminals(&self) -> Arc<Terminals> {
        self.shared.terminals.clone()
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new()
        .name(name.into())
        .stack_size(256 * 1024)
        .spawn(work)?;
    Ok(())
}

impl Launch for Launcher {
    fn launch(&self, id: BackendId, run: RunId, command: Command) {
        let queued = Stage::Queued(Vec::new());
        self.shared.runs().insert(run, queued);
        if let Err(mpsc::SendError(job)) = self.jobs.send(Job { id, run, command }) {
            let why = "the system refuses lbdev a thread".to_owned();
            self.shared.failed(job.id, job.run, why);
        }
    }

    fn signal(&self, run: RunId, signal: Signal) {
        match self.shared.runs().get_mut(&run) {
            None => return,
            Some(Stage::Queued(signals)) => {
                signals.push(signal);
                return;
            }
            Some(Stage::Running { leader, asked, .. }) => {
                *asked |= asks_to_end(signal);
                os::to_group(*leader, signal);
            }
        }
        if let Err(mpsc::SendError((run, signal))) = self.sweeps.send((run, signal)) {
            self.shared.sweep(&[(run, signal)]);
        }
    }
}

/// After these a program is on its way out, by its own doing, and need not be told again. What survives a crash (another
/// process of it may catch SIGSEGV) has to be.
fn asks_to_end(signal: Signal) -> bool {
    matches!(
        signal,
        Signal::Term | Signal::Int | Signal::Quit | Signal::Kill
    )
}

impl Shared {
    /// Nothing panics while it holds this lock; if something did, the map would still be whole.
    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, Stage>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends news. When nobody receives them any more, lbdev is ending.
    pub(super) fn tell(&self, news: News) {
        let _ = self.news.send(news);
    }

    fn failed(&self, id: BackendId, run: RunId, why: String) {
        self.runs().remove(&run);
        self.tell(News::LaunchFailed { id, run, why });
    }

    fn launch_all(self: &Arc<Self>, queue: &Receiver<Job>) {
        while let Ok(Job { id, run, command }) = queue.recv() {
            if let Err(error) = self.launch_one(&id, run, &command) {
                self.failed(id, run, error.to_string());
            }
        }
    }

    fn launch_one(
        self: &Arc<Self>,
        id: &BackendId,
        run: RunId,
        command: &Command,
    ) -> Result<(), Unlaunched> {
        let program = program::resolve(command)?;
        // Whatever the system may refuse comes before the process, so that none is left without its threads.
        let waiter = run::Waiter::start()?;
        let terminal = command.pty || self.terminals.is_forced(id);
        if let Some(text) = &command.awaits {
            let (shared, of) = (Arc::downgrade(self), id.clone());
            let tell = move || {
                if let Some(shared) = shared.upgrade() {
                    shared.tell(News::Said { id: of, run });
                }
            };
            self.output.sink(id).tell_of(text.clone(), tell);
        }
        let expression = duct::cmd(self.own_program()?, words(command, program))
            .dir(&command.cwd)
            .full_env(self.environment(id, run, command, terminal));
        let (handle, leader, pump) = match terminal {
            false => self.start_with_pipes(id, &expression)?,
            true => self.start_with_terminal(id, &expression)?,
        };

        // A signal that comes from now on goes to the process itself; those that came before go first.
        let mut runs = self.runs();
        let asked = match runs.remove(&run) {
            Some(Stage::Queued(signals)) => {
                for signal in &signals {
                    os::to_group(leader, *signal);
                }
                signals.into_iter().any(asks_to_end)
            }
            Some(Stage::Running { .. }) | None => false,
        };
        let since = Instant::now();
        let running = Stage::Running {
            leader,
            asked,
            since,
        };
        runs.insert(run, running);
        drop(runs);
        self.tell(News::Launched {
            id: id.clone(),
            run,
            pid: leader,
        });
        waiter.watch(Run {
            id: id.clone(),
            run,
            leader,
            handle,
            pump,
            shared: Arc::clone(self),
        });
        Ok(())
    }

    fn start_with_pipes(
        &self,
        id: &BackendId,
        expression: &duct::Expression,
    ) -> io::Result<(duct::Handle, u32, Pump)> {
        let (out, out_writer) = io::pipe()?;
        let (err, err_writer) = io::pipe()?;
        let pump = Pump::start(self.output.sink(id), out, err)?;
        // The expression holds the writing ends, and is gone at the end of this: as long as they are open, the pipes do not
        // end.
        let expression = expression
            .stdout_file(out_writer)
            .stderr_file(err_writer)
            .unchecked();
        let (handle, leader) = own::launch(&expression)?;
        Ok((handle, leader, pump))
    }

    #[cfg(unix)]
    fn start_with_terminal(
        &self,
        id: &BackendId,
        expression: &duct::Expression,
    ) -> io::Result<(duct::Handle, u32, Pump)> {
        let terminal = self.terminals.make(id);
        let ends = terminal.open()?;
        let (pump, theirs) = Pump::start_terminal(self.output.sink(id), ends, terminal)?;
        let expression = expression
            .stdin_file(theirs.try_clone()?)
            .stdout_file(theirs.try_clone()?)
            .stderr_file(theirs)
            .unchecked();
        let (handle, leader) = own::start(&expression)?;
        Ok((handle, leader, pump))
    }

    #[cfg(windows)]
    fn start_with_terminal(
        &self,
        _: &BackendId,
        _: &duct::Expression,
    ) -> io::Result<(duct::Handle, u32, Pump)> {
        let why = "a terminal of its own (`pty`) is not possible on Windows yet";
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    fn own_program(&self) -> io::Result<PathBuf> {
        match &self.program {
            Some(program) => Ok(program.clone()),
            None => os::own_executable(),
        }
    }

    /// lbdev's own environment, the command's on top, and what the processes are found by on top of that.
    fn environment(
        &self,
        id: &BackendId,
        run: RunId,
        command: &Command,
        terminal: bool,
    ) -> HashMap<OsString, OsString> {
        let mut all: HashMap<OsString, OsString> = env::vars_os()
            .map(|(name, value)| (os::variable(&name), value))
            .collect();
        all.extend(
            command
                .env
                .iter()
                .map(|(name, value)| (os::variable(name.as_ref()), value.into())),
        );
        if self.color {
            for name in ["FORCE_COLOR", "CLICOLOR_FORCE"] {
                all.entry(name.into()).or_insert_with(|| "1".into());
            }
        }
        if terminal
            && all
                .get("TERM".as_ref() as &std::ffi::OsStr)
                .is_none_or(|term| term == "dumb")
        {
            // It is shown by whatever terminal is attached; all of today's know this much.
            all.insert("TERM".into(), "xterm-256color".into());
        }
        all.insert("LBDEV_INSTANCE".into(), self.instance.clone().into());
        all.insert("LBDEV_BACKEND".into(), id.to_string().into());
        all.insert("LBDEV_RUN".into(), run.get().to_string().into());
        all
    }

    /// The scope of a run that leads a session as `leader`.
    pub(super) fn scope(&self, run: RunId, leader: u32) -> Scope {
        Scope::Run {
            leader,
            instance: self.instance.clone(),
            run: run.get().to_string(),
        }
    }

    /// Whether a run was asked to end.
    pub(super) fn asked(&self, run: RunId) -> bool {
        matches!(
            self.runs().get(&run),
            Some(Stage::Running { asked: true, .. })
        )
    }

    /// From now on no signal goes to this run: its leader is about to be reaped.
    pub(super) fn forget(&self, run: RunId) {
        self.runs().remove(&run);
    }

    fn sweep_all(&self, requests: &Receiver<(RunId, Signal)>) {
        while let Ok(first) = requests.recv() {
            // Whatever is asked for meanwhile needs no look of its own: a stop of all asks for each.
            let mut all = vec![first];
            all.extend(requests.try_iter());
            self.sweep(&all);
        }
    }

    fn sweep(&self, asked: &[(RunId, Signal)]) {
        let (kills, others): (Vec<_>, Vec<_>) =
            (asked.iter().copied()).partition(|(_, signal)| *signal == Signal::Kill);
        let others: Vec<_> = (others.into_iter())
            .filter_map(|(run, signal)| {
                let leader = self.leader(run)?;
                Some((self.scope(run, leader), leader, signal))
            })
            .collect();
        signals::to_rest(&others);
        signals::kill_all(|| {
            let runs = kills.iter();
            runs.filter_map(|(run, _)| Some(self.scope(*run, self.leader(*run)?)))
                .collect()
        });
    }

    /// Every run that has been launched and has not ended.
    pub(super) fn running(&self) -> Vec<Running> {
        let runs = self.runs();
        let all = runs.iter().filter_map(|(&run, stage)| match *stage {
            Stage::Running { leader, since, .. } => Some(Running {
                run,
                scope: self.scope(run, leader),
                since,
            }),
            Stage::Queued(_) => None,
        });
        all.collect()
    }

    /// The leader of a run, as long as it has not been reaped.
    fn leader(&self, run: RunId) -> Option<u32> {
        match self.runs().get(&run) {
            Some(Stage::Running { leader, .. }) => Some(*leader),
            Some(Stage::Queued(_)) | None => None,
        }
    }
}

/// What the hidden subcommand is told: see [`exec::EXEC`].
fn words(command: &Command, program: PathBuf) -> Vec<OsString> {
    let mut words = vec![
        exec::EXEC.into(),
        std::process::id().to_string().into(),
        files::word().into(),
        program.into_os_string(),
    ];
    words.extend(command.argv.iter().map(Into::into));
    words
}
