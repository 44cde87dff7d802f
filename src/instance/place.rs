//! Which folder and which socket belong to a project's folder.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::InstanceError;

/// The key of `lbdev demo`, which belongs to no folder.
pub(super) const DEMO: &str = "demo";

/// The kernel's room for a socket's path is 104 bytes on macOS and 108 on Linux, its last one a zero.
const SOCKET_PATH_MAX: usize = 100;

/// The state folder of one project: instance file, lock, logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
    socket: PathBuf,
}

impl Folder {
    /// The state folder of the project in `dir`. Nothing is made yet: see [`Folder::create`].
    ///
    /// # Errors
    /// When `dir` is not there, or nobody knows where state goes.
    pub fn of(dir: &Path) -> Result<Self, InstanceError> {
        let dir = canonical(dir)?;
        Ok(Self::under(&state_root()?, &key(&dir)))
    }

    /// The state folder of `lbdev demo`: one for this user, whatever the folder.
    ///
    /// # Errors
    /// When nobody knows where state goes.
    pub fn demo() -> Result<Self, InstanceError> {
        Ok(Self::under(&state_root()?, DEMO))
    }

    /// The state folder `key` below `root`.
    pub(super) fn under(root: &Path, key: &str) -> Self {
        let path = root.join(key);
        let beside = path.join("control.sock");
        let socket = if beside.as_os_str().len() <= SOCKET_PATH_MAX {
            beside
        } else {
            // The hash is of the whole path: two state folders must not share a socket.
            socket_dir().join(format!("{:016x}.sock", fnv1a(path.as_os_str().as_bytes())))
        };
        Self { path, socket }
    }

    /// Whether it is the one of `lbdev demo`.
    pub fn is_demo(&self) -> bool {
        self.path.file_name().is_some_and(|name| name == DEMO)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says where a running instance is: a [`wire::Instance`](crate::wire::Instance) as JSON.
    pub fn instance_file(&self) -> PathBuf {
        self.path.join("instance.json")
    }

    /// Says which processes the instance has started: a [`wire::Sessions`](crate::wire::Sessions) as JSON.
    pub fn sessions_file(&self) -> PathBuf {
        self.path.join("sessions.json")
    }

    /// Locked by a running instance for as long as it lives.
    pub fn lock_file(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// What the backends wrote, a file each.
    pub fn logs_dir(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// What sticky cookies are made with.
    pub fn cookie_key_file(&self) -> PathBuf {
        self.path.join("cookie.key")
    }

    /// What lbdev itself wrote in the background.
    pub fn boot_log(&self) -> PathBuf {
        self.path.join("lbdev.log")
    }

    /// The control socket: beside the other files, or under `/tmp` where the path would be too long for the kernel.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Makes the folders, for this user alone (0700).
    ///
    /// # Errors
    /// When they cannot be made, or the one for sockets under `/tmp` belongs to somebody else.
    pub fn create(&self) -> Result<(), InstanceError> {
        for dir in [self.path.clone(), self.logs_dir()] {
            private_dir(&dir).map_err(|source| InstanceError::Unusable { path: dir, source })?;
        }
        match self.socket.parent() {
            Some(dir) if dir != self.path => own_dir(dir),
            _ => Ok(()),
        }
    }
}

/// Makes a folder and its parents with mode 0700; one that is there already gets that mode.
fn private_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

/// Makes a folder in a place where everybody may write, and takes one that is there only if it is ours alone.
pub(super) fn own_dir(dir: &Path) -> Result<(), InstanceError> {
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

/// The folder for sockets whose path would be too long. Not `$TMPDIR`: cron, su and ssh have to find the same place.
fn socket_dir() -> PathBuf {
    PathBuf::from(format!("/tmp/lbdev-{}", rustix::process::getuid().as_raw()))
}

/// Where the state folders of all projects of this user are.
pub(super) fn state_root() -> Result<PathBuf, InstanceError> {
    let xdg = std::env::var_os("XDG_STATE_HOME");
    // `directories` takes the home folder from the passwd database where HOME is not set.
    let platform = directories::BaseDirs::new();
    state_root_of(
        xdg,
        platform.map(|dirs| {
            let local = dirs.data_local_dir();
            dirs.state_dir().unwrap_or(local).to_owned()
        }),
    )
    .ok_or(InstanceError::NoHome)
}

/// A relative `XDG_STATE_HOME` is ignored, as the XDG base directory specification says.
fn state_root_of(xdg: Option<OsString>, platform: Option<PathBuf>) -> Option<PathBuf> {
    let xdg = xdg.map(PathBuf::from).filter(|path| path.is_absolute());
    Some(xdg.or(platform)?.join("lbdev"))
}

/// A folder's one name, without links.
pub(super) fn canonical(dir: &Path) -> Result<PathBuf, InstanceError> {
    let no_folder = |source| InstanceError::NoFolder {
        dir: dir.to_owned(),
        source,
    };
    let found = fs::canonicalize(dir).map_err(no_folder)?;
    if !found.is_dir() {
        return Err(no_folder(io::ErrorKind::NotADirectory.into()));
    }
    Ok(found)
}

/// What a folder stays when it is moved: its device and its inode. `None` for one that is not there.
pub fn identity(dir: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(dir).ok()?;
    Some((found.dev(), found.ino()))
}

/// The name of a project's state folder: a hash of its canonical path.
pub(super) fn key(canonical: &Path) -> String {
    format!("{:016x}", fnv1a(canonical.as_os_str().as_bytes()))
}

/// FNV-1a, 64 bits: the same in every version of Rust and on every machine, which std's hasher does not promise.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A path as a person writes it: `~/mysite`.
pub fn tilde(path: &Path) -> String {
    tilde_of(path, home().as_deref())
}

/// The user's home folder: from the passwd database where HOME is not set.
pub fn home() -> Option<PathBuf> {
    directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned())
}

pub(super) fn tilde_of(path: &Path, home: Option<&Path>) -> String {
    let below = home
        .filter(|home| home.parent().is_some())
        .and_then(|home| path.strip_prefix(home).ok());
    match below {
        Some(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}
