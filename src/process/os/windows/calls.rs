//! The calls that no crate has a safe function for, and the only `unsafe` code there is. Each takes and gives plain values;
//! no pointer crosses a call.
#![allow(unsafe_code)]

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle, RawHandle};

use windows_sys::Win32::Foundation::{HANDLE_FLAG_INHERIT, SetHandleInformation};
use windows_sys::Win32::System::Console::{
    CTRL_BREAK_EVENT, CTRL_C_EVENT, GenerateConsoleCtrlEvent, SetConsoleCtrlHandler,
};
use windows_sys::Win32::System::Threading::{OpenProcess, PROCESS_TERMINATE, TerminateProcess};

/// The process group that is everyone on the console.
const EVERYONE: u32 = 0;

/// Sends CTRL_BREAK to everyone on this process's console, this process too.
///
/// # Errors
/// When there is no console, or one that does not know it (Wine's).
pub(in crate::process) fn ctrl_break() -> io::Result<()> {
    // SAFETY: two numbers go in, and no memory of ours is touched.
    done(unsafe { GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, EVERYONE) })
}

/// Sends CTRL_C to everyone on this process's console, this process too.
///
/// # Errors
/// When there is no console.
pub(in crate::process) fn ctrl_c() -> io::Result<()> {
    // SAFETY: two numbers go in, and no memory of ours is touched.
    done(unsafe { GenerateConsoleCtrlEvent(CTRL_C_EVENT, EVERYONE) })
}

/// Has this process, and what it starts from now on, hear CTRL_C again where whoever started it had it ignored.
///
/// # Errors
/// When the system refuses.
pub(in crate::process) fn hear_ctrl_c() -> io::Result<()> {
    // SAFETY: without a function there is none to be called: the call only resets a flag of this process.
    done(unsafe { SetConsoleCtrlHandler(None, 0) })
}

/// Ends a process with this exit code.
///
/// # Errors
/// When there is no such process, or it is another user's.
pub(super) fn terminate(pid: u32, code: u32) -> io::Result<()> {
    // SAFETY: numbers go in, and a handle comes out: null for an error, which is not used, else one that is ours alone.
    let process = unsafe {
        let handle = OpenProcess(PROCESS_TERMINATE, 0, pid);
        if handle.is_null() {
            return Err(io::Error::last_os_error());
        }
        OwnedHandle::from_raw_handle(handle)
    };
    // SAFETY: the handle is open until `process` is dropped, after the call.
    done(unsafe { TerminateProcess(process.as_raw_handle(), code) })
}

/// Keeps this process's three streams from children that are not given them: whoever reads ours would else wait for the
/// end of a background process that knows nothing of it. A child that is given one gets a copy, as before.
pub(super) fn keep_streams() {
    let streams: [RawHandle; 3] = [
        io::stdin().as_raw_handle(),
        io::stdout().as_raw_handle(),
        io::stderr().as_raw_handle(),
    ];
    for stream in streams.into_iter().filter(|stream| !stream.is_null()) {
        // SAFETY: the handle is one of the process's own, which nothing in lbdev closes; one that is not open is an error
        // (a program without a console), and then there is nothing to be inherited.
        let _ = unsafe { SetHandleInformation(stream, HANDLE_FLAG_INHERIT, 0) };
    }
}

fn done(answer: i32) -> io::Result<()> {
    match answer {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
