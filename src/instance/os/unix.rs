//! Unix: modes, a socket that is a file, inodes.

use std::fs::{self, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::super::InstanceError;
use super::super::place::hash;

/// The kernel's room for a socket's path is 104 bytes on macOS and 108 on Linux, its last one a zero.
const SOCKET_PATH_MAX: usize = 100;

/// The control socket of a state folder: beside its files, or under `/tmp` where the path would be too long for the kernel.
pub(in crate::instance) fn socket_of(folder: &Path) -> PathBuf {
    let beside = folder.join("control.sock");
    if beside.as_os_str().len() <= SOCKET_PATH_MAX {
        beside
    } else {
        // The hash is of the whole path: two state folders must not share a socket.
        socket_dir().join(format!("{}.sock", hash(folder)))
    }
}

/// The folder for sockets whose path would be too long. Not `$TMPDIR`: cron, su and ssh have to find the same place.
fn socket_dir() -> PathBuf {
    PathBuf::from(format!("/tmp/lbdev-{}", rustix::process::getuid().as_raw()))
}

/// Makes the folder of a socket that is not in the state folder.
///
/// # Errors
/// When it cannot be made, or is somebody else's.
pub(in crate::instance) fn make_room(folder: &Path, socket: &Path) -> Result<(), InstanceError> {
    match socket.parent() {
        Some(dir) if dir != folder => own_dir(dir),
        _ => Ok(()),
    }
}

/// Whether somebody listens on a socket.
pub(in crate::instance) fn answers(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}

/// Removes a socket.
pub(in crate::instance) fn remove_socket(socket: &Path) -> io::Result<()> {
    fs::remove_file(socket)
}

/// Makes a folder and its parents with mode 0700; one that is there already gets that mode.
pub(in crate::instance) fn private_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

/// Makes a folder in a place where everybody may write, and takes one that is there only if it is ours alone.
pub(in crate::instance) fn own_dir(dir: &Path) -> Result<(), InstanceError> {
    let unusable = |source| InstanceError::Unusable {
        path: dir.to_owned(),
        source,
    };
    let refused = |why| InstanceError::Unsafe {
        path: dir.to_owned(),
        why,
    };
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(unusable(error)),
    }
    // Not through a link: somebody else could have put one there.
    let found = fs::symlink_metadata(dir).map_err(unusable)?;
    if !found.is_dir() {
        return Err(refused("it is not a folder"));
    }
    if found.uid() != rustix::process::getuid().as_raw() {
        return Err(refused("it belongs to another user"));
    }
    if found.mode() & 0o077 != 0 {
        return Err(refused("other users can open it"));
    }
    Ok(())
}

/// How a new file is opened that only this user may read.
pub(in crate::instance) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Whether nobody but its owner may read a file.
pub(in crate::instance) fn is_private(file: &Metadata) -> bool {
    file.mode() & 0o077 == 0
}

/// What a folder stays when it is moved: its device and its inode. `None` for one that is not there.
pub fn identity(dir: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(dir).ok()?;
    Some((found.dev(), found.ino()))
}
