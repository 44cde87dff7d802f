//! Our own children, and the orphans that the kernel gives to us.
//!
//! lbdev is a child subreaper (Linux): what a backend leaves behind becomes our child, so it can be found below us, and
//! has to be reaped by us. It is reaped by pid, never by a wait for any child: that would take the exit status away from
//! whoever waits for a child of his own.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use super::os::{self, Proc};

/// The children that this module has started in sessions of their own and will wait for itself.
static OWN: Mutex<Option<HashSet<u32>>> = Mutex::new(None);

/// The children that this process had before it launched anything, by pid and start.
static INHERITED: OnceLock<HashSet<(u32, u64)>> = OnceLock::new();

/// How often adopted orphans that have ended are cleared away while nothing else happens.
const TIDY: Duration = Duration::from_secs(2);

fn own() -> MutexGuard<'static, Option<HashSet<u32>>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a child. Nobody tidies up meanwhile, so that one that ends at once is not taken for an orphan.
///
/// # Errors
/// When the system cannot start it.
pub(super) fn start(expression: &duct::Expression) -> io::Result<(duct::Handle, u32)> {
    let mut own = own();
    let handle = os::apart(expression).start()?;
    let pid = handle.pids().first().copied().unwrap_or_default();
    own.get_or_insert_default().insert(pid);
    Ok((handle, pid))
}

/// [`start`] for a child that stays in lbdev's own session, with its own terminal.
///
/// # Errors
/// When the system cannot start it.
pub(super) fn start_beside(expression: &duct::Expression) -> io::Result<(duct::Handle, u32)> {
    let mut own = own();
    let handle = expression.start()?;
    let pid = handle.pids().first().copied().unwrap_or_default();
    own.get_or_insert_default().insert(pid);
    Ok((handle, pid))
}

/// [`start`] for the first process of a run: it reads nothing, and ends with lbdev.
///
/// # Errors
/// When the system cannot start it.
pub(super) fn launch(expression: &duct::Expression) -> io::Result<(duct::Handle, u32)> {
    let (expression, tie) = os::tie(expression)?;
    let (handle, pid) = start(&expression)?;
    tie.holds(pid);
    Ok((handle, pid))
}

/// Reaps a child that was started with [`start`] and has ended: it cannot vanish from the table in the middle of a
/// [`quietly`].
///
/// # Errors
/// When its status cannot be had.
pub(super) fn reap_ended(handle: &duct::Handle, pid: u32) -> io::Result<std::process::ExitStatus> {
    let mut own = own();
    os::untie(pid);
    let status = handle.wait().map(|output| output.status);
    if let Some(own) = own.as_mut() {
        own.remove(&pid);
    }
    status
}

/// Looks at the table while no child of ours appears or is reaped: the kernel's list of children may skip one when
/// another is taken out of it meanwhile.
///
/// `look` is told which children this module has started.
pub(super) fn quietly<T>(look: impl FnOnce(&HashSet<u32>) -> T) -> T {
    look(own().get_or_insert_default())
}

/// Whether this child was ours before anything was launched: whoever became lbdev by `exec` had started it.
pub(super) fn was_there_before(proc: &Proc) -> bool {
    INHERITED
        .get()
        .is_some_and(|all| all.contains(&(proc.pid, proc.start)))
}

/// Makes orphans below lbdev its children, and keeps clearing those away that end. To be called before anything is
/// launched; a second call does nothing. Where the system has no such thing, nothing happens.
///
/// # Errors
/// When the kernel refuses, or no thread can be started.
pub fn adopt_orphans() -> io::Result<()> {
    static CALLED: AtomicBool = AtomicBool::new(false);
    if CALLED.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    os::become_subreaper()?;
    let before = os::descendants().unwrap_or_default();
    INHERITED.get_or_init(|| before.iter().map(|proc| (proc.pid, proc.start)).collect());
    if cfg!(target_os = "linux") {
        thread::Builder::new()
            .name("orphans".into())
            .stack_size(128 * 1024)
            .spawn(|| {
                loop {
                    thread::sleep(TIDY);
                    tidy();
                }
            })?;
    }
    Ok(())
}

/// Reaps the orphans that have ended. An orphan is a child that we did not start. Children of other modules live in our
/// own session; every backend has another, and what descends from it can never come back into ours.
pub(super) fn tidy() {
    let own = own();
    let Some(table) = os::descendants() else {
        return;
    };
    let me = std::process::id();
    let Some(here) = os::own_session() else {
        return;
    };
    for proc in table {
        let ours = own.as_ref().is_some_and(|own| own.contains(&proc.pid));
        if proc.zombie && proc.parent == me && proc.session != here && !ours {
            os::reap(proc.pid);
        }
    }
}
