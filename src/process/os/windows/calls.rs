//! The calls that no crate has a safe function for, and the only `unsafe` code there is. Each takes and gives plain values;
//! no pointer crosses a call.
#![allow(unsafe_code)]

use std::io;
use std::num::NonZeroU32;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle, RawHandle};

use windows_sys::Win32::Foundation::{HANDLE_FLAG_INHERIT, SetHandleInformation};
use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, GenerateConsoleCtrlEvent};
use windows_sys::Win32::System::Threading::{OpenProcess, PROCESS_TERMINATE, TerminateProcess};

/// Sends CTRL_BREAK to a process group of this process's own console. Group 0 would be everyone on it, this process too.
///
/// # Errors
/// When nobody of that group is on the console.
pub(in crate::process) fn break_group(group: NonZeroU32) -> io::Result<()> {
    // SAFETY: two numbers go in. A group that does not exist is an error, and no memory of ours is touched.
    done(unsafe { GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, group.get()) })
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
