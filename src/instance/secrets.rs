//! What is random, and kept beside the other files for this user alone: the key that sticky cookies are made with, so that
//! `down` and `up` keep every session, and the one that the dashboard asks for, so that they keep every bookmark.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use data_encoding::BASE64URL_NOPAD;

use super::{Folder, Lock, os};

/// Bytes of a key: 256 bits, as many as the hash of cookies has (the least that RFC 2104 §3 recommends).
const KEY: usize = 32;

impl Lock {
    /// The key of this project's cookies, made at the first call ever. One that cannot be read, is not whole, or could have
    /// been read by others is replaced. Where none can be kept, it lasts as long as this instance.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn cookie_key(&self) -> io::Result<[u8; KEY]> {
        let path = self.folder().cookie_key_file();
        if let Some(key) = read(&path) {
            return Ok(key);
        }
        let key = random()?;
        // Sessions that end with lbdev are better than no lbdev.
        let _ = write(&path, &key);
        Ok(key)
    }

    /// What this project's dashboard asks for, as an address has it: made at the first call ever, and replaced like the key
    /// of cookies.
    ///
    /// # Errors
    /// When there is none yet, and the system gives no random bytes or they cannot be kept: nobody could read them then.
    pub fn dashboard_token(&self) -> io::Result<String> {
        match read(&self.folder().dashboard_token_file()) {
            Some(token) => Ok(BASE64URL_NOPAD.encode(&token)),
            None => self.new_dashboard_token(),
        }
    }

    /// Another one, in its place.
    ///
    /// # Errors
    /// When the system gives no random bytes or they cannot be kept; then the one before holds.
    pub fn new_dashboard_token(&self) -> io::Result<String> {
        let token = random()?;
        write(&self.folder().dashboard_token_file(), &token)?;
        Ok(BASE64URL_NOPAD.encode(&token))
    }
}

impl Folder {
    /// What the dashboard of the instance that runs here asks for; `None` where there is none that only this user could read.
    pub fn dashboard_token(&self) -> Option<String> {
        let token = read(&self.dashboard_token_file())?;
        Some(BASE64URL_NOPAD.encode(&token))
    }
}

fn random() -> io::Result<[u8; KEY]> {
    let mut key = [0; KEY];
    getrandom::fill(&mut key)?;
    Ok(key)
}

fn read(path: &Path) -> Option<[u8; KEY]> {
    let mut file = File::open(path).ok()?;
    let found = file.metadata().ok()?;
    if !found.is_file() || !os::is_private(&found) || found.len() != KEY as u64 {
        return None;
    }
    let mut key = [0; KEY];
    file.read_exact(&mut key).ok()?;
    Some(key)
}

/// Whoever reads it sees a whole key or none.
fn write(path: &Path, key: &[u8]) -> io::Result<()> {
    let draft = path.with_added_extension("new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = os::private_file()
        .create_new(true)
        .write(true)
        .open(&draft)?;
    file.write_all(key)?;
    fs::rename(&draft, path)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_kept_and_a_bad_one_replaced() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::under(root.path(), "k");
        let key = || {
            let lock = Lock::try_take(&folder).unwrap().unwrap();
            lock.cookie_key().unwrap()
        };
        let path = folder.cookie_key_file();
        let first = key();
        assert_eq!(key(), first, "the next instance has it too");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);

        let mut seen = vec![first];
        for spoil in [|| b"short".to_vec(), || Vec::new(), || vec![1; KEY + 1]] {
            fs::write(&path, spoil()).unwrap();
            let anew = key();
            assert!(!seen.contains(&anew));
            assert_eq!(key(), anew);
            seen.push(anew);
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(!seen.contains(&key()), "others could have read it");
        assert_eq!(mode(&path), 0o600);
        // Whatever is in its place, there is a key.
        fs::remove_file(&path).unwrap();
        fs::create_dir_all(path.join("x")).unwrap();
        assert_ne!(key(), key(), "it cannot be kept");
    }

    #[test]
    fn a_token_is_kept_until_another_is_made() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::under(root.path(), "k");
        let lock = Lock::try_take(&folder).unwrap().unwrap();
        assert_eq!(folder.dashboard_token(), None);
        let first = lock.dashboard_token().unwrap();
        assert_eq!(first.len(), 43, "256 bits in base64");
        assert_eq!(lock.dashboard_token().unwrap(), first);
        assert_eq!(folder.dashboard_token().as_ref(), Some(&first));
        let file = folder.dashboard_token_file();
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let second = lock.new_dashboard_token().unwrap();
        assert_ne!(first, second);
        assert_eq!(lock.dashboard_token().unwrap(), second);
        fs::remove_file(&file).unwrap();
        fs::create_dir_all(file.join("x")).unwrap();
        assert!(lock.dashboard_token().is_err(), "nobody could read it");
    }
}
