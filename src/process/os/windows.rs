//! Windows: no signals, no sessions. The first process of a run is lbdev's own `__exec`, which holds the run's processes in
//! a Job object and is itself held to lbdev by a pipe (see [`exec`](super::super::exec)).

mod calls;

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, PipeWriter, Write};
use std::os::windows::process::CommandExt;
use std::path::PathBuf;
use std::process;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, SystemTime};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};
use windows_sys::Win32::Foundation::STATUS_CONTROL_C_EXIT;
use windows_sys::Win32::Networking::WinSock::WSAEAFNOSUPPORT;
use windows_sys::Win32::System::Threading::CREATE_NO_WINDOW;

use super::{Cost, Proc};
use crate::backend::{ExitStatus, Intent, Signal};

pub(in crate::process) use calls::{ctrl_break, ctrl_c, hear_ctrl_c};

/// What the pipe of a run carries that asks for its end, one byte each time: by CTRL_BREAK, and by CTRL_C.
pub(in crate::process) const BREAK: u8 = b'b';
pub(in crate::process) const INTERRUPT: u8 = b'c';

/// The exit code of a process that lbdev ended: a number that no program gives by itself.
const ENDED: u32 = 0x6c62_6465;

/// What others call it when a process was ended, and when it ended because it was asked to.
const KILL: i32 = 9;
const TERM: i32 = 15;

/// What processes were started with, by their numbers and start times.
type Environs = HashMap<(u32, u64), Vec<u8>>;

/// Of those that live: it is read once of each.
static ENVIRONS: Mutex<Option<Environs>> = Mutex::new(None);

/// The writing ends of the pipes that hold runs to lbdev, by their first processes.
static TIES: Mutex<Option<HashMap<u32, PipeWriter>>> = Mutex::new(None);

/// Nothing panics while it holds one of these locks; if something did, the maps would still be whole.
fn lock<T>(map: &Mutex<Option<T>>) -> MutexGuard<'_, Option<T>> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file to execute for another process of this very binary.
pub(in crate::process) fn own_executable() -> io::Result<PathBuf> {
    std::env::current_exe()
}

/// These processes, or all, with what is asked for.
fn look(at: ProcessesToUpdate<'_>, what: ProcessRefreshKind) -> Option<System> {
    // The crate refuses only systems that it does not support.
    let mut system = System::new().ok()?;
    system.refresh_processes_specifics(at, true, what);
    Some(system)
}

/// Every process that can be seen.
pub(in crate::process) fn snapshot() -> Vec<Proc> {
    let Some(system) = look(ProcessesToUpdate::All, ProcessRefreshKind::nothing()) else {
        return Vec::new();
    };
    let table: Vec<Proc> = system.processes().values().map(row).collect();
    let living: HashSet<(u32, u64)> = table.iter().map(|proc| (proc.pid, proc.start)).collect();
    let mut known = lock(&ENVIRONS);
    known
        .get_or_insert_default()
        .retain(|place, _| living.contains(place));
    table
}

fn row(process: &sysinfo::Process) -> Proc {
    Proc {
        pid: process.pid().as_u32(),
        parent: process.parent().map_or(0, Pid::as_u32),
        group: 0,
        session: 0,
        start: process.start_time(),
        zombie: false,
    }
}

/// [`environ`] of many: those that may be read.
pub(in crate::process) fn environs(pids: &[u32]) -> HashMap<u32, Vec<u8>> {
    let all: Vec<Pid> = pids.iter().copied().map(Pid::from_u32).collect();
    let nothing = ProcessRefreshKind::nothing();
    let Some(mut system) = look(ProcessesToUpdate::Some(&all), nothing) else {
        return HashMap::new();
    };
    let places: Vec<(u32, u64)> = (system.processes().values())
        .map(|process| (process.pid().as_u32(), process.start_time()))
        .collect();
    let mut known = lock(&ENVIRONS);
    let known = known.get_or_insert_default();
    let new: Vec<Pid> = (places.iter())
        .filter(|place| !known.contains_key(place))
        .map(|(pid, _)| Pid::from_u32(*pid))
        .collect();
    let environ = nothing.with_environ(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&new), false, environ);
    let read = |&(pid, start): &(u32, u64)| {
        let process = system.process(Pid::from_u32(pid))?;
        let environ = known.entry((pid, start));
        Some((pid, environ.or_insert_with(|| environ_of(process)).clone()))
    };
    places.iter().filter_map(read).collect()
}

/// `NAME=value`, each ended by a zero byte, as elsewhere.
fn environ_of(process: &sysinfo::Process) -> Vec<u8> {
    let mut all = Vec::new();
    for variable in process.environ() {
        all.extend_from_slice(variable.to_string_lossy().as_bytes());
        all.push(0);
    }
    all
}

/// What these processes cost; those that have ended are left out.
pub(in crate::process) fn costs(pids: &[u32]) -> HashMap<u32, Cost> {
    let all: Vec<Pid> = pids.iter().copied().map(Pid::from_u32).collect();
    let what = ProcessRefreshKind::nothing().with_cpu().with_memory();
    let Some(system) = look(ProcessesToUpdate::Some(&all), what) else {
        return HashMap::new();
    };
    let cost = |process: &sysinfo::Process| Cost {
        cpu: Duration::from_millis(process.accumulated_cpu_time()),
        resident: process.memory(),
        threads: 0,
    };
    let all = system.processes().values();
    all.map(|process| (process.pid().as_u32(), cost(process)))
        .collect()
}

/// Not known here.
pub(in crate::process) fn private(_: u32) -> Option<u64> {
    None
}

/// One process, with what is asked for.
fn one<T>(
    pid: u32,
    what: ProcessRefreshKind,
    take: impl FnOnce(&sysinfo::Process) -> Option<T>,
) -> Option<T> {
    let pid = Pid::from_u32(pid);
    let system = look(ProcessesToUpdate::Some(&[pid]), what)?;
    take(system.process(pid)?)
}

/// Orphans go to nobody here, so what is below this one is never all.
pub(in crate::process) fn descendants() -> Option<Vec<Proc>> {
    None
}

/// There are no sessions of this kind here.
pub(in crate::process) fn own_session() -> Option<u32> {
    None
}

/// The environment a process was started with.
pub(in crate::process) fn environ(pid: u32) -> Option<Vec<u8>> {
    let environ = ProcessRefreshKind::nothing().with_environ(UpdateKind::Always);
    one(pid, environ, |process| Some(environ_of(process)))
}

/// The working directory of a process, where it may be read.
pub(in crate::process) fn working_directory(pid: u32) -> Option<PathBuf> {
    let cwd = ProcessRefreshKind::nothing().with_cwd(UpdateKind::Always);
    one(pid, cwd, |process| process.cwd().map(ToOwned::to_owned))
}

/// When a process started, by the wall clock.
pub(in crate::process) fn started_at(pid: u32) -> Option<SystemTime> {
    let start = start_of(pid).filter(|start| *start > 0)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(start))
}

/// The wall clock's time: it goes on while the machine sleeps, and somebody may set it.
pub(in crate::process) fn uptime() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

/// When a process started, in seconds of the wall clock.
pub(in crate::process) fn start_of(pid: u32) -> Option<u64> {
    one(pid, ProcessRefreshKind::nothing(), |process| {
        Some(process.start_time())
    })
}

/// A boot has no name here: what an lbdev left that was killed is found by its environment alone. There is little to be
/// found, as a Job object ends with the process that holds it.
pub(in crate::process) fn boot_id() -> Option<String> {
    None
}

/// There are none here.
pub(in crate::process) fn pid_namespace() -> Option<String> {
    None
}

/// Ends a process on KILL. It cannot be asked for anything by its number: that is what [`to_group`] is for.
pub(in crate::process) fn send(to: &Proc, signal: Signal) {
    if signal == Signal::Kill && start_of(to.pid) == Some(to.start) {
        end(to.pid);
    }
}

fn end(pid: u32) {
    // It has ended, or belongs to another user: there is nothing to be done about either here.
    let _ = calls::terminate(pid, ENDED);
}

/// Ends a run with its first process, or asks it to end: INT is CTRL_C, every other signal that asks is CTRL_BREAK. What
/// would make it hang or go on is refused before it comes here.
pub(in crate::process) fn to_group(leader: u32, signal: Signal) {
    match signal.intent() {
        // Its number is its own: its handle is held until it is forgotten.
        Intent::Kill => end(leader),
        Intent::End | Intent::Tell if signal == Signal::Int => ask(leader, INTERRUPT),
        Intent::End | Intent::Tell => ask(leader, BREAK),
        Intent::Freeze | Intent::Thaw => {}
    }
}

fn ask(leader: u32, byte: u8) {
    if let Some(pipe) = lock(&TIES).as_mut().and_then(|ties| ties.get_mut(&leader)) {
        // It may have ended: then there is nobody to ask.
        let _ = pipe.write_all(&[byte]);
    }
}

/// Waits until a child has ended. Its number stays its own as long as its handle is held.
pub(in crate::process) fn wait_unreaped(handle: &duct::Handle, _: u32) {
    // An error would come again from the one who asks for its status, and is told there.
    let _ = handle.wait();
}

/// There is nothing to be reaped here.
pub(in crate::process) fn reap(_: u32) {}

/// How a process ended. A code has to do for what is a signal elsewhere.
pub(in crate::process) fn exit_status(status: process::ExitStatus) -> ExitStatus {
    match status.code() {
        Some(code) if code.cast_unsigned() == ENDED => ExitStatus::Signal(KILL),
        Some(STATUS_CONTROL_C_EXIT) => ExitStatus::Signal(TERM),
        Some(code) => ExitStatus::Code(code),
        None => ExitStatus::Code(-1),
    }
}

/// A child of lbdev's own has a console of its own, without a window, so that Ctrl-C in lbdev's terminal, or its closing,
/// does not reach it; and it inherits nothing but what it is given.
pub(in crate::process) fn apart(expression: &duct::Expression) -> duct::Expression {
    static KEPT: Once = Once::new();
    KEPT.call_once(calls::keep_streams);
    expression.before_spawn(|command| {
        command.creation_flags(CREATE_NO_WINDOW);
        Ok(())
    })
}

/// What holds the first process of a run to lbdev: asked through it to end, it ends by itself when it is closed.
#[derive(Debug)]
pub(in crate::process) struct Tie(PipeWriter);

/// A run's first process reads what lbdev asks for.
pub(in crate::process) fn tie(
    expression: &duct::Expression,
) -> io::Result<(duct::Expression, Tie)> {
    let (reader, writer) = io::pipe()?;
    Ok((expression.stdin_file(reader), Tie(writer)))
}

impl Tie {
    /// It holds this process now.
    pub(in crate::process) fn holds(self, leader: u32) {
        lock(&TIES).get_or_insert_default().insert(leader, self.0);
    }
}

/// This process has ended, and its number is about to be free.
pub(in crate::process) fn untie(leader: u32) {
    if let Some(ties) = lock(&TIES).as_mut() {
        ties.remove(&leader);
    }
}

/// A job ends with the process that holds it, and that one by its [`Tie`].
pub(in crate::process) fn become_subreaper() -> io::Result<()> {
    Ok(())
}

/// How a new file is opened that only this user may read: those in his own folders are.
pub(in crate::process) fn private_file() -> OpenOptions {
    OpenOptions::new()
}

/// Tells a file from another one of the same name.
pub(in crate::process) fn file_number(file: &File, _: &Metadata) -> io::Result<u64> {
    Ok(winapi_util::file::information(file)?.file_index())
}

/// The name of a variable, of which there is one whether it is written large or small: `Path` is `PATH`.
pub(in crate::process) fn variable(name: &OsStr) -> OsString {
    name.to_ascii_uppercase()
}

/// Whether the machine does not know the address family at all: one without IPv6.
pub(in crate::process) fn is_no_address_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(WSAEAFNOSUPPORT)
}

/// The command that ends a stranger's process.
pub(in crate::process) fn end_command(pid: u32) -> String {
    format!("taskkill /F /PID {pid}")
}
