//! Windows: the state folders are in the user's own part of the disk, whose rights they inherit; the control socket is a
//! named pipe, which is no file and ends with its last holder.

use std::fs::{self, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use winapi_util::{Handle, file};

use super::super::InstanceError;
use super::super::place::hash;

/// What the system says of a pipe whose every end is taken at this moment: somebody listens.
const PIPE_BUSY: i32 = 231;

/// The pipe of a state folder. All pipes of a machine share one folder, so the hash is of the whole path.
pub(in crate::instance) fn socket_of(folder: &Path) -> PathBuf {
    PathBuf::from(format!(r"\\.\pipe\lbdev-{}", hash(folder)))
}

/// A pipe needs no folder.
///
/// # Errors
/// None: it is the same function everywhere.
pub(in crate::instance) fn make_room(_: &Path, _: &Path) -> Result<(), InstanceError> {
    Ok(())
}

/// Whether somebody listens on a pipe.
pub(in crate::instance) fn answers(socket: &Path) -> bool {
    match OpenOptions::new().read(true).write(true).open(socket) {
        Ok(_) => true,
        Err(error) => error.raw_os_error() == Some(PIPE_BUSY),
    }
}

/// A pipe that nobody holds is not there any more.
pub(in crate::instance) fn remove_socket(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes a folder and its parents.
pub(in crate::instance) fn private_dir(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)
}

/// How a new file is opened that only this user may read: those in his own folders are.
pub(in crate::instance) fn private_file() -> OpenOptions {
    OpenOptions::new()
}

/// Whether nobody but its owner may read a file: its folder's rights see to that.
pub(in crate::instance) fn is_private(_: &Metadata) -> bool {
    true
}

/// What a folder stays when it is moved: its volume and its index there. `None` for one that is not there.
pub fn identity(dir: &Path) -> Option<(u64, u64)> {
    let found = file::information(Handle::from_path_any(dir).ok()?).ok()?;
    Some((found.volume_serial_number(), found.file_index()))
}
