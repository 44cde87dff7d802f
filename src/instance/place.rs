//! Which folder and which socket belong to a project's folder.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::{InstanceError, os};

/// The key of `lbdev demo`, which belongs to no folder.
pub(super) const DEMO: &str = "demo";

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
        let socket = os::socket_of(&path);
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

    /// What another balancer reads and writes that runs in lbdev's place.
    pub fn engine_dir(&self) -> PathBuf {
        self.path.join("engine")
    }

    /// What sticky cookies are made with.
    pub fn cookie_key_file(&self) -> PathBuf {
        self.path.join("cookie.key")
    }

    /// What the dashboard asks for.
    pub fn dashboard_token_file(&self) -> PathBuf {
        self.path.join("dashboard.key")
    }

    /// What was said of the project once, and is not said again.
    pub fn told_file(&self) -> PathBuf {
        self.path.join("told.json")
    }

    /// What lbdev itself wrote in the background.
    pub fn boot_log(&self) -> PathBuf {
        self.path.join("lbdev.log")
    }

    /// The control socket: beside the other files, or under `/tmp` where the path would be too long for the kernel. On
    /// Windows a named pipe.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Makes the folders, for this user alone (0700).
    ///
    /// # Errors
    /// When they cannot be made, or the one for sockets under `/tmp` belongs to somebody else.
    pub fn create(&self) -> Result<(), InstanceError> {
        for dir in [self.path.clone(), self.logs_dir()] {
            os::private_dir(&dir)
                .map_err(|source| InstanceError::Unusable { path: dir, source })?;
        }
        os::make_room(&self.path, &self.socket)
    }
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

/// Where labs have their folders while they run.
///
/// # Errors
/// When nobody knows where state goes.
pub fn labs_folder() -> Result<PathBuf, InstanceError> {
    Ok(state_root()?.join("labs"))
}

/// A folder's one name, without links.
pub(super) fn canonical(dir: &Path) -> Result<PathBuf, InstanceError> {
    let no_folder = |source| InstanceError::NoFolder {
        dir: dir.to_owned(),
        source,
    };
    let found = dunce::canonicalize(dir).map_err(no_folder)?;
    if !found.is_dir() {
        return Err(no_folder(io::ErrorKind::NotADirectory.into()));
    }
    Ok(found)
}

/// The name of a project's state folder: a hash of its canonical path.
pub(super) fn key(canonical: &Path) -> String {
    hash(canonical)
}

/// A path's hash, in hexadecimal.
pub(super) fn hash(path: &Path) -> String {
    format!("{:016x}", fnv1a(path.as_os_str().as_encoded_bytes()))
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
