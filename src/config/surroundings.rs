//! What `resolve` asks of the machine besides reading files, as functions, so that tests can answer.

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The machine, as far as a set-up depends on it.
pub(super) struct Surroundings<'a> {
    /// A variable of lbdev's own environment.
    pub var: &'a dyn Fn(&str) -> Option<OsString>,
    /// This program.
    pub lbdev: PathBuf,
    /// The environment that poetry keeps for a folder.
    pub poetry: &'a dyn Fn(&Path) -> Option<PathBuf>,
    /// Whether this interpreter, started in this folder, could import a module.
    pub imports: &'a dyn Fn(&Path, &str, &Path) -> bool,
    /// The addresses of a host name.
    pub lookup: &'a dyn Fn(&str, u16) -> Vec<SocketAddr>,
}

impl Surroundings<'static> {
    /// The real ones.
    pub(super) fn real() -> Self {
        Self {
            var: &|name| std::env::var_os(name),
            // Only a deleted working directory or a missing /proc gets here; PATH then still has us.
            lbdev: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("lbdev")),
            poetry: &poetry,
            imports: &imports,
            lookup: &|host, port| {
                let found = (host, port).to_socket_addrs();
                found.map(Iterator::collect).unwrap_or_default()
            },
        }
    }
}

fn poetry(dir: &Path) -> Option<PathBuf> {
    let output = Command::new("poetry")
        .args(["env", "info", "-p"])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    match output.status.success() && !path.trim().is_empty() {
        true => Some(PathBuf::from(path.trim())),
        false => None,
    }
}

/// Finds the module without importing it: that takes a fifth of the time. An interpreter that cannot even be started is
/// somebody else's error to tell.
fn imports(python: &Path, module: &str, dir: &Path) -> bool {
    let code = "import importlib.util, sys\n\
                sys.exit(3 if importlib.util.find_spec(sys.argv[1]) is None else 0)";
    let status = Command::new(python)
        .args(["-c", code, module])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    !status.is_ok_and(|status| status.code() == Some(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_of_the_real_python() {
        let Ok(python) = which::which("python3") else {
            return; // nothing to ask
        };
        let dir = std::env::temp_dir();
        assert!(imports(&python, "json", &dir));
        assert!(!imports(&python, "no_such_module_at_all", &dir));
        assert!(imports(Path::new("/nowhere/python"), "json", &dir));
    }
}
