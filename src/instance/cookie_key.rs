//! The key that sticky cookies are made with: kept beside the other files, so that `down` and `up` keep every session.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use super::{Lock, os};

/// Bytes of a key: as many as the hash has, the least that RFC 2104 §3 recommends.
const KEY: usize = 32;

impl Lock {
    /// The project's key, made at the first call ever. One that cannot be read, is not whole, or could have been read by
    /// others is replaced. Where none can be kept, it lasts as long as this instance.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn cookie_key(&self) -> io::Result<[u8; KEY]> {
        let path = self.folder().cookie_key_file();
        if let Some(key) = read(&path) {
            return Ok(key);
        }
        let mut key = [0; KEY];
        getrandom::fill(&mut key)?;
        // Sessions that end with lbdev are better than no lbdev.
        let _ = write(&path, &key);
        Ok(key)
    }
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
    let draft = path.with_extension("key.new");
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
    use crate::instance::Folder;

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
}
